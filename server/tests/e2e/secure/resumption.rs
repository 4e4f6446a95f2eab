//! Sessions resume, wherever in the process they began and whoever the client is. Nothing is ever sent before the
//! handshake is complete.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::UNIX_EPOCH;

use rustix::process::Signal;
use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};
use tempfile::TempDir;

use super::openssl::{REQUEST, ask};
use super::session::Session;
use crate::relay::Relay;
use crate::stream::trusting;

/// The kernel gives each connection to a reactor by chance: that all of so many meet the one that began the session
/// does not happen.
const CONNECTIONS: usize = 32;

const FOUR: [&str; 2] = ["--reactors", "4"];

#[test]
fn a_ticket_is_good_at_every_reactor() {
    let relay = Relay::start_secure(&FOUR);
    for version in [&TLS13, &TLS12] {
        let client = trusting(&relay.ca(), &[version]);
        for connection in 0..CONNECTIONS {
            let mut session = Session::connect(relay.secure_addr(), &client);
            session.shake_hands();
            session.say(REQUEST.as_bytes());
            let (answer, _) = session.hear_to_the_end();
            assert!(answer.starts_with(b"HTTP/1.1 200 "), "{answer:?}");
            let resumed = session.tls.handshake_kind() == Some(HandshakeKind::Resumed);
            assert_eq!(
                resumed,
                connection > 0,
                "{version:?}, connection {connection}"
            );
        }
    }
}

#[test]
fn openssl_resumes_and_has_no_early_data_to_send() {
    let relay = Relay::start_secure(&FOUR);
    let folder = TempDir::new().expect("a folder");
    let early = folder.path().join("early");
    fs::write(&early, REQUEST).expect("a file");
    let early = early.to_str().expect("a path in UTF-8");
    for (flag, version) in [("-tls1_3", "TLSv1.3"), ("-tls1_2", "TLSv1.2")] {
        let kept = folder.path().join(version);
        let kept = kept.to_str().expect("a path in UTF-8");
        let first = ask(&relay, &[flag, "-sess_out", kept]);
        assert!(first.contains(&format!("New, {version}, ")), "{first}");
        // The same ticket each time: the relay keeps nothing of it.
        for _ in 0..CONNECTIONS {
            let again = ask(&relay, &[flag, "-sess_in", kept]);
            assert!(again.contains(&format!("Reused, {version}, ")), "{again}");
            assert!(again.contains("alive"), "{again}");
        }
        if version == "TLSv1.3" {
            assert!(first.contains("Max Early Data: 0\n"), "{first}");
            let early = ask(&relay, &[flag, "-sess_in", kept, "-early_data", early]);
            assert!(early.contains("Early data was not sent"), "{early}");
            assert!(early.contains("Reused, TLSv1.3, "), "{early}");
        }
    }
}

/// A ticket of another process, as after a restart, costs a full handshake and nothing more.
#[test]
fn a_strange_ticket_is_no_obstacle() {
    let folder = TempDir::new().expect("a folder");
    let kept = folder.path().join("ticket");
    let kept = kept.to_str().expect("a path in UTF-8");
    let (before, after) = (Relay::start_secure(&[]), Relay::start_secure(&[]));
    for flag in ["-tls1_3", "-tls1_2"] {
        ask(&before, &[flag, "-sess_out", kept]);
        let said = ask(&after, &[flag, "-sess_in", kept]);
        assert!(said.contains("New, TLSv1."), "{said}");
        assert!(said.contains("alive"), "{said}");
    }
}

/// With `--tls-ticket-key` a ticket of another process is as good as one of this; and of one that has another key first, if
/// it still has that one.
#[test]
fn sessions_resume_at_the_next_process_by_keys_in_a_file() {
    let folder = TempDir::new().expect("a folder");
    let (kept, keys) = (folder.path().join("ticket"), folder.path().join("keys"));
    let [kept, file] = [&kept, &keys].map(|path| path.to_str().expect("a path in UTF-8"));
    let now = UNIX_EPOCH.elapsed().expect("a clock").as_secs();
    let write = |lines: &[(u64, char)]| {
        let lines = lines.iter();
        let lines =
            lines.map(|(age, digit)| format!("{} {}\n", now - age, digit.to_string().repeat(64)));
        fs::write(&keys, lines.collect::<String>()).expect("keys");
        fs::set_permissions(&keys, Permissions::from_mode(0o600)).expect("a mode");
    };
    write(&[(60, 'a')]);
    let start = || Relay::start_secure(&["--tls-ticket-key", file, "--reactors", "1"]);
    let before = start();
    for flag in ["-tls1_3", "-tls1_2"] {
        write(&[(60, 'a')]);
        ask(&before, &[flag, "-sess_out", kept]);
        let next = start();
        assert!(ask(&next, &[flag, "-sess_in", kept]).contains("Reused, TLSv1."));
        write(&[(0, 'b'), (60, 'a')]);
        next.signal(Signal::HUP);
        next.logged("keys of session tickets loaded", 2);
        assert!(ask(&next, &[flag, "-sess_in", kept]).contains("Reused, TLSv1."));
        // A key of yesterday is as good as none.
        write(&[(0, 'b'), (25 * 60 * 60, 'a')]);
        next.signal(Signal::HUP);
        next.logged("older than a day", 1);
        next.logged("keys of session tickets loaded", 3);
        assert!(ask(&next, &[flag, "-sess_in", kept]).contains("New, TLSv1."));
    }
}

/// As many as it can in a second, one after the other: `r` is a resumed session, `*` and `t` are full handshakes.
#[test]
fn s_time_reuses_its_session_for_every_connection() {
    let relay = Relay::start_secure(&["--reactors", "4", "--log-level", "info"]);
    for flags in [&["-tls1_2"][..], &["-tls1_3", "-www", "/healthz"]] {
        let output = Command::new("openssl")
            .args(["s_time", "-connect", &relay.secure_addr().to_string()])
            .args(["-reuse", "-time", "1", "-CAfile"])
            .arg(relay.ca())
            .args(flags)
            .output()
            .expect("openssl runs (run `scripts/test setup` once)");
        let text = String::from_utf8_lossy(&output.stdout);
        let marks = text
            .lines()
            .find(|line| !line.is_empty() && line.chars().all(|mark| "r*t".contains(mark)))
            .unwrap_or_else(|| panic!("no connection at all: {output:?}"));
        assert!(marks.len() >= CONNECTIONS, "{flags:?}: {marks}");
        assert!(marks.chars().all(|mark| mark == 'r'), "{flags:?}: {marks}");
    }
}
