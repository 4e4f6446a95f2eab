//! What a host may do to its room: put players out, lock it, close it, and ask for everybody's round-trip time.

use roomcast::limits::Limits;
use roomcast_protocol::close::CloseCode;
use roomcast_protocol::v1::client::Next;
use roomcast_protocol::v1::up::{Act, Back};
use roomcast_protocol::v1::{PairValue, Pairs, power, setting};

use crate::hosts::{act, come, id, knowing, three};
use crate::stage::{Actor, Stage, join};

fn closed(stage: &mut Stage, actor: &Actor) -> u16 {
    stage.settle();
    stage.messages(actor.wire);
    let closed = stage.wires[actor.wire].closed.as_ref();
    closed.expect("it was closed").0
}

#[test]
fn who_is_put_out_is_gone_and_its_seat_is_barred() {
    let (mut stage, [mut bob, mut ada, mut cy]) = three(Limits::default());
    // Two in one message, one of whom twice; and one who is away.
    cy.lose(&mut stage);
    stage.settle();
    for player in [2, 3, 2] {
        act(&mut bob, 1, Act::Kick(id(player)));
    }
    let heard = ["away 3", "left 2 2", "left 3 2", "refused 2 2"];
    assert_eq!(bob.news(&mut stage), heard);
    assert_eq!(closed(&mut stage, &ada), 4001);
    let token = ada.client.token().expect("a token");
    stage.finish(ada.wire);
    assert_eq!((stage.common.seated(), stage.common.away()), (1, 0));
    assert_eq!(ada.closed(4001), Some(Next::Stop));
    // The seat is barred, with a cursor or without one. Somebody new is somebody else.
    let again = roomcast_protocol::v1::up::Join {
        back: Some(Back {
            token,
            cursor: None,
        }),
        ..join("Ada")
    };
    let mut again = Actor::new(&mut stage, "lobby", &again);
    again.write(&mut stage);
    assert_eq!(closed(&mut stage, &again), 4010);
    let mut dan = come(&mut stage, "Ada");
    assert_eq!(dan.news(&mut stage)[0], "welcome 4");
    // Nobody puts itself out, nor does who is not the host.
    act(&mut bob, 1, Act::Kick(id(1)));
    act(&mut dan, 1, Act::Kick(id(1)));
    assert_eq!(dan.news(&mut stage), ["refused 0 6"]);
    assert_eq!(bob.news(&mut stage), ["joined 4 Ada", "refused 3 3"]);
}

#[test]
fn a_room_that_is_locked_lets_nobody_new_in() {
    let (mut stage, [mut bob, mut ada, mut cy]) = three(Limits::default());
    act(&mut bob, 1, Act::Lock(true));
    act(&mut bob, 1, Act::Lock(true));
    bob.play(&mut stage);
    assert_eq!(ada.news(&mut stage), ["locked"], "told once");
    let mut dan = Actor::new(&mut stage, "lobby", &knowing("Dan", Pairs::EMPTY));
    dan.write(&mut stage);
    assert_eq!(closed(&mut stage, &dan), 4007);
    // Who was here comes back, and is told in a welcome.
    cy.lose(&mut stage);
    stage.settle();
    cy.reopen(&mut stage);
    assert_eq!(cy.news(&mut stage), ["resumed", "locked"]);
    let again = roomcast_protocol::v1::up::Join {
        back: Some(Back {
            token: cy.client.token().expect("a token"),
            cursor: None,
        }),
        ..knowing("Cy", Pairs::EMPTY)
    };
    let mut again = Actor::join_as(&mut stage, "lobby", &again);
    let welcome = again.news(&mut stage);
    assert_eq!(welcome.last().map(String::as_str), Some("locked"));
    act(&mut bob, 1, Act::Lock(false));
    bob.play(&mut stage);
    assert_eq!(
        ada.news(&mut stage).last().map(String::as_str),
        Some("unlocked")
    );
    come(&mut stage, "Dan");
}

#[test]
fn raw_players_are_kept_out_and_put_out_too() {
    let mut buffer = Vec::new();
    let wishes = [(setting::RAW, PairValue::Number(1))];
    let wishes = Pairs::encode(wishes, &mut buffer).expect("wishes");
    let mut stage = Stage::new(Limits::default());
    let mut bob = Actor::join_as(&mut stage, "lobby", &knowing("Bob", wishes));
    let raw = stage.connect("/rooms/lobby", None);
    bob.news(&mut stage);
    act(&mut bob, 1, Act::Lock(true));
    act(&mut bob, 1, Act::Kick(id(2)));
    assert_eq!(bob.news(&mut stage), ["locked", "left 2 2"]);
    let late = stage.connect("/rooms/lobby", None);
    for (wire, code) in [(raw, 4001), (late, 4007)] {
        stage.settle();
        stage.messages(wire);
        assert_eq!(stage.wires[wire].closed.as_ref().expect("closed").0, code);
    }
}

#[test]
fn the_host_closes_the_room() {
    let (mut stage, [mut bob, mut ada, mut cy]) = three(Limits::default());
    cy.lose(&mut stage);
    stage.settle();
    act(&mut ada, 1, Act::Close);
    act(&mut bob, 1, Act::Close);
    // What comes behind it means nothing any more.
    act(&mut bob, 1, Act::Lock(true));
    assert_eq!(
        ada.news(&mut stage),
        ["away 3", "refused 0 6"],
        "she is not the host"
    );
    bob.write(&mut stage);
    assert_eq!(closed(&mut stage, &bob), 4003);
    assert_eq!(closed(&mut stage, &ada), 4003);
    for actor in [&bob, &ada] {
        stage.finish(actor.wire);
    }
    stage.assert_empty();
    // Who was away finds another life.
    cy.reopen(&mut stage);
    let heard = cy.news(&mut stage);
    assert_eq!(heard[..2], ["reset 3", "welcome 1 created"]);
}

#[test]
fn powers_are_what_the_creator_wished_for() {
    for (powers, refused) in [
        (0, &["refused 0 3", "refused 1 3", "refused 2 3"][..]),
        (power::LOCK, &["refused 0 3", "refused 2 3"][..]),
        (power::KICK, &["refused 1 3", "refused 2 3"][..]),
    ] {
        let mut buffer = Vec::new();
        let wishes = [(setting::POWERS, PairValue::Number(powers))];
        let wishes = Pairs::encode(wishes, &mut buffer).expect("wishes");
        let mut stage = Stage::new(Limits::default());
        let mut bob = Actor::join_as(&mut stage, "lobby", &knowing("Bob", wishes));
        let _ada = come(&mut stage, "Ada");
        bob.news(&mut stage);
        act(&mut bob, 1, Act::Kick(id(2)));
        act(&mut bob, 1, Act::Lock(true));
        act(&mut bob, 1, Act::Close);
        let heard = bob.news(&mut stage);
        let heard: Vec<&str> = heard.iter().map(String::as_str).collect();
        let of_refusals = heard.iter().filter(|line| line.starts_with("refused"));
        assert_eq!(of_refusals.copied().collect::<Vec<_>>(), refused);
    }
}

#[test]
fn the_host_is_told_everybodys_round_trip_time() {
    let (mut stage, [mut bob, mut ada, cy]) = three(Limits::default());
    // The first question begins it.
    act(&mut bob, 1, Act::Trips);
    assert_eq!(bob.news(&mut stage), ["trips"]);
    for (actor, trip) in [(&ada, 20_000), (&cy, u64::from(u32::MAX) + 9)] {
        let mut ping = Vec::new();
        let packet = roomcast_protocol::v1::up::Packet::Ping {
            echo: 1,
            trip,
            ticks: false,
        };
        packet.encode(&mut ping);
        stage.send(actor.wire, roomcast_protocol::frame::Opcode::Binary, &ping);
    }
    stage.settle();
    act(&mut bob, 1, Act::Trips);
    assert_eq!(bob.news(&mut stage), ["trips 2=20000 3=4294967295"]);
    stage.close(cy.wire, CloseCode::NORMAL);
    act(&mut ada, 1, Act::Trips);
    act(&mut bob, 1, Act::Trips);
    let mut heard = bob.news(&mut stage);
    heard.sort();
    assert_eq!(heard, ["left 3 0", "trips 2=20000"]);
    let heard = ada.news(&mut stage);
    assert!(heard.contains(&"refused 0 6".to_owned()), "{heard:?}");
}
