//! Peers that break TLS, before, in and after the handshake: each ends at once, for the right reason.

use rustls::AlertDescription;
use rustls::version::TLS13;

use super::session::{End, Session};
use super::witness::{Scene, VERSIONS};
use crate::wire::{BINARY, FIN, Wire, frame};

/// Headers of records (RFC 8446 section 5.1).
const HANDSHAKE: [u8; 3] = [22, 3, 1];
const APPLICATION_DATA: [u8; 3] = [23, 3, 3];

/// A record that is none of a session's.
fn record(header: [u8; 3], payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u16).to_be_bytes();
    [&header[..], &len, payload].concat()
}

#[test]
fn garbage_instead_of_a_client_hello() {
    let mut scene = Scene::begin(&["--handshake-timeout", "1h"]);
    let greetings = [
        vec![0; 64],
        vec![0xff; 64],
        // SSL 2.0's, with which clients began around 2000.
        [&[0x80, 0x2e, 1, 3, 1][..], &[0; 43]].concat(),
        record([22, 9, 9], &[1, 0, 0, 4, 0, 0, 0, 0]),
        // Larger than any record.
        [&HANDSHAKE[..], &[0xff, 0xff]].concat(),
        record(HANDSHAKE, &[]),
        // A ServerHello, and a ClientHello with nothing in it.
        record(HANDSHAKE, &[2, 0, 0, 4, 0, 0, 0, 0]),
        record(HANDSHAKE, &[1, 0, 0, 4, 0, 0, 0, 0]),
        record(APPLICATION_DATA, b"hello?"),
        record([20, 3, 3], &[2]),
        // Not to be trusted either: the alert that would end a session, when there is none.
        record([21, 3, 3], &[2, 40]),
    ];
    for greeting in &greetings {
        let mut wire = Wire::connect(scene.relay.secure_addr());
        wire.send(greeting);
        let answer = wire.read_to_end();
        // An alert in a record of its own, or nothing.
        assert!(
            answer.is_empty() || answer.len() == 7 && answer[0] == 21,
            "{greeting:?} was answered with {answer:?}"
        );
        scene.calm();
    }
    scene.end(&[("tls_handshake", greetings.len() as u64)]);
}

#[test]
fn garbage_in_the_middle_of_the_handshake() {
    let mut scene = Scene::begin(&["--handshake-timeout", "1h"]);
    for versions in VERSIONS {
        for garbage in [
            vec![0; 64],
            record(APPLICATION_DATA, &[0; 64]),
            record(HANDSHAKE, &[20, 0, 0, 1, 0]),
            [&APPLICATION_DATA[..], &[0xff, 0xff]].concat(),
        ] {
            let mut session = scene.stranger(versions);
            let hello = session.records();
            session.send(&hello);
            assert_eq!(session.hear(&mut Vec::new()), None, "a ServerHello");
            session.send(&garbage);
            let end = session.end();
            assert!(matches!(end, End::Alert(_)), "{garbage:?}: {end:?}");
            scene.calm();
        }
    }
    scene.end(&[("tls_handshake", 8)]);
}

#[test]
fn a_record_that_is_not_authentic_ends_its_sender_and_nobody_else() {
    let mut scene = Scene::begin(&[]);
    for versions in VERSIONS {
        let spoil: [fn(&mut Session) -> Vec<u8>; 4] = [
            |session| {
                let mut sealed = session.seal(&frame(FIN | BINARY, b"changed"));
                *sealed.last_mut().expect("a record") ^= 1;
                sealed
            },
            |session| {
                let lost = session.seal(&frame(FIN | BINARY, b"lost"));
                assert!(!lost.is_empty());
                session.seal(&frame(FIN | BINARY, b"next"))
            },
            |_| record(APPLICATION_DATA, &[0; 64]),
            |_| record([99, 3, 3], &[0; 64]),
        ];
        for spoil in spoil {
            let mut session = scene.seated(versions);
            let good = session.seal(&frame(FIN | BINARY, b"good"));
            let bad = spoil(&mut session);
            // What was good before it arrives, though it came in the same segment.
            session.send(&[good, bad].concat());
            scene.secure.expect(BINARY, b"good");
            scene.plain.expect(BINARY, b"good");
            let end = session.end();
            assert!(matches!(end, End::Alert(_)), "{end:?}");
            scene.calm();
        }
        // Sent twice.
        let mut session = scene.seated(versions);
        let good = session.seal(&frame(FIN | BINARY, b"once"));
        session.send(&[&good[..], &good].concat());
        scene.secure.expect(BINARY, b"once");
        scene.plain.expect(BINARY, b"once");
        assert_eq!(session.end(), End::Alert(AlertDescription::BadRecordMac));
    }
    scene.end(&[("tls_violation", 10)]);
}

#[test]
fn records_that_are_too_large_are_refused_by_their_header() {
    let mut scene = Scene::begin(&[]);
    for versions in VERSIONS {
        for len in [18 * 1024 + 1, u16::MAX] {
            let mut session = scene.seated(versions);
            session.send(&[&APPLICATION_DATA[..], &len.to_be_bytes()].concat());
            // Nothing more is sent, and nothing more is waited for.
            let end = session.end();
            assert!(matches!(end, End::Alert(_)), "{end:?}");
            scene.calm();
        }
        // Not too large for a header, but no record of this session.
        let mut session = scene.seated(versions);
        session.send(&record(APPLICATION_DATA, &[7; 17 * 1024]));
        assert_eq!(session.end(), End::Alert(AlertDescription::BadRecordMac));
    }
    scene.end(&[("tls_violation", 6)]);
}

/// A ClientHello of 16 MiB, in as many records as it takes: it is refused long before its end.
#[test]
fn a_handshake_message_that_never_ends_is_refused() {
    let scene = Scene::begin(&["--handshake-timeout", "1h"]);
    let resident = scene.relay.resident();
    for _ in 0..20 {
        let mut wire = Wire::connect(scene.relay.secure_addr());
        wire.send(&record(HANDSHAKE, &[1, 0xff, 0xff, 0xff]));
        let fragment = record(HANDSHAKE, &[0; 16 * 1024]);
        let mut sent = 0;
        while !wire.readable_within(0) && wire.try_send(&fragment).is_ok() {
            sent += fragment.len();
            assert!(sent < 16 << 20, "it took all of it");
        }
        let alert = wire.read_to_end();
        assert!(alert.is_empty() || alert[0] == 21, "{alert:?}");
    }
    let grown = scene.relay.resident().saturating_sub(resident);
    assert!(grown < 4 << 20, "{grown} bytes stayed behind");
    scene.end(&[("tls_handshake", 20)]);
}

/// Records with nothing in them cost their sender as much as anyone; those that are not even sealed end it.
#[test]
fn floods_of_empty_records() {
    const FLOOD: usize = 20_000;
    let mut scene = Scene::begin(&["--handshake-timeout", "1h"]);
    for versions in VERSIONS {
        let mut session = scene.seated(versions);
        session.try_send(&record(APPLICATION_DATA, &[]).repeat(FLOOD));
        let end = session.end();
        assert!(matches!(end, End::Alert(_) | End::Reset), "{end:?}");
        scene.calm();
        let mut session = scene.stranger(versions);
        let hello = session.records();
        session.send(&hello);
        session.try_send(&record(HANDSHAKE, &[]).repeat(FLOOD));
        let end = session.end();
        assert!(matches!(end, End::Alert(_) | End::Reset), "{end:?}");
        scene.calm();
    }
    scene.end(&[("tls_handshake", 2), ("tls_violation", 2)]);
}

/// New keys (RFC 8446 section 4.6.3) cost the relay an answer: who asks for some between messages gets them, who asks
/// for nothing else is sent away.
#[test]
fn key_updates_are_granted_and_a_flood_of_them_is_not() {
    let mut scene = Scene::begin(&[]);
    let mut session = scene.seated(&[&TLS13]);
    for round in 0..20_u8 {
        for _ in 0..8 {
            session.tls.refresh_traffic_keys().expect("TLS 1.3");
        }
        session.say(&frame(FIN | BINARY, &[round]));
        scene.secure.expect(BINARY, &[round]);
        scene.plain.expect(BINARY, &[round]);
        scene.secure.message(BINARY, &[round, round]);
        scene.plain.expect(BINARY, &[round, round]);
    }
    let mut heard = Vec::new();
    let last = [FIN | BINARY, 2, 19, 19];
    while !heard.ends_with(&last) {
        assert_eq!(session.hear(&mut heard), None, "it is still seated");
    }
    for _ in 0..1000 {
        session.tls.refresh_traffic_keys().expect("TLS 1.3");
    }
    let flood = session.records();
    session.try_send(&flood);
    // rustls has no alert for it.
    assert_ne!(session.end(), End::Told);
    scene.end(&[("tls_violation", 1)]);
}
