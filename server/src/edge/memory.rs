//! The memory this process may use: what a control group leaves it, or what the machine has.

use std::fs;
use std::path::Path;

use crate::limits::{MEMORY_SHARE, PLAYER_BYTES};

/// Bytes that this process may use; `None` where nobody says.
pub fn allowed() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let machine = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let read = |file: &Path| fs::read_to_string(file).ok();
    smallest(&groups, &machine, read)
}

/// The smallest limit of the control groups that the process is in, of the groups around them, and of the machine.
fn smallest(groups: &str, machine: &str, read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let total = machine
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
        .map(|kib| kib.saturating_mul(1024));
    let limits = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        // Version 2 has one tree for all controllers, version 1 one for each.
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|each| each == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => return Vec::new(),
        };
        // Seen from inside a container, the path may not exist, and the root is its own group.
        let inside = Path::new(path.trim_start_matches('/'));
        let around = inside.ancestors();
        around
            .filter_map(|group| read(&Path::new(root).join(group).join(file)))
            .filter_map(|text| text.trim().parse().ok())
            .collect()
    });
    limits.chain(total).min()
}

/// Players that fit into a share of this memory, each with all that it may hold.
pub fn players(allowed: u64, max_message: usize, outbox_max: usize) -> usize {
    let each = PLAYER_BYTES + max_message + outbox_max;
    let players = allowed / MEMORY_SHARE / each as u64;
    usize::try_from(players).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: &str = "MemTotal:        8000000 kB\nMemFree:  1 kB\n";

    fn limit(groups: &str, files: &[(&str, &str)]) -> Option<u64> {
        smallest(groups, MACHINE, |asked| {
            let found = files.iter().find(|(file, _)| Path::new(file) == asked);
            found.map(|(_, text)| (*text).to_owned())
        })
    }

    #[test]
    fn the_smallest_limit_counts() {
        let machine = Some(8_000_000 * 1024);
        assert_eq!(limit("", &[]), machine);
        let v2 = "0::/system.slice/roomcast.service\n";
        let own = "/sys/fs/cgroup/system.slice/roomcast.service/memory.max";
        let around = "/sys/fs/cgroup/system.slice/memory.max";
        assert_eq!(limit(v2, &[(own, "max\n")]), machine);
        assert_eq!(limit(v2, &[(own, "1000\n")]), Some(1_000));
        assert_eq!(limit(v2, &[(own, "1000\n"), (around, "500\n")]), Some(500));
        // In a container, where the path is that of the host.
        assert_eq!(
            limit(v2, &[("/sys/fs/cgroup/memory.max", "700\n")]),
            Some(700)
        );
        let v1 = "9:name=systemd:/\n4:cpu,memory:/docker/1\n0::/\n";
        let own = "/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes";
        assert_eq!(limit(v1, &[(own, "9223372036854771712\n")]), machine);
        assert_eq!(limit(v1, &[(own, "300\n")]), Some(300));
        assert_eq!(smallest("", "", |_| None), None);
        assert_eq!(smallest("no colon", "MemTotal: much kB", |_| None), None);
    }

    #[test]
    fn what_fits_is_a_quarter_at_most() {
        let (message, outbox) = (64 << 10, 256 << 10);
        let fit = players(8 << 30, message, outbox) as u64;
        assert!(fit * (message + outbox) as u64 <= 2 << 30, "{fit}");
        assert!((5_000..7_000).contains(&fit), "{fit}");
        assert_eq!(players(0, message, outbox), 1);
    }
}
