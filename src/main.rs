//! The command `onnx-sap`.

fn main() -> std::process::ExitCode {
    onnx_sap::heap::keep_freed();
    onnx_sap::cli::main()
}
