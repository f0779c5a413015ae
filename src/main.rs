//! The command `onnx-sap`.

fn main() -> std::process::ExitCode {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    keep_memory();
    onnx_sap::cli::main()
}

/// Lets the C library, from which engines have their memory, too, keep what is freed for what is needed next, in one heap for
/// all threads: a run makes and drops many tensors of megabytes, and touching new memory costs more than what is done with
/// it (`docs/performance.md`). What is larger than the bound goes back to the system at once, so that no heap grows around
/// single matrices.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "a call into C; it takes two integers, and no other thread runs yet")]
fn keep_memory() {
    /// The most that every glibc takes, in bytes.
    const LARGE: i32 = 32 << 20;
    const NEVER: i32 = -1;
    // What cannot be set stays as it is.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, NEVER);
    }
}
