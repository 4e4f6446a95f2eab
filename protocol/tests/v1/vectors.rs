//! The vectors in `protocol/vectors`: made here, compared with what is committed, and read back.
//!
//! `WRITE_VECTORS=1 cargo test -p roomcast-protocol --test v1 vectors` writes them anew.

use std::fs;
use std::path::{Path, PathBuf};

use roomcast_protocol::v1::down::{self, Bundle};
use roomcast_protocol::v1::{Malformed, up, write_varint};
use serde_json::{Value, json};

use crate::document::examples;
use crate::meaning::{self, hex, unhex};
use crate::packets::{each_down, each_up};

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// Compares with the committed file, or writes it.
pub(crate) fn committed(file: &str, vectors: &[Value]) {
    let path = folder().join(file);
    let lines: Vec<String> = vectors.iter().map(Value::to_string).collect();
    let text = format!("[\n{}\n]\n", lines.join(",\n"));
    if std::env::var_os("WRITE_VECTORS").is_some() {
        fs::write(&path, &text).expect("a writable folder");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let differs = found
        .lines()
        .zip(text.lines())
        .find(|(found, made)| found != made);
    assert!(
        found == text,
        "protocol/vectors/{file} is not what the code makes; first difference: {differs:#?}\n\
         if the change is meant: WRITE_VECTORS=1 cargo test -p roomcast-protocol --test v1 vectors"
    );
}

fn again_up(message: &[u8]) -> Vec<u8> {
    let mut again = Vec::new();
    for packet in up::decode(message).expect("a message") {
        packet.expect("a packet").encode(&mut again);
    }
    again
}

fn again_down(message: &[u8]) -> Vec<u8> {
    let bundle = Bundle::decode(message).expect("a bundle");
    let mut again = Vec::new();
    write_varint(&mut again, bundle.covered);
    for packet in bundle.packets {
        packet.expect("a packet").encode(&mut again);
    }
    again
}

fn good(name: &str, way: &str, message: &[u8]) -> Value {
    let (meaning, again) = match way {
        "up" => (meaning::up(message), again_up(message)),
        _ => (meaning::down(message), again_down(message)),
    };
    assert_eq!(hex(&again), hex(message), "{name} encodes to other bytes");
    let meaning = meaning.expect("a good message");
    json!({ "name": name, "way": way, "bytes": hex(message), "means": meaning })
}

#[test]
fn vectors_up() {
    let mut vectors = Vec::new();
    let mut all = Vec::new();
    each_up(&mut |name, packet| {
        let mut message = Vec::new();
        packet.encode(&mut message);
        assert_eq!(
            up::decode(&message).expect("a message").next(),
            Some(Ok(*packet))
        );
        if message.len() < 100 && packet.is_numbered() {
            all.extend_from_slice(&message);
        }
        vectors.push(good(name, "up", &message));
    });
    vectors.push(good("several packets in one message", "up", &all));
    committed("up.json", &vectors);
}

#[test]
fn vectors_down() {
    let mut vectors = Vec::new();
    let mut all = vec![0x80, 0x01];
    each_down(&mut |name, packet| {
        let mut message = vec![0];
        packet.encode(&mut message);
        let bundle = Bundle::decode(&message).expect("a bundle");
        assert_eq!(bundle.packets.collect::<Vec<_>>(), [Ok(*packet)]);
        all.extend_from_slice(&message[1..]);
        vectors.push(good(name, "down", &message));
    });
    vectors.push(good("every packet in one bundle", "down", &all));
    vectors.push(good(
        "a bundle that only covers",
        "down",
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f],
    ));
    committed("down.json", &vectors);
}

#[test]
fn vectors_of_the_document() {
    let vectors: Vec<Value> = examples()
        .iter()
        .map(|example| good(&example.name, &example.way, &example.bytes))
        .collect();
    committed("examples.json", &vectors);
}

/// Way, what is wrong, bytes.
const MALFORMED: &[(&str, &str, &str)] = &[
    ("up", "an empty message", ""),
    ("up", "a kind without a length", "50"),
    ("up", "a kind that nobody has", "00 00"),
    ("up", "a kind above all", "b8 01 01"),
    ("up", "a state as host without a term", "3c 00"),
    ("up", "a state as host without a key", "3c 01 01"),
    ("up", "a delete as host with more", "44 03 01 01 00"),
    ("up", "properties as host of nothing", "5c 03 01 00 00"),
    ("up", "properties of text", "59 02 00 00"),
    ("up", "an event as host without a term", "0c 00"),
    (
        "up",
        "an event as host with a term in a longer form",
        "0c 02 81 00",
    ),
    ("up", "willing without flags", "80 00"),
    ("up", "willing with a flag that nobody has", "80 01 04"),
    ("up", "willing with more", "80 02 03 00"),
    ("up", "handed over to nobody", "88 02 01 00"),
    ("up", "handed over without an id", "88 01 01"),
    ("up", "a kick of the room", "90 02 01 00"),
    ("up", "a kick with a flag", "91 02 01 02"),
    ("up", "neither locked nor unlocked", "98 02 01 02"),
    ("up", "a close without a term", "a0 00"),
    ("up", "a close with more", "a0 02 01 00"),
    ("up", "a snapshot without a seq", "a8 01 01"),
    ("up", "trips with more", "b0 02 01 01"),
    ("up", "a state without a key", "38 00"),
    ("up", "a key beyond 32 bits", "38 05 80 80 80 80 10"),
    ("up", "a key in a longer form", "38 02 81 00"),
    ("up", "a state of text that is not UTF-8", "39 02 01 ff"),
    ("up", "a delete of text", "41 01 01"),
    ("up", "a delete with more", "40 02 01 00"),
    ("up", "an event to a group without it", "30 00"),
    ("up", "no groups", "78 00"),
    ("up", "groups that do not ascend", "78 04 02 01 01 01"),
    ("up", "a group twice", "78 04 01 01 01 00"),
    (
        "up",
        "a group that is neither joined nor left",
        "78 02 01 02",
    ),
    ("up", "a group without more", "78 01 01"),
    ("up", "groups with a flag that nobody has", "7a 02 01 01"),
    ("up", "an audience without flags", "70 01 01"),
    (
        "up",
        "an audience with a flag that nobody has",
        "70 02 01 10",
    ),
    ("up", "an audience without its group", "70 02 01 02"),
    (
        "up",
        "an audience with a group that is none",
        "70 03 01 01 07",
    ),
    ("up", "a leave with a flag", "51 00"),
    ("up", "a kind that is the relay's", "c8 01 00"),
    ("up", "a length beyond the message", "08 02 61"),
    ("up", "a length in a longer form", "08 81 00 61"),
    (
        "up",
        "a length of nine bytes",
        "08 ff ff ff ff ff ff ff ff 01",
    ),
    ("up", "a length that ends too early", "08 ff"),
    ("up", "text that is not UTF-8", "09 01 ff"),
    ("up", "text that is a surrogate", "09 03 ed a0 80"),
    ("up", "text that ends inside a character", "09 02 e2 82"),
    ("up", "an event to the room itself", "18 01 00"),
    ("up", "an event to one without an id", "18 00"),
    ("up", "an id beyond 32 bits", "18 05 80 80 80 80 10"),
    ("up", "an id in a longer form", "18 02 81 00"),
    ("up", "an event to an empty list", "20 01 00"),
    ("up", "a list that ends too early", "20 02 02 01"),
    ("up", "a list that does not ascend", "20 03 02 02 01"),
    ("up", "a list with somebody twice", "20 03 02 01 01"),
    ("up", "a list with the room", "20 03 02 00 01"),
    ("up", "a list of 257", "20 02 81 02"),
    ("up", "a second packet that is bad", "50 00 50 01 00"),
    ("up", "a leave with a body", "50 01 00"),
    (
        "up",
        "a join with a cursor and no token",
        "4a 12 00 00 08 07 06 05 04 03 02 01 08 03 41 64 61 00 00 00",
    ),
    (
        "up",
        "a join with an unknown mode",
        "48 07 00 03 03 41 64 61 00",
    ),
    ("up", "a join without a name", "48 04 00 00 00 00"),
    (
        "up",
        "a join with a control character in its name",
        "48 05 00 00 01 0a 00",
    ),
    (
        "up",
        "a join with a C1 control character",
        "48 06 00 00 02 c2 85 00",
    ),
    (
        "up",
        "a join with a name that is not UTF-8",
        "48 05 00 00 01 ff 00",
    ),
    (
        "up",
        "a join with a token that is too short",
        "49 05 00 00 01 02 03",
    ),
    (
        "up",
        "a join with a deleted property",
        "48 08 00 00 01 41 01 01 61 00",
    ),
    (
        "up",
        "a join with two properties of one key",
        "48 0b 00 00 01 41 02 01 61 01 01 61 01",
    ),
    (
        "up",
        "a join with wishes that do not ascend",
        "48 0a 00 00 01 41 00 04 01 02 01 00",
    ),
    (
        "up",
        "a join with one wish twice",
        "48 09 00 00 01 41 00 02 01 02 01",
    ),
    (
        "up",
        "a join with a wish that ends too early",
        "48 07 00 00 01 41 00 01 03",
    ),
    ("up", "no properties", "58 02 00 00"),
    ("up", "65 properties", "58 02 00 41"),
    ("up", "a property without a name", "58 05 00 01 00 00 00"),
    (
        "up",
        "two properties of one key",
        "58 0a 00 02 01 61 00 00 01 61 00 01",
    ),
    (
        "up",
        "a value that ends too early",
        "58 06 00 01 01 61 00 05",
    ),
    ("up", "a value of 4,097 bytes", "58 07 00 01 01 61 00 83 40"),
    (
        "up",
        "a value that is not UTF-8",
        "58 07 00 01 01 61 00 04 ff",
    ),
    (
        "up",
        "bytes behind properties",
        "58 07 00 01 01 61 00 00 00",
    ),
    ("up", "a ping that ends too early", "60 01 00"),
    ("up", "a ping for ticks that ends too early", "61 01 00"),
    ("up", "a ping with a flag that nobody has", "62 02 00 00"),
    (
        "up",
        "a number above 2^53 - 1",
        "60 09 80 80 80 80 80 80 80 10 00",
    ),
    ("up", "a delay of more than 10 s", "68 05 91 4e 00 00 00"),
    (
        "up",
        "a cut after more than 10 min",
        "68 06 00 00 00 c1 cf 24",
    ),
    ("down", "an empty message", ""),
    ("down", "covered in a longer form", "80 00"),
    ("down", "covered above 2^53 - 1", "80 80 80 80 80 80 80 10"),
    ("down", "a kind without a length", "00 38"),
    ("down", "a length beyond the bundle", "00 08 03 01 00"),
    ("down", "an event of the room", "00 08 01 00"),
    ("down", "an event without an author", "00 08 00"),
    (
        "down",
        "an event of text that is not UTF-8",
        "00 09 02 01 ff",
    ),
    ("down", "a state without a key", "00 10 01 01"),
    (
        "down",
        "a state of text that is not UTF-8",
        "00 11 03 01 01 ff",
    ),
    ("down", "removed without a key", "00 18 01 01"),
    ("down", "removed with more", "00 18 03 01 01 00"),
    ("down", "all removed with a key", "00 19 01 01"),
    ("down", "a refused state in bad UTF-8", "00 79 03 00 01 ff"),
    ("down", "a welcome that ends too early", "00 20 03 00 00 08"),
    (
        "down",
        "settings that do not ascend",
        "00 28 04 04 00 02 00",
    ),
    ("down", "a player with id 0", "00 30 02 00 00"),
    ("down", "a player with a long name", "00 30 02 01 41"),
    ("down", "ready with a body", "00 38 01 00"),
    (
        "down",
        "joined with a deleted property",
        "00 40 07 01 00 01 01 61 05 00",
    ),
    ("down", "left without a reason", "00 48 01 01"),
    ("down", "away with id 0", "00 50 01 00"),
    ("down", "properties of nothing", "00 60 03 01 01 00"),
    ("down", "refused in bad UTF-8", "00 78 03 00 01 ff"),
    ("down", "an acknowledgement with more", "00 80 02 01 01"),
    ("down", "a host without an id", "00 98 01 01"),
    (
        "down",
        "a pong for ticks without slack",
        "00 89 03 00 00 00",
    ),
    ("down", "a tick without a time", "00 b8 01 01"),
    ("down", "a tick with more", "00 b8 03 01 01 00"),
    ("down", "aged by nothing", "00 c0 00"),
    ("down", "a host with more", "00 99 03 01 01 00"),
    ("down", "locked with a body", "00 a1 01 01"),
    ("down", "a snapshot without a seq", "00 a8 00"),
    (
        "down",
        "a snapshot that is wanted without a term",
        "00 b0 00",
    ),
    ("down", "a trip of the room", "00 c8 02 00 01"),
    ("down", "a notice in bad UTF-8", "00 d0 01 ff"),
    ("down", "a trip without a time", "00 c8 01 01"),
    ("down", "trips that do not ascend", "00 c8 04 02 01 01 01"),
    ("down", "trips of one twice", "00 c8 04 01 01 01 01"),
    ("down", "an unknown kind beyond the bundle", "00 12 05 00"),
];

#[test]
fn vectors_that_are_malformed() {
    let vectors: Vec<Value> = MALFORMED
        .iter()
        .map(|(way, name, bytes)| {
            let bytes = unhex(bytes);
            let meaning = match *way {
                "up" => meaning::up(&bytes),
                _ => meaning::down(&bytes),
            };
            let malformed: Malformed = meaning.expect_err(name);
            let reason = malformed.to_string();
            // As the reason of a close frame.
            assert!(reason.len() <= 123, "{reason}");
            json!({ "name": name, "way": way, "bytes": hex(&bytes), "reason": reason })
        })
        .collect();
    committed("malformed.json", &vectors);
}

/// What a state may cost, for payloads, ids and keys under 128.
#[test]
fn a_state_costs_at_most_five_bytes() {
    for len in 0..128 {
        let payload = roomcast_protocol::v1::Payload::Bytes(&[7; 128][..len]);
        let (mut down, mut up) = (Vec::new(), Vec::new());
        down::Packet::State {
            author: Some(crate::packets::id(127)),
            key: 127,
            payload,
            by_host: true,
        }
        .encode(&mut down);
        let state = up::Packet::State {
            term: None,
            key: 127,
            room: true,
            payload,
        };
        state.encode(&mut up);
        let down_more = if len < 126 { 4 } else { 5 };
        let up_more = if len < 127 { 3 } else { 4 };
        assert_eq!(
            (down.len() - len, up.len() - len),
            (down_more, up_more),
            "{len} bytes"
        );
    }
}

/// What an event may cost, for payloads and ids under 128.
#[test]
fn an_event_costs_at_most_five_bytes() {
    for len in 0..128 {
        let payload = roomcast_protocol::v1::Payload::Bytes(&[7; 128][..len]);
        let author = crate::packets::id(127);
        let mut bytes = Vec::new();
        let event = down::Packet::Event {
            author,
            payload,
            by_host: true,
            addressed: true,
        };
        event.encode(&mut bytes);
        let expected = if len < 127 { 3 } else { 4 };
        assert_eq!(bytes.len() - len, expected, "down, {len} bytes");
        for (to, expected) in [(up::Audience::Others, 2), (up::Audience::One(author), 4)] {
            bytes.clear();
            let droppable = false;
            up::Packet::Event {
                term: None,
                to,
                droppable,
                payload,
            }
            .encode(&mut bytes);
            assert!(bytes.len() - len <= expected, "up, {len} bytes");
        }
    }
}
