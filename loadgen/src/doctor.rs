//! `loadgen doctor`: what this machine allows, before a run finds out.
//!
//! It owns which limits matter to a load test and what to change about them. It must not change
//! anything itself.
//!
//! Invariant: reading and judging are apart, so that every judgement is tested without the
//! machine it is about; a limit that cannot be read is shown as unknown and blocks nothing.

use std::fs;
use std::path::Path;

use crate::engine::limits::descriptors;
use crate::report::units::{bytes, count};
use crate::scenario::threads_on;

/// Memory one client takes at most while nothing is queued, with the server on this machine:
/// two kernel sockets with a page of buffer each, and both programs' own state. Rounded up.
const BYTES_PER_CLIENT: u64 = 16 * 1024;

/// What was read from the machine; `None` where it cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Open files this process may have now, and as many as it may allow itself.
    pub descriptors: Option<(u64, u64)>,
    /// Files that may be open on the whole machine.
    pub files_of_machine: Option<u64>,
    /// First and last port the system chooses for outgoing connections.
    pub ports: Option<(u64, u64)>,
    /// Longest queue of connections that wait to be accepted.
    pub backlog: Option<u64>,
    /// Longest queue of connections that are being established.
    pub syn_backlog: Option<u64>,
    /// Cores this process may use.
    pub cores: Option<u64>,
    /// Memory of all TCP buffers from which on the kernel saves, and from which on it refuses, in
    /// bytes.
    pub tcp_memory: Option<(u64, u64)>,
    /// Memory that is free or can be freed, in bytes.
    pub memory_available: Option<u64>,
    /// Connections that are tracked now and at most, when the kernel tracks any.
    pub conntrack: Option<(u64, u64)>,
}

/// One limit of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is looked at.
    pub name: &'static str,
    /// What there is.
    pub value: String,
    /// What to change for the number of clients that was asked about; `None` when it suffices.
    pub advice: Option<String>,
}

impl Machine {
    /// Reads this machine; `proc` is where the kernel shows itself, `/proc`.
    #[must_use]
    pub fn read(proc: &Path) -> Self {
        let tcp_pages = numbers(proc, "sys/net/ipv4/tcp_mem");
        let page = rustix::param::page_size() as u64;
        Self {
            descriptors: rlimit::getrlimit(rlimit::Resource::NOFILE).ok(),
            files_of_machine: numbers(proc, "sys/fs/file-max").first().copied(),
            ports: match numbers(proc, "sys/net/ipv4/ip_local_port_range").as_slice() {
                [first, last] if first <= last => Some((*first, *last)),
                _ => None,
            },
            backlog: numbers(proc, "sys/net/core/somaxconn").first().copied(),
            syn_backlog: numbers(proc, "sys/net/ipv4/tcp_max_syn_backlog")
                .first()
                .copied(),
            cores: std::thread::available_parallelism()
                .ok()
                .map(|cores| cores.get() as u64),
            tcp_memory: match tcp_pages.as_slice() {
                [_, saves, refuses] => {
                    Some((saves.saturating_mul(page), refuses.saturating_mul(page)))
                }
                _ => None,
            },
            memory_available: fs::read_to_string(proc.join("meminfo"))
                .ok()
                .and_then(|text| available(&text)),
            conntrack: numbers(proc, "sys/net/netfilter/nf_conntrack_count")
                .first()
                .copied()
                .zip(
                    numbers(proc, "sys/net/netfilter/nf_conntrack_max")
                        .first()
                        .copied(),
                ),
        }
    }

    /// Every limit, with advice where it stands in the way of `clients`.
    #[must_use]
    pub fn assess(&self, clients: Option<u64>) -> Vec<Finding> {
        vec![
            self.assess_descriptors(clients),
            self.assess_files_of_machine(clients),
            self.assess_ports(clients),
            self.assess_backlog(),
            self.assess_cores(),
            self.assess_tcp_memory(clients),
            self.assess_memory(clients),
            self.assess_conntrack(clients),
        ]
    }

    /// What a run with the threads that it has by itself would ask for.
    fn descriptors_of(&self, clients: u64) -> u64 {
        let threads = threads_on(self.cores.unwrap_or(1) as usize);
        descriptors(clients, threads as u64)
    }

    fn assess_descriptors(&self, clients: Option<u64>) -> Finding {
        let Some((soft, hard)) = self.descriptors else {
            return unknown("open files");
        };
        let need = clients.map(|clients| self.descriptors_of(clients));
        Finding {
            name: "open files",
            // The soft limit is no obstacle: loadgen raises it itself.
            value: format!("{} per process, {} at most", limit(soft), limit(hard)),
            advice: need.filter(|need| *need > hard).map(|need| {
                format!(
                    "{} are needed: raise the hard limit (ulimit -Hn {need}, LimitNOFILE= of a service, --ulimit of a container)",
                    count(need)
                )
            }),
        }
    }

    fn assess_files_of_machine(&self, clients: Option<u64>) -> Finding {
        let Some(most) = self.files_of_machine else {
            return unknown("files in all");
        };
        // Both ends count when the server is on this machine.
        let need = clients.map(|clients| 2 * self.descriptors_of(clients));
        Finding {
            name: "files in all",
            value: limit(most),
            advice: need.filter(|need| *need > most).map(|need| {
                format!(
                    "server and clients together need {}: sysctl -w fs.file-max={need}",
                    count(need)
                )
            }),
        }
    }

    /// Few ports are made up for by more source addresses, so this is never in the way; what it
    /// takes is said.
    fn assess_ports(&self, clients: Option<u64>) -> Finding {
        let Some((first, last)) = self.ports else {
            return unknown("outgoing ports");
        };
        let each = last - first + 1;
        let addresses = clients.map_or(1, |clients| clients.div_ceil(each));
        let note = if addresses > 1 {
            format!(
                "; {} source addresses are needed: found by themselves for a server on this machine, else --source-address",
                count(addresses)
            )
        } else {
            String::new()
        };
        Finding {
            name: "outgoing ports",
            value: format!(
                "{first} to {last}, {} connections to a server from each source address{note}",
                count(each)
            ),
            advice: None,
        }
    }

    fn assess_backlog(&self) -> Finding {
        let Some(most) = self.backlog else {
            return unknown("accept queue");
        };
        let half_open = self
            .syn_backlog
            .map_or(String::new(), |most| format!(", {} half open", count(most)));
        Finding {
            name: "accept queue",
            value: format!(
                "{} connections at most{half_open}; beyond that connecting takes a second longer",
                count(most)
            ),
            advice: None,
        }
    }

    fn assess_cores(&self) -> Finding {
        match self.cores {
            None => unknown("cores"),
            Some(1) => Finding {
                name: "cores",
                value: "1; a server on this machine shares it, and latency shows both".to_owned(),
                advice: None,
            },
            Some(cores) => Finding {
                name: "cores",
                value: count(cores),
                advice: None,
            },
        }
    }

    fn assess_tcp_memory(&self, clients: Option<u64>) -> Finding {
        let Some((saves, refuses)) = self.tcp_memory else {
            return unknown("TCP memory");
        };
        let need = clients.map(|clients| clients * BYTES_PER_CLIENT / 2);
        Finding {
            name: "TCP memory",
            value: format!(
                "{} before the kernel saves on it, {} at most",
                bytes(saves as f64),
                bytes(refuses as f64)
            ),
            advice: need.filter(|need| *need > saves).map(|need| {
                format!(
                    "about {} are needed: raise the last two numbers of net.ipv4.tcp_mem (in pages)",
                    bytes(need as f64)
                )
            }),
        }
    }

    fn assess_memory(&self, clients: Option<u64>) -> Finding {
        let Some(available) = self.memory_available else {
            return unknown("free memory");
        };
        let need = clients.map(|clients| clients * BYTES_PER_CLIENT);
        Finding {
            name: "free memory",
            value: bytes(available as f64),
            advice: need.filter(|need| *need > available).map(|need| {
                format!(
                    "server and clients on this machine need about {}: use fewer clients or several machines (loadgen merge joins their reports)",
                    bytes(need as f64)
                )
            }),
        }
    }

    fn assess_conntrack(&self, clients: Option<u64>) -> Finding {
        let Some((now, most)) = self.conntrack else {
            return Finding {
                name: "conntrack",
                value: "connections are not tracked".to_owned(),
                advice: None,
            };
        };
        let need = clients.map(|clients| now + clients);
        Finding {
            name: "conntrack",
            value: format!("{} of {} connections tracked", count(now), count(most)),
            advice: need.filter(|need| *need > most).map(|need| {
                format!(
                    "{} are needed, the others are dropped: sysctl -w net.netfilter.nf_conntrack_max={need}",
                    count(need)
                )
            }),
        }
    }
}

/// The findings as text, one a line, each followed by its advice; then the conclusion.
#[must_use]
pub fn render(findings: &[Finding], clients: Option<u64>) -> String {
    let mut text = String::new();
    for Finding {
        name,
        value,
        advice,
    } in findings
    {
        text.push_str(&format!("{name:<15} {value}\n"));
        if let Some(advice) = advice {
            text.push_str(&format!("{:<15} ! {advice}\n", ""));
        }
    }
    if let Some(clients) = clients {
        let verdict = if suffices(findings) {
            "OK"
        } else {
            "not as it is, see above"
        };
        let noun = if clients == 1 { "client" } else { "clients" };
        text.push_str(&format!("\n{} {noun}: {verdict}\n", count(clients)));
    }
    text
}

/// Whether nothing stands in the way.
#[must_use]
pub fn suffices(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.advice.is_none())
}

fn unknown(name: &'static str) -> Finding {
    Finding {
        name,
        value: "unknown on this system".to_owned(),
        advice: None,
    }
}

/// A limit; the kernel writes "none" as a number nobody reaches.
fn limit(value: u64) -> String {
    if value >= 1 << 60 {
        "no limit".to_owned()
    } else {
        count(value)
    }
}

/// The numbers in a file below `proc`; none when it cannot be read or holds something else.
fn numbers(proc: &Path, file: &str) -> Vec<u64> {
    fs::read_to_string(proc.join(file))
        .ok()
        .and_then(|text| {
            text.split_whitespace()
                .map(|word| word.parse().ok())
                .collect()
        })
        .unwrap_or_default()
}

/// `MemAvailable` of the text of meminfo, in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            descriptors: Some((1_024, 20_000)),
            files_of_machine: Some(1_000_000),
            ports: Some((32_768, 60_999)),
            backlog: Some(4_096),
            syn_backlog: Some(2_048),
            cores: Some(2),
            tcp_memory: Some((100 << 20, 200 << 20)),
            memory_available: Some(4 << 30),
            conntrack: Some((500, 65_536)),
        }
    }

    fn obstacles(machine: &Machine, clients: u64) -> Vec<&'static str> {
        machine
            .assess(Some(clients))
            .into_iter()
            .filter(|finding| finding.advice.is_some())
            .map(|finding| finding.name)
            .collect()
    }

    #[test]
    fn what_suffices_is_ok() {
        let machine = machine();
        let findings = machine.assess(Some(10_000));
        assert!(suffices(&findings), "{findings:?}");
        let text = render(&findings, Some(10_000));
        assert!(text.ends_with("\n10,000 clients: OK\n"), "{text}");
        assert!(text.contains("1,024 per process, 20,000 at most"), "{text}");
        assert!(!render(&findings, None).contains("clients:"));
    }

    #[test]
    fn each_limit_stands_in_the_way_from_its_own_number_on() {
        let machine = machine();
        // Two cores make one thread.
        let clients = 20_000 - (descriptors(19_000, 1) - 19_000);
        assert_eq!(obstacles(&machine, clients), ["TCP memory"]);
        assert_eq!(obstacles(&machine, 12_800), [""; 0]);
        assert_eq!(
            obstacles(&machine, clients + 1),
            ["open files", "TCP memory"]
        );
        let roomy = Machine {
            descriptors: Some((1_024, u64::MAX)),
            tcp_memory: None,
            ..machine
        };
        assert_eq!(obstacles(&roomy, 65_036), [""; 0]);
        assert_eq!(obstacles(&roomy, 65_037), ["conntrack"]);
        assert_eq!(obstacles(&roomy, 262_144), ["conntrack"]);
        assert_eq!(obstacles(&roomy, 262_145), ["free memory", "conntrack"]);
        assert_eq!(
            obstacles(&roomy, 600_000),
            ["files in all", "free memory", "conntrack"]
        );
        let text = render(&roomy.assess(Some(65_037)), Some(65_037));
        assert!(text.contains("nf_conntrack_max=65537"), "{text}");
        assert!(text.contains("3 source addresses are needed"), "{text}");
        assert!(
            text.ends_with("65,037 clients: not as it is, see above\n"),
            "{text}"
        );
    }

    #[test]
    fn what_cannot_be_read_blocks_nothing() {
        let blind = Machine::default();
        let findings = blind.assess(Some(1_000_000));
        assert!(suffices(&findings), "{findings:?}");
        let elsewhere = tempfile::tempdir().unwrap();
        let read = Machine::read(elsewhere.path());
        assert_eq!(
            (read.ports, read.backlog, read.conntrack),
            (None, None, None)
        );
    }

    #[test]
    fn files_of_the_kernel_are_understood() {
        let proc = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("sys/fs/file-max", "9223372036854775807\n"),
            ("sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
            ("sys/net/ipv4/tcp_mem", "1\t2\t3\n"),
            ("sys/net/ipv4/tcp_max_syn_backlog", "2048\n"),
            ("sys/net/core/somaxconn", "not a number\n"),
            ("sys/net/netfilter/nf_conntrack_count", "7\n"),
            ("sys/net/netfilter/nf_conntrack_max", "262144\n"),
            ("meminfo", "MemTotal: 9 kB\nMemAvailable:   2048 kB\n"),
        ] {
            let path = proc.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let machine = Machine::read(proc.path());
        let page = rustix::param::page_size() as u64;
        assert_eq!(machine.ports, Some((32_768, 60_999)));
        assert_eq!(machine.tcp_memory, Some((2 * page, 3 * page)));
        assert_eq!(machine.backlog, None);
        assert_eq!(machine.syn_backlog, Some(2_048));
        assert_eq!(machine.conntrack, Some((7, 262_144)));
        assert_eq!(machine.memory_available, Some(2 << 20));
        assert_eq!(limit(machine.files_of_machine.unwrap()), "no limit");
        assert!(machine.cores.is_some_and(|cores| cores > 0));
        assert!(machine.descriptors.is_some());
    }
}
