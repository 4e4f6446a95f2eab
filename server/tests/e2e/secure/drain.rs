//! Graceful shutdown over wss: a close frame, a close_notify, and an exit code that says that all went well.

use rustix::process::Signal;

use super::session::{End, Session};
use crate::relay::{Relay, ends};
use crate::wire::{CLOSE, FIN, Wire};

#[test]
fn a_drain_says_1012_and_close_notify_and_ends_with_success() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut relay = Relay::start_secure(&["--drain", "500ms"]);
        let client = relay.client();
        let paths = ["/rooms/a", "/rooms/a", "/rooms/b", "/rooms/c", "/echo"];
        let peers: Vec<Wire> = paths
            .iter()
            .map(|path| Wire::join_tls(relay.secure_addr(), &client, path))
            .collect();
        relay.signal(signal);
        for mut peer in peers {
            // Its stream fails where a close_notify is missing.
            assert_eq!(peer.read_to_close(), Some(1012));
        }
        assert_eq!(relay.farewell().remove("drain"), Some(5));
    }
}

/// A peer that answers the close frame with nothing is given up after `--close-timeout`; its close frame has come.
#[test]
fn a_peer_that_does_not_answer_does_not_hold_it_up() {
    let mut relay = Relay::start_secure(&["--drain", "0", "--close-timeout", "300ms"]);
    let mut stubborn = Session::join(relay.secure_addr(), &relay.client(), "/rooms/a");
    // Nor does one that has shaken hands and asks for nothing.
    let mut stranger = Session::connect(relay.secure_addr(), &relay.client());
    stranger.shake_hands();
    relay.signal(Signal::TERM);
    let (plain, end) = stubborn.hear_to_the_end();
    assert_eq!(plain[0], FIN | CLOSE);
    assert_eq!(plain[2..4], 1012_u16.to_be_bytes());
    assert_eq!(end, End::Told);
    // The stranger ran out of time; where the machine stood still for long, the process had ended by then.
    let told = relay.farewell();
    let in_time = ends(&[("drain", 1), ("handshake_timeout", 1)]);
    assert!(told == in_time || told == ends(&[("drain", 2)]), "{told:?}");
    drop(stranger);
}
