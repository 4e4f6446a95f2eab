//! Requests whose connection is at another reactor than their session.

use roomcast::limits::{
    Limits, POLL_BYTES, REMOTE_ANSWERS, SESSION_CONNECTIONS, SESSION_ENDED_MS, UP_VERDICT_MS,
};
use roomcast::planted::{Fault, plant};
use roomcast_protocol::frame::Opcode;

use crate::homes::room_of;
use crate::sessions::{agree, answers, ask, open, request};
use crate::stage::{Stage, frame, text};

/// As behind a proxy that mixes people: nothing of one request is left for the next.
#[test]
fn a_connection_stays_whoever_asks_on_it() {
    let mut stage = Stage::with_reactors(Limits::default(), 3);
    let wire = stage.connect();
    let mut players = Vec::new();
    for reactor in [2, 0, 1] {
        let room = room_of(&stage, reactor);
        let other = stage.join(&room);
        let (statuses, body) = ask(&mut stage, wire, "POST", &format!("{room}/http"));
        assert_eq!(statuses, [200]);
        let body = String::from_utf8(body).expect("text");
        let id = body.split('"').nth(3).expect("an id");
        players.push((other, format!("{room}/http/{id}")));
    }
    assert_eq!(stage.common.seated(), 6);
    for (other, at) in &players {
        let up = request("POST", &format!("{at}/up?seq=0"), b"\x81\x02hi");
        for _ in 0..2 {
            stage.send(wire, &up);
            assert_eq!(answers(&mut stage, wire), (vec![204], vec![]), "{at}");
        }
        assert_eq!(stage.heard(*other), "text hi");
        let poll = format!("{at}/poll?ack=0");
        assert!(ask(&mut stage, wire, "GET", &poll).0.is_empty());
        stage.send(*other, &text("hello"));
        let told = (vec![200], b"\x81\x05hello".to_vec());
        assert_eq!(answers(&mut stage, wire), told);
        assert_eq!(ask(&mut stage, wire, "GET", &poll), told, "it was lost");
        assert_eq!(
            ask(&mut stage, wire, "GET", &format!("{at}/poll?ack=9")).0,
            [409]
        );
        agree(&stage);
    }
    for (_, at) in &players {
        assert_eq!(stage.place(wire).map(|at| at.0), Some(0));
        assert_eq!(
            ask(&mut stage, wire, "POST", &format!("{at}/close")).0,
            [204]
        );
    }
    assert_eq!(stage.common.seated(), 3);
    agree(&stage);
}

/// Who is gone gets no answer, and neither does who asks next on the same connection: what it was told comes again.
#[test]
fn an_answer_that_is_late_is_nobodys() {
    let mut stage = Stage::with_reactors(Limits::default(), 2);
    let room = room_of(&stage, 1);
    let other = stage.join(&room);
    let (wire, at) = open(&mut stage, &room);
    let poll = format!("{at}/poll?ack=0");
    assert!(ask(&mut stage, wire, "GET", &poll).0.is_empty());
    stage.hang_up(wire);
    stage.send(other, &text("hello"));
    stage.pass(100);
    agree(&stage);
    let again = stage.connect();
    let told = (vec![200], b"\x81\x05hello".to_vec());
    assert_eq!(ask(&mut stage, again, "GET", &poll), told);
    stage.pass(u64::from(UP_VERDICT_MS));
    agree(&stage);
}

/// Many answers, of which two are all that may be on the way for each sixteenth part of them.
fn polls_answered() -> usize {
    let mut stage = Stage::with_reactors(Limits::default(), 2);
    let room = room_of(&stage, 1);
    let other = stage.join(&room);
    let (wire, at) = open(&mut stage, &room);
    let message = frame(Opcode::Binary, &[7; 16_000]);
    for _ in 0..5 {
        stage.send(other, &message);
    }
    let times = 2 * REMOTE_ANSWERS / POLL_BYTES;
    let poll = format!("{at}/poll?ack=0");
    let answered = (0..times).take_while(|_| ask(&mut stage, wire, "GET", &poll).0 == [200]);
    let answered = answered.count();
    agree(&stage);
    if answered < times {
        assert!(answered * POLL_BYTES >= REMOTE_ANSWERS);
    }
    answered * POLL_BYTES
}

/// What was taken makes room for more. Were that not said, answers would wait for ever, and this would find it.
#[test]
fn answers_have_credit_and_a_lost_one_is_found() {
    assert_eq!(polls_answered(), 2 * REMOTE_ANSWERS);
    plant(Some(Fault::LostCredit));
    let answered = polls_answered();
    plant(None);
    assert!(answered < 2 * REMOTE_ANSWERS, "{answered}");
}

/// Whose session has a seat may have a few connections that carry it, be it at home elsewhere, until it is gone.
#[test]
fn what_carries_a_session_counts_as_that_wherever_it_is_at_home() {
    for reactor in [0, 1] {
        let mut limits = Limits::default();
        limits.per_source.unseated = 2;
        let mut stage = Stage::with_reactors(limits, 2);
        stage.caller = Some("192.0.2.9".parse().expect("an address"));
        let room = room_of(&stage, reactor);
        let (first, at) = open(&mut stage, &room);
        let conflict = format!("{at}/poll?ack=9");
        let carrying: Vec<_> = (1..SESSION_CONNECTIONS)
            .map(|_| {
                let wire = stage.connect();
                assert_eq!(ask(&mut stage, wire, "GET", &conflict).0, [409]);
                wire
            })
            .collect();
        let more = [(); 3].map(|()| stage.connect());
        assert_eq!(more.map(|wire| stage.is_there(wire)), [true, true, false]);
        more.into_iter().for_each(|wire| stage.hang_up(wire));
        let wire = stage.connect();
        assert!(stage.is_there(wire), "there is room");
        let close = format!("{at}/close");
        assert_eq!(ask(&mut stage, first, "POST", &close).0, [204]);
        stage.pass(u64::from(SESSION_ENDED_MS) - 10_000);
        for &wire in &carrying {
            assert_eq!(
                ask(&mut stage, wire, "GET", &conflict).0,
                [409],
                "it is remembered"
            );
        }
        stage.pass(11_000);
        assert!(carrying.iter().all(|&wire| stage.is_there(wire)));
        let wire = stage.connect();
        assert!(!stage.is_there(wire), "those who carried it count again");
        agree(&stage);
    }
}
