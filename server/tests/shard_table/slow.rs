//! Slow consumers: what is bounded, who is told, who notices.

use roomcast::limits::{
    FLOOD_BURST, FLOOD_BYTES_PER_MS, FLOOD_REMEMBERED, Limits, OWN_ANSWERS, RECEIVE_BUFFER,
    STALLED_AFTER_MS,
};
use roomcast_protocol::frame::Opcode;

use crate::net::WireId;
use crate::stage::{Stage, WIDE, frame, text};

fn numbered(number: u32, len: usize) -> Vec<u8> {
    let mut text = format!("{number}");
    text.push_str(&".".repeat(len - text.len()));
    frame(Opcode::Text, text.as_bytes())
}

/// The number of a message that was [`numbered`].
fn number(word: &str) -> Option<u32> {
    word.strip_prefix("text ")?
        .trim_end_matches('.')
        .parse()
        .ok()
}

/// All of `words` are the messages from `next` on; returns the number after them.
fn follow(words: &[String], next: u32) -> u32 {
    let mut next = next;
    for word in words.iter().filter(|word| word.starts_with("text")) {
        assert_eq!(number(word), Some(next));
        next += 1;
    }
    next
}

/// A room with one that talks, one that reads, and one whose kernel takes `capacity` bytes and who does not read.
fn room(limits: Limits, capacity: usize) -> (Stage, WireId, WireId, WireId) {
    let mut stage = Stage::new(limits);
    let sender = stage.join("/rooms/r");
    let reader = stage.join("/rooms/r");
    let slow = stage.join_through("/rooms/r", capacity);
    (stage, sender, reader, slow)
}

#[test]
fn a_queue_of_too_many_bytes_ends_in_4002_behind_the_frame_that_had_begun() {
    let (mut stage, sender, reader, slow) = room(Limits::default(), 2_500);
    let limit = stage.common.limits.outbox_bytes_max;
    let mut said = 0;
    let mut most = 0;
    while stage.is_seated(slow) {
        stage.send(sender, &numbered(said, 1_000));
        stage.pass(5);
        most = most.max(stage.charged(slow));
        said += 1;
        assert!(said < 1_000, "it never ends");
        assert!(stage.now < 4_000, "not for the time");
    }
    assert_eq!(stage.ends(), "slow_consumer");
    assert!(most <= limit, "{most} bytes are over {limit}");
    assert!(
        most > limit - 1_000 - 200,
        "{most} bytes are not yet {limit}"
    );
    // The two that were taken, the one of which a part was, and why.
    let mut words = Vec::new();
    for _ in 0..10 {
        words.extend(stage.read(slow, usize::MAX));
        stage.settle();
    }
    assert_eq!(follow(&words, 0), 3);
    assert_eq!(words[3..], ["close 4002"]);
    // The others have noticed nothing.
    assert_eq!(follow(&stage.read(reader, usize::MAX), 0), said);
    assert_eq!(stage.heard(sender), "");
    stage.close();
}

/// A queue of tiny messages is charged for all that it takes, headers too.
#[test]
fn tiny_messages_are_charged_for_what_they_take() {
    let limits = Limits {
        congested_ms_max: u32::MAX / 4,
        ..Limits::default()
    };
    let (mut stage, sender, _, slow) = room(limits, 300);
    let tiny = frame(Opcode::Binary, b"x").repeat(1_000);
    let mut queued = 0;
    while stage.is_seated(slow) {
        stage.send(sender, &tiny);
        stage.pass(50);
        queued += 1_000 * b"\x82\x01x".len();
        assert!(
            queued < stage.common.limits.outbox_bytes_max + 10_000,
            "it never ends"
        );
    }
    assert_eq!(stage.ends(), "slow_consumer");
    stage.close();
}

#[test]
fn who_stays_behind_too_long_ends_in_4002() {
    let (mut stage, sender, reader, slow) = room(Limits::default(), 500);
    let congested_ms_max = u64::from(stage.common.limits.congested_ms_max);
    stage.send(sender, &numbered(0, 1_000));
    let behind_since = stage.now;
    stage.send(sender, &numbered(1, 1_000));
    stage.pass(congested_ms_max - 1);
    assert!(stage.is_seated(slow));
    stage.pass(33);
    assert!(!stage.is_seated(slow));
    assert_eq!(stage.ends(), "slow_consumer");
    assert_eq!(stage.now, behind_since + congested_ms_max + 32);
    let mut words = Vec::new();
    for _ in 0..10 {
        words.extend(stage.read(slow, usize::MAX));
        stage.settle();
    }
    // Of the first some had left, of the second nothing.
    assert_eq!(follow(&words, 0), 1);
    assert_eq!(words[1..], ["close 4002"]);
    assert_eq!(follow(&stage.read(reader, usize::MAX), 0), 2);
    stage.close();
}

/// Who does not even take the reason is gone when the time for that is over.
#[test]
fn who_never_reads_again_is_cut() {
    let (mut stage, sender, _, slow) = room(Limits::default(), 500);
    stage.send(sender, &numbered(0, 1_000));
    stage.pass(5_032);
    assert_eq!(stage.ends(), "slow_consumer");
    assert!(stage.is_there(slow));
    stage.pass(2_032);
    assert!(!stage.is_there(slow));
    stage.close();
}

#[test]
fn who_catches_up_in_time_has_lost_nothing() {
    let (mut stage, sender, _, slow) = room(Limits::default(), 500);
    let mut next = 0;
    for said in 0..400 {
        stage.send(sender, &numbered(said, 1_000));
        stage.pass(20);
        if said % 100 == 99 {
            // Behind for two seconds, then it reads everything.
            while stage.charged(slow) > 0 {
                next = follow(&stage.read(slow, usize::MAX), next);
                stage.settle();
            }
            next = follow(&stage.read(slow, usize::MAX), next);
            assert_eq!(next, said + 1);
        }
    }
    assert_eq!(stage.ends(), "");
    stage.close();
}

/// What waits in more pieces than one write takes leaves all the same in one iteration: whoever is not clear after a
/// flush has a socket that does not take everything.
#[test]
fn a_long_queue_leaves_in_several_writes() {
    let (mut stage, sender, _, slow) = room(Limits::default(), 500);
    for said in 0..200 {
        stage.send(sender, &numbered(said, 600));
        stage.pass(10);
    }
    stage.net().wires[slow].resize(WIDE);
    let writes = stage.reactors[0].shard().counters().writes;
    stage.turn();
    assert_eq!(stage.charged(slow), 0);
    let writes = stage.reactors[0].shard().counters().writes - writes;
    assert!(writes > 1, "one write is not enough");
    assert_eq!(follow(&stage.read(slow, usize::MAX), 0), 200);
    stage.close();
}

/// A flooder is read no further while somebody who reads has fallen behind, and is read again once nobody is.
#[test]
fn a_flooder_waits_for_those_who_read() {
    let (mut stage, flooder, reader, slow) = room(Limits::default(), 20_000);
    let total = 400;
    let flood: Vec<u8> = (0..total).flat_map(|said| numbered(said, 1_000)).collect();
    stage.send(flooder, &flood);
    assert!(
        !stage.net().wires[flooder].is_drained(),
        "its flood waits in its own kernel"
    );
    assert_eq!(
        stage.net().refused_reads,
        1,
        "it is not asked over and over"
    );
    let mut next = 0;
    let mut waits = 0;
    while next < total {
        let words = stage.read(slow, 4_000);
        next = follow(&words, next);
        stage.settle();
        stage.pass(10);
        assert!(stage.is_seated(slow), "evicted at {next} of {total}");
        waits += 1;
        assert!(waits < 1_000, "the flooder was never read again");
    }
    assert!(stage.net().wires[flooder].is_drained());
    assert_eq!(follow(&stage.read(reader, usize::MAX), 0), total);
    assert_eq!(stage.ends(), "");
    stage.close();
}

/// Nobody waits for one who stands still: it has the time and the bytes that it may have, and no more.
#[test]
fn a_flooder_does_not_wait_for_who_stands_still() {
    let (mut stage, flooder, reader, slow) = room(Limits::default(), 20_000);
    let flood: Vec<u8> = (0..200).flat_map(|said| numbered(said, 1_000)).collect();
    stage.send(flooder, &flood);
    assert!(!stage.net().wires[flooder].is_drained());
    stage.pass(u64::from(STALLED_AFTER_MS) + 32);
    assert!(stage.net().wires[flooder].is_drained());
    assert_eq!(follow(&stage.read(reader, usize::MAX), 0), 200);
    assert!(stage.is_seated(slow), "it has time left");
    stage.close();
}

/// Nor for one that leaves while others wait for it.
#[test]
fn a_flooder_does_not_wait_for_who_has_left() {
    let (mut stage, flooder, reader, slow) = room(Limits::default(), 20_000);
    let flood: Vec<u8> = (0..200).flat_map(|said| numbered(said, 1_000)).collect();
    stage.send(flooder, &flood);
    assert!(!stage.net().wires[flooder].is_drained());
    stage.hang_up(slow);
    assert!(stage.net().wires[flooder].is_drained());
    assert_eq!(follow(&stage.read(reader, usize::MAX), 0), 200);
    stage.close();
}

/// A player's stream is no flood: it goes on, whoever is behind.
#[test]
fn who_does_not_flood_is_not_slowed() {
    let (mut stage, sender, reader, _slow) = room(Limits::default(), 500);
    for said in 0..60 {
        stage.send(sender, &numbered(said, 300));
        assert!(stage.net().wires[sender].is_drained());
        stage.pass(50);
    }
    assert_eq!(follow(&stage.read(reader, usize::MAX), 0), 60);
    assert_eq!(stage.net().refused_reads, 0);
    stage.close();
}

/// One flooder at full speed, one member that reads a little all the time: everything comes, nobody is evicted.
#[test]
fn a_member_that_reads_is_not_evicted_because_another_floods() {
    let (mut stage, flooder, reader, slow) = room(Limits::default(), 128 * 1024);
    let total = 3_000;
    let mut next = (0, 0);
    let mut said = 0;
    while next.0 < total {
        // Its kernel always has something to read.
        while said < total && stage.net().wires[flooder].is_drained() {
            let some: Vec<u8> = (0..100)
                .flat_map(|more| numbered(said + more, 1_000))
                .collect();
            stage.arrive(flooder, &some);
            said += 100;
        }
        stage.turn();
        // 1 MB/s.
        next.0 = follow(&stage.read(slow, 10_000), next.0);
        next.1 = follow(&stage.read(reader, usize::MAX), next.1);
        stage.pass(10);
        assert!(stage.is_seated(slow), "evicted at {next:?} of {said}");
        assert!(stage.now < 60_000, "stuck at {next:?} of {said}");
    }
    assert_eq!(next, (total, total));
    assert_eq!(stage.ends(), "");
    stage.close();
}

/// Where a batch takes no more than one read, the others have their turn nevertheless.
#[test]
fn a_flooder_does_not_silence_the_others() {
    let limits = Limits {
        outbox_bytes_max: 64 * 1024,
        ..Limits::default()
    };
    let mut stage = Stage::new(limits);
    let flooder = stage.join("/rooms/r");
    let others: Vec<WireId> = (0..20).map(|_| stage.join("/rooms/r")).collect();
    let reader = stage.join("/rooms/r");
    let flood = frame(Opcode::Binary, &[0; 1_000]).repeat(2_000);
    stage.arrive(flooder, &flood);
    for &other in &others {
        stage.arrive(other, &text("me too"));
    }
    let mut heard = 0;
    for _ in 0..10 {
        stage.turn();
        let words = stage.read(reader, usize::MAX);
        heard += words.iter().filter(|word| *word == "text me too").count();
    }
    assert_eq!(heard, others.len(), "in the time of ten reads");
    assert!(!stage.net().wires[flooder].is_drained());
    stage.settle();
    stage.close();
}

/// A room in which twenty players have more to say than the room can take, and one listens.
fn shouting(limits: Limits) -> (Stage, WireId, Vec<WireId>) {
    let mut stage = Stage::new(limits);
    let witness = stage.join("/rooms/r");
    let senders: Vec<WireId> = (0..20).map(|_| stage.join("/rooms/r")).collect();
    for (number, &sender) in senders.iter().enumerate() {
        for _ in 0..10 {
            stage.arrive(sender, &numbered(number as u32, 60_000));
        }
    }
    (stage, witness, senders)
}

/// So long after a read that nobody is a flooder any longer.
const LONG_MS: u64 = 2 * (FLOOD_REMEMBERED / FLOOD_BYTES_PER_MS) as u64;

#[test]
fn those_who_wait_are_heard_in_turn() {
    // Nobody answers pings here.
    let limits = Limits {
        idle_ms: 1_000_000,
        ..Limits::default()
    };
    let (mut stage, witness, senders) = shouting(limits);
    let mut heard = vec![0; senders.len()];
    for _ in 0..100 {
        stage.turn();
        stage.now += LONG_MS;
        for word in stage.read(witness, usize::MAX) {
            if let Some(number) = number(&word) {
                heard[number as usize] += 1;
            }
        }
        let (least, most) = (heard.iter().min(), heard.iter().max());
        let ahead = most.zip(least).map(|(most, least)| most - least);
        // Whose read has filled the buffer may be read once more while its batch goes out.
        assert!(ahead <= Some(4), "{heard:?}");
    }
    assert!(heard.iter().all(|&times| times > 1), "{heard:?}");
    stage.close();
}

#[test]
fn who_waits_to_be_heard_is_not_asked_in_every_iteration() {
    let limits = Limits {
        ping_ms: 1_500,
        idle_ms: 4_500,
        ..Limits::default()
    };
    let ping_ms = u64::from(limits.ping_ms);
    let (mut stage, _, senders) = shouting(limits);
    let began = stage.now;
    let mut asked = 0;
    for _ in 0..16 {
        stage.turn();
        stage.now += LONG_MS;
        let words = stage.read(senders[19], usize::MAX);
        asked += words.iter().filter(|word| *word == "ping").count() as u64;
    }
    assert!(
        asked > 0 && asked <= (stage.now - began) / ping_ms,
        "{asked}"
    );
    assert!(stage.is_seated(senders[19]));
    stage.close();
}

#[test]
fn who_was_not_read_is_not_idle() {
    let limits = Limits {
        ping_ms: 1_000,
        idle_ms: 2_000,
        congested_ms_max: 3_000,
        ..Limits::default()
    };
    let (mut stage, flooder, reader, slow) = room(limits, 20_000);
    let flood: Vec<u8> = (0..300).flat_map(|said| numbered(said, 1_000)).collect();
    stage.send(flooder, &flood);
    // It takes too little to be clear, but enough not to stand still.
    while stage.now < 2_600 {
        stage.read(slow, 7_000);
        for wire in [reader, slow] {
            stage.send(wire, &frame(Opcode::Pong, &[]));
        }
        stage.pass(650);
    }
    assert!(!stage.net().wires[flooder].is_drained(), "it waits");
    stage.pass(1_000);
    assert!(stage.net().wires[flooder].is_drained(), "it was read again");
    assert_eq!(stage.ends(), "slow_consumer");
    assert!(stage.is_seated(flooder));
    stage.close();
}

/// Who does not read the answers it asks for is read no further: the flood waits in its own kernel.
#[test]
fn who_does_not_drain_its_own_answers_is_read_no_further() {
    for (path, question, answer) in [
        (
            "/echo",
            frame(Opcode::Binary, &[7; 500]),
            "binary 500".to_owned(),
        ),
        (
            "/echo",
            frame(Opcode::Ping, &[b'p'; 100]),
            format!("pong {}", "p".repeat(100)),
        ),
        (
            "/rooms/r",
            frame(Opcode::Ping, &[b'p'; 100]),
            format!("pong {}", "p".repeat(100)),
        ),
    ] {
        let mut stage = Stage::new(Limits::default());
        let wire = stage.join_through(path, 1_000);
        let count = 2 * 1024 * 1024 / question.len();
        stage.send(wire, &question.repeat(count));
        assert!(
            !stage.net().wires[wire].is_drained(),
            "{path}: read without end"
        );
        let held = stage.charged(wire);
        assert!(
            held < OWN_ANSWERS + 2 * RECEIVE_BUFFER,
            "{path}: {held} bytes"
        );
        // Another one is served meanwhile.
        let other = stage.join("/echo");
        stage.send(other, &text("next to it"));
        assert_eq!(stage.heard(other), "text next to it");
        // It reads at last, and everything is there.
        stage.net().wires[wire].resize(WIDE);
        stage.settle();
        assert!(stage.net().wires[wire].is_drained());
        let words = stage.read(wire, usize::MAX);
        assert_eq!(words.len(), count);
        assert!(words.iter().all(|word| *word == answer));
        assert_eq!(stage.ends(), "");
        stage.close();
    }
}

/// A burst that is no flood does not count as one.
#[test]
fn a_burst_is_taken_at_once() {
    let (mut stage, sender, reader, slow) = room(Limits::default(), 500);
    stage.send(sender, &numbered(0, 1_000));
    assert!(stage.charged(slow) > 0, "somebody is behind");
    let burst: Vec<u8> = (1..)
        .take(FLOOD_BURST as usize / 1_100)
        .flat_map(|said| numbered(said, 1_000))
        .collect();
    stage.send(sender, &burst);
    assert!(stage.net().wires[sender].is_drained());
    assert_eq!(
        follow(&stage.read(reader, usize::MAX), 0),
        FLOOD_BURST / 1_100 + 1
    );
    stage.close();
}

/// What slow receivers hold is what they are charged: a message of 600 B never keeps a buffer of 64 KiB.
#[test]
fn who_stands_still_holds_no_more_than_it_is_charged() {
    let limits = Limits::default();
    let most = limits.outbox_bytes_max;
    let mut stage = Stage::new(limits);
    // Elsewhere messages are large, and their buffers come back to the pool.
    let (large, hears) = (stage.join("/rooms/large"), stage.join("/rooms/large"));
    let sender = stage.join("/rooms/small");
    let stalled: Vec<WireId> = (0..4)
        .map(|_| stage.join_through("/rooms/small", 1_000))
        .collect();
    let mut highest = 0;
    for _ in 0..300 {
        stage.send(large, &frame(Opcode::Binary, &[7; 60_000]));
        assert_eq!(stage.heard(hears), "binary 60000");
        stage.send(sender, &frame(Opcode::Binary, &[7; 600]));
        stage.pass(5);
        let charged: usize = stalled.iter().map(|&wire| stage.charged(wire)).sum();
        let pinned = stage.reactors[0].shard().counters().pinned as usize;
        assert!(
            pinned <= charged,
            "{pinned} bytes pinned, {charged} charged"
        );
        highest = highest.max(pinned);
    }
    assert!(
        highest > 150_000,
        "{highest}: they hold what waits for them"
    );
    for &wire in &stalled {
        assert!(stage.charged(wire) <= most);
        stage.net().wires[wire].resize(WIDE);
    }
    stage.settle();
    for &wire in &stalled {
        assert_eq!(stage.read(wire, usize::MAX).len(), 300);
    }
    assert_eq!(stage.reactors[0].shard().counters().pinned, 0);
    stage.close();
}
