//! What `openssl s_client` is granted and refused.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::exchange;
use crate::relay::{Relay, ends};
use crate::wire::Wire;

/// Asks for the relay's health, and is told that this connection ends.
pub(super) const REQUEST: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The client, which checks the certificate and obeys what it is told on its standard input.
fn s_client(relay: &Relay, ca: &Path, flags: &[&str]) -> Child {
    Command::new("openssl")
        .args(["s_client", "-connect", &relay.secure_addr().to_string()])
        .args(["-servername", "localhost", "-verify_hostname", "localhost"])
        .args(["-verify_return_error", "-CAfile"])
        .arg(ca)
        .args(flags)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl runs (run `scripts/test setup` once)")
}

/// Everything that it said until it ended by itself.
fn said(client: Child) -> String {
    let output = client.wait_with_output().expect("openssl's output");
    [output.stderr, output.stdout]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat()
}

/// What it says when it asks over TLS for the relay's health.
pub(super) fn ask(relay: &Relay, flags: &[&str]) -> String {
    // Else the end of its input would be the end of the connection.
    let mut client = s_client(relay, &relay.ca(), &[flags, &["-ign_eof"]].concat());
    let mut stdin = client.stdin.take().expect("stdin is piped");
    // It may have been refused and be gone already.
    let _ = stdin.write_all(REQUEST.as_bytes());
    drop(stdin);
    said(client)
}

#[test]
fn both_versions_are_spoken_and_http_1_1_is_chosen() {
    let mut relay = Relay::start_secure(&[]);
    for (flag, version) in [("-tls1_3", "TLSv1.3"), ("-tls1_2", "TLSv1.2")] {
        for offered in ["http/1.1", "h2,http/1.1"] {
            let said = ask(&relay, &[flag, "-alpn", offered]);
            assert!(
                said.contains(&format!("New, {version}, Cipher is")),
                "{said}"
            );
            assert!(said.contains("ALPN protocol: http/1.1"), "{said}");
            assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
            assert!(said.contains("Verified peername: localhost"), "{said}");
            assert!(said.contains("alive"), "{said}");
            // What it prints after a close_notify; a cut would be an error.
            assert!(said.trim_end().ends_with("closed"), "{said}");
        }
        let silent = ask(&relay, &[flag]);
        assert!(silent.contains("No ALPN negotiated"), "{silent}");
        assert!(silent.contains("alive"), "{silent}");
    }
    assert_eq!(relay.ends(), ends(&[("answered", 6)]));
}

#[test]
fn old_versions_and_other_protocols_are_refused_with_an_alert() {
    let mut relay = Relay::start_secure(&[]);
    let h2 = ask(&relay, &["-alpn", "h2"]);
    assert!(h2.contains("alert no application protocol"), "{h2}");
    for old in ["-tls1", "-tls1_1"] {
        let refused = ask(&relay, &[old, "-cipher", "ALL:@SECLEVEL=0"]);
        assert!(refused.contains(":SSL alert number"), "{refused}");
        assert!(refused.contains("Cipher is (NONE)"), "{refused}");
    }
    // Without forward secrecy: what is recorded today is opened when the key leaks.
    let refused = ask(&relay, &["-tls1_2", "-cipher", "AES128-GCM-SHA256"]);
    assert!(refused.contains("alert handshake failure"), "{refused}");
    relay.ended(4);
    assert_eq!(relay.ends(), ends(&[("tls_handshake", 4)]));
}

/// RFC 5746; TLS 1.3 has none. OpenSSL takes the refusal badly, everybody else notices nothing.
#[test]
fn renegotiation_is_refused_and_harms_nobody() {
    let mut relay = Relay::start_secure(&["--drain", "0"]);
    let client = relay.client();
    let mut one = Wire::join_tls(relay.secure_addr(), &client, "/rooms/calm");
    let mut other = Wire::join(relay.addr(), "/rooms/calm");
    for _ in 0..3 {
        exchange(&mut one, &mut other, b"before");
        let mut asking = s_client(&relay, &relay.ca(), &["-tls1_2"]);
        let mut stdin = asking.stdin.take().expect("stdin is piped");
        stdin.write_all(b"R\n").expect("openssl listens");
        // Its input stays open: what ends it is the refusal.
        let output = said(asking);
        drop(stdin);
        assert!(output.contains("RENEGOTIATING"), "{output}");
        assert!(output.contains(":no renegotiation:"), "{output}");
        exchange(&mut one, &mut other, b"after");
    }
    relay.ended(3);
    drop((one, other));
    assert_eq!(relay.ends().remove("tls_violation"), Some(3));
}

/// Its alert says why, and the log counts it.
#[test]
fn a_client_that_does_not_know_the_authority_says_so() {
    let mut relay = Relay::start_secure(&[]);
    let stranger = Relay::start_secure(&[]);
    let output = said(s_client(&relay, &stranger.ca(), &[]));
    assert!(output.contains("certificate verify failed"), "{output}");
    relay.ended(1);
    assert_eq!(relay.ends(), ends(&[("tls_handshake", 1)]));
}
