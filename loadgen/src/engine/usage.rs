//! What the server's process and the generator's threads use.
//!
//! Owns the reading of /proc. Must not know when it is read or what it is divided by.
//! Invariant: what cannot be read is `None` (or 0 for a thread), never a guess.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use super::clock::Nanos;

/// A process that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pid: u32,
}

/// CPU time in user mode and in the kernel, since the process began, in clock ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cpu {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
    /// The sum of what each of its present threads has used, to the nanosecond, where the kernel
    /// tells.
    pub(crate) exact: Option<Duration>,
}

impl Cpu {
    /// What was used since `before`: user, kernel, and both exactly if that is known. What a
    /// thread used that has ended since is in the ticks only; then nothing is known exactly.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let user = self.user.saturating_sub(before.user);
        let system = self.system.saturating_sub(before.system);
        let exact = self.exact.zip(before.exact);
        let exact = exact.and_then(|(now, before)| now.checked_sub(before));
        Self {
            user,
            system,
            exact: exact.filter(|exact| *exact + TICKS_OFF >= user + system),
        }
    }

    /// User and kernel together, as exactly as is known.
    pub(crate) fn both(&self) -> Duration {
        self.exact.unwrap_or(self.user + self.system)
    }
}

/// By how much a difference of times in ticks of 10 ms may be too large: a tick for each part at
/// either end.
const TICKS_OFF: Duration = Duration::from_millis(40);

impl Server {
    /// The process `pid`, or, without one, whoever listens at a loopback `address`. `None` if
    /// there is none that can be watched; this process itself is not.
    pub(crate) fn find(pid: Option<u32>, address: SocketAddr) -> Option<Self> {
        let pid = match pid {
            Some(pid) => pid,
            None if address.ip().is_loopback() => listener(address)?,
            None => return None,
        };
        let server = Self { pid };
        (pid != std::process::id() && server.cpu().is_some()).then_some(server)
    }

    /// Its process id.
    pub(crate) fn pid(self) -> u32 {
        self.pid
    }

    /// What it has used so far; user and kernel in steps of the clock tick, usually 10 ms.
    pub(crate) fn cpu(self) -> Option<Cpu> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        Some(Cpu {
            exact: self.exact_cpu(),
            ..parse_stat(&stat)?
        })
    }

    fn exact_cpu(self) -> Option<Duration> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid)).ok()?;
        let used = threads.flatten().map(|thread| {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            let used = text.split_ascii_whitespace().next()?.parse().ok()?;
            Some(Duration::from_nanos(used))
        });
        used.sum()
    }

    /// Whether it has a socket that listens at `address`; `None` if that cannot be seen.
    pub(crate) fn listens(self, address: SocketAddr) -> Option<bool> {
        let inodes = listening_inodes(address);
        sockets(Path::new(&format!("/proc/{}", self.pid)))
            .map(|mut sockets| sockets.any(|socket| inodes.contains(&socket)))
    }

    /// Resident memory in bytes, counted page by page if the kernel lets us.
    pub(crate) fn rss(self) -> Option<u64> {
        let exact = self.kib("smaps_rollup", "Rss:");
        exact.or_else(|| self.kib("status", "VmRSS:"))
    }

    /// The most resident memory it ever had, in bytes.
    pub(crate) fn rss_peak(self) -> Option<u64> {
        self.kib("status", "VmHWM:")
    }

    fn kib(self, file: &str, field: &str) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/{file}", self.pid)).ok()?;
        parse_kib(&text, field)
    }
}

fn parse_kib(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// /proc/PID/stat: the name (field 2) may contain anything, so count from the last parenthesis.
fn parse_stat(stat: &str) -> Option<Cpu> {
    let (_, rest) = stat.rsplit_once(')')?;
    // Fields 14 and 15 of the whole; the rest begins with field 3.
    let mut times = rest.split_ascii_whitespace().skip(14 - 3);
    let mut time = || -> Option<Duration> {
        let ticks: u64 = times.next()?.parse().ok()?;
        let hz = rustix::param::clock_ticks_per_second().max(1);
        Some(Duration::from_nanos(
            ticks.saturating_mul(1_000_000_000 / hz),
        ))
    };
    Some(Cpu {
        user: time()?,
        system: time()?,
        exact: None,
    })
}

/// The process that has a socket listening at `address`.
fn listener(address: SocketAddr) -> Option<u32> {
    let inodes = listening_inodes(address);
    let processes = fs::read_dir("/proc").ok()?;
    processes.flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let mut sockets = sockets(&process.path())?;
        sockets
            .any(|socket| inodes.contains(&socket))
            .then_some(pid)
    })
}

/// The inodes of all sockets that listen at `address`.
fn listening_inodes(address: SocketAddr) -> Vec<u64> {
    let tables = match address {
        SocketAddr::V4(_) => &["/proc/net/tcp", "/proc/net/tcp6"][..],
        SocketAddr::V6(_) => &["/proc/net/tcp6"],
    };
    let tables = tables
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok());
    tables
        .flat_map(|table| {
            let lines = table.lines();
            lines
                .filter_map(|line| listening_inode(line, address))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The inodes of the sockets of a process, by its directory; `None` if they cannot be seen.
fn sockets(process: &Path) -> Option<impl Iterator<Item = u64> + use<>> {
    let files = fs::read_dir(process.join("fd")).ok()?;
    let links = files.flatten().flat_map(|file| fs::read_link(file.path()));
    Some(links.filter_map(|link| {
        let link = link.to_str()?;
        link.strip_prefix("socket:[")?
            .strip_suffix(']')?
            .parse()
            .ok()
    }))
}

/// The inode of a line of /proc/net/tcp, if it is a socket listening at `address` or at any
/// address of its port.
fn listening_inode(line: &str, address: SocketAddr) -> Option<u64> {
    const LISTEN: &str = "0A";
    let mut fields = line.split_ascii_whitespace();
    let local = fields.nth(1)?;
    let (ip, port) = local.split_once(':')?;
    if fields.nth(1)? != LISTEN || u16::from_str_radix(port, 16).ok()? != address.port() {
        return None;
    }
    let ip = parse_hex_ip(ip)?;
    if !ip.is_unspecified() && ip != address.ip() {
        return None;
    }
    fields.nth(5)?.parse().ok()
}

/// An address as /proc/net/tcp writes it: words of 32 bits in the machine's own order.
fn parse_hex_ip(hex: &str) -> Option<IpAddr> {
    let word = |i: usize| -> Option<[u8; 4]> {
        let digits = hex.get(8 * i..8 * i + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    match hex.len() {
        8 => Some(IpAddr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (i, part) in bytes.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                *part = word(i)?;
            }
            Some(IpAddr::from(bytes))
        }
        _ => None,
    }
}

/// CPU time of the calling thread, in nanoseconds.
#[cfg(target_os = "linux")]
pub(crate) fn thread_cpu() -> Nanos {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as Nanos * 1_000_000_000 + time.tv_nsec as Nanos
}

/// CPU time of the calling thread is not read here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn thread_cpu() -> Nanos {
    0
}

/// How long the calling thread has been runnable without having a core, in nanoseconds; 0 where
/// the system does not say.
pub(crate) fn thread_waiting() -> Nanos {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    parse_schedstat(&text).unwrap_or_default()
}

fn parse_schedstat(text: &str) -> Option<Nanos> {
    text.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_with_a_name_that_looks_like_fields() {
        let stat = "77 (a b) 1 2 (x) S 1 77 77 0 -1 4194304 100 0 0 0 250 125 0 0 20 0 1 0 5 6";
        let hz = rustix::param::clock_ticks_per_second();
        let cpu = parse_stat(stat).expect("two times");
        assert_eq!(cpu.user, Duration::from_nanos(250 * (1_000_000_000 / hz)));
        assert_eq!(cpu.system, Duration::from_nanos(125 * (1_000_000_000 / hz)));
        assert_eq!(parse_stat("77 (a) S 1"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn exact_time_is_believed_unless_a_thread_has_ended() {
        let ms = Duration::from_millis;
        let cpu = |user, system, exact: Option<u64>| Cpu {
            user: ms(user),
            system: ms(system),
            exact: exact.map(ms),
        };
        let before = cpu(100, 100, Some(195));
        for (after, both) in [
            (cpu(110, 110, Some(199)), 4),
            (cpu(100, 100, Some(213)), 18),
            // A thread took what it had used with it.
            (cpu(200, 200, Some(214)), 200),
            (cpu(200, 200, Some(100)), 200),
            (cpu(200, 200, None), 200),
        ] {
            assert_eq!(after.since(&before).both(), ms(both), "{after:?}");
        }
    }

    #[test]
    fn memory_is_in_kib() {
        let text = "VmHWM:\t   2000 kB\nVmRSS:\t    1000 kB\n";
        assert_eq!(parse_kib(text, "VmRSS:"), Some(1_024_000));
        assert_eq!(parse_kib(text, "VmHWM:"), Some(2_048_000));
        assert_eq!(parse_kib(text, "Rss:"), None);
    }

    #[test]
    fn waiting_is_the_second_number() {
        assert_eq!(parse_schedstat("100 200 3\n"), Some(200));
        assert_eq!(parse_schedstat(""), None);
    }

    #[cfg(all(target_os = "linux", target_endian = "little"))]
    #[test]
    fn listening_sockets() {
        let line = |local: &str, state: &str| {
            format!(
                "   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 4242 1 0000 100 0 0 10 0"
            )
        };
        let at = |text: &str| text.parse::<SocketAddr>().expect("an address");
        for (local, state, address, found) in [
            ("0100007F:1E61", "0A", "127.0.0.1:7777", true),
            ("00000000:1E61", "0A", "127.0.0.1:7777", true),
            ("0200007F:1E61", "0A", "127.0.0.1:7777", false),
            ("0100007F:1E61", "01", "127.0.0.1:7777", false),
            ("0100007F:1E62", "0A", "127.0.0.1:7777", false),
            (
                "00000000000000000000000001000000:1E61",
                "0A",
                "[::1]:7777",
                true,
            ),
            (
                "00000000000000000000000000000000:1E61",
                "0A",
                "127.0.0.1:7777",
                true,
            ),
            ("zz:1E61", "0A", "127.0.0.1:7777", false),
        ] {
            let inode = listening_inode(&line(local, state), at(address));
            assert_eq!(inode, found.then_some(4242), "{local} {state} {address}");
        }
        assert_eq!(
            listening_inode("  sl  local_address rem_address", at("[::]:1")),
            None
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn finds_who_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("bound");
        assert_eq!(super::listener(address), Some(std::process::id()));
        // But does not watch itself.
        assert_eq!(Server::find(None, address), None);
        let init = Server::find(Some(1), address).expect("process 1 exists");
        assert_eq!(init.pid(), 1);
        assert_eq!(Server::find(Some(u32::MAX), address), None);
        let this = Server {
            pid: std::process::id(),
        };
        assert_eq!(this.listens(address), Some(true));
        drop(listener);
        assert_eq!(this.listens(address), Some(false));
    }
}
