//! What may stand where. Each rule answers with its findings, one line each.

use crate::source::{Source, end_of_block};
use crate::tree::File;

/// Code that must not know of certain paths.
pub(crate) struct Claim {
    /// Where it holds: a folder or a file.
    pub(crate) scope: &'static str,
    /// Where below it does not.
    except: &'static [&'static str],
    /// Paths that must not be mentioned, nor anything below them.
    forbidden: &'static [&'static str],
    why: &'static str,
}

impl Claim {
    /// Whether the claim is about this file.
    pub(crate) fn covers(&self, path: &str) -> bool {
        path.ends_with(".rs")
            && below(path, self.scope)
            && !self.except.iter().any(|except| below(path, except))
    }
}

/// The blueprint's invariants 1 to 3, and its direction of imports.
pub(crate) const CLAIMS: &[Claim] = &[
    Claim {
        scope: "protocol/src",
        except: &["protocol/src/http2"],
        forbidden: &["h2", "http", "tokio"],
        why: "HTTP/2 is one machine that needs no runtime, and nothing else here is about it",
    },
    Claim {
        scope: "protocol/src",
        except: &[],
        forbidden: &[
            "std::io",
            "std::net::TcpStream",
            "std::net::TcpListener",
            "std::net::UdpSocket",
            "std::net::ToSocketAddrs",
            "std::fs",
            "std::time",
            "std::thread",
            "std::process",
            "std::env",
            "std::os",
            "mio",
            "socket2",
            "rustix",
            "libc",
            "roomcast",
            "roomcast_loadgen",
            "tracing",
        ],
        why: "protocol performs no I/O and reads no clock",
    },
    Claim {
        scope: "protocol/src",
        except: &["protocol/src/tls"],
        forbidden: &["rustls"],
        why: "TLS is one machine, and nothing else here is about it",
    },
    Claim {
        scope: "server/src",
        except: &["server/src/edge/tls"],
        forbidden: &["rustls"],
        why: "only who makes settings names rustls: a new version of it changes protocol::tls and them",
    },
    Claim {
        scope: "server/src/edge/tls",
        except: &[],
        forbidden: &["crate::edge::config", "crate::shard", "crate::reactor"],
        why: "the command line and the process know of certificates, not the other way round",
    },
    Claim {
        scope: "loadgen/src",
        except: &[
            "loadgen/src/engine/trust.rs",
            "loadgen/src/engine/tickets.rs",
            "loadgen/src/engine/tls",
            "loadgen/src/engine/fault.rs",
        ],
        forbidden: &["rustls"],
        why: "only who decides on trust and who words its faults names rustls",
    },
    Claim {
        scope: "loadgen",
        except: &[],
        forbidden: &["roomcast"],
        why: "loadgen never imports server: it measures what anyone could",
    },
    Claim {
        scope: "server/src",
        except: &[
            "server/src/reactor",
            "server/src/edge",
            "server/src/control",
            "server/src/main.rs",
        ],
        forbidden: &[
            "mio",
            "socket2",
            "std::thread",
            "std::time::Instant",
            "std::time::SystemTime",
            "std::net::TcpStream",
            "std::net::TcpListener",
            "std::net::UdpSocket",
            "std::fs",
            "std::process",
            "std::env",
            "signal_hook",
            "crossbeam_channel",
        ],
        why: "only reactor touches mio, sockets, threads and the clock",
    },
    Claim {
        scope: "server/src",
        except: &["server/src/control"],
        forbidden: &[
            "tokio",
            "axum",
            "hyper",
            "hyper_util",
            "http_body_util",
            "prometheus_client",
        ],
        why: "what is no frame is the control plane's, and so are the libraries for it",
    },
    Claim {
        scope: "server/src/control",
        except: &[],
        forbidden: &["crate::edge", "crate::room", "crate::transport", "mio"],
        why: "the control plane reads what reactors publish and asks them, and knows neither flags nor players' sockets",
    },
    Claim {
        scope: "server/src/reactor",
        except: &[],
        forbidden: &["crate::control"],
        why: "reactors do not know who asks",
    },
    Claim {
        scope: "server/src/room",
        except: &[],
        forbidden: &[
            "crate::transport",
            "crate::shard",
            "crate::reactor",
            "crate::edge",
            "crate::timer",
            "roomcast_protocol::frame",
            "roomcast_protocol::upgrade",
            "roomcast_protocol::mask",
        ],
        why: "room knows members and messages, never a socket, a frame header or TLS",
    },
    Claim {
        scope: "server/src/transport",
        except: &[],
        forbidden: &[
            "crate::room",
            "crate::shard",
            "crate::reactor",
            "crate::edge",
        ],
        why: "transport knows bytes and frames, never a room",
    },
    Claim {
        scope: "server/src/delivery",
        except: &[],
        forbidden: &[
            "crate::room",
            "crate::transport",
            "crate::shard",
            "crate::reactor",
            "crate::edge",
            "crate::timer",
        ],
        why: "delivery is below room and transport",
    },
    Claim {
        scope: "server/src/timer",
        except: &[],
        forbidden: &[
            "crate::room",
            "crate::transport",
            "crate::shard",
            "crate::reactor",
            "crate::edge",
            "crate::delivery",
        ],
        why: "a timer knows only its own entries",
    },
    Claim {
        scope: "server/src/shard",
        except: &[],
        forbidden: &["crate::reactor", "crate::edge", "crate::control"],
        why: "a shard is a reactor's state without I/O",
    },
    Claim {
        scope: "server/src/shard",
        except: &[
            "server/src/shard/accounts.rs",
            "server/src/shard/admission.rs",
            "server/src/shard/asked.rs",
            "server/src/shard/connection.rs",
            "server/src/shard/deadlines.rs",
            "server/src/shard/flush.rs",
            "server/src/shard/guard.rs",
            "server/src/shard/handshake.rs",
            "server/src/shard/mod.rs",
            "server/src/shard/orders.rs",
            "server/src/shard/player.rs",
            "server/src/shard/pressure.rs",
            "server/src/shard/reattach.rs",
            "server/src/shard/receive.rs",
            "server/src/shard/residence.rs",
            "server/src/shard/v1",
        ],
        forbidden: &["crate::shard::player"],
        why: "a player is named by who seats, serves, slows or parts it; all else is about connections",
    },
    Claim {
        scope: "server/src/shard",
        except: &[
            "server/src/shard/asked.rs",
            "server/src/shard/connection.rs",
            "server/src/shard/ebb.rs",
            "server/src/shard/flush.rs",
            "server/src/shard/handshake.rs",
            "server/src/shard/http2.rs",
            "server/src/shard/lifecycle.rs",
            "server/src/shard/mod.rs",
            "server/src/shard/receive.rs",
            "server/src/shard/secure.rs",
            "server/src/shard/unread.rs",
            "server/src/shard/v1/rounds.rs",
        ],
        forbidden: &[
            "crate::transport::Security",
            "crate::transport::Tls",
            "crate::transport::Acceptor",
        ],
        why: "a player does not know what carries its connection's bytes",
    },
    Claim {
        scope: "server/src/reactor",
        except: &[
            "server/src/reactor/mailbox.rs",
            "server/src/reactor/mod.rs",
            "server/src/reactor/net.rs",
            "server/src/reactor/os.rs",
            "server/src/reactor/running.rs",
            "server/src/reactor/sockets.rs",
        ],
        forbidden: &["crate::reactor::sockets"],
        why: "a socket is named by the loop, by Net and on its way between reactors",
    },
    Claim {
        scope: "server/src/reactor/running.rs",
        except: &[],
        forbidden: &[
            "mio",
            "socket2",
            "crossbeam_channel",
            "std::time::Instant",
            "std::net::TcpStream",
            "std::net::TcpListener",
        ],
        why: "the loop reaches sockets, mail and the clock through Net alone",
    },
    Claim {
        scope: "server/src/reactor",
        except: &[],
        forbidden: &["crate::edge", "crate::room"],
        why: "reactor is driven by edge and reaches rooms only through its shard",
    },
];

/// Mentions of what the file's claims forbid.
pub(crate) fn forbidden_imports(file: &File, source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    for claim in CLAIMS.iter().filter(|claim| claim.covers(&file.path)) {
        for (line, path) in &source.paths {
            if claim
                .forbidden
                .iter()
                .any(|forbidden| mentions(path, forbidden))
            {
                findings.push(format!("{}:{line}: {path}: {}", file.path, claim.why));
            }
        }
    }
    findings
}

/// Exceptions that no file below them needs.
pub(crate) fn idle_exceptions(files: &[File]) -> Vec<String> {
    let rust = files.iter().filter(|file| file.path.ends_with(".rs"));
    let sources: Vec<(&str, Source)> = rust
        .map(|file| (file.path.as_str(), Source::new(&file.path, &file.text)))
        .collect();
    let mut findings = Vec::new();
    for claim in CLAIMS {
        let forbids = |path: &str| claim.forbidden.iter().any(|it| mentions(path, it));
        for except in claim.except {
            let mut below = sources.iter().filter(|(path, _)| below(path, except));
            if !below.any(|(_, source)| source.paths.iter().any(|(_, path)| forbids(path))) {
                findings.push(format!("{except} is an exception of: {}", claim.why));
            }
        }
    }
    findings
}

/// `path` is `forbidden` or below it, or a glob that brings it in.
fn mentions(path: &str, forbidden: &str) -> bool {
    let below_it = path
        .strip_prefix(forbidden)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    let glob = path
        .strip_suffix("::*")
        .is_some_and(|all| forbidden.starts_with(&format!("{all}::")));
    // A word of one segment is a local name as often as a crate, unless it is a path's beginning.
    (below_it && path.contains("::")) || glob
}

fn below(path: &str, scope: &str) -> bool {
    path.strip_prefix(scope)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

const LINES_MAX: usize = 800;

/// Code files of more lines than that hold more than one idea.
pub(crate) fn length(file: &File) -> Vec<String> {
    let code = [".rs", ".mjs", ".js", ".ts", ".py", ".sh"]
        .iter()
        .any(|end| file.path.ends_with(end));
    let lines = file.text.lines().count();
    if code && lines > LINES_MAX {
        vec![format!("{}: {lines} lines", file.path)]
    } else {
        Vec::new()
    }
}

/// Lines that a function may have, where it is shipped, or anywhere in loadgen. What is longer tells a story that
/// functions with names would tell better; the longest that there is in protocol, the grammar of a header, is its own bound.
const FUNCTION_LINES_MAX: [(&str, usize); 3] =
    [("loadgen", 80), ("server/src", 80), ("protocol/src", 91)];

/// Functions of more lines than that, from their name to their last brace.
pub(crate) fn functions(file: &File, source: &Source) -> Vec<String> {
    let bound = FUNCTION_LINES_MAX
        .iter()
        .find(|(scope, _)| below(&file.path, scope));
    let Some((_, bound)) = bound else {
        return Vec::new();
    };
    let words: Vec<&str> = source
        .tokens
        .iter()
        .map(|(_, token)| token.as_str())
        .collect();
    let mut findings = Vec::new();
    for at in 0..words.len() {
        // Behind the `fn` of a type comes no name.
        if words[at] != "fn" || words.get(at + 1).is_none_or(|name| *name == "(") {
            continue;
        }
        // A declaration ends before any block does.
        let Some(body) = words[at..]
            .iter()
            .position(|word| ["{", ";"].contains(word))
        else {
            continue;
        };
        if words[at + body] == ";" {
            continue;
        }
        let end = end_of_block(&words, at + body) - 1;
        let (first, last) = (source.tokens[at].0, source.tokens[end].0);
        let lines = last - first + 1;
        if lines > *bound {
            findings.push(format!(
                "{}:{first}: {} has {lines} lines, of {bound}",
                file.path,
                words[at + 1]
            ));
        }
    }
    findings
}

/// Macros and attributes that say that something is not done.
pub(crate) fn forbidden_words(file: &File, source: &Source) -> Vec<String> {
    let tokens: Vec<&str> = source
        .tokens
        .iter()
        .map(|(_, token)| token.as_str())
        .collect();
    let mut findings = Vec::new();
    for (at, window) in tokens.windows(2).enumerate() {
        let unfinished = matches!(window, ["todo" | "unimplemented" | "dbg", "!"]);
        let skipped = matches!(window, ["[", "ignore"]) && at > 0 && tokens[at - 1] == "#";
        if unfinished || skipped {
            findings.push(format!(
                "{}:{}: {}{}",
                file.path, source.tokens[at].0, window[0], window[1]
            ));
        }
    }
    let notes = [
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
        ["XX", "X"].concat(),
    ];
    for (at, line) in file.text.lines().enumerate() {
        let words = line.split(|c: char| !c.is_alphanumeric());
        for word in words.filter(|word| notes.iter().any(|note| note == word)) {
            findings.push(format!("{}:{}: {word}", file.path, at + 1));
        }
    }
    findings
}

/// The only places where a bench has shown what `unsafe` is worth, or where nobody has a safe call.
const UNSAFE: [&str; 4] = [
    "protocol/src/mask",
    "protocol/src/mask.rs",
    "server/src/reactor/tcp_info.rs",
    "server/src/reactor/unsent.rs",
];

/// `unsafe` in shipped code anywhere else.
pub(crate) fn unsafe_code(file: &File, source: &Source) -> Vec<String> {
    let shipped = ["protocol/src", "server/src", "loadgen/src"]
        .iter()
        .any(|scope| below(&file.path, scope));
    if !shipped || UNSAFE.iter().any(|allowed| below(&file.path, allowed)) {
        return Vec::new();
    }
    let lines = source
        .tokens
        .iter()
        .filter(|(_, token)| token == "unsafe")
        .map(|(line, _)| line);
    lines
        .map(|line| format!("{}:{line}: unsafe", file.path))
        .collect()
}

/// Sleeping, in tests and in the server: an event is waited for, not an amount of time.
pub(crate) fn clocks_in_tests(file: &File, source: &Source) -> Vec<String> {
    let waits = file.path.contains("/tests/")
        || below(&file.path, "server")
        || below(&file.path, "protocol");
    let sleeps = source
        .paths
        .iter()
        .filter(|(_, path)| mentions(path, "std::thread::sleep"));
    sleeps
        .filter(|_| waits)
        .map(|(line, path)| format!("{}:{line}: {path}", file.path))
        .collect()
}

/// Names that say nothing, hosts of package registries, and paths of the machine it was written on.
pub(crate) fn names(file: &File) -> Vec<String> {
    let mut findings = Vec::new();
    for part in file.path.split('/') {
        let stem = part
            .split('.')
            .next()
            .unwrap_or_default()
            .trim_end_matches('s');
        if ["manager", "handler", "helper", "util", "common", "misc"].contains(&stem) {
            findings.push(format!("{}: named {part}", file.path));
        }
    }
    // Put together here, so that this file names none either.
    let strange = [
        ["registry.", "npmjs"].concat(),
        ["registry.", "yarnpkg"].concat(),
        ["py", "pi.org"].concat(),
        ["python", "hosted.org"].concat(),
        ["crates", ".io"].concat(),
        ["deb.", "debian.org"].concat(),
        ["/wo", "rk/"].concat(),
        ["/ro", "ot/"].concat(),
        ["/ho", "me/"].concat(),
        ["/tmp/", "rc"].concat(),
    ];
    // What cargo itself writes into its lock file is the same everywhere.
    let lock = file.path.ends_with("Cargo.lock");
    for (at, line) in file
        .text
        .lines()
        .enumerate()
        .filter(|(_, line)| !(lock && line.starts_with("source = ")))
    {
        for text in strange.iter().filter(|text| line.contains(*text)) {
            findings.push(format!("{}:{}: names {text}", file.path, at + 1));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rule = fn(&File, &Source) -> Vec<String>;

    /// How often the rule strikes.
    fn strikes(rule: Rule, path: &str, text: &str) -> usize {
        let file = File {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let source = Source::new(path, text);
        rule(&file, &source).len()
    }

    #[test]
    fn planted_imports_are_found() {
        for (path, text) in [
            ("protocol/src/frame/mod.rs", "use std::io::Read;"),
            (
                "protocol/src/frame/mod.rs",
                "use std::{net::TcpStream, fmt};",
            ),
            (
                "protocol/src/lib.rs",
                "fn f() { let t = std::time::Instant::now(); }",
            ),
            ("protocol/src/lib.rs", "use std::*;"),
            ("loadgen/src/engine/mod.rs", "use roomcast::limits::Limits;"),
            ("loadgen/tests/x.rs", "fn f() { roomcast::edge::run(); }"),
            ("server/src/shard/mod.rs", "use mio::Token;"),
            (
                "server/src/shard/mod.rs",
                "use std::time::{Duration, Instant};",
            ),
            ("server/src/shard/mod.rs", "use crate::reactor::Mail;"),
            (
                "server/src/shard/mod.rs",
                "fn f() { std::thread::spawn(g); }",
            ),
            ("server/src/limits.rs", "use std::env;"),
            ("server/src/shard/mod.rs", "use rustls::ServerConfig;"),
            ("server/src/edge/config.rs", "use rustls::ServerConfig;"),
            (
                "server/src/edge/tls/flags.rs",
                "use super::super::config::parse_listen;",
            ),
            ("protocol/src/upgrade/mod.rs", "use rustls::Error;"),
            (
                "loadgen/src/engine/worker/mod.rs",
                "fn f(e: rustls::Error) {}",
            ),
            (
                "server/src/room/mod.rs",
                "use crate::{delivery::Batch, transport::Security};",
            ),
            ("server/src/room/mod.rs", "use roomcast_protocol::frame;"),
            (
                "server/src/room/table.rs",
                "use super::super::transport::Security;",
            ),
            ("server/src/transport/mod.rs", "use super::room::Room;"),
            (
                "server/src/delivery/batch.rs",
                "type R = crate::room::Room;",
            ),
            ("server/src/timer/mod.rs", "use crate::shard::*;"),
            (
                "server/src/reactor/mod.rs",
                "use crate::edge::config::Config;",
            ),
            ("server/src/shard/ebb.rs", "use super::player::Player;"),
            (
                "server/src/shard/newcomers.rs",
                "fn f(link: crate::shard::player::Link) {}",
            ),
            (
                "server/src/shard/player.rs",
                "use crate::transport::{self, Security};",
            ),
            ("server/src/shard/v1/door.rs", "use crate::transport::Tls;"),
            (
                "server/src/reactor/handshakes.rs",
                "use super::sockets::Sockets;",
            ),
            ("server/src/edge/signals.rs", "use tokio::sync::watch;"),
            (
                "server/src/shard/mod.rs",
                "use prometheus_client::registry::Registry;",
            ),
            ("server/src/control/process.rs", "use crate::edge::Config;"),
            ("server/src/reactor/mod.rs", "use crate::control::Control;"),
            ("server/src/shard/mod.rs", "use crate::control::Process;"),
        ] {
            assert_eq!(strikes(forbidden_imports, path, text), 1, "{path}: {text}");
        }
    }

    #[test]
    fn exceptions_that_nobody_needs_are_found() {
        let needed = |text: &str| {
            let path = "server/src/edge/tls/mod.rs".to_owned();
            let text = text.to_owned();
            let all: usize = CLAIMS.iter().map(|claim| claim.except.len()).sum();
            all - idle_exceptions(&[File { path, text }]).len()
        };
        assert_eq!(needed("// rustls::Error"), 0);
        // Of the claim about rustls, and of none that is about something else.
        assert_eq!(needed("use rustls::Error;"), 1);
    }

    #[test]
    fn long_functions_are_found() {
        let of = |lines: usize| {
            let body = "    call([0; 3]);\n".repeat(lines - 2);
            format!("impl X {{ fn short(&self) {{}} }}\npub fn long(\n) {{\n{body}}}\n")
        };
        let path = "loadgen/src/x.rs";
        assert_eq!(strikes(functions, path, &of(79)), 0);
        assert_eq!(strikes(functions, path, &of(80)), 1);
        assert_eq!(strikes(functions, "benches/src/x.rs", &of(80)), 0);
        assert_eq!(strikes(functions, "server/src/x.rs", &of(112)), 1);
        assert_eq!(strikes(functions, path, "trait T { fn f(&self);\n}"), 0);
    }

    #[test]
    fn what_is_allowed_is_not_found() {
        for (path, text) in [
            (
                "protocol/src/lib.rs",
                "use std::fmt; // std::net is for others\nconst A: &str = \"std::io\";",
            ),
            (
                "loadgen/src/engine/mod.rs",
                "use roomcast_protocol::frame; use std::time::Instant;",
            ),
            (
                "server/src/reactor/mod.rs",
                "use mio::Poll; use std::time::Instant; use crate::shard::Shard;",
            ),
            (
                "server/src/edge/mod.rs",
                "use std::thread; use crate::reactor::Reactor;",
            ),
            (
                "server/src/shard/mod.rs",
                "use std::time::Duration; use crate::room::Room; use std::net::SocketAddr;",
            ),
            (
                "server/src/room/mod.rs",
                "use crate::delivery::Batch; let mio = 1;",
            ),
            ("server/tests/e2e/wire.rs", "use std::net::TcpStream;"),
            ("protocol/src/tls/session.rs", "use rustls::Error;"),
            ("server/src/edge/tls/mod.rs", "use rustls::ServerConfig;"),
            ("server/src/control/door.rs", "use tokio::sync::watch;"),
        ] {
            assert_eq!(strikes(forbidden_imports, path, text), 0, "{path}: {text}");
        }
    }

    #[test]
    fn unfinished_and_skipped_is_found() {
        for text in [
            "todo!()",
            "fn f() { unimplemented!(\"x\") }",
            "dbg!(x)",
            "#[ignore]",
            "#[ignore = \"slow\"]",
        ] {
            assert_eq!(
                strikes(forbidden_words, "server/src/x.rs", text),
                1,
                "{text}"
            );
        }
        let note = ["// TO", "DO: later"].concat();
        assert_eq!(strikes(forbidden_words, "server/src/x.rs", &note), 1);
        assert_eq!(
            strikes(
                forbidden_words,
                "server/src/x.rs",
                "// ignore what todo! means\nlet ignore = [x];"
            ),
            0
        );
    }

    #[test]
    fn unsafe_is_found_outside_the_masks() {
        let text = "fn f() { unsafe { g() } } // unsafe";
        assert_eq!(strikes(unsafe_code, "server/src/room/mod.rs", text), 1);
        assert_eq!(strikes(unsafe_code, "protocol/src/utf8.rs", text), 1);
        assert_eq!(strikes(unsafe_code, "protocol/src/mask/x86.rs", text), 0);
        assert_eq!(strikes(unsafe_code, "protocol/src/masks.rs", text), 1);
        assert_eq!(
            strikes(unsafe_code, "server/src/lib.rs", "#![forbid(unsafe_code)]"),
            0
        );
    }

    #[test]
    fn sleeping_is_found() {
        for text in [
            "std::thread::sleep(d)",
            "use std::thread; fn f() { thread::sleep(d) }",
            "use std::thread::sleep;",
        ] {
            assert_eq!(
                strikes(clocks_in_tests, "loadgen/tests/x.rs", text),
                1,
                "{text}"
            );
            assert_eq!(
                strikes(clocks_in_tests, "server/src/reactor/mod.rs", text),
                1,
                "{text}"
            );
            assert_eq!(
                strikes(clocks_in_tests, "loadgen/src/engine/pace.rs", text),
                0,
                "{text}"
            );
        }
    }

    #[test]
    fn names_that_do_not_belong_are_found() {
        let named = |path: &str, text: &str| {
            names(&File {
                path: path.to_owned(),
                text: text.to_owned(),
            })
            .len()
        };
        assert_eq!(named("server/src/utils.rs", ""), 1);
        assert_eq!(named("server/src/helper/mod.rs", ""), 1);
        assert_eq!(named("server/src/room/mod.rs", "// utility"), 0);
        assert_eq!(
            named(
                "package-lock.json",
                &["https://registry.", "npmjs", ".org/ws"].concat()
            ),
            1
        );
        assert_eq!(named("scripts/test", &["cd /wo", "rk/main"].concat()), 1);
        let locked = [
            "source = \"registry+https://github.com/rust-lang/crates",
            ".io-index\"",
        ]
        .concat();
        assert_eq!(named("Cargo.lock", &locked), 0);
        assert_eq!(named("README.md", &locked), 1);
    }

    #[test]
    fn long_files_are_found() {
        let found = |path: &str, lines: usize| {
            length(&File {
                path: path.to_owned(),
                text: "x\n".repeat(lines),
            })
            .len()
        };
        assert_eq!(
            (
                found("a.rs", 800),
                found("a.rs", 801),
                found("a.json", 5000)
            ),
            (0, 1, 0)
        );
    }
}
