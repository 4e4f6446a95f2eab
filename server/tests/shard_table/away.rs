//! Players who lose their connection and come back on another one. They speak the dialect of the tests: in a raw room
//! nobody can come back, and a program has no other dialect yet.

use roomcast::limits::{FANOUT_BUDGET, Limits};
use roomcast_protocol::frame::{Decoder, Item, Opcode, Role, Rules};
use roomcast_protocol::upgrade::{ClientKey, write_client_request};

use crate::net::WireId;
use crate::stage::{Stage, WIDE, frame, text};

/// How long a seat is kept, and a tick.
const GRACE_MS: u64 = 10_000 + 32;

/// A player of the test dialect.
struct Guest {
    wire: WireId,
    decoder: Option<Decoder>,
    /// Which player it is, as it was told.
    number: Option<u32>,
    /// What it was told in the same breath.
    missed: Vec<String>,
}

impl Guest {
    fn join(stage: &mut Stage, room: &str) -> Self {
        Self::connect(stage, room, WIDE, None)
    }

    /// Comes back on a new connection.
    fn again(stage: &mut Stage, room: &str, before: &Self) -> Self {
        Self::connect(stage, room, WIDE, before.number)
    }

    fn connect(stage: &mut Stage, room: &str, capacity: usize, number: Option<u32>) -> Self {
        let wire = stage.connect_to(0, capacity);
        let player = number.map(|number| format!("roomcast.test.player-{number}"));
        let returns = player
            .iter()
            .map(|player| ("Sec-WebSocket-Protocol", player.as_str()));
        let returns: Vec<(&str, &str)> = returns.collect();
        let mut request = Vec::new();
        let key = ClientKey::from_bytes([7; 16]);
        let dialect = Some("roomcast.test");
        write_client_request(&mut request, "relay", room, &key, dialect, &returns);
        stage.send(wire, &request);
        let mut guest = Self {
            wire,
            decoder: None,
            number: None,
            missed: Vec::new(),
        };
        guest.missed = guest.read(stage);
        assert!(guest.number.is_some(), "it was welcomed");
        guest
    }

    /// What it was told by whom since the last time: `1: hi`, or `1: 600 bytes of 7`.
    fn hear(&mut self, stage: &mut Stage) -> Vec<String> {
        let mut heard = std::mem::take(&mut self.missed);
        heard.extend(self.read(stage));
        heard
    }

    fn read(&mut self, stage: &mut Stage) -> Vec<String> {
        let mut bytes = stage.net().wires[self.wire].take(usize::MAX);
        let decoder = self.decoder.get_or_insert_with(|| {
            let answer = String::from_utf8_lossy(&bytes);
            let end = answer.find("\r\n\r\n").expect("an answer") + 4;
            assert!(
                answer.contains("Sec-WebSocket-Protocol: roomcast.test\r\n"),
                "{answer}"
            );
            bytes.drain(..end);
            Decoder::default()
        });
        let rules = Rules {
            role: Role::Client,
            max_message: 1 << 20,
        };
        let mut input = &mut bytes[..];
        let mut heard = Vec::new();
        while let Some(item) = decoder.next(&rules, &mut input).expect("frames are sound") {
            let Item::Message { payload, .. } = item else {
                continue;
            };
            let (number, said) = payload.split_first_chunk().expect("a number");
            let number = u32::from_be_bytes(*number);
            if self.number.is_none() {
                self.number = Some(number);
                assert!(said.is_empty(), "the welcome");
            } else if said.len() > 100 {
                heard.push(format!("{number}: {} bytes of {}", said.len(), said[0]));
            } else {
                heard.push(format!("{number}: {}", String::from_utf8_lossy(said)));
            }
        }
        heard
    }

    /// Loses its connection.
    fn lose(&self, stage: &mut Stage) {
        stage.net().wires[self.wire].send_reset();
        stage.settle();
    }
}

/// Everyone goes, and nobody comes back.
fn close(mut stage: Stage) {
    for wire in &mut stage.net().wires {
        wire.send_reset();
    }
    stage.settle();
    stage.pass(GRACE_MS);
    stage.close();
}

#[test]
fn both_dialects_hear_the_same_messages() {
    let mut stage = Stage::new(Limits::default());
    let raw = stage.join("/rooms/r");
    let mut guest = Guest::join(&mut stage, "/rooms/r");
    stage.arrive(raw, &text("as it is"));
    stage.send(guest.wire, &text("with a name"));
    assert_eq!(guest.hear(&mut stage), ["0: as it is"]);
    assert_eq!(stage.heard(raw), "text with a name");
    close(stage);
}

#[test]
fn who_comes_back_has_its_seat_and_hears_what_it_missed() {
    let mut stage = Stage::new(Limits::default());
    let raw = stage.join("/rooms/r");
    let mut guest = Guest::join(&mut stage, "/rooms/r");
    stage.send(raw, &text("before"));
    assert_eq!(guest.hear(&mut stage), ["0: before"]);
    guest.lose(&mut stage);
    assert!(!stage.is_there(guest.wire));
    assert_eq!(stage.ends(), "connection_lost");
    assert_eq!(stage.common.seated(), 2, "its seat is kept");
    for said in ["one", "two"] {
        stage.send(raw, &text(said));
        stage.pass(1_000);
    }
    let mut again = Guest::again(&mut stage, "/rooms/r", &guest);
    assert_eq!(again.hear(&mut stage), ["0: one", "0: two"]);
    assert_eq!(stage.common.seated(), 2, "it is the same player");
    stage.arrive(raw, &text("three"));
    stage.send(again.wire, &text("I am back"));
    assert_eq!(again.hear(&mut stage), ["0: three"]);
    assert_eq!(stage.heard(raw), "text I am back");
    stage.pass(GRACE_MS);
    assert!(stage.is_there(again.wire), "nobody waits for it any longer");
    close(stage);
}

#[test]
fn who_does_not_come_back_in_time_has_left() {
    let mut stage = Stage::new(Limits::default());
    let raw = stage.join("/rooms/r");
    let guest = Guest::join(&mut stage, "/rooms/r");
    guest.lose(&mut stage);
    stage.pass(GRACE_MS / 2);
    assert_eq!(stage.common.seated(), 2);
    stage.pass(GRACE_MS / 2);
    assert_eq!(stage.common.seated(), 1);
    // Too late it is somebody else.
    let other = Guest::again(&mut stage, "/rooms/r", &guest);
    assert_eq!(stage.common.seated(), 2);
    stage.hang_up(raw);
    stage.hang_up(other.wire);
    stage.pass(GRACE_MS);
    assert_eq!(stage.reactors[0].shard().rooms(), 0);
    close(stage);
}

/// A room of which everybody is away is kept, and so is what was said in it.
#[test]
fn a_number_counts_in_its_room_only_and_only_while_its_player_is_away() {
    let mut stage = Stage::new(Limits::default());
    let mut guest = Guest::join(&mut stage, "/rooms/r");
    let thief = Guest::again(&mut stage, "/rooms/r", &guest);
    assert_ne!(thief.number, guest.number, "it is here");
    guest.lose(&mut stage);
    let elsewhere = Guest::again(&mut stage, "/rooms/other", &guest);
    assert_ne!(elsewhere.number, guest.number);
    let again = Guest::again(&mut stage, "/rooms/r", &guest);
    assert_eq!(again.number, guest.number);
    assert_eq!(guest.hear(&mut stage), [] as [String; 0]);
    close(stage);
}

/// Of the frame that had begun to leave the rest went with the connection; all behind it comes, whole.
#[test]
fn what_had_begun_to_leave_ends_with_its_connection() {
    let mut stage = Stage::new(Limits::default());
    let raw = stage.join("/rooms/r");
    let mut guest = Guest::join(&mut stage, "/rooms/r");
    stage.net().wires[guest.wire].resize(1_500);
    for said in 0..20 {
        stage.send(raw, &frame(Opcode::Binary, &[said; 600]));
    }
    assert_eq!(
        guest.hear(&mut stage),
        ["0: 600 bytes of 0", "0: 600 bytes of 1"]
    );
    guest.lose(&mut stage);
    for said in 20..25 {
        stage.send(raw, &frame(Opcode::Binary, &[said; 600]));
    }
    // The third had left in part when the socket was full, and then the next ones as there was space.
    let mut again = Guest::again(&mut stage, "/rooms/r", &guest);
    let heard = again.hear(&mut stage);
    let first: u8 = 25 - heard.len() as u8;
    assert!((3..8).contains(&first), "{heard:?}");
    let expected: Vec<String> = (first..25)
        .map(|said| format!("0: 600 bytes of {said}"))
        .collect();
    assert_eq!(heard, expected);
    close(stage);
}

#[test]
fn who_is_away_holds_no_more_than_who_is_slow() {
    let limits = Limits {
        outbox_bytes_max: 64 * 1024,
        ..Limits::default()
    };
    let mut stage = Stage::new(limits);
    let raw = stage.join("/rooms/r");
    let guest = Guest::join(&mut stage, "/rooms/r");
    guest.lose(&mut stage);
    let mut said = 0;
    while stage.common.seated() == 2 {
        stage.send(raw, &frame(Opcode::Binary, &[7; 1_000]));
        said += 1;
        assert!(said < 100, "it holds {said} KB");
    }
    assert!(said > 50, "{said}");
    assert_eq!(stage.reactors[0].shard().counters().pinned, 0);
    close(stage);
}

/// Who is away when its turn comes in a fan-out is no vacant seat, and moves nobody.
#[test]
fn a_fanout_goes_on_to_who_is_away() {
    let mut stage = Stage::new(Limits::default());
    let speaker = stage.join("/rooms/r");
    let mut guests: Vec<Guest> = (0..600)
        .map(|_| Guest::join(&mut stage, "/rooms/r"))
        .collect();
    stage.arrive(speaker, &text("to all"));
    stage.turn();
    assert!(
        stage.reactors[0].shard().has_work(),
        "its fan-out is running"
    );
    let mut lost = Vec::new();
    for mut guest in guests.drain(..FANOUT_BUDGET as usize + 100) {
        let served = guest.hear(&mut stage);
        stage.net().wires[guest.wire].send_reset();
        lost.push((guest, served));
    }
    stage.settle();
    for guest in &mut guests {
        assert_eq!(guest.hear(&mut stage), ["0: to all"]);
    }
    stage.send(speaker, &text("and then"));
    for (guest, mut heard) in lost {
        heard.extend(Guest::again(&mut stage, "/rooms/r", &guest).hear(&mut stage));
        assert_eq!(heard, ["0: to all", "0: and then"]);
    }
    close(stage);
}

/// A close frame is a goodbye, and so is a drain.
#[test]
fn who_says_goodbye_is_gone_and_nobody_waits_for_the_away_at_the_end() {
    let mut stage = Stage::new(Limits::default());
    let polite = Guest::join(&mut stage, "/rooms/r");
    let lost = Guest::join(&mut stage, "/rooms/r");
    stage.send(polite.wire, &frame(Opcode::Close, &1000u16.to_be_bytes()));
    assert_eq!(stage.common.seated(), 1);
    lost.lose(&mut stage);
    assert_eq!(stage.common.seated(), 1);
    stage.drain(0);
    assert_eq!(stage.common.seated(), 0);
    close(stage);
}

/// It comes back by whatever reactor accepts it.
#[test]
fn who_comes_back_is_handed_to_the_home_of_its_room() {
    let mut stage = Stage::with_reactors(Limits::default(), 2);
    let room = (0..)
        .map(|number| format!("room-{number}"))
        .find(|name| stage.common.home(name) == 1)
        .expect("some room is at home there");
    let room = format!("/rooms/{room}");
    let raw = stage.join(&room);
    let guest = Guest::join(&mut stage, &room);
    guest.lose(&mut stage);
    stage.send(raw, &text("missed"));
    let mut again = Guest::again(&mut stage, &room, &guest);
    assert_eq!(again.hear(&mut stage), ["0: missed"]);
    assert_eq!(stage.common.seated(), 2);
    close(stage);
}
