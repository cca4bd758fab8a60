//! Which threads run first where there are more than cores.

/// Has this thread, which reads or writes files, give way to those that feed a device: a device that waits for its next images has
/// nothing to do, and files are read ahead. Threads that it starts give way, too. Elsewhere than on Linux with glibc the cores are
/// shared as the system likes.
pub fn give_way() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// A tenth of the weight of a thread that does not give way.
        const NICE: i32 = 10;
        // SAFETY: a plain call, which on Linux is about the calling thread alone; where it is refused nothing changes.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
    }
}
