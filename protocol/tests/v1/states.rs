//! The client's own states: the newest is written, in its place among the events, and again after a lost connection.

use roomcast_protocol::v1::client::{Client, KEPT, Kept, Link, Unsendable};
use roomcast_protocol::v1::down::{Packet, Welcome};
use roomcast_protocol::v1::up::{self, Audience, KeyAudience, StateAudience};
use roomcast_protocol::v1::{PairValue, Pairs, Payload, limit, write_varint};

use crate::packets::{LIFE, TOKEN, id};
use crate::relay::ada;

/// A client, its connection and the time.
struct Play {
    client: Client,
    link: Link,
    now: u64,
}

impl Play {
    /// Live, its first ping written; one packet at once and ten a second if `slow`.
    fn live(slow: bool) -> Self {
        let mut client = Client::new(&ada(), KEPT);
        let link = client.open(0);
        let mut play = Self {
            client,
            link,
            now: 0,
        };
        play.written();
        play.welcome(2, slow);
        play
    }

    fn welcome(&mut self, player: u32, slow: bool) {
        let mut limits = Vec::new();
        let rate = [
            (limit::PACKETS_PER_SECOND, PairValue::Number(10)),
            (limit::PACKETS_BURST, PairValue::Number(1)),
        ];
        let limits = Pairs::encode(rate, &mut limits).expect("limits");
        self.receive(&[
            Packet::Welcome(Welcome {
                created: true,
                minor: 0,
                capabilities: 2,
                life: LIFE,
                id: id(player),
                token: TOKEN,
                seq: 1,
                applied: 0,
                time: 0,
                limits: if slow { limits } else { Pairs::EMPTY },
            }),
            Packet::Ready,
        ]);
        self.written();
    }

    fn receive(&mut self, packets: &[Packet<'_>]) {
        let mut bundle = Vec::new();
        write_varint(&mut bundle, 0);
        packets.iter().for_each(|packet| packet.encode(&mut bundle));
        let heard = self
            .client
            .receive(self.link, self.now, &bundle, &mut |_| {});
        heard.expect("a good message");
    }

    fn reopen(&mut self) {
        self.client.closed(self.link, None);
        self.link = self.client.open(self.now);
        self.written();
    }

    fn resumed(&mut self, applied: u64) {
        self.receive(&[Packet::Resumed { applied, time: 0 }]);
    }

    fn set(&mut self, key: u32, value: &str) {
        let set = self.client.state(key, false, Payload::Text(value));
        set.expect("it fits");
    }

    fn say(&mut self, text: &str) {
        let said = self
            .client
            .event(Audience::Others, Payload::Text(text), false);
        said.expect("it fits");
    }

    /// What is written now, but pings.
    fn written(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut message = Vec::new();
        while self.client.transmit(self.now, &mut message) {
            for packet in up::decode(&message).expect("a message") {
                lines.extend(line(packet.expect("a packet")));
            }
            message.clear();
        }
        lines
    }
}

fn line(packet: up::Packet<'_>) -> Option<String> {
    let text = |payload: Payload<'_>| String::from_utf8_lossy(payload.bytes()).into_owned();
    Some(match packet {
        up::Packet::Event { payload, .. } => text(payload),
        up::Packet::State {
            key, room, payload, ..
        } => {
            let room = if room { "room's " } else { "" };
            format!("{room}{key}={}", text(payload))
        }
        up::Packet::Delete { key, .. } => format!("{key} gone"),
        up::Packet::Audience(audience) => format!("audience of {}", audience.key),
        _ => return None,
    })
}

#[test]
fn only_the_newest_is_written() {
    let mut play = Play::live(false);
    play.set(1, "a");
    play.set(2, "b");
    play.set(1, "c");
    assert_eq!(play.written(), ["1=c", "2=b"]);
    assert!(play.written().is_empty());
    play.client.delete(2, false).expect("it fits");
    play.client
        .state(1, true, Payload::Text("d"))
        .expect("it fits");
    assert_eq!(play.written(), ["room's 1=d", "2 gone"]);
}

#[test]
fn a_state_is_never_written_before_an_earlier_event() {
    let mut play = Play::live(true);
    play.now = 1_000_000;
    play.say("1");
    play.set(7, "after 1");
    play.say("2");
    assert_eq!(play.written(), ["1"]);
    // Said again after 2, it waits for 2.
    play.set(7, "after 2");
    play.now += 100_000;
    assert_eq!(play.written(), ["2"]);
    play.now += 100_000;
    assert_eq!(play.client.due().map(|due| due <= play.now), Some(true));
    assert_eq!(play.written(), ["7=after 2"]);
    // An event that was sent again is as much in its way as a new one.
    play.set(7, "newer");
    play.now += 50_000;
    play.reopen();
    play.resumed(0);
    let mut all = Vec::new();
    for _ in 0..5 {
        play.now += 100_000;
        all.extend(play.written());
    }
    assert_eq!(all, ["1", "2", "7=newer"]);
}

#[test]
fn where_little_may_be_written_no_key_waits_for_ever() {
    let mut play = Play::live(true);
    let mut all = Vec::new();
    play.now = 1_000_000;
    for round in 0..6 {
        for key in 1..4 {
            play.set(key, &round.to_string());
        }
        all.extend(play.written());
        play.now += 100_000;
    }
    assert_eq!(all, ["1=0", "2=1", "3=2", "1=3", "2=4", "3=5"]);
}

#[test]
fn what_a_lost_connection_may_have_lost_is_written_again() {
    let mut play = Play::live(false);
    play.now = 1_000_000;
    for key in 1..5 {
        play.set(key, "a");
    }
    play.client.delete(2, false).expect("it fits");
    play.written();
    // The answer to a later ping shows that these have arrived.
    play.receive(&[Packet::Pong {
        echo: 1_000_001,
        time: 0,
    }]);
    play.now = 2_000_000;
    play.set(3, "b");
    play.client.delete(4, false).expect("it fits");
    play.client
        .state(9, true, Payload::Text("the room's"))
        .expect("it fits");
    assert_eq!(play.written(), ["room's 9=the room's", "3=b", "4 gone"]);
    play.reopen();
    play.resumed(0);
    // Not the room's: somebody else may have written it since.
    assert_eq!(play.written(), ["3=b", "4 gone"]);
}

#[test]
fn somebody_new_writes_all_values_again() {
    let mut play = Play::live(false);
    play.set(1, "a");
    play.set(2, "b");
    play.client.delete(2, false).expect("it fits");
    play.written();
    play.reopen();
    let mut all = Vec::new();
    let mut message = Vec::new();
    let mut bundle = vec![0];
    for packet in [
        Packet::Reset { reason: 3 },
        Packet::Welcome(Welcome {
            created: true,
            minor: 0,
            capabilities: 2,
            life: LIFE,
            id: id(9),
            token: TOKEN,
            seq: 1,
            applied: 0,
            time: 0,
            limits: Pairs::EMPTY,
        }),
    ] {
        packet.encode(&mut bundle);
    }
    let heard = play
        .client
        .receive(play.link, play.now, &bundle, &mut |_| {});
    heard.expect("a good message");
    while play.client.transmit(play.now, &mut message) {
        let packets = up::decode(&message).expect("a message");
        all.extend(packets.filter_map(|packet| line(packet.expect("a packet"))));
        message.clear();
    }
    assert_eq!(all, ["1=a"]);
}

/// Else whoever the key goes to from then on would be told what it had been before.
#[test]
fn a_new_audience_does_not_overtake_the_value() {
    let mut play = Play::live(false);
    let audience = KeyAudience {
        key: 1,
        room: false,
        to: StateAudience::All,
        stays: false,
    };
    play.set(1, "a");
    play.client.audience(audience).expect("it fits");
    play.set(1, "b");
    assert_eq!(play.written(), ["1=a", "audience of 1", "1=b"]);
    // Nor when both are written again, nor when the value may have been lost before.
    play.client.closed(play.link, None);
    play.client.audience(audience).expect("it fits");
    play.reopen();
    play.resumed(0);
    let again = ["1=a", "audience of 1", "1=b", "audience of 1"];
    assert_eq!(play.written(), again);
}

#[test]
fn what_is_kept_is_bounded() {
    let kept = Kept {
        packets: 2,
        bytes: 20,
    };
    let mut client = Client::new(&ada(), kept);
    let set =
        |client: &mut Client, key, value: &[u8]| client.state(key, false, Payload::Bytes(value));
    assert_eq!(set(&mut client, 1, &[7; 3]), Ok(()));
    assert_eq!(set(&mut client, 2, &[7; 3]), Ok(()));
    assert_eq!(set(&mut client, 3, &[7; 3]), Err(Unsendable::Full));
    assert_eq!(set(&mut client, 2, &[7; 20]), Err(Unsendable::Full));
    assert_eq!(
        set(&mut client, 2, &[7; 11]),
        Ok(()),
        "in place of the other"
    );
    client.leave();
    assert_eq!(set(&mut client, 1, &[]), Err(Unsendable::Ended));
}
