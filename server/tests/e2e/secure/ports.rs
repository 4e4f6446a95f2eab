//! Two ports, two ways to get the wrong one, and either of them alone.

use rustls::version::TLS13;
use tempfile::TempDir;

use super::exchange;
use super::session::{End, Session};
use crate::relay::{Relay, ends, roomcast};
use crate::stream::trusting;
use crate::wire::{Wire, upgrade_request};

#[test]
fn plain_http_on_the_tls_port_is_told_so() {
    let mut relay = Relay::start_secure(&[]);
    for request in [
        upgrade_request("/rooms/wrong-door"),
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        // Enough to see that it is no TLS.
        "P".to_owned(),
    ] {
        let mut wire = Wire::connect(relay.secure_addr());
        wire.send(request.as_bytes());
        let (response, body) = wire.response();
        assert_eq!(response.status, 400, "{response:?}");
        let body = String::from_utf8(body).expect("a body of text");
        assert!(body.contains("TLS") && body.contains("wss://"), "{body}");
    }
    relay.logged("a client speaks plain HTTP to the TLS port", 1);
    assert_eq!(relay.ends(), ends(&[("refused", 3)]));
}

#[test]
fn tls_on_the_plain_port_is_closed_and_the_operator_is_told() {
    let mut relay = Relay::start_secure(&[]);
    let mut session = Session::connect(relay.addr(), &relay.client());
    let hello = session.records();
    session.send(&hello);
    // Not a byte that a TLS client could take for an answer.
    assert!(matches!(session.end(), End::Cut | End::Reset));
    relay.logged("a client speaks TLS to the plain port and was closed", 1);
    assert_eq!(relay.ends(), ends(&[("refused", 1)]));
}

#[test]
fn wss_alone_is_served() {
    let folder = TempDir::new().expect("a folder");
    let mut command = roomcast();
    command
        .args([
            "--listen",
            "none",
            "--listen-tls",
            "127.0.0.1:0",
            "--dev-tls",
        ])
        .env("ROOMCAST_DATA_DIR", folder.path());
    let relay = Relay::spawn_secure(command);
    let log = relay.log();
    assert!(
        !log.iter().any(|line| line.contains("listening on ws://")),
        "{log:?}"
    );
    let client = trusting(&folder.path().join("dev-ca.pem"), &[&TLS13]);
    let mut one = Wire::join_tls(relay.secure_addr(), &client, "/rooms/alone");
    let mut other = Wire::join_tls(relay.secure_addr(), &client, "/rooms/alone");
    exchange(&mut one, &mut other, b"nobody else can come in");
}

#[test]
fn both_ports_lead_to_the_same_rooms() {
    let relay = Relay::start_secure(&[]);
    let client = relay.client();
    for room in 0..16 {
        // Rooms of both reactors, from both sides.
        let path = format!("/rooms/{room}");
        let mut secure = Wire::join_tls(relay.secure_addr(), &client, &path);
        let mut plain = Wire::join(relay.addr(), &path);
        exchange(&mut secure, &mut plain, path.as_bytes());
    }
}
