//! Handshakes that take their time, and many of them: each ends at `--handshake-timeout`, whatever comes, and leaves
//! nothing behind.

use std::thread;

use super::authority::Authority;
use super::session::{End, Session};
use super::witness::{Scene, VERSIONS};
use crate::wire::Wire;

const TIMEOUT: [&str; 2] = ["--handshake-timeout", "300ms"];

/// How long a trickling peer waits for an answer before each byte (ms).
const BETWEEN_BYTES: u64 = 5;

#[test]
fn a_hello_that_trickles_ends_in_time_although_bytes_come() {
    let mut scene = Scene::begin(&TIMEOUT);
    for versions in VERSIONS {
        // A record of which more is to come than this peer will ever send.
        let hello = scene.stranger(versions).records();
        let header = [22, 3, 1, 0x40, 0];
        let trickle = header.into_iter().chain(hello[5..].iter().copied().cycle());
        let mut wire = Wire::connect(scene.relay.secure_addr());
        for byte in trickle.take(0x4000) {
            if wire.readable_within(BETWEEN_BYTES) || wire.try_send(&[byte]).is_err() {
                break;
            }
        }
        // There is no TLS in which anything could be said.
        wire.expect_end();
        scene.calm();
    }
    // One each for the hellos' donors, who never sent them.
    scene.end(&[("handshake_timeout", 2), ("peer_gone", 2)]);
}

/// In TLS the HTTP status can be told.
#[test]
fn a_request_that_trickles_over_tls_is_told_408() {
    let mut scene = Scene::begin(&TIMEOUT);
    for versions in VERSIONS {
        let mut session = scene.stranger(versions);
        session.shake_hands();
        let mut plain = Vec::new();
        let request = b"GET /rooms/calm HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".iter();
        let request = request.copied().chain(std::iter::repeat(b'z'));
        let mut end = None;
        for byte in request.take(8000) {
            if session.readable_within(BETWEEN_BYTES) {
                end = session.hear(&mut plain);
                if !plain.is_empty() || end.is_some() {
                    break;
                }
            }
            let sealed = session.seal(&[byte]);
            session.try_send(&sealed);
        }
        let end = end.unwrap_or_else(|| {
            let (rest, end) = session.hear_to_the_end();
            plain.extend(rest);
            end
        });
        let answer = String::from_utf8_lossy(&plain);
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert_eq!(end, End::Told);
        scene.calm();
    }
    scene.end(&[("handshake_timeout", 2)]);
}

/// Strangers who say hello, make the relay work, and are never heard of again.
#[test]
fn a_storm_of_hellos_that_never_go_on_leaves_nothing_behind() {
    const STORM: usize = 500;
    // Long enough that each gets its first flight.
    let mut scene = Scene::begin(&["--handshake-timeout", "2s"]);
    let hello = scene.stranger(VERSIONS[0]).records();
    scene.relay.ended(1);
    let descriptors = scene.relay.descriptors();
    let quiet = scene.relay.resident();
    let mut after = Vec::new();
    for wave in 1..=3 {
        let mut strangers: Vec<Wire> = Vec::new();
        for number in 0..STORM {
            let mut stranger = Wire::connect(scene.relay.secure_addr());
            stranger.send(&hello);
            strangers.push(stranger);
            if number % 25 == 0 {
                scene.calm();
            }
        }
        scene.relay.ended(1 + wave * STORM);
        for stranger in &mut strangers {
            // Its answer, and then the end.
            let answer = stranger.read_to_end();
            assert_eq!(answer.first(), Some(&22), "a ServerHello");
        }
        scene.calm();
        while scene.relay.descriptors() > descriptors {
            scene.calm();
        }
        after.push(scene.relay.resident());
    }
    // The first storm makes room for what a process needs once; the others find it.
    println!("resident: {quiet} bytes before, then {after:?}");
    assert!(after[0] < quiet + (16 << 20), "{quiet}, then {after:?}");
    assert!(after[2] < after[0] + (2 << 20), "{quiet}, then {after:?}");
    // On a busy machine some have to go before their time, for others.
    let ends = scene.farewell(3 * STORM as u64 + 1);
    let of = |label: &str| ends.get(label).copied().unwrap_or_default();
    let unfinished = of("handshake_timeout") + of("handshake_refused");
    assert_eq!(unfinished, 3 * STORM as u64, "{ends:?}");
    assert_eq!((of("peer_gone"), of("drain")), (1, 2), "{ends:?}");
}

/// With RSA of 4,096 bits their first flights alone take most of the time that each of them has. In the order of arrival
/// all of them would get theirs, and none would join.
#[test]
fn in_a_storm_of_costly_handshakes_many_still_join() {
    const STORM: usize = 120;
    let authority = Authority::new();
    let pair = authority.costly_pair("costly");
    let mut relay = Authority::relay(&[&pair], &["--handshake-timeout", "1s"]);
    let client = authority.client();
    let mut sessions: Vec<Session> = Vec::new();
    for _ in 0..STORM {
        sessions.push(Session::connect(relay.secure_addr(), &client));
    }
    for session in &mut sessions {
        let hello = session.records();
        session.send(&hello);
    }
    let joining = sessions
        .into_iter()
        .map(|session| thread::spawn(move || session.try_join("/rooms/storm")));
    let joining: Vec<_> = joining.collect();
    let joined: Vec<Session> = joining
        .into_iter()
        .filter_map(|session| session.join().expect("no panic"))
        .collect();
    println!("{} of {STORM} joined", joined.len());
    assert!(joined.len() >= STORM / 4, "{} joined", joined.len());
    for session in joined {
        session.reset();
    }
    // Each ended for one reason.
    assert_eq!(relay.ends().values().sum::<u64>(), STORM as u64);
}
