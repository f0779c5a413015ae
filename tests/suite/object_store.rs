//! Partial results on object storage, against a local server that speaks the protocol: `moto_server`, from the Python package
//! of `fixtures/object-store-requirements.txt`, whose path the environment gives as `ONNX_SAP_MOTO`.

use crate::support::{Bench, Ran, data, model};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server with one empty bucket, `parts`, as long as this value lives.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let program = std::env::var("ONNX_SAP_MOTO").expect("ONNX_SAP_MOTO names the program moto_server");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(program);
        command.args(["--host", "127.0.0.1", "--port", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        let server = Self { process: command.spawn().unwrap(), port };
        let end = Instant::now() + Duration::from_mins(1);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "the server does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        let answer = server.request("PUT", "/parts");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        server
    }

    fn request(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let host = format!("127.0.0.1:{}", self.port);
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn run(&self, bench: &Bench, arguments: &str) -> Ran {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        let environment = [
            ("AWS_ENDPOINT", endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "us-east-1"),
        ];
        bench.run_with(arguments, &environment)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Two shards of scores, two of evidence over them, and a correction; all files lie in `place`.
fn correct(place: &str, run: impl Fn(&str) -> Ran) {
    let (model, train) = (model("lenet"), data("val"));
    let (model, val) = (model.display(), data("test"));
    for shard in 0..2 {
        run(&format!("score {model} --data {train} --batch 100 --shard {shard}/2 -o {place}/scores/")).expect(0);
    }
    run(&format!("merge {place}/scores/ -o {place}/scores.parquet")).expect(0);
    for shard in 0..2 {
        let options = format!("--scores {place}/scores.parquet --trusted 200 --batch 100 --shard {shard}/2");
        run(&format!("evidence {model} --data {train} {options} -o {place}/evidence/")).expect(0);
    }
    run(&format!("merge {place}/evidence/ -o {place}/evidence.safetensors")).expect(0);
    let options = format!("--evidence {place}/evidence.safetensors --alpha 3000 --force");
    run(&format!("{model} out.onnx --data {train} --val {val} {options}")).expect(0);
}

#[test]
fn shards_meet_in_a_bucket_as_they_do_in_a_folder() {
    let server = Server::start();
    let (local, remote) = (Bench::new(), Bench::new());
    correct(&format!("file://{}", local.path("parts").display()), |arguments| local.run(arguments));
    correct("s3://parts/run", |arguments| server.run(&remote, arguments));
    assert!(fs::read(local.path("out.onnx")).unwrap() == fs::read(remote.path("out.onnx")).unwrap());

    let listed = server.request("GET", "/parts?list-type=2");
    assert!(listed.contains("scores-00001-of-00002.parquet"), "{listed}");
    let ran = server.run(&remote, "merge s3://parts/absent.parquet -o whole.parquet").expect(2);
    assert!(ran.stderr.contains("cannot read s3://parts/absent.parquet"), "{}", ran.stderr);
    let ran = server.run(&remote, "merge s3://parts/empty/ -o whole.parquet").expect(2);
    assert!(ran.stderr.contains("nothing to merge"), "{}", ran.stderr);
}
