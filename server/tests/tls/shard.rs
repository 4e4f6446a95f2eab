//! Shards whose connections speak TLS.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use roomcast::limits::{Limits, RECORD_PLAINTEXT};
use roomcast::shard::{Action, CloseReason, Common, DisconnectReason, EndReason, Shard, Written};
use roomcast::transport::{Acceptor, Heard, Played, Port};
use roomcast_protocol::frame::{Opcode, encode};
use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};

use super::pair::{Peer, Settings, settings};
use super::played::End;

/// A binary frame of a client, masked with zeros.
fn frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x82];
    match payload.len() {
        len @ 0..=125 => bytes.push(0x80 | len as u8),
        len => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

fn request(path: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

/// Where a connection is.
type Place = (usize, u32);

/// Shards, and the pipes that are their sockets.
struct Stage {
    shards: Vec<Shard>,
    common: Arc<Common>,
    settings: Settings,
    now: u64,
    /// Writes that have left, in order.
    writes: HashMap<Place, Vec<Vec<u8>>>,
    /// Bytes each socket still takes; no entry: any number.
    room: HashMap<Place, usize>,
    ended: HashMap<Place, Option<DisconnectReason>>,
    shut: Vec<Place>,
    moved: Vec<(Place, Place)>,
}

impl Stage {
    fn new(shards: usize) -> Self {
        Self::with(shards, Limits::default(), &TLS13)
    }

    fn with(
        shards: usize,
        limits: Limits,
        version: &'static rustls::SupportedProtocolVersion,
    ) -> Self {
        let settings = settings(&[version]);
        let acceptor = settings.acceptor().into();
        Self::over(shards, limits, settings, acceptor)
    }

    fn over(shards: usize, limits: Limits, settings: Settings, acceptor: Acceptor) -> Self {
        let common = Arc::new(Common::new(limits, shards).with_tls(acceptor));
        Self {
            shards: (0..shards)
                .map(|index| Shard::new(Arc::clone(&common), index, 0, 7))
                .collect(),
            common,
            settings,
            now: 0,
            writes: HashMap::new(),
            room: HashMap::new(),
            ended: HashMap::new(),
            shut: Vec::new(),
            moved: Vec::new(),
        }
    }

    fn accept(&mut self, shard: usize) -> Place {
        (shard, self.shards[shard].accept(Port::Tls, None))
    }

    /// One iteration of all shards, in which these bytes come.
    fn turn(&mut self, input: &[(Place, &[u8])]) {
        self.now += 1;
        for shard in 0..self.shards.len() {
            self.shards[shard].advance(self.now, self.now);
        }
        for ((shard, slot), bytes) in input {
            self.shards[*shard].receive(*slot, &mut bytes.to_vec());
        }
        for shard in 0..self.shards.len() {
            self.finish_turn(shard);
        }
    }

    fn finish_turn(&mut self, index: usize) {
        self.shards[index].freeze();
        while let Some(slot) = self.shards[index].next_write() {
            let place = (index, slot);
            let bytes = self.shards[index]
                .pending()
                .with_slices(|slices| slices.concat_bytes());
            let room = self.room.entry(place).or_insert(usize::MAX);
            let taken = bytes.len().min(*room);
            *room = room.saturating_sub(taken);
            if taken > 0 {
                self.writes
                    .entry(place)
                    .or_default()
                    .push(bytes[..taken].to_vec());
            }
            let blocked = taken == 0 && !bytes.is_empty();
            self.shards[index].wrote(if blocked {
                Written::Blocked
            } else {
                Written::Bytes(taken)
            });
        }
        self.shards[index].expire();
        let mut silent = Vec::new();
        self.shards[index].take_silent(&mut silent);
        for slot in silent {
            self.shards[index].convict(slot, true);
        }
        let mut actions = Vec::new();
        self.shards[index].take_actions(&mut actions);
        for action in actions {
            match action {
                Action::ShutdownWrite(slot) => self.shut.push((index, slot)),
                // Everything arrives.
                Action::Weigh(slot) => self.shards[index].weighed(slot, 0),
                Action::HandOff {
                    slot,
                    home,
                    handover,
                } => {
                    let adopted = self.shards[home].adopt(*handover);
                    self.moved.push(((index, slot), (home, adopted)));
                }
                Action::Say { reactor, word } => self.shards[reactor].hear_word(word),
            }
        }
        let shard = &mut self.shards[index];
        let mut reaped = Vec::new();
        let reasons: Vec<_> = (0..64).map(|slot| shard.reason(slot)).collect();
        shard.reap(|slot| reaped.push(slot));
        for slot in reaped {
            self.ended.insert((index, slot), reasons[slot as usize]);
        }
    }

    fn take(&mut self, place: Place) -> Vec<u8> {
        self.writes.remove(&place).unwrap_or_default().concat()
    }

    /// A client whose TLS handshake is complete.
    fn shake(&mut self, place: Place) -> Peer {
        let mut peer = self.settings.client();
        for _ in 0..4 {
            self.exchange(place, &mut peer);
        }
        assert!(!peer.tls.is_handshaking());
        peer
    }

    /// Everything in both directions, once.
    fn exchange(&mut self, place: Place, peer: &mut Peer) {
        let bytes: Vec<u8> = peer.to_us.drain(..).collect();
        self.turn(&[(place, &bytes)]);
        let bytes = self.take(place);
        peer.hear(&bytes);
    }

    /// A player in this room, on a shard that is its home.
    fn join(&mut self, shard: usize, room: &str) -> (Place, Peer) {
        let place = self.accept(shard);
        let mut peer = self.shake(place);
        peer.say(&request(&format!("/rooms/{room}")));
        self.exchange(place, &mut peer);
        assert!(
            peer.got.starts_with(b"HTTP/1.1 101"),
            "{:?}",
            String::from_utf8_lossy(&peer.got)
        );
        peer.got.clear();
        (place, peer)
    }

    /// A room that is at home on this shard.
    fn room_of(&self, shard: usize) -> String {
        let mut names = (0..).map(|number| format!("room-{number}"));
        names
            .find(|name| self.common.home(name) == shard)
            .expect("there are many names")
    }
}

trait ConcatBytes {
    fn concat_bytes(&self) -> Vec<u8>;
}

impl ConcatBytes for [std::io::IoSlice<'_>] {
    fn concat_bytes(&self) -> Vec<u8> {
        self.iter()
            .flat_map(|slice| slice.iter().copied())
            .collect()
    }
}

/// TLS records in these bytes: type and length of the body.
fn records(mut bytes: &[u8]) -> Vec<(u8, usize)> {
    let mut found = Vec::new();
    while let [kind, _, _, high, low, rest @ ..] = bytes {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        found.push((*kind, len));
        bytes = &rest[len..];
    }
    assert!(bytes.is_empty(), "records whole");
    found
}

#[test]
fn all_frames_of_a_flush_are_one_record_and_one_write() {
    for version in [&TLS13, &TLS12] {
        let mut stage = Stage::with(1, Limits::default(), version);
        let mut players: Vec<_> = (0..5).map(|_| stage.join(0, "lobby")).collect();
        let mut input = Vec::new();
        for (index, (place, peer)) in players.iter_mut().enumerate() {
            peer.say(&[frame(&[index as u8; 60]), frame(&[index as u8; 7])].concat());
            input.push((*place, peer.to_us.drain(..).collect::<Vec<u8>>()));
        }
        let input: Vec<_> = input
            .iter()
            .map(|(place, bytes)| (*place, bytes.as_slice()))
            .collect();
        stage.turn(&input);
        for (index, (place, peer)) in players.iter_mut().enumerate() {
            let writes = stage.writes.remove(place).expect("something was said");
            assert_eq!(writes.len(), 1, "one write");
            assert_eq!(records(&writes[0]).len(), 1, "one record");
            peer.hear(&writes[0]);
            assert_eq!(peer.got.len(), 4 * (62 + 9), "from all others");
            assert!(!peer.got.contains(&(index as u8)) || index == 2 || index == 0);
        }
    }
}

#[test]
fn a_hand_off_takes_along_what_is_in_every_buffer() {
    for split in [1, 5, 20, 60] {
        let mut stage = Stage::new(2);
        let room = stage.room_of(1);
        let (witness_place, mut witness) = stage.join(1, &room);
        let place = stage.accept(0);
        let mut peer = stage.settings.client();
        let hello: Vec<u8> = peer.to_us.drain(..).collect();
        stage.turn(&[(place, &hello)]);
        let flight = stage.take(place);
        peer.hear(&flight);
        // In one read: the end of the handshake (so that a ticket is unsent), the request, a frame behind it
        // (decrypted), and the beginning of a record with another (undecrypted).
        peer.say(&request(&format!("/rooms/{room}")));
        peer.say(&frame(b"decrypted"));
        let whole = peer.to_us.len();
        peer.say(&frame(b"undecrypted"));
        let bytes: Vec<u8> = peer.to_us.drain(..).collect();
        let cut = whole + split.min(bytes.len() - whole - 1);
        stage.turn(&[(place, &bytes[..cut])]);
        let (from, to) = *stage.moved.first().expect("its room is elsewhere");
        assert_eq!(from, place);
        assert_eq!(stage.ended[&place], None, "it did not end, it moved");
        stage.turn(&[(to, &bytes[cut..])]);
        stage.turn(&[]);
        let answer = stage.take(to);
        assert!(records(&answer).len() >= 2, "the ticket, then the answer");
        peer.hear(&answer);
        assert!(peer.got.starts_with(b"HTTP/1.1 101"), "split {split}");
        let heard = stage.take(witness_place);
        witness.hear(&heard);
        assert_eq!(
            witness.got,
            [b"\x82\x09decrypted".as_slice(), b"\x82\x0bundecrypted"].concat()
        );
        // And on it goes, both ways.
        peer.got.clear();
        witness.say(&frame(b"welcome"));
        stage.exchange(witness_place, &mut witness);
        let heard = stage.take(to);
        peer.hear(&heard);
        assert_eq!(peer.got, b"\x82\x07welcome");
    }
}

#[test]
fn an_end_that_comes_with_the_request_is_heard_behind_the_hand_off() {
    let mut stage = Stage::new(2);
    let room = stage.room_of(1);
    let place = stage.accept(0);
    let mut peer = stage.shake(place);
    peer.say(&request(&format!("/rooms/{room}")));
    peer.tls.send_close_notify();
    peer.pump();
    stage.exchange(place, &mut peer);
    for _ in 0..3 {
        stage.turn(&[]);
    }
    let (_, to) = stage.moved[0];
    assert_eq!(
        stage.shards[1].reason(to.1),
        Some(EndReason::PeerGone.into())
    );
    assert_eq!(stage.shut, [to]);
}

#[test]
fn nothing_is_sealed_for_a_socket_that_takes_nothing() {
    let limits = Limits::default();
    let mut stage = Stage::with(1, limits, &TLS13);
    let (slow, mut slow_peer) = stage.join(0, "lobby");
    let (quick, mut quick_peer) = stage.join(0, "lobby");
    stage.room.insert(slow, 100);
    for round in 0..20u8 {
        quick_peer.say(&frame(&[round; 1000]));
        stage.exchange(quick, &mut quick_peer);
    }
    // What a socket took in part has to follow; all else is still plaintext, so the charge is of the plain frames and
    // of one record.
    let (charged, _) = stage.shards[0].held(slow.1);
    assert!(
        charged > 20 * 1004 && charged < 20 * (1004 + 96) + 2048,
        "{charged}"
    );
    stage.room.insert(slow, usize::MAX);
    stage.shards[0].writable(slow.1);
    for _ in 0..4 {
        stage.turn(&[]);
    }
    let writes = stage.writes.remove(&slow).expect("it caught up");
    let sizes: Vec<usize> = records(&writes.concat())
        .iter()
        .map(|(_, len)| *len)
        .collect();
    assert_eq!(
        sizes.len(),
        3,
        "the first, then as few as hold the rest: {sizes:?}"
    );
    assert!(sizes[1] > RECORD_PLAINTEXT, "a full one: {sizes:?}");
    slow_peer.hear(&writes.concat());
    assert_eq!(slow_peer.got.len(), 20 * 1004);
    assert!(stage.shards[0].held(slow.1) == (0, 0));
}

#[test]
fn a_slow_one_gets_its_close_frame_and_a_clean_end() {
    let limits = Limits {
        congested_ms_max: 50,
        ..Limits::default()
    };
    let mut stage = Stage::with(1, limits, &TLS13);
    let (slow, mut slow_peer) = stage.join(0, "lobby");
    let (quick, mut quick_peer) = stage.join(0, "lobby");
    stage.room.insert(slow, 10);
    for round in 0..80u8 {
        quick_peer.say(&frame(&[round; 200]));
        stage.exchange(quick, &mut quick_peer);
    }
    assert_eq!(
        stage.shards[0].reason(slow.1),
        Some(CloseReason::SlowConsumer.into())
    );
    stage.room.insert(slow, usize::MAX);
    stage.shards[0].writable(slow.1);
    for _ in 0..3 {
        stage.turn(&[]);
    }
    let bytes = stage.take(slow);
    slow_peer.hear(&bytes);
    assert_eq!(
        slow_peer.got[..2],
        [0x82, 126],
        "the frame that had begun to leave, whole"
    );
    assert_eq!(slow_peer.got[204..206], [0x88, 35], "then the close frame");
    assert_eq!(slow_peer.got[206..208], 4002u16.to_be_bytes());
}

#[test]
fn ends_are_told_apart() {
    // A close frame, answered: a close_notify comes with it.
    let mut stage = Stage::new(1);
    let (place, mut peer) = stage.join(0, "lobby");
    peer.say(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]);
    stage.exchange(place, &mut peer);
    assert_eq!(peer.got, [0x88, 2, 0x03, 0xe8]);
    assert!(peer.told_closed, "close_notify");
    assert_eq!(stage.shut, [place]);
    stage.shards[0].end_of_input(place.1);
    stage.turn(&[]);
    assert_eq!(stage.ended[&place], Some(EndReason::PeerClosed.into()));

    // A close_notify alone: answered by one.
    let (place, mut peer) = stage.join(0, "lobby");
    peer.tls.send_close_notify();
    peer.pump();
    stage.exchange(place, &mut peer);
    stage.turn(&[]);
    let bytes = stage.take(place);
    peer.hear(&bytes);
    assert!(peer.told_closed, "close_notify");
    stage.shards[0].end_of_input(place.1);
    stage.turn(&[]);
    assert_eq!(stage.ended[&place], Some(EndReason::PeerGone.into()));

    // TCP ends, TLS did not: somebody may have cut it.
    let (place, _peer) = stage.join(0, "lobby");
    stage.shards[0].end_of_input(place.1);
    stage.turn(&[]);
    assert_eq!(stage.ended[&place], Some(EndReason::TlsTruncated.into()));

    // The same in the middle of a handshake is nobody's attack.
    let place = stage.accept(0);
    let mut peer = stage.settings.client();
    stage.exchange(place, &mut peer);
    stage.shards[0].end_of_input(place.1);
    stage.turn(&[]);
    assert_eq!(stage.ended[&place], Some(EndReason::PeerGone.into()));

    // A record that was changed on the way: an alert, then the end; and its neighbours play on.
    let (place, mut peer) = stage.join(0, "lobby");
    peer.say(&frame(b"x"));
    *peer.to_us.back_mut().expect("a record") ^= 1;
    stage.exchange(place, &mut peer);
    assert!(peer.broken, "the alert is an error to the client");
    assert_eq!(stage.shut.last(), Some(&place));
    stage.shards[0].end_of_input(place.1);
    stage.turn(&[]);
    assert_eq!(stage.ended[&place], Some(EndReason::TlsViolation.into()));

    // Nothing that can be agreed on.
    let place = stage.accept(0);
    stage.turn(&[(place, b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")]);
    assert_eq!(
        stage.shards[0].reason(place.1),
        Some(EndReason::TlsHandshake.into())
    );
    let alert = stage.take(place);
    assert_eq!(alert[0], 21, "an alert: {alert:?}");
    assert!(stage.shut.contains(&place));
}

#[test]
fn plain_http_on_the_tls_port_is_told_so() {
    let mut stage = Stage::new(1);
    let place = stage.accept(0);
    stage.turn(&[(place, b"GET /rooms/lobby HTTP/1.1\r\n")]);
    let answer = String::from_utf8(stage.take(place)).expect("text");
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.contains("wss://"),
        "{answer}"
    );
    assert_eq!(stage.shut, [place]);
}

#[test]
fn handshakes_end_in_time_however_far_they_came() {
    let limits = Limits {
        handshake_ms: 100,
        ..Limits::default()
    };
    let mut stage = Stage::with(1, limits, &TLS13);
    let silent = stage.accept(0);
    let trickling = stage.accept(0);
    let hello: Vec<u8> = stage.settings.client().to_us.into();
    let half = stage.accept(0);
    stage.turn(&[(half, &hello)]);
    let headless = stage.accept(0);
    let mut headless_peer = stage.shake(headless);
    for byte in 0..90 {
        stage.turn(&[(trickling, &hello[byte..=byte])]);
    }
    for _ in 0..40 {
        stage.turn(&[]);
    }
    let ended = |stage: &Stage, place: &Place| stage.ended.get(place).copied().flatten();
    for place in [silent, trickling, half] {
        assert_eq!(
            ended(&stage, &place),
            Some(EndReason::HandshakeTimeout.into())
        );
    }
    let bytes = stage.take(headless);
    headless_peer.hear(&bytes);
    assert!(
        headless_peer.got.starts_with(b"HTTP/1.1 408 "),
        "this one can be told"
    );
}

#[test]
fn sessions_are_resumed_on_whatever_shard() {
    for version in [&TLS13, &TLS12] {
        let mut stage = Stage::with(2, Limits::default(), version);
        let place = stage.accept(0);
        let peer = stage.shake(place);
        assert!(matches!(
            peer.tls.handshake_kind(),
            Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest)
        ));
        let place = stage.accept(1);
        let peer = stage.shake(place);
        assert_eq!(peer.tls.handshake_kind(), Some(HandshakeKind::Resumed));
        assert_eq!(stage.shards[0].counters().tls_full, 1);
        assert_eq!(stage.shards[1].counters().tls_resumed, 1);
    }
}

/// Draining shortens the time for handshakes, and makes nobody older or younger.
#[test]
fn newcomers_have_their_moment_while_draining_too() {
    let mut stage = Stage::new(1);
    let early = stage.accept(0);
    stage.turn(&[]);
    stage.shards[0].drain(3_600_000);
    let late = stage.accept(0);
    assert!(!stage.shards[0].evict_newcomer(), "everybody has a moment");
    stage.now += 1_000;
    stage.turn(&[]);
    assert!(stage.shards[0].evict_newcomer());
    assert!(stage.shards[0].evict_newcomer());
    stage.turn(&[]);
    for place in [early, late] {
        assert_eq!(
            stage.ended[&place],
            Some(EndReason::HandshakeTimeout.into())
        );
    }
}

#[test]
fn who_never_finishes_makes_room_for_who_waits() {
    let mut stage = Stage::new(1);
    let (seated, _peer) = stage.join(0, "lobby");
    let first = stage.accept(0);
    stage.turn(&[]);
    let second = stage.accept(0);
    assert!(!stage.shards[0].evict_newcomer(), "everybody has a moment");
    stage.now += 1_000;
    stage.turn(&[]);
    assert!(stage.shards[0].evict_newcomer());
    assert!(stage.shards[0].evict_newcomer());
    assert!(!stage.shards[0].evict_newcomer(), "nobody with a seat");
    stage.turn(&[]);
    for place in [first, second] {
        assert_eq!(
            stage.ended[&place],
            Some(EndReason::HandshakeTimeout.into())
        );
    }
    assert!(stage.shards[0].is_seated(seated.1));
}

#[test]
fn who_does_not_answer_our_close_frame_gets_a_close_notify_all_the_same() {
    let limits = Limits {
        idle_ms: 30,
        ping_ms: 10,
        close_ms: 40,
        ..Limits::default()
    };
    let mut stage = Stage::with(1, limits, &TLS13);
    let (place, mut peer) = stage.join(0, "lobby");
    for _ in 0..200 {
        stage.turn(&[]);
    }
    let bytes = stage.take(place);
    peer.hear(&bytes);
    let code = 4005u16.to_be_bytes();
    assert!(
        peer.got.windows(2).any(|bytes| bytes == code),
        "our close frame"
    );
    assert!(peer.told_closed, "close_notify");
    assert_eq!(stage.shut, [place]);
    assert_eq!(stage.ended[&place], Some(CloseReason::Idle.into()));
}

/// A close_notify behind messages that wait comes behind them.
#[test]
fn what_ends_a_session_waits_with_what_came_before_it() {
    let mut stage = Stage::new(1);
    let (slow, _) = stage.join(0, "lobby");
    let (talker, mut talker_peer) = stage.join(0, "lobby");
    stage.room.insert(slow, 1_000);
    for talk in [6_000, 20_000] {
        // The first leaves somebody behind, and with the second the room has said what it may.
        talker_peer.say(&frame(&[7; 1_000]).repeat(talk / 1_000));
        stage.exchange(talker, &mut talker_peer);
    }
    let leaving = stage.accept(0);
    let mut peer = stage.shake(leaving);
    peer.say(&[request("/rooms/lobby"), frame(b"farewell").repeat(50)].concat());
    peer.tls.send_close_notify();
    peer.pump();
    stage.exchange(leaving, &mut peer);
    assert!(peer.got.starts_with(b"HTTP/1.1 101"));
    assert!(stage.shards[0].unread(leaving.1) > 0, "it waits");
    assert!(stage.shards[0].is_seated(leaving.1));
    stage.room.insert(slow, usize::MAX);
    stage.shards[0].writable(slow.1);
    for _ in 0..3 {
        stage.turn(&[]);
        let mut unpaused = Vec::new();
        stage.shards[0].take_unpaused(&mut unpaused);
        if unpaused.contains(&leaving.1) {
            let most = stage.shards[0].may_read(leaving.1);
            stage.shards[0].receive_unread(leaving.1, most);
        }
    }
    let heard = stage.take(talker);
    talker_peer.hear(&heard);
    assert_eq!(talker_peer.got.len(), 50 * 10, "all of it was said");
    assert_eq!(
        stage.shards[0].reason(leaving.1),
        Some(EndReason::PeerGone.into())
    );
}

/// A room of one flooder and one member that takes every write whole: what is held for it stays within the limit.
#[test]
fn who_takes_everything_is_neither_buried_nor_evicted() {
    for outbox_bytes_max in [256 * 1024, 4 * 1024 * 1024] {
        let limits = Limits {
            outbox_bytes_max,
            ..Limits::default()
        };
        let mut stage = Stage::with(1, limits, &TLS13);
        let (reader, mut reader_peer) = stage.join(0, "lobby");
        let (flooder, mut flooder_peer) = stage.join(0, "lobby");
        let flood = frame(&[7; 60_000]).repeat(1);
        let mut said = 0;
        for _ in 0..500 {
            flooder_peer.say(&flood);
            said += 1;
            let bytes: Vec<u8> = flooder_peer.to_us.drain(..).collect();
            // Several reads in one iteration, as from several flooders.
            stage.shards[0].advance(stage.now + 1, stage.now + 1);
            if stage.shards[0].may_read(flooder.1) > 0 {
                stage.turn(&[(flooder, &bytes)]);
            } else {
                flooder_peer.to_us.extend(bytes);
                said -= 1;
                stage.turn(&[]);
                let mut unpaused = Vec::new();
                stage.shards[0].take_unpaused(&mut unpaused);
            }
            let (charged, _) = stage.shards[0].held(reader.1);
            assert!(charged <= outbox_bytes_max, "{charged} bytes are held");
            let heard = stage.take(reader);
            reader_peer.hear(&heard);
            stage.take(flooder);
        }
        for _ in 0..200 {
            stage.turn(&[]);
            let heard = stage.take(reader);
            reader_peer.hear(&heard);
        }
        assert_eq!(stage.shards[0].reason(reader.1), None);
        assert!(said > 400, "a reader that keeps up slows nobody: {said}");
        assert_eq!(reader_peer.got.len(), said * 60_004);
    }
}

/// AES-GCM keys may seal 2^24 records, and TLS 1.2 has no other ones: before it is so far, the player is told to reconnect.
#[test]
fn a_session_whose_keys_are_spent_says_goodbye() {
    let mut stage = Stage::with(1, Limits::default(), &TLS12);
    let (place, mut peer) = stage.join(0, "lobby");
    let sender = stage.shards[0].accept(Port::Plain, None);
    stage.turn(&[((0, sender), &request("/rooms/lobby"))]);
    let message = frame(b"x");
    let shard = &mut stage.shards[0];
    let mut messages = 0;
    while shard.is_seated(place.1) && messages < 1 << 24 {
        messages += 1;
        shard.receive(sender, &mut message.clone());
        shard.freeze();
        while let Some(slot) = shard.next_write() {
            let bytes = shard.pending().with_slices(|slices| slices.concat_bytes());
            shard.wrote(Written::Bytes(bytes.len()));
            if slot == place.1 {
                peer.hear(&bytes);
            }
        }
        if shard.is_seated(place.1) {
            assert_eq!(peer.got, b"\x82\x01x", "message {messages}");
            peer.got.clear();
        }
    }
    assert_eq!(shard.reason(place.1), Some(CloseReason::TlsSpent.into()));
    stage.turn(&[]);
    let goodbye = stage.take(place);
    peer.hear(&goodbye);
    assert_eq!(peer.got[..4], [0x88, 47, 0x03, 0xf4], "1012");
    assert!(messages > (1 << 24) - (1 << 13), "late enough: {messages}");
}

/// Two players whose TLS is played; what they said, cut anywhere, and every byte the relay wrote.
fn play(seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let cost = Arc::new(AtomicU64::new(0));
    let tls13 = settings(&[&TLS13]);
    let mut stage = Stage::over(1, Limits::default(), tls13, End::acceptor(300, &cost));
    let mut written = Vec::new();
    let mut players: Vec<_> = (0..2)
        .map(|_| {
            let mut out = Vec::new();
            let end = End::client(&mut out);
            (stage.accept(0), end, out, Vec::new())
        })
        .collect();
    let mut said = 0;
    let mut want = Vec::new();
    for turn in 0.. {
        let mut quiet = true;
        let joined = players[1].3.starts_with(b"HTTP/1.1 101");
        for (index, (place, end, out, got)) in players.iter_mut().enumerate() {
            let len = random.usize(1..=out.len().max(1)).min(out.len());
            let bytes: Vec<u8> = out.drain(..len).collect();
            stage.turn(&[(*place, &bytes)]);
            let mut heard = stage.take(*place);
            written.extend_from_slice(&heard);
            quiet &= bytes.is_empty() && heard.is_empty();
            assert_eq!(end.receive(&mut heard, got, out), Heard::More);
            if end.is_handshaking() {
                continue;
            }
            let text = match said {
                0 | 1 if said == index => request("/rooms/lobby"),
                2..20 if index == 0 && joined => {
                    let payload = vec![said as u8; random.usize(0..3_000)];
                    encode(&mut want, Opcode::Binary, &payload);
                    frame(&payload)
                }
                _ => continue,
            };
            said += 1;
            quiet = false;
            let mut sealed = vec![0; text.len() + 1_000];
            let len = end.seal(&text, &mut sealed).expect("it is open");
            out.extend_from_slice(&sealed[..len]);
        }
        if quiet && said == 20 {
            break;
        }
        assert!(turn < 100_000, "it comes to an end");
    }
    assert!(players[1].3.ends_with(&want), "what the other one said");
    assert_eq!(cost.load(Ordering::Relaxed), 600, "two handshakes");
    assert_eq!(stage.shards[0].counters().tls_full, 2);
    written
}

#[test]
fn a_shard_cannot_tell_who_plays_tls() {
    for seed in 0..50 {
        assert_eq!(play(seed), play(seed), "seed {seed}");
    }
    // What is changed on the way is noticed.
    let cost = Arc::default();
    let mut stage = Stage::over(
        1,
        Limits::default(),
        settings(&[&TLS13]),
        End::acceptor(300, &cost),
    );
    let place = stage.accept(0);
    let mut hello = Vec::new();
    End::client(&mut hello);
    hello[2] = 7;
    stage.turn(&[(place, &hello)]);
    assert_eq!(
        stage.shards[0].reason(place.1),
        Some(EndReason::TlsHandshake.into())
    );
}
