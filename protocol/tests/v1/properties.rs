//! Properties of the codec over any packets and any bytes.

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use roomcast_protocol::v1::up::{self, Audience, Back, Cursor, Join, Mode};
use roomcast_protocol::v1::{
    Change, Changed, Guard, Life, List, NUMBER_MAX, Name, PairValue, Pairs, Payload, Property,
    Token, down, write_varint,
};

use crate::packets::{each_down, each_up, id};

/// What a game may send.
#[derive(Clone, Debug)]
enum Said {
    Text(String),
    Bytes(Vec<u8>),
}

impl Said {
    fn payload(&self) -> Payload<'_> {
        match self {
            Self::Text(text) => Payload::Text(text),
            Self::Bytes(bytes) => Payload::Bytes(bytes),
        }
    }
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        ".{0,150}".prop_map(Said::Text),
        vec(any::<u8>(), 0..300).prop_map(Said::Bytes)
    ]
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..300u64,
        (0..53u32, any::<u64>()).prop_map(|(bits, any)| any & ((2 << bits) - 1))
    ]
    .prop_map(|number| number.min(NUMBER_MAX))
}

fn a_name() -> impl Strategy<Value = String> {
    "\\PC{1,16}".prop_filter("a name", |name| Name::new(name).is_ok())
}

proptest! {
    #[test]
    fn lists_come_back(
        ids in btree_set(1..=u32::MAX, 1..257),
        properties in btree_map(a_name(), (number(), proptest::option::of(said())), 1..20),
        said in said(),
        numbers in vec(number(), 6),
        pairs in btree_map(number(), (number(), vec(any::<u8>(), 0..20)), 0..10),
    ) {
        let (mut a, mut b, mut c, mut d, mut e) = <(Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>)>::default();
        let to = List::encode(ids.iter().copied().map(id), &mut a).unwrap();
        let key = |key| Name::new(key).unwrap();
        let guards = [Guard::Any, Guard::Unset];
        let changes = properties.iter().map(|(name, (number, value))| Change {
            key: key(name),
            guard: guards.get(*number as usize).copied().unwrap_or_else(|| Guard::Version(*number - 1)),
            value: value.as_ref().map(Said::payload),
        });
        let changes = List::encode(changes, &mut b).unwrap();
        let changed = properties.iter().map(|(name, (version, value))| Changed {
            key: key(name),
            version: *version,
            value: value.as_ref().map(Said::payload),
        });
        let changed = List::encode(changed, &mut c).unwrap();
        let with = properties.iter().filter_map(|(name, (_, value))| {
            Some(Property { key: key(name), value: value.as_ref()?.payload() })
        });
        let with = List::encode(with, &mut d).unwrap();
        let wishes = Pairs::encode(pairs.iter().map(|(key, (number, bytes))| (*key, match key % 2 {
            0 => PairValue::Number(*number),
            _ => PairValue::Bytes(bytes),
        })), &mut e).unwrap();
        let token = Token([9; 16]);
        let cursor = Some(Cursor { life: Life([7; 8]), seq: numbers[0] });
        let up_packets = [
            up::Packet::Event { term: None, to: Audience::List(to), droppable: true, payload: said.payload() },
            up::Packet::Properties { term: None, owner: None, changes },
            up::Packet::Join(Join {
                minor: numbers[1],
                mode: Mode::Create,
                back: Some(Back { token, cursor }),
                name: key(properties.keys().next().unwrap()),
                properties: with,
                wishes,
            }),
            up::Packet::Ping { echo: numbers[2], trip: numbers[3], ticks: numbers[3] % 2 == 1 },
        ];
        let mut message = Vec::new();
        for packet in &up_packets {
            packet.encode(&mut message);
        }
        let back: Result<Vec<_>, _> = up::decode(&message).unwrap().collect();
        prop_assert_eq!(back.unwrap(), up_packets);

        let down_packets = [
            down::Packet::Settings(wishes),
            down::Packet::Properties { owner: Some(id(1)), author: None, changes: changed },
            down::Packet::Pong { echo: numbers[4], time: numbers[5] },
        ];
        message.clear();
        write_varint(&mut message, numbers[0]);
        for packet in &down_packets {
            packet.encode(&mut message);
        }
        let bundle = down::Bundle::decode(&message).unwrap();
        prop_assert_eq!(bundle.covered, numbers[0]);
        let back: Result<Vec<_>, _> = bundle.packets.collect();
        prop_assert_eq!(back.unwrap(), down_packets);
        let keys: Vec<&str> = changed.iter().map(|changed| changed.key.as_str()).collect();
        prop_assert_eq!(keys, properties.keys().collect::<Vec<_>>());
    }

    /// Good packets with some bytes changed, which is nearer to the edges than any bytes.
    #[test]
    fn nothing_panics_and_what_decodes_is_canonical(
        pick in any::<prop::sample::Index>(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        any in vec(any::<u8>(), 0..40),
    ) {
        let mut messages = vec![any];
        each_up(&mut |_, packet| {
            messages.push(Vec::new());
            packet.encode(messages.last_mut().unwrap());
        });
        each_down(&mut |_, packet| {
            messages.push(vec![0]);
            packet.encode(messages.last_mut().unwrap());
        });
        let mut message = messages.swap_remove(pick.index(messages.len()));
        for (at, byte) in changes {
            if !message.is_empty() {
                let at = at.index(message.len());
                message[at] = byte;
            }
        }
        if cut.index(4) == 0 {
            message.truncate(cut.index(message.len() + 1));
        }
        canonical(&message);
    }
}

/// What decodes, as either role reads it, encodes to the same bytes.
fn canonical(message: &[u8]) {
    let packets: Result<Vec<_>, _> = up::decode(message).and_then(Iterator::collect);
    if let Ok(packets) = packets {
        let mut again = Vec::new();
        for packet in packets {
            packet.encode(&mut again);
        }
        assert_eq!(again, message);
    }
    let Ok(bundle) = down::Bundle::decode(message) else {
        return;
    };
    let mut again = Vec::new();
    write_varint(&mut again, bundle.covered);
    let packets: Result<Vec<_>, _> = bundle.packets.collect();
    if let Ok(packets) = packets {
        for packet in packets {
            packet.encode(&mut again);
        }
        assert_eq!(again, message);
    }
}

#[test]
fn what_is_out_of_bounds_is_not_encoded() {
    let mut buffer = Vec::new();
    assert!(List::encode([id(2), id(1)], &mut buffer).is_err());
    assert!(List::encode([id(2), id(2)], &mut buffer).is_err());
    assert!(List::encode((1..=257).map(id), &mut buffer).is_err());
    let property = |key, value| Property { key, value };
    let a = Name::new("a").unwrap();
    let long = vec![0; 4097];
    assert!(List::encode([property(a, Payload::Bytes(&long))], &mut buffer).is_err());
    assert!(List::encode([property(Name::NONE, Payload::Bytes(&[]))], &mut buffer).is_err());
    assert!(List::encode([property(a, Payload::Text(""))].repeat(2), &mut buffer).is_err());
    for (key, value) in [
        (2, PairValue::Bytes(&[])),
        (1, PairValue::Number(1)),
        (2, PairValue::Number(NUMBER_MAX + 1)),
    ] {
        assert!(Pairs::encode([(key, value)], &mut buffer).is_err());
    }
    for name in ["", "a\n", "\u{85}", &"a".repeat(65)] {
        assert!(Name::new(name).is_err(), "{name:?}");
    }
}
