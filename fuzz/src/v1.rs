//! Targets for `roomcast.v1`: the codec in both roles, and a client whose relay may say anything.

use roomcast_protocol::close::CloseCode;
use roomcast_protocol::v1::client::{Client, Event, Kept};
use roomcast_protocol::v1::up::{self, Act, Audience, Join, Mode};
use roomcast_protocol::v1::{List, Malformed, Name, Pairs, Payload, down, write_varint};

/// What is wrong must fit into a close frame.
fn check_reason(malformed: Malformed) {
    assert!(malformed.to_string().len() <= 123);
}

/// A message from a client: what decodes is encoded to the same bytes.
pub(super) fn up(data: &[u8]) {
    match up::decode(data).and_then(|packets| packets.collect::<Result<Vec<_>, _>>()) {
        Ok(packets) => {
            let mut again = Vec::new();
            for packet in packets {
                packet.encode(&mut again);
            }
            assert_eq!(again, data);
        }
        Err(malformed) => check_reason(malformed),
    }
}

/// The same from a relay.
pub(super) fn down(data: &[u8]) {
    let bundle = match down::Bundle::decode(data) {
        Ok(bundle) => bundle,
        Err(malformed) => return check_reason(malformed),
    };
    match bundle.packets.collect::<Result<Vec<_>, _>>() {
        Ok(packets) => {
            let mut again = Vec::new();
            write_varint(&mut again, bundle.covered);
            for packet in packets {
                packet.encode(&mut again);
            }
            assert_eq!(again, data);
        }
        Err(malformed) => check_reason(malformed),
    }
}

/// The next byte, as long as there are any.
fn byte(data: &mut &[u8]) -> Option<u8> {
    let (first, rest) = data.split_first()?;
    *data = rest;
    Some(*first)
}

/// `data`: steps, each a byte and what belongs to it. The bytes of messages are the fuzzer's.
pub(super) fn client(mut data: &[u8]) {
    let join = Join {
        minor: 0,
        mode: Mode::Any,
        back: None,
        name: Name::new("Ada").expect("a name"),
        properties: List::EMPTY,
        wishes: Pairs::EMPTY,
    };
    let kept = Kept {
        packets: 16,
        bytes: 1024,
    };
    let mut client = Client::new(&join, kept);
    let mut now = 1_000_000;
    let mut link = client.open(now);
    let mut unanswered = true;
    let mut time = 0;
    while let Some(step) = byte(&mut data) {
        match step % 8 {
            0 => {
                link = client.open(now);
                unanswered = true;
            }
            1 | 2 => {
                let len = usize::from(byte(&mut data).unwrap_or(0)).min(data.len());
                let (message, rest) = data.split_at(len);
                data = rest;
                let mut told = 0;
                let outcome = client.receive(link, now, message, &mut |event| {
                    told += 1;
                    if let Event::Welcome { .. } = event {
                        time = 0;
                    }
                });
                assert!(told <= message.len());
                if outcome.is_err() {
                    assert_eq!(client.due(), None);
                }
            }
            3 => {
                let len = usize::from(byte(&mut data).unwrap_or(0));
                let payload = Payload::Bytes(&[7; 255][..len]);
                let _ = match step / 8 % 4 {
                    0 => client.state(u32::from(step) / 32, false, payload),
                    1 => client.delete(u32::from(step) / 32, false),
                    2 if step < 64 => client.state_as_host(1, 0, true, payload),
                    2 => {
                        let (seq, state) = (0, payload.bytes());
                        client.act(1, Act::Snapshot { seq, state }).map(|_| ())
                    }
                    _ => client.event(Audience::All, payload, false).map(|_| ()),
                };
            }
            4 => {
                let mut message = Vec::new();
                let mut messages = 0;
                while client.transmit(now, &mut message) {
                    let packets = up::decode(&message).expect("a message");
                    let joins = packets.fold(0, |joins, packet| {
                        let packet = packet.expect("a packet");
                        joins + usize::from(matches!(packet, up::Packet::Join(_)))
                    });
                    // The first packet of a connection, alone, and never again.
                    assert_eq!(joins, usize::from(unanswered));
                    unanswered = false;
                    message.clear();
                    messages += 1;
                    assert!(messages < 100, "it has no end");
                }
            }
            5 => {
                now += u64::from(byte(&mut data).unwrap_or(0)) * 50_000;
                client.wake(now);
            }
            6 => {
                let code = u16::from(byte(&mut data).unwrap_or(0)) * 20;
                client.closed(link, Some(CloseCode(code)));
            }
            _ if step == 255 => client.leave(),
            _ => {
                if let Some(due) = client.due() {
                    now = now.max(due);
                    client.wake(now);
                }
            }
        }
        assert!(client.unacknowledged() <= kept.packets + 1);
        if let Some(later) = client.time(now) {
            assert!(later >= time, "{later} after {time}");
            time = later;
        }
    }
}
