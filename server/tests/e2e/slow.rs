//! Slow receivers, and receivers that do not receive at all: bounded, ended as such, unnoticed by others.

use std::io::Write as _;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::players::binary;
use crate::relay::Relay;
use crate::wire::{BINARY, FIN, Wire, frame, upgrade_request};

const MESSAGE: usize = 32 * 1024;

/// More than the kernel's buffers on both sides and the outbox can hold together.
const MESSAGES: u32 = 1024;

fn numbered(number: u32) -> Vec<u8> {
    let mut bytes = binary(MESSAGE);
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// Sends and receives in lockstep, so that the relay is known to have seen each message.
fn flood(sender: &mut Wire, healthy: &mut Wire) {
    for number in 0..MESSAGES {
        sender.message(BINARY, &numbered(number));
        healthy.expect(BINARY, &numbered(number));
    }
}

/// Bounded in bytes: the outbox is full long before any time runs out.
#[test]
fn a_member_that_does_not_read_ends_as_a_slow_consumer_and_nobody_else_notices() {
    let relay = Relay::start(&[
        "--outbox-max",
        "256KiB",
        "--congested-timeout",
        "1h",
        "--close-timeout",
        "1h",
    ]);
    let mut slow = Wire::connect_narrow(relay.addr()).upgrade("/rooms/slow");
    let mut healthy = Wire::join(relay.addr(), "/rooms/slow");
    let mut sender = Wire::join(relay.addr(), "/rooms/slow");
    flood(&mut sender, &mut healthy);
    // What the slow one reads now is a part of the stream without a gap, and then the reason.
    let mut next = 0;
    loop {
        let frame = slow.next();
        if frame.first != FIN | BINARY {
            assert_eq!(frame.close_code(), Some(4002));
            slow.answer_close(Some(4002));
            break;
        }
        assert!(
            frame.payload == numbered(next),
            "message {next} as it was sent"
        );
        next += 1;
    }
    assert!(next < MESSAGES, "the outbox never filled");
    // The others go on.
    sender.message(BINARY, b"business as usual");
    healthy.expect(BINARY, b"business as usual");
}

/// Bounded in time: an outbox that holds little, but for too long.
#[test]
fn a_member_that_stays_congested_ends_as_a_slow_consumer() {
    let relay = Relay::start(&[
        "--outbox-max",
        "1GiB",
        "--congested-timeout",
        "500ms",
        "--close-timeout",
        "1h",
        "--handshake-timeout",
        "3s",
    ]);
    let mut slow = Wire::connect_narrow(relay.addr()).upgrade("/rooms/slow");
    let mut healthy = Wire::join(relay.addr(), "/rooms/slow");
    let mut sender = Wire::join(relay.addr(), "/rooms/slow");
    flood(&mut sender, &mut healthy);
    // Congestion has begun somewhere in there. The relay's own clock tells when it has lasted: by the
    // end of a handshake that never comes, which takes far longer.
    let mut clock = Wire::connect(relay.addr());
    assert_eq!(clock.response().0.status, 408);
    assert_eq!(slow.read_to_close(), Some(4002));
    sender.message(BINARY, b"business as usual");
    healthy.expect(BINARY, b"business as usual");
}

/// A member that was slow for a moment and caught up gets everything: nothing is dropped in raw mode.
#[test]
fn a_member_that_catches_up_in_time_has_lost_nothing() {
    let relay = Relay::start(&["--outbox-max", "1GiB", "--congested-timeout", "1h"]);
    let mut slow = Wire::connect_narrow(relay.addr()).upgrade("/rooms/late");
    let mut healthy = Wire::join(relay.addr(), "/rooms/late");
    let mut sender = Wire::join(relay.addr(), "/rooms/late");
    flood(&mut sender, &mut healthy);
    for number in 0..MESSAGES {
        slow.expect(BINARY, &numbered(number));
    }
    sender.message(BINARY, b"now");
    slow.expect(BINARY, b"now");
    healthy.expect(BINARY, b"now");
}

/// Who does not drain its own echoes is read no further: the flood stalls in the sender's kernel instead of
/// growing the relay. When it reads at last, all echoes are there.
#[test]
fn who_does_not_drain_its_echoes_is_read_no_further() {
    let relay = Relay::start(&["--congested-timeout", "1h"]);
    let mut wire = Wire::connect_narrow(relay.addr()).upgrade("/echo");
    let mut writer = wire.writer();
    let (done, finished) = mpsc::channel();
    let writing = thread::spawn(move || {
        for number in 0..MESSAGES {
            writer
                .write_all(&frame(FIN | BINARY, &numbered(number)))
                .expect("the relay reads on in the end");
        }
        let _ = done.send(());
    });
    // A relay that buffered without bound would take all of it in this time, and then some.
    assert_eq!(
        finished.recv_timeout(Duration::from_secs(1)),
        Err(RecvTimeoutError::Timeout)
    );
    // Meanwhile others are served.
    let mut other = Wire::join(relay.addr(), "/echo");
    other.message(BINARY, b"next to it");
    other.expect(BINARY, b"next to it");
    for number in 0..MESSAGES {
        wire.expect(BINARY, &numbered(number));
    }
    writing.join().expect("the writer");
}

/// A flooder is slowed, not its readers evicted: its flood is delivered whole, and another room is served
/// in between.
#[test]
fn a_flooder_does_not_evict_members_that_read() {
    let relay = Relay::start(&[]);
    let mut reader = Wire::join(relay.addr(), "/rooms/flooded");
    let flooder = Wire::join(relay.addr(), "/rooms/flooded");
    let mut writer = flooder.writer();
    let total = 200_000_u32;
    let writing = thread::spawn(move || {
        let mut chunk = Vec::new();
        for number in 0..total {
            chunk.extend(frame(FIN | BINARY, &number.to_be_bytes()));
            if chunk.len() > 32 * 1024 || number + 1 == total {
                writer.write_all(&chunk).expect("the relay takes the flood");
                chunk.clear();
            }
        }
    });
    let mut elsewhere = Wire::join(relay.addr(), "/echo");
    for number in 0..total {
        reader.expect(BINARY, &number.to_be_bytes());
        if number % 10_000 == 0 {
            elsewhere.message(BINARY, b"other rooms live");
            elsewhere.expect(BINARY, b"other rooms live");
        }
    }
    writing.join().expect("the writer");
}

/// Four readers that stand still cost what they are charged, not the buffers that their messages happened to lie in.
#[test]
fn stalled_readers_cost_no_more_than_they_are_charged() {
    let relay = Relay::start(&["--congested-timeout", "1h"]);
    let mut large = Wire::join(relay.addr(), "/rooms/large");
    let mut hears = Wire::join(relay.addr(), "/rooms/large");
    let mut sender = Wire::join(relay.addr(), "/rooms/small");
    let mut healthy = Wire::join(relay.addr(), "/rooms/small");
    let _stalled: Vec<Wire> = (0..4)
        .map(|_| Wire::connect_narrow(relay.addr()).upgrade("/rooms/small"))
        .collect();
    let mut before = 0;
    for number in 0..1_500 {
        // So that there is always a spare buffer of this size.
        large.message(BINARY, &[7; 60_000]);
        hears.expect(BINARY, &[7; 60_000]);
        sender.message(BINARY, &[7; 600]);
        healthy.expect(BINARY, &[7; 600]);
        if number == 100 {
            before = relay.resident();
        }
    }
    let grown = relay.resident().saturating_sub(before);
    assert!(grown < 3 << 20, "grown by {grown} bytes");
}

/// Hears so many messages of 1,000 bytes at 400 KB/s. What keeps silent is there to be waited for.
fn hear_at_a_pace(reader: &mut Wire, messages: usize) {
    let (_silent, silence) = mpsc::channel::<()>();
    for heard in 0..messages {
        reader.expect(BINARY, &[7; 1_000]);
        if heard % 20 == 19 {
            let _ = silence.recv_timeout(Duration::from_millis(50));
        }
    }
}

/// Connection after connection, each with 60 KiB behind its request head, all within some milliseconds: what comes with a
/// head is counted like everything else, here and where it is handed off.
#[test]
fn reconnecting_is_no_way_around_the_budgets() {
    const EACH: usize = 60;
    let relay = Relay::start(&[]);
    let mut attack = upgrade_request("/rooms/attacked").into_bytes();
    attack.extend(frame(FIN | BINARY, &[7; 1_000]).repeat(EACH));
    let mut readers: Vec<Wire> = (0..3)
        .map(|_| Wire::connect_within(relay.addr(), 64 * 1024).upgrade("/rooms/attacked"))
        .collect();
    let heard: Vec<_> = thread::scope(|scope| {
        let hearing: Vec<_> = readers
            .iter_mut()
            .map(|reader| scope.spawn(|| hear_at_a_pace(reader, 16 * EACH)))
            .collect();
        let attackers: Vec<Wire> = (0..16)
            .map(|_| {
                let mut attacker = Wire::connect(relay.addr());
                attacker.send(&attack);
                // It hears the others, so that it is not one of those who are waited for.
                let mut hears = attacker.writer();
                scope.spawn(move || std::io::copy(&mut hears, &mut std::io::sink()));
                attacker
            })
            .collect();
        let heard = hearing.into_iter().map(|reader| reader.join().is_ok());
        let heard = heard.collect();
        attackers.iter().for_each(Wire::finish_writing);
        heard
    });
    assert_eq!(heard, [true; 3], "nobody was evicted");
    let mut another = Wire::join(relay.addr(), "/rooms/attacked");
    another.message(BINARY, b"business as usual");
    for reader in &mut readers {
        reader.expect(BINARY, b"business as usual");
    }
}
