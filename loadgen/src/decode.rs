//! `loadgen decode`: what a captured message of roomcast.v1 says, for humans.
//!
//! It owns how captured bytes are spelled, and how a packet is put into words. It must not know
//! what a message means for a session.
//!
//! Invariant: of a message that is wrong somewhere, all packets before that place are shown.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roomcast_protocol::v1::down::{self, Bundle};
use roomcast_protocol::v1::up::{self, Audience, Join};
use roomcast_protocol::v1::{
    Changed, Guard, List, Malformed, Owner, PairValue, Pairs, Payload, PlayerId,
};

/// Bytes of a payload that are shown.
const SHOWN: usize = 48;

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From a client.
    Up,
    /// From a relay.
    Down,
}

/// A message in words, and whether it is as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// One line for the message, and one for each packet.
    pub text: String,
    /// Whether all of it could be read.
    pub whole: bool,
}

/// The bytes that a file or an argument holds: hexadecimal digits (blanks, colons and `0x` between
/// them do not matter), else base64, else what is there.
#[must_use]
pub fn captured(content: &[u8]) -> Vec<u8> {
    let Ok(text) = str::from_utf8(content) else {
        return content.to_vec();
    };
    spelled(text).unwrap_or_else(|| content.to_vec())
}

/// The bytes that `text` spells; `None` if it is neither hexadecimal nor base64.
#[must_use]
pub fn spelled(text: &str) -> Option<Vec<u8>> {
    let digits: String = text
        .replace("0x", "")
        .chars()
        .filter(|c| !c.is_whitespace() && *c != ':')
        .collect();
    let hex =
        digits.len().is_multiple_of(2) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if hex {
        let pairs = (0..digits.len()).step_by(2);
        return pairs
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok())
            .collect();
    }
    let text: String = text.split_whitespace().collect();
    STANDARD.decode(text).ok()
}

/// What the message says. Without a way, the one in which all of it can be read (down, if it can
/// be read in both).
#[must_use]
pub fn told(message: &[u8], way: Option<Way>) -> Told {
    match way {
        Some(Way::Down) => down(message),
        Some(Way::Up) => up(message),
        None => {
            let down = down(message);
            let up = up(message);
            match (down.whole, up.whole) {
                (false, true) => up,
                (true, true) => Told {
                    text: format!("{}or, if a client sent it (--up):\n{}", down.text, up.text),
                    whole: true,
                },
                _ => down,
            }
        }
    }
}

fn down(message: &[u8]) -> Told {
    let head = format!("a bundle from a relay, {} bytes", message.len());
    match Bundle::decode(message) {
        Ok(bundle) => lines(
            &format!("{head}, covers {}", bundle.covered),
            bundle
                .packets
                .map(|packet| packet.map(|packet| of_down(&packet))),
        ),
        Err(malformed) => lines(&head, [Err(malformed)].into_iter()),
    }
}

fn up(message: &[u8]) -> Told {
    let head = format!("a message from a client, {} bytes", message.len());
    match up::decode(message) {
        Ok(packets) => lines(
            &head,
            packets.map(|packet| packet.map(|packet| of_up(&packet))),
        ),
        Err(malformed) => lines(&head, [Err(malformed)].into_iter()),
    }
}

fn lines(
    head: &str,
    packets: impl Iterator<Item = Result<(&'static str, String), Malformed>>,
) -> Told {
    let mut text = format!("{head}\n");
    let mut whole = true;
    for packet in packets {
        let line = match packet {
            Ok((name, fields)) => format!("  {name:<12} {fields}"),
            Err(malformed) => {
                whole = false;
                format!("  malformed    {malformed}")
            }
        };
        text.push_str(line.trim_end());
        text.push('\n');
    }
    Told { text, whole }
}

fn payload(payload: Payload<'_>) -> String {
    let bytes = payload.bytes();
    let rest = match bytes.len().saturating_sub(SHOWN) {
        0 => String::new(),
        rest => format!(" and {rest} bytes more"),
    };
    match payload {
        Payload::Text(text) => {
            let end = text.floor_char_boundary(SHOWN);
            format!("text {:?}{rest}", &text[..end])
        }
        Payload::Bytes(bytes) => {
            let mut hex = format!("{} bytes:", bytes.len());
            for byte in bytes.iter().take(SHOWN) {
                let _ = write!(hex, " {byte:02x}");
            }
            hex + &rest
        }
    }
}

fn value(value: Option<Payload<'_>>) -> String {
    value.map_or_else(|| "deleted".to_owned(), payload)
}

fn owner(owner: Owner) -> String {
    owner.map_or_else(|| "the room".to_owned(), |id| format!("player {id}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pairs(pairs: Pairs<'_>) -> String {
    let pair = |(key, value)| match value {
        PairValue::Number(number) => format!("{key}={number}"),
        PairValue::Bytes(bytes) => format!("{key}={:?}", String::from_utf8_lossy(bytes)),
    };
    pairs.iter().map(pair).collect::<Vec<_>>().join(" ")
}

fn changed(properties: List<'_, Changed<'_>>) -> String {
    let one = |property: Changed<'_>| {
        let key = property.key.as_str();
        format!(
            "{key:?} version {}: {}",
            property.version,
            value(property.value)
        )
    };
    properties.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn of_down(packet: &down::Packet<'_>) -> (&'static str, String) {
    let fields = match *packet {
        down::Packet::Event {
            author,
            payload: said,
            by_host,
            addressed,
        } => format!(
            "by {author}{}{}, {}",
            if by_host { " as host" } else { "" },
            if addressed { ", addressed" } else { "" },
            payload(said)
        ),
        down::Packet::Welcome(welcome) => format!(
            "id {}{}, life {}, seq {}, applied {}, time {} us, minor {}, capabilities {:#x}, limits {}",
            welcome.id,
            if welcome.created {
                ", has made the room"
            } else {
                ""
            },
            hex(&welcome.life.0),
            welcome.seq,
            welcome.applied,
            welcome.time,
            welcome.minor,
            welcome.capabilities,
            pairs(welcome.limits)
        ),
        down::Packet::Settings(settings) => pairs(settings),
        down::Packet::Player { id, name, away } => {
            format!(
                "{id} {:?}{}",
                name.as_str(),
                if away { ", away" } else { "" }
            )
        }
        down::Packet::Joined {
            id,
            name,
            properties,
        } => format!("{id} {:?} {}", name.as_str(), changed(properties)),
        down::Packet::Left { id, reason } => format!("{id}, reason {reason}"),
        down::Packet::Away(id) | down::Packet::Back(id) => id.to_string(),
        down::Packet::Properties {
            owner: whose,
            author,
            changes,
        } => format!(
            "of {} by {}: {}",
            owner(whose),
            owner(author),
            changed(changes)
        ),
        down::Packet::Resumed { applied, time } => format!("applied {applied}, time {time} us"),
        down::Packet::Reset { reason } => format!("reason {reason}"),
        down::Packet::Refused {
            number,
            reason,
            detail,
        } => format!("number {number}, reason {reason} {detail}"),
        down::Packet::Ack { applied } => format!("applied {applied}"),
        down::Packet::Pong { echo, time } => format!("echo {echo} us, time {time} us"),
        down::Packet::KeepAlive { time } => format!("time {time} us"),
        down::Packet::Unknown { kind, body } => {
            format!("kind 0x{kind:02x}, {}", payload(Payload::Bytes(body)))
        }
        _ => about_ticks(packet),
    };
    (packet.name(), fields)
}

fn about_ticks(packet: &down::Packet<'_>) -> String {
    match *packet {
        down::Packet::PongTicks {
            echo,
            time,
            superseded,
            slack,
        } => format!(
            "echo {echo} us, time {time} us, superseded {superseded}, {} us ahead of the tick",
            slack.ahead()
        ),
        down::Packet::Tick { tick, time } => format!("tick {tick}, time {time} us"),
        down::Packet::Aged { ms } => format!("{ms} ms"),
        _ => String::new(),
    }
}

fn of_up(packet: &up::Packet<'_>) -> (&'static str, String) {
    let fields = match *packet {
        up::Packet::Event {
            to,
            droppable,
            payload: said,
            ..
        } => {
            let to = match to {
                Audience::One(id) => format!("to {id}, "),
                Audience::List(ids) => {
                    let ids: Vec<String> = ids.iter().map(|id: PlayerId| id.to_string()).collect();
                    format!("to {}, ", ids.join(" "))
                }
                _ => String::new(),
            };
            format!(
                "{to}{}{}",
                if droppable { "droppable, " } else { "" },
                payload(said)
            )
        }
        up::Packet::Join(join) => of_join(&join),
        up::Packet::Properties {
            owner: whose,
            changes,
            ..
        } => {
            let mut words = format!("of {}:", owner(whose));
            for change in changes {
                let guard = match change.guard {
                    Guard::Any => String::new(),
                    Guard::Unset => " if not set".to_owned(),
                    Guard::Version(version) => format!(" if version {version}"),
                };
                let _ = write!(
                    words,
                    " {:?}{guard}: {};",
                    change.key.as_str(),
                    value(change.value)
                );
            }
            words.trim_end_matches(';').to_owned()
        }
        up::Packet::Ping { echo, trip, ticks } => {
            let ticks = if ticks { ", asks for ticks" } else { "" };
            format!("echo {echo} us, round trip {trip} us{ticks}")
        }
        up::Packet::Impair(to) => format!(
            "delay {} ms, jitter {} ms, rate {} B/s, cut after {} ms",
            to.delay, to.jitter, to.rate, to.cut
        ),
        _ => String::new(),
    };
    (packet.name(), fields)
}

fn of_join(join: &Join<'_>) -> String {
    let mut words = format!(
        "{:?}, mode {:?}, minor {}",
        join.name.as_str(),
        join.mode,
        join.minor
    );
    // The token is a secret, also in a capture that somebody pastes into an issue.
    match join.back.map(|back| back.cursor) {
        None => {}
        Some(None) => words.push_str(", with a token"),
        Some(Some(cursor)) => {
            let _ = write!(
                words,
                ", with a token and a cursor: life {}, seq {}",
                hex(&cursor.life.0),
                cursor.seq
            );
        }
    }
    for property in join.properties {
        let _ = write!(
            words,
            ", {:?}: {}",
            property.key.as_str(),
            payload(property.value)
        );
    }
    let wishes = pairs(join.wishes);
    if !wishes.is_empty() {
        let _ = write!(words, ", wishes {wishes}");
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_base64_and_plain_bytes_are_the_same_message() {
        let message = [0x09, 0x02, 0x68, 0x69];
        for text in ["09026869", "0x09 0x02 68 69\n", "09:02:68:69", "CQJo\naQ=="] {
            assert_eq!(spelled(text).as_deref(), Some(&message[..]), "{text}");
            assert_eq!(captured(text.as_bytes()), message, "{text}");
        }
        assert_eq!(captured(&[0, 0xff]), [0, 0xff]);
        assert_eq!(captured(b"\x09\x02hi"), message);
        assert_eq!(spelled("no such file.bin"), None);
    }

    #[test]
    fn a_bundle_is_told_packet_by_packet() {
        let bundle = spelled("02 0903 02 6869 0c04 03 01ff00 8001 01 e201 ff").expect("digits");
        let expected = "\
a bundle from a relay, 18 bytes, covers 2
  EVENT        by 2, text \"hi\"
  EVENT        by 3, addressed, 3 bytes: 01 ff 00
  ACK          applied 1
  UNKNOWN      kind 0xe2, 1 bytes: ff
";
        let expected = Told {
            text: expected.to_owned(),
            whole: true,
        };
        assert_eq!(told(&bundle, None), expected);
    }

    #[test]
    fn what_comes_before_a_fault_is_told() {
        let up = told(&[0x50, 0, 0x51, 0], Some(Way::Up));
        let expected = "\
a message from a client, 4 bytes
  LEAVE
  malformed    a packet: no such kind: 0x51
";
        assert_eq!((up.text.as_str(), up.whole), (expected, false));
        let empty = told(&[], None);
        assert!(
            !empty.whole && empty.text.contains("covered ends too early"),
            "{empty:?}"
        );
    }

    #[test]
    fn the_way_is_found_out_and_the_token_is_not_shown() {
        let mut join = spelled("4b22 00 01").expect("digits");
        join.extend([0xaa; 16]);
        join.extend([0xbb; 8]);
        join.extend([8, 3, b'A', b'd', b'a', 0, 2, 8]);
        let told = told(&join, None);
        assert!(
            told.whole && told.text.contains("from a client"),
            "{told:?}"
        );
        assert!(told.text.contains("\"Ada\", mode Join"), "{told:?}");
        assert!(
            told.text
                .contains("life bbbbbbbbbbbbbbbb, seq 8, wishes 2=8"),
            "{told:?}"
        );
        assert!(!told.text.contains("aaaa"), "{told:?}");
    }
}
