//! The `fluoroscope` command; all but how it keeps memory is in the library.

fn main() -> std::process::ExitCode {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    keep_freed_memory();
    fluoroscope::cli::run(std::env::args_os())
}

/// Blocks as large as pictures and maps are used again. By default glibc unmaps them, or trims its heap where they lay, and the kernel
/// clears every page of the next one. Each thread's heap may keep as much as the second setting says.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn keep_freed_memory() {
    const LARGEST: i32 = 32 << 20;
    // SAFETY: both are documented settings, and no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 4 * LARGEST);
    }
}
