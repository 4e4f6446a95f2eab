//! Wherever connections break: everything once and in order, both ways, or a reset that says so.

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;
use roomcast_protocol::v1::Payload;
use roomcast_protocol::v1::client::{Client, Event, Kept, Link, Unsendable};
use roomcast_protocol::v1::down::Packet;
use roomcast_protocol::v1::up::Audience;

use crate::relay::{Relay, ada};

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The game sends.
    Send,
    /// Somebody else does; to the player or not.
    Say(bool),
    /// What the client has to write goes onto the wire.
    Transmit,
    /// The relay writes up to so many entries.
    Flush(u64),
    Acknowledge,
    /// One message arrives.
    Up,
    Down,
    /// The connection breaks; what was on its way up is lost, what was on its way down comes later, from a dead socket.
    Cut,
    /// The client opens another socket, whether or not the one before is known to be dead.
    Open,
    /// A message of a dead socket.
    Stale,
    /// The relay's log is cut short by so many entries.
    Forget(usize),
    Overflow,
    Restart,
    /// Time passes, in milliseconds.
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Send),
        5 => any::<bool>().prop_map(Step::Say),
        6 => Just(Step::Transmit),
        5 => (0..4u64).prop_map(Step::Flush),
        2 => Just(Step::Acknowledge),
        8 => Just(Step::Up),
        8 => Just(Step::Down),
        2 => Just(Step::Cut),
        3 => Just(Step::Open),
        2 => Just(Step::Stale),
        1 => (0..4usize).prop_map(Step::Forget),
        1 => Just(Step::Overflow),
        1 => Just(Step::Restart),
        2 => (0..4000u64).prop_map(Step::Wait),
    ]
}

struct World {
    relay: Relay,
    client: Client,
    link: Option<Link>,
    now: u64,
    up: VecDeque<Vec<u8>>,
    down: VecDeque<Vec<u8>>,
    stale: VecDeque<(Link, Vec<u8>)>,
    /// How many messages the game has sent, and others have said.
    sent: u32,
    said: u32,
    /// What the game has heard: numbers of others, and None where it was told of a reset.
    heard: Vec<Option<u32>>,
    own: Vec<u32>,
    dropped: usize,
    resets: usize,
}

impl World {
    fn new() -> Self {
        let kept = Kept {
            packets: 40,
            bytes: 4096,
        };
        Self {
            relay: Relay::new(),
            client: Client::new(&ada(), kept),
            link: None,
            now: 1_000_000,
            up: VecDeque::new(),
            down: VecDeque::new(),
            stale: VecDeque::new(),
            sent: 0,
            said: 0,
            heard: Vec::new(),
            own: Vec::new(),
            dropped: 0,
            resets: 0,
        }
    }

    fn hear(&mut self, link: Link, message: &[u8]) {
        let (heard, own) = (&mut self.heard, &mut self.own);
        let (dropped_now, resets) = (&mut self.dropped, &mut self.resets);
        let me = self.client.id();
        let outcome = self
            .client
            .receive(link, self.now, message, &mut |event| match event {
                Event::Reset { .. } => {
                    *resets += 1;
                    heard.push(None);
                }
                Event::Welcome { dropped, .. } => {
                    *dropped_now += dropped;
                    heard.push(None);
                }
                Event::Packet(Packet::Event {
                    author, payload, ..
                }) => {
                    let number = u32::from_le_bytes(payload.bytes().try_into().expect("a number"));
                    if Some(author) == me {
                        own.push(number);
                    } else {
                        heard.push(Some(number));
                    }
                }
                _ => {}
            });
        outcome.expect("a relay that keeps to the protocol");
    }

    fn cut(&mut self) {
        self.up.clear();
        self.relay.lost();
        if let Some(link) = self.link.take() {
            let late = self.down.drain(..).map(|message| (link, message));
            self.stale.extend(late);
        }
    }

    fn open(&mut self) {
        self.cut();
        self.link = Some(self.client.open(self.now));
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Send => {
                let number = self.sent.to_le_bytes();
                let to = if self.sent.is_multiple_of(2) {
                    Audience::All
                } else {
                    Audience::Others
                };
                match self.client.event(to, Payload::Bytes(&number), false) {
                    Ok(_) => self.sent += 1,
                    Err(unsendable) => assert_eq!(unsendable, Unsendable::Full),
                }
            }
            Step::Say(to_player) => {
                self.relay.say(&self.said.to_le_bytes(), to_player);
                self.said += u32::from(to_player);
            }
            Step::Transmit => {
                let mut message = Vec::new();
                if self.link.is_some() && self.client.transmit(self.now, &mut message) {
                    self.up.push_back(message);
                }
            }
            Step::Flush(most) => self.down.extend(self.relay.flush(most)),
            Step::Acknowledge => self.down.extend(self.relay.acknowledge()),
            Step::Up => {
                if let Some(message) = self.up.pop_front() {
                    self.down.extend(self.relay.receive(&message));
                }
            }
            Step::Down => {
                if let (Some(link), Some(message)) = (self.link, self.down.pop_front()) {
                    self.hear(link, &message);
                }
            }
            Step::Cut => {
                if let Some(link) = self.link {
                    self.cut();
                    self.client.closed(link, None);
                }
            }
            Step::Open => self.open(),
            Step::Stale => {
                if let Some((link, message)) = self.stale.pop_front()
                    && self.link != Some(link)
                {
                    self.hear(link, &message);
                }
            }
            Step::Forget(entries) => {
                let served = self.link.is_some();
                if !served {
                    self.relay.forget(entries);
                }
            }
            Step::Overflow => self.down.extend(self.relay.overflow()),
            Step::Restart => {
                self.cut();
                self.relay.restart();
            }
            Step::Wait(ms) => {
                self.now += ms * 1000;
                if !self.client.wake(self.now) {
                    self.cut();
                }
            }
        }
    }

    /// A good network: everything arrives.
    fn settle(&mut self) {
        self.open();
        for _ in 0..12 {
            for _ in 0..8 {
                self.step(Step::Transmit);
            }
            while !self.up.is_empty() {
                self.step(Step::Up);
            }
            self.step(Step::Flush(u64::MAX));
            self.step(Step::Acknowledge);
            while !self.down.is_empty() {
                self.step(Step::Down);
            }
        }
    }

    fn check(&self) {
        assert!(self.client.is_live());
        assert_eq!(self.client.unacknowledged(), 0);
        assert_eq!(
            self.client.cursor().map(|cursor| cursor.seq),
            Some(self.relay.seq())
        );
        // Up: each once, in order. Only those that another player of another life was told to drop are missing.
        let applied: Vec<u32> = self
            .relay
            .applied
            .iter()
            .map(|payload| u32::from_le_bytes(payload[..].try_into().expect("a number")))
            .collect();
        assert!(applied.windows(2).all(|two| two[0] < two[1]), "{applied:?}");
        assert!(
            applied.len() + self.dropped >= self.sent as usize,
            "lost without a word"
        );
        if self.dropped == 0 {
            assert_eq!(applied, (0..self.sent).collect::<Vec<_>>());
        }
        // Down: each once, in order, without a gap unless a reset was told.
        let mut before: Option<u32> = None;
        let mut gap = true;
        for heard in &self.heard {
            match heard {
                None => gap = true,
                Some(number) => {
                    let next = before.map_or(0, |before| before + 1);
                    assert!(*number >= next, "{:?}", self.heard);
                    assert!(gap || *number == next, "a gap: {:?}", self.heard);
                    before = Some(*number);
                    gap = false;
                }
            }
        }
        assert!(
            self.own.windows(2).all(|two| two[0] < two[1]),
            "{:?}",
            self.own
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 400 } else { 2000 }))]

    #[test]
    fn everything_once_and_in_order(steps in vec(step(), 0..300)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.settle();
        world.check();
    }
}

/// One exchange, broken after every single step of it, and resumed.
#[test]
fn a_cut_at_every_point_loses_and_doubles_nothing() {
    let mut exchange = vec![Step::Open, Step::Transmit, Step::Up, Step::Down];
    for _ in 0..3 {
        exchange.extend([
            Step::Send,
            Step::Say(true),
            Step::Send,
            Step::Transmit,
            Step::Say(false),
            Step::Up,
        ]);
        exchange.extend([
            Step::Say(true),
            Step::Flush(2),
            Step::Down,
            Step::Acknowledge,
            Step::Flush(9),
        ]);
        exchange.extend([Step::Down, Step::Down]);
    }
    for cut in 0..=exchange.len() {
        for again in cut..=exchange.len() {
            let mut world = World::new();
            for (at, step) in exchange.iter().enumerate() {
                for point in [cut, again] {
                    if at == point {
                        world.step(Step::Cut);
                        world.open();
                        world.step(Step::Transmit);
                        world.step(Step::Stale);
                        world.step(Step::Up);
                        world.step(Step::Stale);
                        world.step(Step::Down);
                    }
                }
                world.step(*step);
            }
            world.settle();
            world.check();
            assert_eq!(
                (world.resets, world.dropped),
                (0, 0),
                "cut at {cut} and {again}"
            );
            let said = world.heard.iter().flatten().count();
            assert!(
                said as u32 == world.said || cut < 4,
                "cut at {cut} and {again}"
            );
        }
    }
}
