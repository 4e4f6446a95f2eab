//! The paths that every message takes, each driven a fixed number of times without sockets, for
//! `scripts/count-instructions`: what runs inside [`counted`] is counted, and two runs do exactly the same there.
//!
//! `hot-paths` lists the paths; `hot-paths PATH` drives one and prints how many units (frames, messages, deliveries)
//! were counted.

mod relay;

use std::hint::black_box;

use roomcast_benches::{bytes, masked_frames};
use roomcast_protocol::frame::{Decoder, Item, Opcode, Role, Rules};

use relay::{Dialect, Relay, Security, Sockets};

/// Rounds before counting: buffers have their sizes, pools are filled.
const WARMUP: usize = 3;
const ROUNDS: usize = 8;
/// As in the scenarios of `scripts/bench`.
const CLIENTS: usize = 1000;
/// Handshakes are slow when instructions are counted.
const CLIENTS_TLS: usize = 100;
/// Messages that one iteration of *arena* finds: 20,000 a second, at some 200 us an iteration.
const ARENA_MESSAGES: usize = 4;

/// Drives a path and returns the units counted.
type Drive = fn() -> usize;

const PATHS: &[(&str, &str, Drive)] = &[
    ("decode-64", "frame", || decode(64, 64)),
    ("decode-16k", "frame", || decode(16 << 10, 4)),
    ("receive-10", "message", || receive(Security::Plain, 10)),
    ("receive-100", "message", || receive(Security::Plain, 100)),
    ("fan-out-10", "delivery", || fan_out(Security::Plain, 10)),
    ("fan-out-100", "delivery", || fan_out(Security::Plain, 100)),
    ("outbox-push", "delivery", || outbox(Outbox::Push)),
    ("outbox-gather", "delivery", || outbox(Outbox::Gather)),
    ("arena", "delivery", || {
        arena(Security::Plain, Dialect::Raw, CLIENTS)
    }),
    ("arena-v1", "delivery", || {
        arena(Security::Plain, Dialect::V1, CLIENTS)
    }),
    ("rooms-30-v1", "delivery", || neighbours(Dialect::V1, NEAR)),
    ("groups-30-v1", "delivery", || {
        neighbours(Dialect::Groups(disjoint), CROWD)
    }),
    ("grid-30-v1", "delivery", || {
        neighbours(Dialect::Groups(grid), CROWD)
    }),
    ("burst", "delivery", || burst(Security::Plain, CLIENTS)),
    ("royale", "delivery", royale),
    ("open-10", "message", || receive(Security::Tls, 10)),
    ("seal-10", "delivery", || fan_out(Security::Tls, 10)),
    ("arena-wss", "delivery", || {
        arena(Security::Tls, Dialect::Raw, CLIENTS_TLS)
    }),
    ("burst-wss", "delivery", || {
        burst(Security::Tls, CLIENTS_TLS)
    }),
];

fn main() {
    let wanted = std::env::args().nth(1);
    let Some(wanted) = wanted else {
        for (name, unit, _) in PATHS {
            println!("{name} {unit}");
        }
        return;
    };
    let Some((.., drive)) = PATHS.iter().find(|(name, ..)| *name == wanted) else {
        eprintln!("hot-paths: no path is called {wanted}");
        std::process::exit(2);
    };
    println!("{}", drive());
}

/// The boundary of what is counted: callgrind collects while this function runs.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
    black_box(());
}

/// Does `round` again and again; `round` counts what is to be counted once it is handed [`counted`].
fn rounds(mut round: impl FnMut(fn(&mut dyn FnMut()))) {
    for _ in 0..WARMUP {
        round(|work| work());
    }
    for _ in 0..ROUNDS {
        round(counted);
    }
}

fn decode(size: usize, frames: usize) -> usize {
    let rules = Rules {
        role: Role::Server,
        max_message: 64 << 10,
    };
    let wire = masked_frames(frames, Opcode::Binary, &bytes(size));
    let mut decoder = Decoder::default();
    rounds(|count| {
        let mut received = wire.clone();
        let mut decoded = 0;
        count(&mut || {
            let mut input = black_box(&mut received[..]);
            while let Some(item) = decoder.next(&rules, &mut input).expect("valid frames") {
                if let Item::Message { payload, .. } = item {
                    decoded += black_box(payload).len();
                }
            }
        });
        assert_eq!(decoded, size * frames);
    });
    ROUNDS * frames
}

fn clients(security: Security) -> usize {
    match security {
        Security::Plain => CLIENTS,
        Security::Tls => CLIENTS_TLS,
    }
}

/// From what the socket brought to the room's open batch: decode and append.
fn receive(security: Security, members: usize) -> usize {
    let clients = clients(security);
    let mut relay = Relay::new(security, clients, members);
    rounds(|count| {
        let said = relay.say(0..clients);
        relay.advance(50);
        count(&mut || relay.receive(&said));
        assert_ne!(relay.flush(Sockets::TakeAll), 0);
        relay.finish();
    });
    ROUNDS * clients
}

/// From the open batches to the slices of each write: freeze, and fan out.
fn fan_out(security: Security, members: usize) -> usize {
    let clients = clients(security);
    let mut relay = Relay::new(security, clients, members);
    rounds(|count| {
        let said = relay.say(0..clients);
        relay.advance(50);
        relay.receive(&said);
        count(&mut || assert_ne!(relay.flush(Sockets::TakeAll), 0));
        relay.finish();
    });
    ROUNDS * clients * (members - 1)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outbox {
    Push,
    Gather,
}

/// Sockets that take nothing for four iterations, and then everything.
fn outbox(counts: Outbox) -> usize {
    const MEMBERS: usize = 100;
    const BEHIND: usize = 4;
    let mut relay = Relay::new(Security::Plain, CLIENTS, MEMBERS);
    rounds(|count| {
        // The first write finds the sockets full; it is not what this is about.
        for iteration in 0..=BEHIND {
            let said = relay.say(0..CLIENTS);
            relay.advance(50);
            relay.receive(&said);
            let mut push = || assert_eq!(relay.flush(Sockets::TakeNothing), 0);
            if counts == Outbox::Push && iteration > 0 {
                count(&mut push);
            } else {
                push();
            }
            relay.finish();
        }
        relay.advance(50);
        let mut gather = || {
            relay.writable();
            assert_ne!(relay.flush(Sockets::TakeAll), 0);
        };
        if counts == Outbox::Gather {
            count(&mut gather);
        } else {
            gather();
        }
        relay.finish();
    });
    let iterations = match counts {
        Outbox::Push => BEHIND,
        Outbox::Gather => BEHIND + 1,
    };
    ROUNDS * iterations * CLIENTS * (MEMBERS - 1)
}

/// One whole iteration, with what the reactor asks of the shard in it.
fn iteration(relay: &mut Relay, ms: u64, said: &[(u32, Vec<u8>)]) {
    relay.advance(ms);
    relay.receive(said);
    relay.flush(Sockets::TakeAll);
    relay.finish();
}

/// Rooms of 10, everybody at another instant: an iteration finds a few messages of different rooms.
fn arena(security: Security, dialect: Dialect, clients: usize) -> usize {
    const MEMBERS: usize = 10;
    let mut relay = Relay::seat(security, dialect, clients, MEMBERS);
    // Everybody once, neighbours far apart: 37 has no factor in common with the number of clients.
    let order: Vec<usize> = (0..clients).map(|turn| turn * 37 % clients).collect();
    rounds(|count| {
        for (index, senders) in order.chunks(ARENA_MESSAGES).enumerate() {
            let said = relay.say(senders.iter().copied());
            let ms = u64::from(index % 5 == 0);
            count(&mut || iteration(&mut relay, ms, &said));
        }
    });
    ROUNDS * clients * (MEMBERS - 1)
}

/// How many hear each other in the paths of groups, and how many there are.
const NEAR: usize = 27;
const CROWD: usize = 36 * NEAR;
/// Cells of the grid in a row, and players in each: nine cells have as many as hear each other.
const ROW: usize = 18;
const CELL: usize = NEAR / 9;

/// Groups of which each has its own.
fn disjoint(client: usize) -> Vec<u32> {
    vec![(client / NEAR) as u32]
}

/// The cell that a player is in, and then those around it: what is said in a cell is heard by who is near it.
fn grid(client: usize) -> Vec<u32> {
    let cell = client / CELL;
    let (x, y) = (cell % ROW, cell / ROW);
    let rows = CROWD / CELL / ROW;
    let around = [0, 1, ROW - 1]
        .into_iter()
        .flat_map(|dx| [0, 1, rows - 1].map(|dy| ((x + dx) % ROW + (y + dy) % rows * ROW) as u32));
    around.collect()
}

/// Everybody has 26 others near, in rooms of so many: what it says is for those alone.
fn neighbours(dialect: Dialect, members: usize) -> usize {
    let mut relay = Relay::seat(Security::Plain, dialect, CROWD, members);
    let order: Vec<usize> = (0..CROWD).map(|turn| turn * 37 % CROWD).collect();
    rounds(|count| {
        for (index, senders) in order.chunks(ARENA_MESSAGES).enumerate() {
            let said = relay.say(senders.iter().copied());
            let ms = u64::from(index % 5 == 0);
            count(&mut || iteration(&mut relay, ms, &said));
        }
    });
    ROUNDS * CROWD * (NEAR - 1)
}

/// Rooms of 100, everybody at the same instant.
fn burst(security: Security, clients: usize) -> usize {
    const MEMBERS: usize = 100;
    let mut relay = Relay::new(security, clients, MEMBERS);
    rounds(|count| {
        let said = relay.say(0..clients);
        count(&mut || iteration(&mut relay, 250, &said));
    });
    ROUNDS * clients * (MEMBERS - 1)
}

/// One room of 1,000, of whom 10 speak: fan-outs in portions.
fn royale() -> usize {
    const SENDERS: usize = 10;
    let mut relay = Relay::new(Security::Plain, CLIENTS, CLIENTS);
    rounds(|count| {
        let said = relay.say((0..SENDERS).map(|sender| sender * CLIENTS / SENDERS));
        count(&mut || {
            iteration(&mut relay, 50, &said);
            while relay.has_work() {
                iteration(&mut relay, 0, &[]);
            }
        });
    });
    ROUNDS * SENDERS * (CLIENTS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_runs_and_has_a_line_in_the_baseline() {
        let baseline: Vec<&str> = include_str!("../../../instructions.txt")
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split(' ').next().expect("a name"))
            .collect();
        let paths: Vec<&str> = PATHS.iter().map(|(name, ..)| *name).collect();
        assert_eq!(baseline, paths, "scripts/count-instructions --update");
        for (name, _, drive) in PATHS {
            assert_ne!(drive(), 0, "{name}");
        }
    }
}
