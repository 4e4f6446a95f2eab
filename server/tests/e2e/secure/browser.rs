//! Two pages of a real browser in one room over wss. The browser trusts the development authority because it was
//! imported as the relay's own advice says; no error is ignored.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::browser::exchange_all;
use crate::players::{Event, Kind, Player, Puppet};
use crate::relay::Relay;

/// A user's home, with this authority in the store where Chromium looks for what the user trusts.
fn home_that_trusts(ca: &Path) -> TempDir {
    let home = TempDir::new().expect("a folder");
    let store = home.path().join(".pki/nssdb");
    fs::create_dir_all(&store).expect("a store");
    let certutil = |args: &[&str]| {
        let output = Command::new("certutil")
            .args(["-d", &format!("sql:{}", store.display())])
            .args(args)
            .output()
            .expect("certutil runs (run `scripts/test setup` once)");
        assert!(output.status.success(), "certutil {args:?}: {output:?}");
    };
    certutil(&["-N", "--empty-password"]);
    let ca = ca.to_str().expect("a path in UTF-8");
    certutil(&["-A", "-t", "C,,", "-n", "Roomcast", "-i", ca]);
    home
}

#[test]
fn two_pages_in_one_room_exchange_text_and_binary() {
    let relay = Relay::start_secure(&[]);
    let home = home_that_trusts(&relay.ca());
    let browser = Puppet::browser_at_home(home.path());
    let (secure, plain) = (
        relay.secure_url("/rooms/browser"),
        relay.url("/rooms/browser"),
    );
    let by_name = secure.replace("127.0.0.1", "localhost");
    let ws = Puppet::ws();
    let mut players = [
        browser.join(&by_name),
        browser.join(&secure),
        ws.join(&plain),
    ];
    exchange_all(&mut players);
    let [mut left, mut stays, mut ws] = players;
    left.close(4321, "leaving");
    left.expect(
        &Event::Closed(4321),
        "the browser sees a clean close with its own code",
    );
    stays.send(Kind::Text, b"alone with ws");
    let last = Event::Message(Kind::Text, b"alone with ws".to_vec());
    ws.expect(&last, "the other page is still there");
}

#[test]
fn a_browser_that_does_not_know_the_authority_refuses_the_certificate() {
    let relay = Relay::start_secure(&[]);
    let stranger = Relay::start_secure(&[]);
    let home = home_that_trusts(&stranger.ca());
    let browser = Puppet::browser_at_home(home.path());
    let (_, event) = browser.try_join(&relay.secure_url("/rooms/browser"));
    assert!(
        matches!(&event, Event::Failed(why) if why.contains("ERR_CERT_AUTHORITY_INVALID")),
        "{event:?}"
    );
}
