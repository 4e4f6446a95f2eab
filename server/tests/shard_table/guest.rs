//! A client of a session, whose requests are cut at any byte, lost with their connections and sent again, decided byte by byte:
//! nothing is lost, nothing comes twice, whichever way is taken.

use std::sync::Arc;

use roomcast::limits::{Limits, STREAM_PING_MS};
use roomcast::shard::{Action, Common, Shard, Written};
use roomcast::transport::Port;
use roomcast_protocol::frame::{Opcode, encode, encode_masked, first_len, parts};
use roomcast_protocol::upgrade::{ClientKey, write_client_request};

/// One connection: what its client sends, as far as that has left, and what came back.
#[derive(Default)]
struct Wire {
    slot: Option<u32>,
    up: Vec<u8>,
    /// Bytes of it that have left.
    left: usize,
    down: Vec<u8>,
    is_broken: bool,
    /// Its last request has no answer yet, or one that goes on until it ends.
    is_busy: bool,
}

/// A request whose answer is awaited, and on which connection.
#[derive(Clone, Copy)]
enum Asking {
    Poll(usize),
    /// What it is, and whether its head has come.
    Stream(usize, Down, bool),
}

/// What an endless answer is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Down {
    Frames,
    Events,
}

impl Asking {
    fn wire(self) -> usize {
        match self {
            Self::Poll(wire) | Self::Stream(wire, ..) => wire,
        }
    }
}

/// The client of a session.
struct Guest {
    at: String,
    /// Frames that have come, and the numbers that their texts were.
    acknowledged: u64,
    heard: Vec<u64>,
    asking: Option<Asking>,
    /// Texts that it has said, as far as it has been told so; and those of its request under way, with that one's connection.
    said: u64,
    saying: Option<(usize, u64)>,
    has_streamed: bool,
    is_gone: bool,
}

struct World {
    shard: Shard,
    now: u64,
    wires: Vec<Wire>,
    speaker: usize,
    spoken: u64,
    overheard: Vec<u64>,
    guest: Guest,
}

impl World {
    fn new() -> Self {
        let common = Arc::new(Common::new(Limits::default(), 1));
        let guest = Guest {
            at: String::new(),
            acknowledged: 0,
            heard: Vec::new(),
            asking: None,
            said: 0,
            saying: None,
            has_streamed: false,
            is_gone: false,
        };
        let mut world = Self {
            shard: Shard::new(common, 0, 0, 7),
            now: 0,
            wires: Vec::new(),
            speaker: 0,
            spoken: 0,
            overheard: Vec::new(),
            guest,
        };
        let key = ClientKey::from_bytes(*b"the sample nonce");
        let mut request = Vec::new();
        write_client_request(&mut request, "relay", "/rooms/r", &key, None, &[]);
        world.speaker = world.connect();
        world.send(world.speaker, &request);
        world.deliver(world.speaker, usize::MAX);
        let (status, _) = world.answer(world.speaker).expect("an answer");
        assert_eq!(status, 101);
        let wire = world.connect();
        world.ask(wire, "POST", "/rooms/r/http", b"");
        world.deliver(wire, usize::MAX);
        let (_, body) = world.answer(wire).expect("an answer");
        let body = String::from_utf8(body).expect("text");
        let id = body.split('"').nth(3).expect("an id");
        world.guest.at = format!("/rooms/r/http/{id}");
        world
    }

    fn connect(&mut self) -> usize {
        let slot = self.shard.accept(Port::Plain, None);
        self.wires.push(Wire {
            slot: Some(slot),
            ..Wire::default()
        });
        self.wires.len() - 1
    }

    fn send(&mut self, wire: usize, bytes: &[u8]) {
        self.wires[wire].up.extend_from_slice(bytes);
    }

    fn ask(&mut self, wire: usize, method: &str, target: &str, body: &[u8]) {
        let length = body.len();
        let head =
            format!("{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        self.send(wire, &[head.as_bytes(), body].concat());
        self.wires[wire].is_busy = true;
    }

    /// The same with a body in chunks of so many bytes.
    fn ask_in_chunks(&mut self, wire: usize, target: &str, body: &[u8], each: usize) {
        let head =
            format!("POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut bytes = head.into_bytes();
        for chunk in body.chunks(each) {
            bytes.extend_from_slice(format!("{:x};a=b\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\nTrailer: c\r\n\r\n");
        self.send(wire, &bytes);
        self.wires[wire].is_busy = true;
    }

    /// So many bytes of what a client sends arrive, unless it is read no further, and the shard comes to rest.
    fn deliver(&mut self, wire: usize, most: usize) {
        let Wire { slot, up, left, .. } = &mut self.wires[wire];
        let end = up.len().min(left.saturating_add(most));
        self.shard.advance(self.now, self.now);
        if let Some(slot) = *slot {
            while *left < end && self.shard.may_read(slot) > 0 {
                let most = self.shard.may_read(slot).min(end - *left);
                self.shard.receive(slot, &mut up[*left..*left + most]);
                *left += most;
            }
        } else {
            *left = end;
        }
        self.settle();
    }

    fn break_off(&mut self, wire: usize) {
        let wire = &mut self.wires[wire];
        wire.is_broken = true;
        wire.down.clear();
        if let Some(slot) = wire.slot {
            self.shard.failed(slot);
        }
        self.settle();
    }

    fn settle(&mut self) {
        for _ in 0..1_000 {
            self.iterate();
            let is_due = |at: u64| at <= self.now;
            if !self.shard.has_work() && !self.shard.next_deadline().is_some_and(is_due) {
                return;
            }
        }
        panic!("the shard does not come to rest");
    }

    fn iterate(&mut self) {
        let Self {
            shard, wires, now, ..
        } = self;
        shard.advance(*now, *now);
        shard.freeze();
        while let Some(slot) = shard.next_write() {
            let wire = wires.iter_mut().find(|wire| wire.slot == Some(slot));
            let wire = wire.expect("a slot has a wire");
            let written = shard.pending().with_slices(|slices| {
                let before = wire.down.len();
                for slice in slices {
                    wire.down.extend_from_slice(slice);
                }
                wire.down.len() - before
            });
            shard.wrote(Written::Bytes(written));
        }
        shard.expire();
        let mut silent = Vec::new();
        shard.take_silent(&mut silent);
        for slot in silent {
            shard.convict(slot, true);
        }
        let mut actions = Vec::new();
        shard.take_actions(&mut actions);
        while let Some(action) = actions.pop() {
            match action {
                // The client sees the end, and ends its side.
                Action::ShutdownWrite(slot) => shard.end_of_input(slot),
                Action::Weigh(slot) => shard.weighed(slot, 0),
                Action::HandOff { .. } | Action::Say { .. } => panic!("{action:?}"),
            }
            shard.take_actions(&mut actions);
        }
        shard.take_unpaused(&mut Vec::new());
        shard.reap(|slot| {
            if let Some(wire) = wires.iter_mut().find(|wire| wire.slot == Some(slot)) {
                wire.slot = None;
            }
        });
        assert_eq!(shard.accounts(), Ok(()));
    }

    /// The status and the content of a whole answer at the front of what came.
    fn answer(&mut self, wire: usize) -> Option<(u16, Vec<u8>)> {
        let down = &mut self.wires[wire].down;
        let end = down.windows(4).position(|it| it == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(down[..end].to_vec()).expect("a head of text");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "));
        let length: usize = length.map_or(0, |length| length.parse().expect("a length"));
        if down.len() < end + length {
            return None;
        }
        let body = down[end..end + length].to_vec();
        down.drain(..end + length);
        self.wires[wire].is_busy = !head.contains("Content-Length") && head.contains(" 200 ");
        Some((head[9..12].parse().expect("a status"), body))
    }

    /// A connection on which the next request may go: one that is kept, or a new one.
    fn free(&mut self, kept: bool) -> usize {
        let busy = [
            self.guest.saying.map(|(wire, _)| wire),
            self.guest.asking.map(Asking::wire),
        ];
        let found = (self.speaker + 1..self.wires.len()).rev().find(|wire| {
            let it = &self.wires[*wire];
            let is_idle = it.left == it.up.len() && it.down.is_empty();
            kept && is_idle
                && it.slot.is_some()
                && !it.is_broken
                && !it.is_busy
                && !busy.contains(&Some(*wire))
        });
        found.unwrap_or_else(|| self.connect())
    }

    /// The client asks for what comes, though it may be asking already.
    fn listen(&mut self, kept: bool, streams: Option<Down>) {
        let wire = self.free(kept);
        let (at, ack) = (&self.guest.at, self.guest.acknowledged);
        let what = match streams {
            None => "poll",
            Some(Down::Frames) => "stream",
            Some(Down::Events) => "events",
        };
        let target = format!("{at}/{what}?ack={ack}");
        self.ask(wire, "GET", &target, b"");
        self.guest.has_streamed |= streams.is_some();
        self.guest.asking = Some(match streams {
            Some(down) => Asking::Stream(wire, down, false),
            None => Asking::Poll(wire),
        });
    }

    /// The client says so many texts more, or what it has not been told that it was heard.
    fn say(&mut self, kept: bool, count: u64, chunks: Option<usize>) {
        let wire = self.free(kept);
        let (first, mut body) = (self.guest.said, Vec::new());
        for number in first..first + count {
            encode(&mut body, Opcode::Text, number.to_string().as_bytes());
        }
        let mut target = format!("{}/up?seq={first}", self.guest.at);
        if count == 1 {
            target = format!("{}/text?seq={first}", self.guest.at);
            body = first.to_string().into_bytes();
        }
        match chunks {
            None => self.ask(wire, "POST", &target, &body),
            Some(each) => self.ask_in_chunks(wire, &target, &body, each),
        }
        self.guest.saying = Some((wire, count));
    }

    /// Somebody asks with a bit of the session's path turned over.
    fn stray(&mut self, by: u8) {
        let mut at = self.guest.at.clone().into_bytes();
        let byte = usize::from(by) % at.len();
        at[byte] ^= 1 << (by % 5);
        let (wire, ack) = (self.connect(), self.guest.acknowledged);
        self.send(wire, b"GET ");
        self.send(wire, &at);
        let rest = format!("/poll?ack={ack} HTTP/1.1\r\nHost: a\r\n\r\n");
        self.send(wire, rest.as_bytes());
        self.wires[wire].is_busy = true;
        self.deliver(wire, usize::MAX);
    }

    fn speak(&mut self, count: u64) {
        let mut frames = Vec::new();
        for number in self.spoken..self.spoken + count {
            encode_masked(
                &mut frames,
                Opcode::Text,
                number.to_string().as_bytes(),
                [7; 4],
            );
        }
        self.spoken += count;
        self.send(self.speaker, &frames);
        self.deliver(self.speaker, usize::MAX);
    }

    /// Everybody reads what has come.
    fn read(&mut self) {
        let mut down = std::mem::take(&mut self.wires[self.speaker].down);
        self.overheard
            .extend(numbers(&mut down).into_iter().flatten());
        if let Some((wire, count)) = self.guest.saying
            && let Some((status, body)) = self.answer(wire)
        {
            self.guest.saying = None;
            match status {
                204 => self.guest.said += count,
                // It was displaced, or its bytes did not come in time: the same again.
                503 | 408 => {}
                410 => self.guest.is_gone = true,
                _ => panic!("{status} {}", String::from_utf8_lossy(&body)),
            }
        }
        match self.guest.asking {
            Some(asking @ (Asking::Poll(_) | Asking::Stream(_, _, false))) => {
                self.read_head(asking);
            }
            Some(Asking::Stream(wire, down, true)) => {
                let mut came = std::mem::take(&mut self.wires[wire].down);
                self.guest.hear(down, &mut came);
                assert!(came.is_empty(), "whole frames");
                if self.wires[wire].slot.is_none() {
                    self.guest.asking = None;
                }
            }
            None => {}
        }
    }

    /// What was asked for comes, or begins to.
    fn read_head(&mut self, asking: Asking) {
        let Some((status, mut body)) = self.answer(asking.wire()) else {
            return;
        };
        self.guest.asking = match asking {
            Asking::Stream(wire, down, _) if status == 200 => {
                Some(Asking::Stream(wire, down, true))
            }
            _ => None,
        };
        match status {
            200 => self.guest.hear(Down::Frames, &mut body),
            // Another one came later, or did so on its way; or its bytes did not come in time.
            204 | 408 => {}
            410 => self.guest.is_gone = true,
            // Of a stream that was cut, not all is kept for ever.
            409 if self.guest.has_streamed && self.now >= STREAM_PING_MS.into() => {
                self.guest.is_gone = true;
            }
            _ => panic!("{status} {}", String::from_utf8_lossy(&body)),
        }
    }

    fn step(&mut self, op: u8, by: u8) {
        let count = u64::from(by % 4) + 1;
        let asking = self.guest.asking.map(Asking::wire);
        let saying = self.guest.saying.map(|(wire, _)| wire);
        match op % 12 {
            0 => self.speak(count),
            1 => self.listen(by.is_multiple_of(2), None),
            2 => self.listen(by.is_multiple_of(2), Some(Down::Frames)),
            10 => self.listen(by.is_multiple_of(2), Some(Down::Events)),
            3 if saying.is_none() => {
                let each = usize::from(by / 16);
                let chunks = Some(each).filter(|&each| each > 0);
                self.say(by.is_multiple_of(2), count, chunks);
            }
            11 => self.stray(by),
            op @ (4 | 5) => {
                let waiting = [asking, saying][usize::from(op == 5)];
                if let Some(wire) = waiting {
                    self.deliver(wire, by.into());
                }
            }
            6 => {
                if let Some(wire) = asking {
                    self.break_off(wire);
                    self.guest.asking = None;
                }
            }
            7 => {
                if let Some(wire) = saying {
                    self.break_off(wire);
                    self.guest.saying = None;
                }
            }
            8 => {
                // Nobody is silent for so long that it is missed.
                self.now = 25_000.min(self.now + u64::from(by) * 8);
                self.settle();
            }
            _ => self.read(),
        }
    }

    /// Whatever had become of it, all goes well from here on: both have heard everything.
    fn finish(&mut self) {
        for _ in 0..100 {
            if self.guest.saying.is_none() {
                self.say(true, 1, None);
            }
            let all = self.guest.heard.len() as u64 == self.spoken;
            if self.guest.asking.is_none() && !all {
                self.listen(true, None);
            }
            for wire in 0..self.wires.len() {
                if !self.wires[wire].is_broken {
                    self.deliver(wire, usize::MAX);
                }
            }
            self.read();
            if self.guest.is_gone || (all && self.guest.saying.is_none()) {
                return;
            }
        }
        panic!(
            "not all of {} is heard: {:?}",
            self.spoken, self.guest.heard
        );
    }
}

impl Guest {
    fn hear(&mut self, down: Down, bytes: &mut Vec<u8>) {
        let texts = match down {
            Down::Frames => numbers(bytes),
            Down::Events => events(bytes, self.acknowledged),
        };
        for text in texts {
            self.acknowledged += 1;
            self.heard.extend(text);
        }
    }
}

/// The whole events in front, of those that have a number: what their texts are. The first comes behind so many.
fn events(bytes: &mut Vec<u8>, behind: u64) -> Vec<Option<u64>> {
    let mut heard = Vec::new();
    while let Some(end) = bytes.windows(2).position(|it| it == b"\n\n") {
        let event = String::from_utf8(bytes.drain(..end + 2).collect()).expect("text");
        let said = |name| event.lines().find_map(|line| line.strip_prefix(name));
        if let Some(id) = said("id: ") {
            let number = behind + heard.len() as u64 + 1;
            assert_eq!(id.parse(), Ok(number), "{event}");
            let is_text = said("event: ").is_none();
            heard.push(
                said("data: ")
                    .filter(|_| is_text)
                    .and_then(|it| it.parse().ok()),
            );
        }
    }
    heard
}

/// The whole frames in front, without pings: those that are texts with the numbers that they are.
fn numbers(bytes: &mut Vec<u8>) -> Vec<Option<u64>> {
    let mut heard = Vec::new();
    while let Some(end) = first_len(bytes) {
        let (opcode, payload) = parts(bytes).expect("a frame");
        let text = str::from_utf8(payload).ok().and_then(|it| it.parse().ok());
        if opcode != Opcode::Ping {
            heard.push(text.filter(|_| opcode == Opcode::Text));
        }
        bytes.drain(..end);
    }
    heard
}

/// Two bytes decide each step. Then everything that is still under way arrives.
pub(crate) fn run(data: &[u8]) {
    let mut world = World::new();
    for step in data.chunks_exact(2).take(1_000) {
        world.step(step[0], step[1]);
        if world.guest.is_gone {
            break;
        }
    }
    if !world.guest.is_gone {
        world.finish();
    }
    let (heard, overheard) = (&world.guest.heard, &world.overheard);
    let in_order = |all: &[u64]| all.iter().copied().eq(0..all.len() as u64);
    assert!(
        in_order(heard) && in_order(overheard),
        "{heard:?} {overheard:?}"
    );
    assert!(heard.len() as u64 <= world.spoken);
    if !world.guest.is_gone {
        assert_eq!(heard.len() as u64, world.spoken);
        assert!(overheard.len() as u64 >= world.guest.said);
    }
}
