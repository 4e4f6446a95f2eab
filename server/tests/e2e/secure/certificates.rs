//! Certificates: chosen by name, exchanged while players play, refused when they are no good.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use rustix::process::Signal;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection};

use super::authority::{Authority, Files};
use super::exchange;
use crate::patience;
use crate::relay::{Relay, roomcast};
use crate::startup::{START_FAILED, USAGE, failure};
use crate::stream::{client, connect};
use crate::wire::Wire;

/// Shakes hands with the server of that name, and returns its leaf, or why this client refuses it.
fn leaf(
    relay: &Relay,
    config: &Arc<ClientConfig>,
    name: &str,
) -> Result<CertificateDer<'static>, String> {
    let mut tls: ClientConnection = client(config, name);
    let mut socket = connect(relay.secure_addr());
    while tls.is_handshaking() {
        tls.complete_io(&mut socket)
            .map_err(|error| error.to_string())?;
    }
    let chain = tls.peer_certificates().expect("a certificate");
    Ok(chain[0].clone().into_owned())
}

/// The leaf in this file.
fn in_file(files: &Files) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(&files.cert).expect("a certificate")
}

#[test]
fn clients_get_the_certificate_of_the_name_they_ask_for_or_the_first() {
    let authority = Authority::new();
    let first = authority.pair("first", &["play.example", "127.0.0.1"]);
    let second = authority.pair("second", &["eu.example", "*.eu.example"]);
    let relay = Authority::relay(&[&first, &second], &[]);
    let config = authority.client();
    let got = |name| leaf(&relay, &config, name);
    assert_eq!(got("play.example"), Ok(in_file(&first)));
    assert_eq!(got("eu.example"), Ok(in_file(&second)));
    assert_eq!(got("west.eu.example"), Ok(in_file(&second)));
    // An address is no name to ask for.
    assert_eq!(got("127.0.0.1"), Ok(in_file(&first)));
    // Nobody has this one. The client is told for whom the default is, and judges.
    let refused = got("elsewhere.example").expect_err("a certificate for others");
    assert!(refused.contains("play.example"), "{refused}");
}

/// Two players in one room, who go on whatever happens to certificates.
fn players(relay: &Relay, config: &Arc<ClientConfig>) -> [Wire; 2] {
    [(); 2].map(|()| Wire::join_tls(relay.secure_addr(), config, "/rooms/renewal"))
}

/// Shakes hands until that is with the certificate in these files.
fn renewed(relay: &Relay, config: &Arc<ClientConfig>, files: &Files) {
    let patience = patience("the new certificate is served");
    while leaf(relay, config, "localhost") != Ok(in_file(files)) {
        patience.check();
    }
}

#[test]
fn on_sighup_new_handshakes_get_the_new_certificate_and_players_play_on() {
    let authority = Authority::new();
    let files = authority.pair("live", &["localhost"]);
    let relay = Authority::relay(&[&files], &[]);
    let config = authority.client();
    let [mut one, mut other] = players(&relay, &config);
    exchange(&mut one, &mut other, b"before");
    for round in 1..=3 {
        files.replace(&authority.issue(&["localhost"], 90));
        relay.signal(Signal::HUP);
        relay.logged("SIGHUP: reading the certificates again", round);
        renewed(&relay, &config, &files);
        exchange(&mut one, &mut other, b"meanwhile");
    }
    // Who has seen the old one joins those who come with the new one.
    let mut late = Wire::join_tls(relay.secure_addr(), &config, "/rooms/renewal");
    exchange(&mut one, &mut late, b"after");
    other.expect(crate::wire::BINARY, b"after");
}

#[test]
fn files_that_change_are_noticed_without_a_signal() {
    let authority = Authority::new();
    let files = authority.pair("live", &["localhost"]);
    let relay = Authority::relay(&[&files], &[]);
    let config = authority.client();
    let [mut one, mut other] = players(&relay, &config);
    files.replace(&authority.issue(&["localhost"], 90));
    // Once at start; what it says is so when it says it.
    relay.logged("certificate loaded", 2);
    assert_eq!(leaf(&relay, &config, "localhost"), Ok(in_file(&files)));
    exchange(&mut one, &mut other, b"nothing happened");
}

#[test]
fn a_broken_pair_keeps_the_old_one_and_the_log_says_why() {
    let authority = Authority::new();
    let files = authority.pair("live", &["localhost"]);
    let old = in_file(&files);
    let relay = Authority::relay(&[&files], &[]);
    let config = authority.client();
    let [mut one, mut other] = players(&relay, &config);
    let good = authority.issue(&["localhost"], 90);
    let expired = authority.issue(&["localhost"], -1);
    let cut = good.cert[..good.cert.len() / 2].to_owned();
    let broken = [
        (expired.cert.clone(), expired.key.clone(), "expired"),
        (cut, good.key.clone(), "no valid PEM"),
        (good.cert.clone(), expired.key, "does not belong"),
        (good.cert.clone(), String::new(), "no private key"),
    ];
    for (round, (cert, key, why)) in (1..).zip(broken) {
        fs::write(&files.cert, cert).expect("a file");
        fs::write(&files.key, key).expect("a file");
        relay.signal(Signal::HUP);
        relay.logged("the old certificates stay in use", round);
        relay.logged(why, 1);
        assert_eq!(leaf(&relay, &config, "localhost"), Ok(old.clone()), "{why}");
        exchange(&mut one, &mut other, why.as_bytes());
    }
    files.replace(&good);
    relay.signal(Signal::HUP);
    renewed(&relay, &config, &files);
    exchange(&mut one, &mut other, b"at last");
}

#[test]
fn a_start_with_a_pair_that_is_no_good_is_refused_in_one_line() {
    let authority = Authority::new();
    let good = authority.pair("good", &["localhost"]);
    let other = authority.pair("other", &["localhost"]);
    let expired = authority.files("expired");
    expired.replace(&authority.issue(&["localhost"], -1));
    let missing = authority.path("missing.pem");
    let folder = authority.path("folder.pem");
    fs::create_dir(&folder).expect("a folder");
    let nonsense = authority.path("nonsense.pem");
    fs::write(&nonsense, "nonsense").expect("a file");
    for (cert, key, named, why) in [
        (&missing, &good.key, &missing, "No such file"),
        (&good.cert, &missing, &missing, "No such file"),
        (&folder, &good.key, &folder, "no regular file"),
        (&nonsense, &good.key, &nonsense, "no certificate"),
        (&good.cert, &nonsense, &nonsense, "no private key"),
        (&good.cert, &other.key, &other.key, "does not belong"),
        (&expired.cert, &expired.key, &expired.cert, "expired on"),
    ] {
        let mut command = roomcast();
        command.args(["--listen", "none", "--listen-tls", "127.0.0.1:0"]);
        // The pair in question is the second one.
        for (cert, key) in [(&good.cert, &good.key), (cert, key)] {
            command
                .arg("--tls-cert")
                .arg(cert)
                .arg("--tls-key")
                .arg(key);
        }
        let line = failure(command, START_FAILED);
        assert!(line.contains(named.to_str().expect("UTF-8")), "{line}");
        assert!(line.contains(why), "{why}: {line}");
    }
}

#[test]
fn flags_that_do_not_fit_together_are_refused_in_one_line() {
    for (flags, named) in [
        (&["--listen-tls", "127.0.0.1:0"][..], "--dev-tls"),
        (
            &["--dev-tls", "--tls-cert", "a", "--tls-key", "b"],
            "--dev-tls",
        ),
        (&["--tls-cert", "a"], "--tls-key"),
        (
            &["--tls-cert", "a", "--tls-cert", "b", "--tls-key", "c"],
            "--tls-key",
        ),
        (&["--listen", "none"], "--listen"),
    ] {
        let mut command = roomcast();
        command.args(flags);
        let line = failure(command, USAGE);
        assert!(line.contains(named), "{flags:?}: {line}");
    }
}

/// What `--dev-tls` makes is for its owner only, and stays the same from start to start.
#[test]
fn the_development_authority_is_private_and_made_once() {
    let relay = Relay::start_secure(&[]);
    let ca = relay.ca();
    let folder = ca.parent().expect("its folder");
    let mode = |name: &str| {
        let file = fs::metadata(folder.join(name)).expect("a file");
        file.permissions().mode() & 0o777
    };
    assert_eq!((mode("dev-ca.key"), mode("dev-cert.key")), (0o600, 0o600));
    let print_ca = || {
        let output = roomcast()
            .args(["dev-cert", "--print-ca"])
            .env("ROOMCAST_DATA_DIR", folder)
            .stdout(std::process::Stdio::piped())
            .output()
            .expect("the program runs");
        assert!(output.status.success());
        output.stdout
    };
    assert_eq!(print_ca(), fs::read(&ca).expect("the authority"));
    fs::remove_file(folder.join("dev-cert.pem")).expect("a leaf to lose");
    assert_eq!(print_ca(), fs::read(&ca).expect("the authority"));
    assert!(
        folder.join("dev-cert.pem").exists(),
        "the leaf is made anew"
    );
    let log = relay.log().join("\n");
    for client in ["browser: ", "certutil", "curl --cacert", "loadgen"] {
        assert!(log.contains(client), "it says how {client} trusts it");
    }
}
