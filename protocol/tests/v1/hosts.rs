//! The client machine and hosts: what it is told, and what it names when it comes back.

use roomcast_protocol::v1::client::{Next, Violation};
use roomcast_protocol::v1::down::{Packet, left};
use roomcast_protocol::v1::up::{self, Act, Audience, Join};
use roomcast_protocol::v1::{Payload, write_varint};
use serde_json::json;

use crate::packets::{LIFE, TOKEN, id, name};
use crate::relay::ada;
use crate::session::{Script, back, bundle, encoded, event, welcome};
use crate::vectors::committed;

fn host(term: u64, player: u32) -> Packet<'static> {
    Packet::Host {
        term,
        id: Some(id(player)),
        given: true,
    }
}

fn snapshot(seq: u64) -> Packet<'static> {
    Packet::Snapshot {
        seq,
        state: b"chess",
        cut: false,
    }
}

fn join(cursor: Option<u64>) -> Vec<u8> {
    let join = Join {
        back: back(cursor),
        ..ada()
    };
    encoded(&[up::Packet::Join(join)])
}

fn succeeds() -> Script {
    let mut script = Script::live();
    let gone = Packet::Left {
        id: id(1),
        reason: left::GRACE_OVER,
    };
    let told = script.receive(&bundle(2, &[gone, host(2, 2)]));
    assert_eq!(told.len(), 2);
    assert_eq!(script.client.cursor(), None, "the snapshot is to come");
    let told = script.receive(&bundle(0, &[snapshot(4), event(1, b"e4")]));
    assert_eq!(
        told,
        [
            json!({ "packet": "SNAPSHOT", "seq": 4, "state": "6368657373", "cut": false }),
            json!({ "tail": { "packet": "EVENT", "author": 1, "payload": { "hex": "6534" },
                "host": false, "addressed": false } }),
        ]
    );
    let told = script.receive(&bundle(0, &[gone, host(2, 2), Packet::Ready]));
    assert_eq!(told[2], json!({ "packet": "READY" }));
    assert_eq!(script.client.cursor().map(|cursor| cursor.seq), Some(7));
    let text = Payload::Text("e5");
    let said = script.client.event_as_host(2, Audience::All, text, false);
    assert_eq!(said, Ok(0));
    script.steps.push(json!({
        "send": { "packet": "EVENT_ALL", "term": 2, "payload": { "text": "e5" }, "droppable": false },
        "number": 0,
    }));
    script.transmits();
    let told = script.receive(&bundle(
        1,
        &[
            Packet::SnapshotWanted { term: 2 },
            Packet::Locked(true),
            Packet::Host {
                term: 3,
                id: None,
                given: false,
            },
        ],
    ));
    assert_eq!(told.len(), 3);
    assert_eq!(script.client.cursor().map(|cursor| cursor.seq), Some(8));
    script
}

/// Who was promised a snapshot and has not all of it names no cursor: what it knows is no whole.
fn loses_the_snapshot() -> Script {
    let mut script = Script::live();
    script.receive(&bundle(1, &[host(2, 2)]));
    assert_eq!(script.closed(None), Some(Next::Resume));
    script.open();
    assert_eq!(script.transmits(), [join(None)]);
    script.receive(&bundle(
        0,
        &[
            Packet::Welcome(welcome()),
            Packet::Player {
                id: id(2),
                name: name("Ada"),
                away: false,
            },
            host(2, 2),
            snapshot(3),
        ],
    ));
    // Nor does who has lost a part of its tail.
    assert_eq!(script.closed(None), Some(Next::Resume));
    script.open();
    assert_eq!(script.transmits(), [join(None)]);
    script.receive(&bundle(
        0,
        &[
            Packet::Welcome(welcome()),
            host(2, 2),
            snapshot(3),
            event(1, b"x"),
            Packet::Ready,
        ],
    ));
    assert_eq!(script.closed(None), Some(Next::Resume));
    script.open();
    assert_eq!(script.transmits(), [join(Some(5))]);
    script
}

#[test]
fn vectors_of_hosts() {
    let vectors = [
        succeeds().vector("is the host, given a snapshot and its tail"),
        loses_the_snapshot().vector("is the host, and loses the snapshot on its way"),
    ];
    committed("hosts.json", &vectors);
}

/// Who is promised a snapshot and is no longer the host before it has come gets none.
#[test]
fn a_promise_ends_with_the_role() {
    let mut script = Script::live();
    script.receive(&bundle(1, &[host(2, 2)]));
    script.receive(&bundle(1, &[host(3, 1)]));
    assert_eq!(script.client.cursor().map(|cursor| cursor.seq), Some(7));
    let unasked = script.try_receive(&bundle(0, &[snapshot(4)]));
    assert_eq!(unasked, Err(Violation::OutOfPlace("SNAPSHOT")));
}

#[test]
fn a_tail_has_only_what_was_said() {
    for (wrong, violation) in [
        (
            Packet::Resumed {
                applied: 0,
                time: 0,
            },
            "RESUMED",
        ),
        (snapshot(4), "SNAPSHOT"),
        (Packet::RemovedAll, "REMOVED_ALL"),
    ] {
        let mut script = Script::live();
        script.receive(&bundle(1, &[host(2, 2)]));
        script.receive(&bundle(0, &[snapshot(4)]));
        let end = script.try_receive(&bundle(0, &[wrong]));
        assert_eq!(end, Err(Violation::OutOfPlace(violation)));
    }
    let mut script = Script::live();
    script.receive(&bundle(1, &[host(2, 2)]));
    let covering = script.try_receive(&bundle(1, &[snapshot(4), Packet::Ready]));
    assert_eq!(covering, Err(Violation::Covered(1)));
    let mut script = Script::live();
    let ready = script.try_receive(&bundle(0, &[Packet::Ready]));
    assert_eq!(ready, Err(Violation::OutOfPlace("READY")));
}

/// What somebody said as the host of one life is nobody's word in the next.
#[test]
fn what_was_said_as_host_is_not_said_again_in_another_life() {
    let mut script = Script::live();
    let client = &mut script.client;
    let text = Payload::Text;
    client.state(1, false, text("hers")).expect("it fits");
    client
        .state_as_host(1, 2, false, text("the host's"))
        .expect("it fits");
    client.delete_as_host(1, 3, true).expect("it fits");
    client.act(1, Act::Lock(true)).expect("it fits");
    client.willing(true, false).expect("it fits");
    let sent = script.transmits().concat();
    let names: Vec<&str> = up::decode(&sent)
        .expect("packets")
        .map(|packet| packet.expect("a packet").name())
        .collect();
    assert_eq!(names, ["LOCK", "WILLING", "STATE", "STATE", "DELETE"]);
    script.closed(None);
    script.open();
    script.transmits();
    let other = roomcast_protocol::v1::down::Welcome {
        id: id(9),
        ..welcome()
    };
    let mut message = Vec::new();
    write_varint(&mut message, 0);
    for packet in [
        Packet::Reset { reason: 3 },
        Packet::Welcome(other),
        Packet::Ready,
    ] {
        packet.encode(&mut message);
    }
    script.receive(&message);
    assert_eq!((other.life, other.token), (LIFE, TOKEN));
    let sent = script.transmits().concat();
    let again: Vec<up::Packet<'_>> = up::decode(&sent)
        .expect("packets")
        .map(|packet| packet.expect("a packet"))
        .filter(|packet| !matches!(packet, up::Packet::Ping { .. }))
        .collect();
    assert_eq!(
        again,
        [up::Packet::State {
            term: None,
            key: 1,
            room: false,
            payload: text("hers"),
        }]
    );
}
