//! Fetches the official ONNX Runtime through the user's own pip, and unpacks its libraries into the cache.
//!
//! Version and sha256 of every wheel are pinned here, and pip refuses anything else (`--require-hashes`). From where it
//! comes is for the user's pip configuration to say. Unpacking happens beside the final folder and ends in one rename,
//! so a folder that exists is complete, and processes that fetch at the same time do not disturb each other.

use super::places::{self, Places};
use super::unavailable;
use crate::engine::{EngineError, ort};
use crate::progress::Observer;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use zip::ZipArchive;

/// The version of ONNX Runtime that is fetched.
pub const VERSION: &str = "1.31.1";

const OTHERWISE: &str = "set ORT_DYLIB_PATH to an ONNX Runtime library, or use `--engine tract`";
const CPU_INSTEAD: &str = "set ORT_DYLIB_PATH to an ONNX Runtime library built for CUDA, or use `--device cpu`";

/// An official wheel, as its publisher made it.
#[derive(Debug)]
struct Wheel {
    cuda: bool,
    os: &'static str,
    arch: &'static str,
    /// pip's name of the platform.
    platform: &'static str,
    sha256: &'static str,
    /// For the message before a download that takes a while.
    megabytes: u32,
}

/// The pinned wheels. The libraries in them do not depend on Python; those for Python 3.11 stand for all.
const WHEELS: &[Wheel] = &[
    Wheel {
        cuda: false,
        os: "linux",
        arch: "x86_64",
        platform: "manylinux_2_28_x86_64",
        sha256: "5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f",
        megabytes: 24,
    },
    Wheel {
        cuda: false,
        os: "linux",
        arch: "aarch64",
        platform: "manylinux_2_28_aarch64",
        sha256: "da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3",
        megabytes: 21,
    },
    Wheel {
        cuda: false,
        os: "macos",
        arch: "aarch64",
        platform: "macosx_14_0_arm64",
        sha256: "60b6b69bfe580eab576cacc5d132a0e9cf2a37fcfd18d46dd191042b1d1ed0d7",
        megabytes: 21,
    },
    Wheel {
        cuda: false,
        os: "windows",
        arch: "x86_64",
        platform: "win_amd64",
        sha256: "c3d91b5de31e2fc82d71bd65b2b22bddee8b49057a3a36338e9a868e0ea90c05",
        megabytes: 15,
    },
    Wheel {
        cuda: true,
        os: "linux",
        arch: "x86_64",
        platform: "manylinux_2_28_x86_64",
        sha256: "e26c475fe361b2015f45b4b824bd13f0bb20204e59b62814e6f0acd5f3d491a6",
        megabytes: 256,
    },
    Wheel {
        cuda: true,
        os: "windows",
        arch: "x86_64",
        platform: "win_amd64",
        sha256: "fd98341ba71c093153f0dcfc53eb69d57f706866fb45e94e5b0cde5d97a50dbf",
        megabytes: 168,
    },
    Wheel {
        cuda: true,
        os: "linux",
        arch: "aarch64",
        platform: "manylinux_2_34_aarch64",
        sha256: "dc878916611b8a816000ffedacc5f5988f77bb93bf9655ad20144ee3acb08e55",
        megabytes: 212,
    },
];

impl Wheel {
    fn package(&self) -> &'static str {
        if self.cuda { "onnxruntime-gpu" } else { "onnxruntime" }
    }

    /// The wheel for this machine. The publisher builds for glibc, so musl has none.
    fn for_this_machine(cuda: bool) -> Result<&'static Self, EngineError> {
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        let fits = |wheel: &&Self| wheel.cuda == cuda && wheel.os == os && wheel.arch == arch;
        let found = WHEELS.iter().filter(|_| !cfg!(target_env = "musl")).find(fits);
        let package = if cuda { "onnxruntime-gpu" } else { "onnxruntime" };
        found.ok_or_else(|| {
            let reason = format!("there is no pinned wheel of {package} {VERSION} for {os} on {arch}");
            unavailable(reason, otherwise(cuda))
        })
    }
}

/// Makes sure that the pinned library lies in the cache, and returns it.
pub(super) fn install(places: &Places, cuda: bool, observer: &dyn Observer) -> Result<PathBuf, EngineError> {
    let refuse = |reason: String| unavailable(reason, otherwise(cuda));
    let wheel = Wheel::for_this_machine(cuda)?;
    let folder = places.cache_folder(cuda).ok_or_else(|| {
        refuse("there is no cache folder, as neither ONNX_SAP_CACHE nor the home folder is set".into())
    })?;
    if let Some(library) = places::library_in(&folder) {
        return check(library).map_err(|reason| refuse(format!("{reason}; to fetch it again, delete its folder")));
    }
    if places.offline {
        let place = folder.display();
        return Err(refuse(format!("ONNX_SAP_OFFLINE forbids fetching {} {VERSION} into {place}", wheel.package())));
    }
    observer.note(&format!(
        "fetching {} {VERSION} ({} MB) through pip into {}",
        wheel.package(),
        wheel.megabytes,
        folder.display()
    ));
    observer.begin("fetching ONNX Runtime", 2, "steps");
    let fetched = fetch(places, wheel, &folder, observer);
    observer.end();
    fetched.map_err(|reason| refuse(format!("fetching {} {VERSION} failed: {reason}", wheel.package())))?;
    let library = places::library_in(&folder).ok_or_else(|| refuse("the wheel held no library".into()))?;
    check(library).map_err(refuse)
}

/// A library in the cache is whole; where it cannot be loaded, fetching it again would not help.
fn check(library: PathBuf) -> Result<PathBuf, String> {
    match ort::version(&library) {
        Ok(_) => Ok(library),
        Err(refusal) => Err(format!("what is in the cache cannot be loaded: {refusal}")),
    }
}

fn otherwise(cuda: bool) -> &'static str {
    if cuda { CPU_INSTEAD } else { OTHERWISE }
}

fn fetch(places: &Places, wheel: &Wheel, folder: &Path, observer: &dyn Observer) -> Result<(), String> {
    let parent = folder.parent().ok_or("the cache has no parent folder")?;
    let place = |error: io::Error| format!("{}: {error}", parent.display());
    fs::create_dir_all(parent).map_err(place)?;
    let work = tempfile::Builder::new().prefix(".fetch-").tempdir_in(parent).map_err(place)?;
    let file = download(&places.pythons, wheel, work.path())?;
    observer.advance(1);
    let unpacked = work.path().join("unpacked");
    unpack(&file, &unpacked).map_err(|reason| format!("{}: {reason}", file.display()))?;
    publish(&unpacked, folder)?;
    observer.advance(1);
    Ok(())
}

/// Runs pip, of the first Python that has it.
fn download(pythons: &[PathBuf], wheel: &Wheel, work: &Path) -> Result<PathBuf, String> {
    let requirements = work.join("requirements.txt");
    let line = format!("{}=={VERSION} --hash=sha256:{}\n", wheel.package(), wheel.sha256);
    fs::write(&requirements, line).map_err(|error| format!("{}: {error}", requirements.display()))?;
    let mut failure = "python3 was not found, and its pip is what fetches ONNX Runtime".to_string();
    for python in pythons {
        match pip(python, wheel, work) {
            Ok(output) if output.status.success() => return downloaded(work),
            Ok(output) => {
                failure = format!("{} -m pip: {}", python.display(), last_words(&output));
                if !failure.contains("No module named") {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => failure = format!("{}: {error}", python.display()),
        }
    }
    Err(failure)
}

/// The working folder is the empty one: Python would run a `pip` that lies in the user's.
fn pip(python: &Path, wheel: &Wheel, work: &Path) -> io::Result<Output> {
    Command::new(python)
        .args(["-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check", "--retries=1"])
        .args(["--no-deps", "--only-binary=:all:", "--require-hashes"])
        .args(["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"])
        .args(["--platform", wheel.platform, "--dest", ".", "--requirement", "requirements.txt"])
        .current_dir(work)
        .stdin(Stdio::null())
        .output()
}

/// pip's last line that says `ERROR`, which names the cause; else its last line.
fn last_words(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines = || text.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    let line = lines().find(|line| line.starts_with("ERROR")).or_else(|| lines().next());
    line.map_or_else(|| output.status.to_string(), ToString::to_string)
}

fn downloaded(work: &Path) -> Result<PathBuf, String> {
    let entries = fs::read_dir(work).map_err(|error| format!("{}: {error}", work.display()))?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.find(|path| path.extension().is_some_and(|kind| kind == "whl")).ok_or_else(|| "pip left no wheel".into())
}

/// Copies the libraries and the licence texts out of a wheel, by file name only.
fn unpack(wheel: &Path, folder: &Path) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    fs::create_dir_all(folder).map_err(text)?;
    let mut archive = ZipArchive::new(File::open(wheel).map_err(text)?).map_err(|error| error.to_string())?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|error| error.to_string())?;
        let path = entry.name().map_err(|error| error.to_string())?.into_owned();
        let Some(name) = kept(&path) else { continue };
        let mut file = File::create(folder.join(name)).map_err(text)?;
        io::copy(&mut entry, &mut file).map_err(text)?;
    }
    places::library_in(folder).map(drop).ok_or_else(|| "it holds no ONNX Runtime library".into())
}

/// The file name under which an entry of the wheel is kept, where it is.
fn kept(entry: &str) -> Option<&str> {
    let inside = entry.strip_prefix("onnxruntime/")?;
    if matches!(inside, "LICENSE" | "ThirdPartyNotices.txt") {
        return Some(inside);
    }
    let name = inside.strip_prefix("capi/").filter(|name| !name.contains(['/', '\\']))?;
    let windows = name.starts_with("onnxruntime") && name.rsplit_once('.').is_some_and(|(_, kind)| kind == "dll");
    ((windows || name.starts_with("libonnxruntime")) && !name.contains("tensorrt")).then_some(name)
}

/// Moves a complete folder to its final name. Where another process came first, its folder is as good.
fn publish(unpacked: &Path, folder: &Path) -> Result<(), String> {
    match fs::rename(unpacked, folder) {
        Err(error) if places::library_in(folder).is_none() => Err(format!("{}: {error}", folder.display())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_libraries_and_licences_are_kept() {
        assert_eq!(kept("onnxruntime/capi/libonnxruntime.so.1.31.1"), Some("libonnxruntime.so.1.31.1"));
        assert_eq!(kept("onnxruntime/capi/onnxruntime.dll"), Some("onnxruntime.dll"));
        assert_eq!(kept("onnxruntime/LICENSE"), Some("LICENSE"));
        assert_eq!(kept("onnxruntime/capi/onnxruntime_pybind11_state.so"), None);
        assert_eq!(kept("onnxruntime/capi/libonnxruntime_providers_tensorrt.so"), None);
        assert_eq!(kept("onnxruntime/capi/../libonnxruntime.so"), None);
    }

    #[test]
    fn every_pin_is_a_sha256_of_its_own() {
        for (position, wheel) in WHEELS.iter().enumerate() {
            assert!(wheel.sha256.len() == 64 && wheel.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()), "{wheel:?}");
            assert!(WHEELS[..position].iter().all(|other| other.sha256 != wheel.sha256), "{wheel:?}");
        }
    }
}
