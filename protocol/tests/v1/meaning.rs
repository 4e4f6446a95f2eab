//! What bytes mean, in the words of `protocol/vectors/README.md`.

use std::fmt::Write as _;

use roomcast_protocol::v1::down::{self, Bundle};
use roomcast_protocol::v1::up::{self, Act, Audience, Mode, StateAudience};
use roomcast_protocol::v1::{
    Change, Changed, Guard, List, Malformed, Owner, PairValue, Pairs, Payload, PlayerId, Property,
};
use serde_json::{Value, json};

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

pub(crate) fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let byte = |pair: &[u8]| {
        let pair = str::from_utf8(pair).expect("ASCII");
        u8::from_str_radix(pair, 16).expect("hexadecimal digits")
    };
    digits.chunks(2).map(byte).collect()
}

fn payload(payload: Payload<'_>) -> Value {
    match payload {
        Payload::Text(text) => json!({ "text": text }),
        Payload::Bytes(bytes) => json!({ "hex": hex(bytes) }),
    }
}

fn value(value: Option<Payload<'_>>) -> Value {
    value.map_or(Value::Null, payload)
}

fn owner(owner: Owner) -> u32 {
    owner.map_or(0, PlayerId::get)
}

fn pairs(pairs: Pairs<'_>) -> Value {
    pairs
        .iter()
        .map(|(key, value)| match value {
            PairValue::Number(number) => json!([key, number]),
            PairValue::Bytes(bytes) => json!([key, { "hex": hex(bytes) }]),
        })
        .collect()
}

fn changed(changes: List<'_, Changed<'_>>) -> Value {
    changes
        .iter()
        .map(|changed| {
            json!({ "key": changed.key.as_str(), "version": changed.version, "value": value(changed.value) })
        })
        .collect()
}

fn change(change: Change<'_>) -> Value {
    let guard = match change.guard {
        Guard::Any => 0,
        Guard::Unset => 1,
        Guard::Version(version) => version + 1,
    };
    json!({ "key": change.key.as_str(), "guard": guard, "value": value(change.value) })
}

fn property(property: Property<'_>) -> Value {
    json!({ "key": property.key.as_str(), "value": payload(property.value) })
}

/// Adds the entries of `more` to those of `packet`.
fn with(mut packet: Value, more: Value) -> Value {
    let (Value::Object(entries), Value::Object(more)) = (&mut packet, more) else {
        panic!("both are objects");
    };
    entries.extend(more);
    packet
}

pub(crate) fn of_up(packet: &up::Packet<'_>) -> Value {
    let name = json!({ "packet": packet.name() });
    let fields = match *packet {
        up::Packet::Event {
            term: _,
            to,
            droppable,
            payload: said,
        } => {
            let event = json!({ "droppable": droppable, "payload": payload(said) });
            match to {
                Audience::One(id) => with(event, json!({ "to": id })),
                Audience::Group(group) => with(event, json!({ "group": group })),
                Audience::List(ids) => with(event, json!({ "to": ids.iter().collect::<Vec<_>>() })),
                _ => event,
            }
        }
        up::Packet::State {
            term: _,
            key,
            room,
            payload: said,
        } => {
            json!({ "key": key, "room": room, "payload": payload(said) })
        }
        up::Packet::Delete { term: _, key, room } => json!({ "key": key, "room": room }),
        up::Packet::Audience(audience) => {
            let to = match audience.to {
                StateAudience::Others => 0,
                StateAudience::All => 1,
                StateAudience::Group(_) => 2,
                StateAudience::Host => 3,
            };
            let flags = to + 4 * u8::from(audience.stays) + 8 * u8::from(audience.room);
            let fields = json!({ "key": audience.key, "flags": flags });
            match audience.to {
                StateAudience::Group(group) => with(fields, json!({ "group": group })),
                _ => fields,
            }
        }
        up::Packet::Groups { only, groups } => {
            let groups = groups
                .iter()
                .map(|(group, is_in)| json!([group, u8::from(is_in)]));
            json!({ "only": only, "groups": groups.collect::<Value>() })
        }
        up::Packet::Join(join) => {
            let mut fields = json!({
                "minor": join.minor,
                "mode": match join.mode { Mode::Any => 0, Mode::Join => 1, Mode::Create => 2 },
                "name": join.name.as_str(),
                "properties": join.properties.iter().map(property).collect::<Value>(),
                "wishes": pairs(join.wishes),
            });
            if let Some(back) = join.back {
                fields = with(fields, json!({ "token": hex(&back.token.0) }));
                if let Some(cursor) = back.cursor {
                    let cursor = json!({ "life": hex(&cursor.life.0), "seq": cursor.seq });
                    fields = with(fields, cursor);
                }
            }
            fields
        }
        up::Packet::Leave => json!({}),
        up::Packet::Properties {
            term: _,
            owner: whose,
            changes,
        } => {
            json!({ "owner": owner(whose), "changes": changes.iter().map(change).collect::<Value>() })
        }
        up::Packet::Ping { echo, trip, ticks } => {
            json!({ "echo": echo, "trip": trip, "ticks": ticks })
        }
        up::Packet::Impair(to) => {
            json!({ "delay": to.delay, "jitter": to.jitter, "rate": to.rate, "cut": to.cut })
        }
        up::Packet::Willing { willing, visible } => {
            json!({ "willing": willing, "visible": visible })
        }
        up::Packet::Act { term: _, act } => match act {
            Act::HandOver(id) | Act::Kick(id) => json!({ "id": id }),
            Act::Lock(locked) => json!({ "locked": locked }),
            Act::Close | Act::Trips => json!({}),
            Act::Snapshot { seq, state } => json!({ "seq": seq, "state": hex(state) }),
            other => panic!("{other:?} has no meaning here"),
        },
        _ => panic!("{packet:?} has no meaning here"),
    };
    let fields = match packet.term() {
        Some(term) => with(fields, json!({ "term": term })),
        None => fields,
    };
    with(name, fields)
}

pub(crate) fn of_down(packet: &down::Packet<'_>) -> Value {
    let name = json!({ "packet": packet.name() });
    let fields = match *packet {
        down::Packet::Event {
            author,
            payload: said,
            by_host,
            addressed,
        } => {
            json!({ "author": author, "payload": payload(said), "host": by_host, "addressed": addressed })
        }
        down::Packet::State {
            author,
            key,
            payload: said,
            by_host,
        } => {
            json!({ "author": owner(author), "key": key, "payload": payload(said), "host": by_host })
        }
        down::Packet::Removed { author, key } => json!({ "author": owner(author), "key": key }),
        down::Packet::RefusedState {
            key,
            reason,
            detail,
        } => json!({ "key": key, "reason": reason, "detail": detail }),
        down::Packet::Welcome(welcome) => json!({
            "created": welcome.created,
            "minor": welcome.minor,
            "capabilities": welcome.capabilities,
            "life": hex(&welcome.life.0),
            "id": welcome.id,
            "token": hex(&welcome.token.0),
            "seq": welcome.seq,
            "applied": welcome.applied,
            "time": welcome.time,
            "limits": pairs(welcome.limits),
        }),
        down::Packet::Settings(settings) => json!({ "settings": pairs(settings) }),
        down::Packet::Player { id, name, away } => {
            json!({ "id": id, "name": name.as_str(), "away": away })
        }
        down::Packet::Ready | down::Packet::RemovedAll => json!({}),
        down::Packet::Joined {
            id,
            name,
            properties,
        } => json!({ "id": id, "name": name.as_str(), "properties": changed(properties) }),
        down::Packet::Left { id, reason } => json!({ "id": id, "reason": reason }),
        down::Packet::Away(id) | down::Packet::Back(id) => json!({ "id": id }),
        down::Packet::Properties {
            owner: whose,
            author,
            changes,
        } => {
            json!({ "owner": owner(whose), "author": owner(author), "changes": changed(changes) })
        }
        down::Packet::Resumed { applied, time } => json!({ "applied": applied, "time": time }),
        down::Packet::Reset { reason } => json!({ "reason": reason }),
        down::Packet::Refused {
            number,
            reason,
            detail,
        } => json!({ "number": number, "reason": reason, "detail": detail }),
        down::Packet::Ack { applied } => json!({ "applied": applied }),
        down::Packet::Pong { echo, time } => json!({ "echo": echo, "time": time }),
        down::Packet::PongTicks {
            echo,
            time,
            superseded,
            slack,
        } => json!({
            "echo": echo,
            "time": time,
            "superseded": superseded,
            "slack": 2 * slack.micros + u64::from(slack.late),
        }),
        down::Packet::Tick { tick, time } => json!({ "tick": tick, "time": time }),
        down::Packet::Aged { ms } => json!({ "age": ms }),
        down::Packet::KeepAlive { time } => json!({ "time": time }),
        down::Packet::Host { term, id, given } => {
            json!({ "term": term, "id": owner(id), "given": given })
        }
        down::Packet::Locked(locked) => json!({ "locked": locked }),
        down::Packet::Snapshot { seq, state, cut } => {
            json!({ "seq": seq, "state": hex(state), "cut": cut })
        }
        down::Packet::SnapshotWanted { term } => json!({ "term": term }),
        down::Packet::Trips(trips) => {
            let trips = trips.iter().map(|(id, trip)| json!([id, trip]));
            json!({ "trips": trips.collect::<Value>() })
        }
        down::Packet::Notice(text) => json!({ "notice": text }),
        down::Packet::Unknown { kind, body } => json!({ "kind": kind, "body": hex(body) }),
        _ => panic!("{packet:?} has no meaning here"),
    };
    with(name, fields)
}

/// The packets of a message up.
pub(crate) fn up(message: &[u8]) -> Result<Value, Malformed> {
    up::decode(message)?
        .map(|packet| packet.as_ref().map(of_up).map_err(|malformed| *malformed))
        .collect()
}

/// A message down.
pub(crate) fn down(message: &[u8]) -> Result<Value, Malformed> {
    let bundle = Bundle::decode(message)?;
    let packets: Result<Value, _> = bundle
        .packets
        .map(|packet| packet.as_ref().map(of_down).map_err(|malformed| *malformed))
        .collect();
    Ok(json!({ "covered": bundle.covered, "packets": packets? }))
}
