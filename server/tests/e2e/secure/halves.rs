//! Sessions that end on one side first, in TLS, in TCP, or in both; and TCP that just breaks.

use super::session::End;
use super::witness::{Scene, VERSIONS};
use crate::wire::{BINARY, CLOSE, FIN, close_payload, frame};

/// RFC 8446 section 6.1: who said close_notify may still read. It gets the relay's, then the end of TCP.
#[test]
fn a_close_notify_is_answered_and_is_no_cut() {
    let mut scene = Scene::begin(&[]);
    for versions in VERSIONS {
        let mut stranger = scene.stranger(versions);
        stranger.shake_hands();
        stranger.close_notify();
        assert_eq!(stranger.hear_to_the_end(), (Vec::new(), End::Told));
        let mut seated = scene.seated(versions);
        let last = seated.seal(&frame(FIN | BINARY, b"last words"));
        seated.send(&last);
        seated.close_notify();
        scene.secure.expect(BINARY, b"last words");
        scene.plain.expect(BINARY, b"last words");
        assert_eq!(seated.end(), End::Told);
        scene.calm();
    }
    scene.end(&[("peer_gone", 4)]);
}

/// As players leave: a close frame, its answer, close_notify both ways.
#[test]
fn a_close_frame_is_answered_before_the_close_notify() {
    let mut scene = Scene::begin(&[]);
    for versions in VERSIONS {
        let mut seated = scene.seated(versions);
        let goodbye = seated.seal(&frame(FIN | CLOSE, &close_payload(1000, b"")));
        seated.send(&goodbye);
        let (plain, end) = seated.hear_to_the_end();
        assert_eq!(plain, [FIN | CLOSE, 2, 3, 232]);
        assert_eq!(end, End::Told);
        scene.calm();
    }
    scene.end(&[("peer_closed", 2)]);
}

/// Who said close_notify but never ends TCP is let go of all the same.
#[test]
fn a_half_that_stays_open_is_not_waited_for() {
    let scene = Scene::begin(&["--close-timeout", "300ms"]);
    let mut seated = scene.seated(VERSIONS[0]);
    seated.close_notify();
    assert_eq!(seated.end(), End::Told);
    seated.expect_gone();
    scene.end(&[("peer_gone", 1)]);
}

#[test]
fn a_fin_without_close_notify_is_a_cut() {
    let mut scene = Scene::begin(&[]);
    for versions in VERSIONS {
        // After the handshake, in the room, and inside a record.
        let mut stranger = scene.stranger(versions);
        stranger.shake_hands();
        let seated = scene.seated(versions);
        let mut inside = scene.seated(versions);
        let sealed = inside.seal(&frame(FIN | BINARY, &[7; 200]));
        inside.send(&sealed[..100]);
        for mut cut in [stranger, seated, inside] {
            cut.finish_writing();
            assert_eq!(cut.end(), End::Cut);
        }
        scene.calm();
    }
    scene.end(&[("tls_truncated", 6)]);
}

/// There was no session yet that could have been cut.
#[test]
fn a_fin_before_the_end_of_the_handshake_is_a_peer_that_left() {
    let mut scene = Scene::begin(&["--handshake-timeout", "1h"]);
    for versions in VERSIONS {
        for part in [0, 3, 100, usize::MAX] {
            let mut stranger = scene.stranger(versions);
            let hello = stranger.records();
            stranger.send(&hello[..part.min(hello.len())]);
            if part > hello.len() {
                assert_eq!(stranger.hear(&mut Vec::new()), None, "a ServerHello");
            }
            stranger.finish_writing();
            assert_eq!(stranger.end(), End::Cut);
        }
        scene.calm();
    }
    scene.end(&[("peer_gone", 8)]);
}

#[test]
fn a_reset_at_any_moment_is_a_connection_lost() {
    let mut scene = Scene::begin(&["--handshake-timeout", "1h"]);
    for versions in VERSIONS {
        for part in [1, 100, usize::MAX] {
            let mut stranger = scene.stranger(versions);
            let hello = stranger.records();
            stranger.send(&hello[..part.min(hello.len())]);
            stranger.reset();
        }
        let mut halfway = scene.stranger(versions);
        let hello = halfway.records();
        halfway.send(&hello);
        assert_eq!(halfway.hear(&mut Vec::new()), None, "a ServerHello");
        halfway.reset();
        let mut inside = scene.seated(versions);
        let sealed = inside.seal(&frame(FIN | BINARY, &[7; 200]));
        inside.send(&sealed[..100]);
        inside.reset();
        scene.calm();
    }
    scene.end(&[("connection_lost", 10)]);
}
