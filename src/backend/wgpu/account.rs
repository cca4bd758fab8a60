//! How much memory is taken. A driver in software gives more than there is, and the process is killed when it is used.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes taken, and what they may come to.
pub struct Account {
    taken: AtomicU64,
    most: u64,
}

impl Account {
    /// At most `most` bytes; of software, what this machine has free.
    pub fn new(most: Option<u64>, is_software: bool) -> Self {
        let free = || if is_software { free_memory() } else { None };
        Self { taken: AtomicU64::new(0), most: most.or_else(free).unwrap_or(u64::MAX) }
    }

    /// Takes bytes, if there are so many.
    #[must_use]
    pub fn take(&self, bytes: u64) -> bool {
        let take = |taken: u64| taken.checked_add(bytes).filter(|taken| *taken <= self.most);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    pub fn give(&self, bytes: u64) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Bytes that this process can still use without swapping, where the system says.
fn free_memory() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
    let read = |name: &str| std::fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?.trim().parse::<u64>().ok();
    let group = read("memory.max").zip(read("memory.current")).map(|(most, taken)| most.saturating_sub(taken));
    machine.into_iter().chain(group).min()
}

/// `MemAvailable` of `/proc/meminfo`, in bytes.
fn available(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_given_back() {
        let account = Account::new(Some(100), true);
        assert!(account.take(60) && !account.take(41) && account.take(40));
        account.give(60);
        assert!(account.take(60) && !account.take(u64::MAX));
    }

    #[test]
    fn the_system_is_understood() {
        assert_eq!(available("MemTotal:  10 kB\nMemAvailable:    2048 kB\n"), Some(2 << 20));
        assert_eq!(available("MemTotal:  10 kB\n"), None);
        assert!(Account::new(None, false).take(u64::MAX), "hardware knows by itself");
    }
}
