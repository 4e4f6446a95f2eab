//! What comes behind a request head waits, and is counted, like everything else.

use roomcast::limits::{FLOOD_BURST, Limits, PRESSED_BYTES_PER_MS};
use roomcast_protocol::close::CloseCode;
use roomcast_protocol::frame::{Opcode, encode_close};

use crate::homes::room_of;
use crate::net::WireId;
use crate::stage::{Stage, frame, text};

/// What the kernel holds for a reader that is not on this machine.
const KERNEL: usize = 64 * 1024;

/// A request, and so many bytes of messages behind it.
fn flooding(stage: &Stage, path: &str, bytes: usize) -> Vec<u8> {
    let message = frame(Opcode::Binary, &[7; 1_000]);
    let mut sent = stage.request(path);
    sent.extend(message.repeat(bytes / message.len()));
    sent
}

/// Readers of 400 KB/s each, which read for so many milliseconds. Returns how many messages each of them got.
fn read_on(stage: &mut Stage, readers: &[WireId], ms: u64) -> Vec<usize> {
    let mut got = vec![0; readers.len()];
    for _ in 0..ms / 5 {
        for (got, &reader) in got.iter_mut().zip(readers) {
            assert!(stage.is_seated(reader), "{:?}", stage.reason(reader));
            let words = stage.read(reader, 2_000);
            *got += words.iter().filter(|word| *word == "binary 1000").count();
        }
        stage.pass(5);
    }
    got
}

/// An attacker reconnects, again and again, and has 60 KiB behind each head.
fn reconnects(reactors: usize, home: usize, rounds: usize) {
    let mut stage = Stage::with_reactors(Limits::default(), reactors);
    let path = room_of(&stage, home);
    let readers: Vec<WireId> = (0..4).map(|_| stage.join_through(&path, KERNEL)).collect();
    let mut got = vec![0; readers.len()];
    for _ in 0..rounds {
        for _ in 0..16 {
            let attacker = stage.connect();
            let bytes = flooding(&stage, &path, 60 * 1024);
            stage.send(attacker, &bytes);
            stage.pass(1);
        }
        let more = read_on(&mut stage, &readers, 1_000);
        got.iter_mut()
            .zip(more)
            .for_each(|(got, more)| *got += more);
    }
    // In the end they have all of it: what waits is not lost.
    let said = rounds * 16 * (60 * 1024 / 1_008);
    for _ in 0..200 {
        if got.iter().all(|&got| got == said) {
            break;
        }
        let more = read_on(&mut stage, &readers, 100);
        got.iter_mut()
            .zip(more)
            .for_each(|(got, more)| *got += more);
    }
    assert_eq!(got, vec![said; readers.len()]);
    stage.close();
}

#[test]
fn sixteen_reconnects_evict_nobody_who_reads() {
    reconnects(1, 0, 1);
}

#[test]
fn nor_do_they_through_another_reactor() {
    reconnects(2, 1, 1);
}

#[test]
fn nor_do_they_time_after_time() {
    reconnects(1, 0, 5);
}

/// Somebody in the room presses, and stays behind for a while.
fn pressed() -> (Stage, WireId, WireId) {
    let mut stage = Stage::new(Limits::default());
    let sender = stage.join("/rooms/r");
    let slow = stage.join_through("/rooms/r", 1_000);
    stage.send(sender, &frame(Opcode::Binary, &[7; 6_000]));
    assert!(stage.charged(slow) > 0, "it is behind");
    (stage, sender, slow)
}

/// The same, and the room has said what it may for now.
fn exhausted() -> (Stage, WireId, WireId) {
    let (mut stage, sender, slow) = pressed();
    let talker = stage.join("/rooms/r");
    let talk = frame(Opcode::Binary, &[7; 1_000]).repeat(20);
    stage.send(talker, &talk);
    assert!(!stage.net().wires[talker].is_drained(), "it waits");
    stage.read(sender, usize::MAX);
    (stage, sender, slow)
}

/// Messages that somebody has heard.
fn count(words: &[String]) -> usize {
    words
        .iter()
        .filter(|word| word.starts_with("binary"))
        .count()
}

/// However many come, a room in which somebody presses says no more than its burst at once, and little after it.
#[test]
fn a_room_in_which_somebody_presses_has_one_budget() {
    let (mut stage, sender, slow) = pressed();
    for _ in 0..20 {
        let attacker = stage.connect();
        let bytes = flooding(&stage, "/rooms/r", 7_000);
        stage.send(attacker, &bytes);
    }
    let burst = FLOOD_BURST as usize / 1_000;
    let heard = count(&stage.read(sender, usize::MAX));
    assert!((10..=burst).contains(&heard), "{heard} at once");
    let mut more = 0;
    for _ in 0..5 {
        stage.read(slow, 500);
        stage.pass(100);
        more += count(&stage.read(sender, usize::MAX));
    }
    let most = 500 * PRESSED_BYTES_PER_MS as usize / 1_000;
    assert!(
        (most / 2..=most + 2).contains(&more),
        "{more} in half a second"
    );
    stage.read(slow, usize::MAX);
    stage.net().wires[slow].resize(1 << 30);
    stage.pass(100);
    let rest = count(&stage.read(sender, usize::MAX));
    assert_eq!(
        heard + more + rest,
        20 * 6,
        "all of it, once nobody presses"
    );
    stage.close();
}

/// What was sent before anybody pressed, all but the last byte of it, is counted when it is said.
#[test]
fn large_messages_that_only_want_their_end_are_no_way_around_it() {
    let mut stage = Stage::new(Limits::default());
    let sender = stage.join("/rooms/r");
    let slow = stage.join_through("/rooms/r", 1_000);
    let large = frame(Opcode::Binary, &[7; 60_000]);
    let attackers: Vec<WireId> = (0..16).map(|_| stage.join("/rooms/r")).collect();
    for &attacker in &attackers {
        stage.send(attacker, &large[..large.len() - 1]);
        stage.pass(300);
    }
    stage.send(sender, &frame(Opcode::Binary, &[7; 6_000]));
    assert!(stage.charged(slow) > 0, "it is behind");
    for &attacker in &attackers {
        stage.send(attacker, &large[large.len() - 1..]);
    }
    stage.pass(900);
    assert!(stage.is_seated(slow), "{:?}", stage.reason(slow));
    assert!(stage.charged(slow) < 100_000, "{}", stage.charged(slow));
    stage.close();
}

/// What a player says at 20 Hz goes on, though a flood has used up what its room may say.
#[test]
fn states_pass_a_flood_that_waits() {
    let (mut stage, sender, slow) = pressed();
    for _ in 0..20 {
        let attacker = stage.connect();
        let bytes = flooding(&stage, "/rooms/r", 60 * 1024);
        stage.send(attacker, &bytes);
    }
    for said in 0..20 {
        stage.pass(50);
        stage.send(sender, &text(&format!("{said:0300}")));
        assert!(stage.net().wires[sender].is_drained(), "{said}");
        stage.read(slow, 200);
    }
    assert!(stage.is_seated(slow));
    stage.close();
}

/// A close frame, or the end of the connection, behind bytes that wait comes behind them.
#[test]
fn the_end_comes_behind_what_waits() {
    for says_so in [true, false] {
        let (mut stage, sender, slow) = exhausted();
        let wire = stage.connect();
        let mut bytes = flooding(&stage, "/rooms/r", 6_000);
        if says_so {
            encode_close(&mut bytes, CloseCode::NORMAL, "", Some([1, 2, 3, 4]));
        }
        stage.arrive(wire, &bytes);
        stage.hang_up(wire);
        assert!(stage.is_seated(wire), "it waits");
        assert_eq!(count(&stage.read(sender, usize::MAX)), 0);
        stage.read(slow, usize::MAX);
        stage.net().wires[slow].resize(1 << 30);
        stage.pass(100);
        let heard = count(&stage.read(sender, usize::MAX));
        assert!(heard >= 5, "with what else had waited: {heard}");
        let end = if says_so { "peer_closed" } else { "peer_gone" };
        assert_eq!(stage.ends(), end);
        stage.close();
    }
}

/// Whoever is sent away while its bytes wait is understood all the same: they say that it closes too.
#[test]
fn who_is_closed_while_its_bytes_wait_may_answer_with_them() {
    let (mut stage, sender, _slow) = exhausted();
    let wire = stage.connect();
    let mut bytes = flooding(&stage, "/rooms/r", 6_000);
    encode_close(&mut bytes, CloseCode::GOING_AWAY, "", Some([1, 2, 3, 4]));
    stage.send(wire, &bytes);
    assert_eq!(stage.heard(wire), "101");
    stage.drain(0);
    stage.settle();
    assert_eq!(stage.heard(wire), "close 1012, end");
    assert_eq!(stage.ends(), "4 drain");
    assert_eq!(
        count(&stage.read(sender, usize::MAX)),
        0,
        "nothing of it is said"
    );
    stage.close();
}

/// So is who finds the room full: what it sent behind its head does not hide its close frame.
#[test]
fn who_is_turned_away_may_have_said_something() {
    let limits = Limits {
        max_room_members: 1,
        ..Limits::default()
    };
    let mut stage = Stage::new(limits);
    stage.join("/rooms/r");
    let wire = stage.connect();
    let mut bytes = flooding(&stage, "/rooms/r", 3_000);
    let cut = bytes.len() - 500;
    let rest = bytes.split_off(cut);
    stage.send(wire, &bytes);
    assert_eq!(stage.heard(wire), "101, close 4000");
    stage.send(wire, &rest);
    assert_eq!(stage.heard(wire), "", "its own close frame is awaited");
    let mut close = Vec::new();
    encode_close(&mut close, CloseCode::NORMAL, "", Some([1, 2, 3, 4]));
    stage.send(wire, &close);
    assert_eq!(stage.heard(wire), "end");
    stage.close();
}
