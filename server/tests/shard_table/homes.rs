//! Hand-offs: a connection is seated by the reactor that is home to its room.

use roomcast::limits::Limits;
use roomcast_protocol::frame::Opcode;

use crate::stage::{Stage, frame, text};

/// A room that is at home on that reactor.
pub(crate) fn room_of(stage: &Stage, reactor: usize) -> String {
    let name = |number| format!("room-{number}");
    let mut names = (0..1_000)
        .map(name)
        .filter(|name| stage.common.home(name) == reactor);
    format!("/rooms/{}", names.next().expect("some name has that home"))
}

#[test]
fn a_connection_goes_home_with_everything_it_has() {
    let mut stage = Stage::with_reactors(Limits::default(), 2);
    let path = room_of(&stage, 1);
    let first = stage.join(&path);
    assert_eq!(stage.place(first).map(|at| at.0), Some(1));
    let wire = stage.connect();
    let mut bytes = stage.request(&path);
    bytes.extend(text("unread when it left"));
    bytes.extend(&text("cut in the middle")[..7]);
    stage.arrive(wire, &bytes);
    assert!(stage.turn(), "the mail is under way");
    assert_eq!(
        stage.common.seated(),
        2,
        "the seat is taken before it leaves"
    );
    stage.settle();
    assert_eq!(stage.heard(wire), "101");
    assert_eq!(stage.heard(first), "text unread when it left");
    stage.send(wire, &text("cut in the middle")[7..]);
    assert_eq!(stage.heard(first), "text cut in the middle");
    stage.send(first, &text("welcome"));
    assert_eq!(stage.heard(wire), "text welcome");
    let counters = stage.reactors[1].shard().counters();
    assert_eq!((counters.accepted, counters.adopted), (0, 2));
    stage.close();
}

/// Bytes that arrive, and an end, while nobody has the socket.
#[test]
fn what_comes_on_the_way_is_not_lost() {
    let mut stage = Stage::with_reactors(Limits::default(), 2);
    let path = room_of(&stage, 1);
    let other = stage.join(&path);
    let wire = stage.connect();
    stage.arrive(wire, &stage.request(&path));
    stage.turn();
    stage.arrive(wire, &text("on the way"));
    stage.hang_up(wire);
    assert_eq!(stage.heard(other), "text on the way");
    assert_eq!(stage.ends(), "peer_gone");
    assert!(!stage.is_there(wire));
    stage.close();
}

#[test]
fn a_full_mailbox_is_answered_503() {
    let mut stage = Stage::with_reactors(Limits::default(), 2);
    let path = room_of(&stage, 1);
    stage.net().weather.mailbox = 0;
    let wire = stage.connect();
    let mut bytes = stage.request(&path);
    bytes.extend(text("unheard"));
    stage.send(wire, &bytes);
    assert_eq!(stage.heard(wire), "503, end");
    assert_eq!(
        (stage.ends().as_str(), stage.common.seated()),
        ("overloaded", 0)
    );
    assert_eq!(stage.place(wire).map(|at| at.0), Some(0), "it came back");
    stage.hang_up(wire);
    assert!(!stage.is_there(wire));
    // The rooms of the reactor it is on go on.
    let here = room_of(&stage, 0);
    stage.join(&here);
    stage.close();
}

#[test]
fn a_full_room_is_found_at_home() {
    let limits = Limits {
        max_room_members: 1,
        ..Limits::default()
    };
    let mut stage = Stage::with_reactors(limits, 2);
    let path = room_of(&stage, 1);
    stage.join(&path);
    let wire = stage.connect();
    stage.send(wire, &stage.request(&path));
    assert_eq!(stage.heard(wire), "101, close 4000");
    assert_eq!(
        (stage.ends().as_str(), stage.common.seated()),
        ("room_full", 1)
    );
    stage.close();
}

#[test]
fn who_arrives_at_a_home_that_drains_is_sent_away() {
    let mut stage = Stage::with_reactors(Limits::default(), 2);
    let path = room_of(&stage, 1);
    let wire = stage.connect();
    stage.arrive(wire, &stage.request(&path));
    stage.turn();
    stage.drain(1_000);
    assert_eq!(stage.heard(wire), "503, end");
    assert_eq!((stage.ends().as_str(), stage.common.seated()), ("drain", 0));
    stage.close();
}

/// A handshake that never ends leaves nothing behind on either side.
#[test]
fn a_slot_that_was_left_is_used_again() {
    let mut stage = Stage::with_reactors(Limits::default(), 2);
    let away = room_of(&stage, 1);
    let here = room_of(&stage, 0);
    for _ in 0..20 {
        let gone = stage.join(&away);
        let stays = stage.join(&here);
        assert_eq!(stage.place(stays).map(|at| at.0), Some(0));
        stage.send(gone, &frame(Opcode::Ping, b"a"));
        stage.send(stays, &frame(Opcode::Ping, b"b"));
        assert_eq!(
            (stage.heard(gone).as_str(), stage.heard(stays).as_str()),
            ("pong a", "pong b")
        );
    }
    stage.close();
}
