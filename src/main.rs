//! The command `onnx-sap`.

fn main() -> std::process::ExitCode {
    onnx_sap::cli::main()
}
