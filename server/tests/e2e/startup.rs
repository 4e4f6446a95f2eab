//! Starting: what the relay says, and what it says when it cannot.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use rustix::process::Signal;

use crate::relay::{Relay, listening_address, roomcast};
use crate::wire::{BINARY, Wire};

/// Exit codes of `docs/OPERATIONS.md`.
pub(crate) const START_FAILED: i32 = 1;
pub(crate) const USAGE: i32 = 2;

/// Runs the program to its end; it must fail with this code, and one line on stderr that is returned.
pub(crate) fn failure(mut command: Command, code: i32) -> String {
    let output = command.output().expect("the program runs");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(code), "it said: {stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1, "one line: {stderr:?}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr
}

#[test]
fn a_bad_flag_gets_one_line_that_names_it() {
    for (flag, value) in [
        ("--listen", "nonsense"),
        ("--listen", "127.0.0.1"),
        ("--listen", "127.0.0.1:70000"),
        ("--reactors", "0"),
        ("--reactors", "-1"),
        ("--reactors", "many"),
        ("--max-message", "0"),
        ("--max-message", "64 parsecs"),
        ("--max-message", "-5"),
        ("--outbox-max", "lots"),
        ("--idle-timeout", "5 parsecs"),
        ("--idle-timeout", ""),
        ("--handshake-timeout", "soon"),
        ("--ping-interval", "-1s"),
        ("--close-timeout", "1x"),
        ("--drain", "NaN"),
        ("--max-connections", "0"),
        ("--log-format", "yaml"),
    ] {
        let mut command = roomcast();
        command.arg(format!("{flag}={value}"));
        let line = failure(command, USAGE);
        assert!(line.contains(flag), "it names {flag}: {line}");
        assert!(
            value.is_empty() || line.contains(value),
            "it names {value}: {line}"
        );
    }
}

#[test]
fn an_unknown_flag_or_word_gets_one_line() {
    for word in ["--lisen", "serve", "-x"] {
        let mut command = roomcast();
        command.arg(word);
        let line = failure(command, USAGE);
        assert!(line.contains(word), "{line}");
    }
}

#[test]
fn a_bad_environment_variable_gets_one_line() {
    for (name, value) in [
        ("ROOMCAST_LISTEN", "nonsense"),
        ("ROOMCAST_MAX_MESSAGE", "huge"),
        ("ROOMCAST_IDLE_TIMEOUT", "never mind"),
    ] {
        let mut command = roomcast();
        command.env(name, value);
        let line = failure(command, USAGE);
        assert!(line.contains(value), "{line}");
    }
}

#[test]
fn a_port_in_use_gets_one_line_whoever_uses_it() {
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let relay = Relay::start(&[]);
    for addr in [other.local_addr().expect("its address"), relay.addr()] {
        let mut command = roomcast();
        command.args(["--listen", &addr.to_string()]);
        let line = failure(command, START_FAILED);
        assert!(
            line.contains(&addr.to_string()),
            "it names the address: {line}"
        );
    }
}

/// TEST-NET-3 (RFC 5737) is nobody's address.
#[test]
fn an_address_of_another_machine_gets_one_line() {
    let mut command = roomcast();
    command.args(["--listen", "203.0.113.1:7777"]);
    let line = failure(command, START_FAILED);
    assert!(line.contains("203.0.113.1:7777"), "{line}");
}

#[test]
fn help_and_version_are_answered() {
    let help = roomcast()
        .arg("--help")
        .stdout(std::process::Stdio::piped())
        .output()
        .expect("the program runs");
    assert!(help.status.success());
    let text = String::from_utf8(help.stdout).expect("UTF-8");
    for flag in [
        "--listen",
        "--reactors",
        "--max-message",
        "--idle-timeout",
        "--handshake-timeout",
        "--ping-interval",
        "--outbox-max",
        "--congested-timeout",
        "--max-connections",
        "--max-room-members",
        "--close-timeout",
        "--drain",
        "--log-format",
        "--flush-interval",
    ] {
        assert!(text.contains(flag), "--help tells of {flag}");
        let variable = format!("ROOMCAST_{}", flag[2..].replace('-', "_").to_uppercase());
        assert!(text.contains(&variable), "--help tells of {variable}");
    }
    let version = roomcast()
        .arg("--version")
        .stdout(std::process::Stdio::piped())
        .output()
        .expect("the program runs");
    assert!(
        String::from_utf8(version.stdout)
            .expect("UTF-8")
            .contains(env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn the_start_up_line_says_where_with_how_many_reactors_and_which_limits() {
    let relay = Relay::start(&["--max-message", "32KiB"]);
    let log = relay.log();
    let line = log
        .iter()
        .find(|line| line.contains("listening"))
        .expect("a start-up line");
    assert!(line.contains(&relay.url("")), "where: {line}");
    assert!(
        line.contains("reactors=2"),
        "with how many reactors: {line}"
    );
    assert!(line.contains("32"), "with which limits: {line}");
    assert!(
        !log.iter().any(|line| line.contains('\u{1b}')),
        "no colours where no terminal is: {log:?}"
    );
}

#[test]
fn the_environment_sets_what_flags_set_and_flags_win() {
    let mut command = roomcast();
    command
        .env("ROOMCAST_LISTEN", "127.0.0.1:0")
        .env("ROOMCAST_REACTORS", "1")
        .env("ROOMCAST_MAX_MESSAGE", "2KiB");
    command.args(["--max-message", "1KiB"]);
    let relay = Relay::spawn(command);
    assert!(
        relay.log().iter().any(|line| line.contains("reactors=1")),
        "{:?}",
        relay.log()
    );
    let mut wire = Wire::join(relay.addr(), "/echo");
    wire.message(BINARY, &[0; 1025]);
    assert_eq!(wire.read_to_close(), Some(1009));
}

#[test]
fn several_addresses_lead_to_the_same_rooms() {
    let mut command = roomcast();
    command.args([
        "--listen",
        "127.0.0.1:0",
        "--listen",
        "127.0.0.1:0",
        "--reactors",
        "2",
    ]);
    let relay = Relay::spawn(command);
    relay.logged("listening on ws://", 2);
    let log = relay.log();
    let addresses: Vec<_> = log
        .iter()
        .filter_map(|line| listening_address(line, "ws"))
        .collect();
    let [one, other] = addresses[..] else {
        panic!("two addresses: {log:?}");
    };
    assert_ne!(one, other);
    // Of both reactors, at each address.
    for room in 0..8 {
        let path = format!("/rooms/{room}");
        let mut here = Wire::join(one, &path);
        let mut there = Wire::join(other, &path);
        here.message(BINARY, b"over there");
        there.expect(BINARY, b"over there");
    }
}

#[test]
fn logs_in_json_are_one_object_a_line() {
    let mut relay = Relay::start(&["--log-format", "json"]);
    drop(Wire::join(relay.addr(), "/echo"));
    let mut wire = Wire::connect(relay.addr());
    wire.send(b"GET /healthz HTTP/1.0\r\n\r\n");
    assert_eq!(wire.response().0.status, 200);
    relay.signal(Signal::TERM);
    assert_eq!(relay.exit().code(), Some(0));
    let lines: Vec<serde_json::Value> = relay
        .log()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect();
    let said = |words: &str| {
        let about = |line: &&serde_json::Value| {
            let message = line["fields"]["message"].as_str();
            message.is_some_and(|message| message.starts_with(words))
        };
        let line = lines.iter().find(about).expect("a line that says so");
        assert_eq!(line["level"], "INFO");
        assert!(
            line["timestamp"]
                .as_str()
                .is_some_and(|time| time.ends_with('Z'))
        );
        &line["fields"]
    };
    assert_eq!(said("listening on")["reactors"], 2);
    let stopped = said("stopped");
    assert_eq!(stopped["connections"], 2);
    assert_eq!(stopped["ends"]["answered"], 1);
}

#[test]
fn a_configuration_can_be_checked_without_a_start() {
    // Somebody else has the port, and does not notice: nothing listens.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address");
    let listen = format!("--listen={address}");
    let check = |flags: &[&str]| {
        let mut command = roomcast();
        command.arg(&listen).args(flags).arg("check-config");
        command
    };
    let output = check(&["--max-connections", "7"])
        .stdout(std::process::Stdio::piped())
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).expect("text");
    assert!(
        said.starts_with("usable: ") && said.contains("max_connections=7"),
        "{said}"
    );
    let lines: Vec<&str> = said.lines().collect();
    let in_use = format!("taken: somebody listens at {address} now");
    assert!(lines.len() == 2 && lines[1].starts_with(&in_use), "{said}");
    let missing = "/nowhere/file";
    for (flags, code, names) in [
        (&["--max-message", "0"][..], USAGE, "--max-message"),
        (&["--listen-tls", "127.0.0.1:1"], USAGE, "--listen-tls"),
        (
            &["--tls-cert", missing, "--tls-key", missing],
            START_FAILED,
            missing,
        ),
        (&["--ticket-key", missing], START_FAILED, missing),
        (&["--admin", "0.0.0.0:1"], USAGE, "--metrics-token-file"),
        (
            &["--admin", "unix:a", "--admin-token-file", missing],
            START_FAILED,
            missing,
        ),
        // No interface of this machine has these: for documentation.
        (&["--listen", "192.0.2.1:1024"], START_FAILED, "192.0.2.1"),
    ] {
        let line = failure(check(flags), code);
        assert!(line.contains(names), "{flags:?}: {line}");
    }
    let mut by_environment = check(&[]);
    by_environment.env("ROOMCAST_MAX_MESSAGE", "lots");
    assert!(failure(by_environment, USAGE).contains("ROOMCAST_MAX_MESSAGE"));
}

/// Every reactor goes on: the watchdog is told so, again and again, also while nobody gets through to the control plane.
#[test]
fn systemds_watchdog_is_fed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let systemd = UnixDatagram::bind(&path).expect("a socket");
    systemd
        .set_read_timeout(Some(crate::DEADLINE))
        .expect("a timeout");
    let mut command = roomcast();
    command.args([
        "--listen",
        "127.0.0.1:0",
        "--reactors",
        "2",
        "--admin",
        "127.0.0.1:0",
    ]);
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "4000000");
    let relay = Relay::spawn(command);
    let door = crate::admin::door(&relay);
    let silent: Vec<Wire> = (0..40).map(|_| Wire::connect(door)).collect();
    let mut bytes = [0; 64];
    for _ in 0..4 {
        let len = systemd.recv(&mut bytes).expect("it is fed");
        assert_eq!(&bytes[..len], b"WATCHDOG=1");
    }
    drop(silent);
}
