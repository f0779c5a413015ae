//! What the C library, from which engines have their memory, too, does with freed memory. It concerns a whole process, so
//! programs ask for it, and the library never does.

/// Keeps what is freed for what is needed next, in one heap for all threads: a run makes and drops many tensors of megabytes,
/// and touching new memory costs more than what is done with it (`docs/performance.md`). What is larger than 32 MiB goes
/// back to the system at once, so that no heap grows around single matrices.
///
/// Elsewhere than on Linux with glibc it does nothing.
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "calls into C that take two integers; what cannot be set stays as it is")]
    // SAFETY: mallopt reads nothing but its arguments, and takes the lock of the heap itself.
    unsafe {
        /// The most that every glibc takes, in bytes.
        const LARGE: i32 = 32 << 20;
        const NEVER: i32 = -1;
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, NEVER);
    }
}
