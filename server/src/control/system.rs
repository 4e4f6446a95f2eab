//! What the system says of this process: files, memory, threads, and connections that no listener took.
//!
//! Owns: which files of /proc say it (Linux; elsewhere there is nothing to say). Invariant: what can't be read is not told,
//! rather than told as 0.

use std::collections::BTreeMap;
use std::fs;

/// Files that the process has open.
pub(super) fn open_files() -> Option<u64> {
    let listed = fs::read_dir("/proc/self/fd").ok()?;
    // The one that lists them is no longer open.
    Some(listed.count().saturating_sub(1) as u64)
}

/// Bytes of memory that the process holds.
pub(super) fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib << 10)
}

/// Seconds of processor time of all threads of a name.
pub(super) fn threads() -> BTreeMap<String, f64> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten();
    let threads = tasks.flatten().filter_map(|task| {
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        let spent = fs::read_to_string(task.path().join("schedstat")).ok()?;
        let nanoseconds: f64 = spent.split_whitespace().next()?.parse().ok()?;
        Some((name.trim().to_owned(), nanoseconds / 1e9))
    });
    let mut sums = BTreeMap::new();
    for (name, seconds) in threads {
        *sums.entry(name).or_default() += seconds;
    }
    sums
}

/// Connections that the kernel of this machine, or of its network namespace, turned away because nobody accepted in time.
pub(super) fn listen_overflows() -> Option<u64> {
    overflows_in(&fs::read_to_string("/proc/net/netstat").ok()?)
}

/// Of two lines, the first has the names and the second the numbers.
fn overflows_in(netstat: &str) -> Option<u64> {
    let mut lines = netstat.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, numbers) = (lines.next()?, lines.next()?);
    let mut both = names.split(' ').zip(numbers.split(' '));
    both.find(|(name, _)| *name == "ListenOverflows")?
        .1
        .parse()
        .ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn linux_says_all_of_it() {
        assert!(open_files().is_some_and(|files| files > 2));
        assert!(resident().is_some_and(|bytes| bytes > 1 << 20));
        assert!(listen_overflows().is_some());
        let own = threads();
        assert!(own.keys().all(|name| !name.is_empty()));
        assert!(own.values().sum::<f64>() > 0.0);
    }

    #[test]
    fn overflows_are_found_by_name() {
        let text = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 42 43\nIpExt: InNoRoutes\nIpExt: 7\n";
        assert_eq!(overflows_in(text), Some(42));
        assert_eq!(overflows_in("TcpExt: A\nTcpExt: 1\n"), None);
        assert_eq!(overflows_in(""), None);
    }
}
