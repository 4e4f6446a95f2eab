//! What the server's process and the generator's threads use.
//!
//! Owns the reading of /proc. Must not know when it is read or what it is divided by.
//! Invariant: what cannot be read is `None` (or 0 for a thread), never a guess.

use std::net::SocketAddr;
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
            None if address.ip().is_loopback() => system::listener(address)?,
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
        system::cpu(self.pid)
    }

    /// Whether it has a socket that listens at `address`; `None` if that cannot be seen.
    pub(crate) fn listens(self, address: SocketAddr) -> Option<bool> {
        system::listens(self.pid, address)
    }

    /// Resident memory in bytes, counted page by page if the kernel lets us.
    pub(crate) fn rss(self) -> Option<u64> {
        system::rss(self.pid)
    }

    /// The most resident memory it ever had, in bytes.
    pub(crate) fn rss_peak(self) -> Option<u64> {
        system::rss_peak(self.pid)
    }
}

/// CPU time of the calling thread, in nanoseconds.
pub(crate) fn thread_cpu() -> Nanos {
    system::thread_cpu()
}

/// How long the calling thread has been runnable without having a core, in nanoseconds; 0 where
/// the system does not say.
pub(crate) fn thread_waiting() -> Nanos {
    system::thread_waiting().unwrap_or_default()
}

/// What Linux tells of processes.
#[cfg(target_os = "linux")]
mod system {
    use std::net::SocketAddr;
    use std::time::Duration;

    use procfs::FromRead;
    use procfs::net::{TcpState, tcp, tcp6};
    use procfs::process::{FDTarget, Process, Schedstat, all_processes};

    use super::{Cpu, Nanos};

    fn process(pid: u32) -> Option<Process> {
        Process::new(pid.try_into().ok()?).ok()
    }

    pub(super) fn cpu(pid: u32) -> Option<Cpu> {
        let process = process(pid)?;
        let stat = process.stat().ok()?;
        let tick = 1_000_000_000 / procfs::ticks_per_second().max(1);
        Some(Cpu {
            user: Duration::from_nanos(stat.utime.saturating_mul(tick)),
            system: Duration::from_nanos(stat.stime.saturating_mul(tick)),
            exact: exact(&process),
        })
    }

    fn exact(process: &Process) -> Option<Duration> {
        let threads = process.tasks().ok()?.flatten();
        let used = threads.map(|thread| thread.schedstat().ok());
        used.map(|used| used.map(|used| Duration::from_nanos(used.sum_exec_runtime)))
            .sum()
    }

    pub(super) fn rss(pid: u32) -> Option<u64> {
        let process = process(pid)?;
        let exact = process.smaps_rollup().ok();
        let exact = exact.and_then(|all| {
            let map = all.memory_map_rollup.0.first()?;
            map.extension.map.get("Rss").copied()
        });
        exact.or_else(|| Some(process.status().ok()?.vmrss? * 1024))
    }

    pub(super) fn rss_peak(pid: u32) -> Option<u64> {
        Some(process(pid)?.status().ok()?.vmhwm? * 1024)
    }

    pub(super) fn listens(pid: u32, address: SocketAddr) -> Option<bool> {
        has_one_of(&process(pid)?, &listening_inodes(address))
    }

    /// The process that has a socket listening at `address`.
    pub(super) fn listener(address: SocketAddr) -> Option<u32> {
        let inodes = listening_inodes(address);
        let mut processes = all_processes().ok()?.flatten();
        let process = processes.find(|process| has_one_of(process, &inodes) == Some(true))?;
        process.pid().try_into().ok()
    }

    /// Whether one of the sockets is the process's; `None` if its sockets cannot be seen.
    fn has_one_of(process: &Process, inodes: &[u64]) -> Option<bool> {
        let mut files = process.fd().ok()?.flatten();
        Some(files.any(|file| match file.target {
            FDTarget::Socket(inode) => inodes.contains(&inode),
            _ => false,
        }))
    }

    /// The inodes of all sockets that listen at `address`, or at any address of its port.
    fn listening_inodes(address: SocketAddr) -> Vec<u64> {
        let v4 = address.is_ipv4().then(tcp);
        let tables = v4.into_iter().chain([tcp6()]);
        let sockets = tables.flatten().flatten();
        sockets
            .filter(|socket| {
                let at = socket.local_address;
                let here = at.ip().is_unspecified() || at.ip() == address.ip();
                socket.state == TcpState::Listen && at.port() == address.port() && here
            })
            .map(|socket| socket.inode)
            .collect()
    }

    pub(super) fn thread_cpu() -> Nanos {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        time.tv_sec as Nanos * 1_000_000_000 + time.tv_nsec as Nanos
    }

    pub(super) fn thread_waiting() -> Option<Nanos> {
        let of_thread = Schedstat::from_file("/proc/thread-self/schedstat").ok()?;
        Some(of_thread.run_delay)
    }
}

/// Elsewhere nothing is read.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::net::SocketAddr;

    use super::{Cpu, Nanos};

    pub(super) fn cpu(_: u32) -> Option<Cpu> {
        None
    }

    pub(super) fn rss(_: u32) -> Option<u64> {
        None
    }

    pub(super) fn rss_peak(_: u32) -> Option<u64> {
        None
    }

    pub(super) fn listens(_: u32, _: SocketAddr) -> Option<bool> {
        None
    }

    pub(super) fn listener(_: SocketAddr) -> Option<u32> {
        None
    }

    pub(super) fn thread_cpu() -> Nanos {
        0
    }

    pub(super) fn thread_waiting() -> Option<Nanos> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[cfg(target_os = "linux")]
    #[test]
    fn finds_who_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("bound");
        assert_eq!(system::listener(address), Some(std::process::id()));
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
