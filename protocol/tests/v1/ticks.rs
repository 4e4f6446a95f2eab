//! A client in a room with ticks: what it has to say goes a little before them.

use roomcast_protocol::v1::client::{Client, KEPT, Link};
use roomcast_protocol::v1::down::{Packet, Slack, Welcome, capability};
use roomcast_protocol::v1::up::{self, Audience};
use roomcast_protocol::v1::{PairValue, Pairs, Payload, setting, write_varint};

use crate::packets::{LIFE, TOKEN, id};
use crate::relay::ada;

/// Where the relay's ticks are, and how long something takes to get there, in microseconds.
const LENGTH: u64 = 50_000;
const PHASE: u64 = 31_000;
const WAY: u64 = 2_000;

struct Play {
    client: Client,
    link: Link,
    now: u64,
    /// How near to a tick its last packets came.
    slack: Slack,
    superseded: u64,
}

impl Play {
    /// Live in a room that ticks so often in a second, with a relay that can do this.
    fn live(hz: u64, capabilities: u64, align: bool) -> Self {
        let mut client = Client::new(&ada(), KEPT);
        client.align(align);
        let link = client.open(1_000_000);
        let mut play = Self {
            client,
            link,
            now: 1_000_000,
            slack: Slack::default(),
            superseded: 0,
        };
        play.written();
        let mut settings = Vec::new();
        let ticks = [(setting::TICK_HZ, PairValue::Number(hz))];
        let settings = Pairs::encode(ticks, &mut settings).expect("a setting");
        play.receive(&[
            Packet::Welcome(Welcome {
                created: true,
                minor: 1,
                capabilities,
                life: LIFE,
                id: id(1),
                token: TOKEN,
                seq: 1,
                applied: 0,
                time: 0,
                limits: Pairs::EMPTY,
            }),
            Packet::Settings(settings),
            Packet::Ready,
        ]);
        play
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

    /// What is written now; pings are answered, by a relay that ticks, and noted as `?` or, if they ask for ticks, as `??`.
    fn written(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut message = Vec::new();
        while self.client.transmit(self.now, &mut message) {
            let mut answers = Vec::new();
            let before = self.slack;
            for packet in up::decode(&message).expect("a message") {
                let packet = packet.expect("a packet");
                match packet {
                    up::Packet::Ping { echo, ticks, .. } => {
                        lines.push(if ticks { "??" } else { "?" }.to_owned());
                        answers.push((echo, ticks));
                    }
                    up::Packet::State { key, payload, .. } => {
                        lines.push(format!(
                            "{key}={}",
                            String::from_utf8_lossy(payload.bytes())
                        ));
                    }
                    up::Packet::Join(_) => {}
                    other => lines.push(other.name().to_owned()),
                }
                if !matches!(packet, up::Packet::Ping { .. }) {
                    let after = (self.now + WAY + LENGTH - PHASE) % LENGTH;
                    let late = after < LENGTH - after;
                    let micros = if late { after } else { LENGTH - after };
                    self.slack = Slack { late, micros };
                }
            }
            message.clear();
            for (echo, ticks) in answers {
                let time = self.now;
                let (superseded, slack) = (self.superseded, before);
                let pong = match ticks {
                    true => Packet::PongTicks {
                        echo,
                        time,
                        superseded,
                        slack,
                    },
                    false => Packet::Pong { echo, time },
                };
                self.receive(&[pong]);
            }
        }
        lines
    }

    /// Sets a key every few milliseconds for so long; answers what was written, with how much before a tick it came.
    fn set(&mut self, millis: u64) -> Vec<(String, i64)> {
        let mut all = Vec::new();
        for round in 0..millis {
            self.now += 1_000;
            if round % 5 == 0 {
                let value = round.to_string();
                let set = self.client.state(1, false, Payload::Text(&value));
                set.expect("it fits");
            }
            self.client.wake(self.now);
            let written = self.written();
            let ahead = self.slack.ahead();
            all.extend(written.into_iter().map(|line| (line, ahead)));
        }
        all
    }
}

#[test]
fn what_is_said_goes_once_a_tick_and_a_little_before_it() {
    let mut play = Play::live(20, capability::TICKS, true);
    let written = play.set(3_000);
    let states: Vec<_> = written
        .iter()
        .filter(|(line, _)| line.contains('='))
        .collect();
    assert!((55..=62).contains(&states.len()), "{}", states.len());
    let (last, ahead) = states.last().expect("states");
    assert!(
        (1_000..=5_000).contains(ahead),
        "{last} came {ahead} us before the tick"
    );
    assert!(!written.iter().any(|(line, _)| line == "?"));
    // It asks more often than others do, for the two clocks drift apart.
    assert!(written.iter().filter(|(line, _)| line == "??").count() >= 5);
    assert!(play.client.holds(play.now));
    play.now = play.client.due().expect("it says when");
    assert!(!play.client.holds(play.now));
}

#[test]
fn without_ticks_or_who_does_not_want_it_sends_at_once() {
    for (hz, capabilities, align, ping) in [
        (0, capability::TICKS, true, "??"),
        (20, capability::TICKS, false, "?"),
        (20, 0, false, "?"),
    ] {
        let mut play = Play::live(hz, capabilities, align);
        let written = play.set(1_000);
        let states = written.iter().filter(|(line, _)| line.contains('='));
        assert_eq!(states.count(), 200, "{hz} Hz");
        let pings: Vec<_> = written
            .iter()
            .filter(|(line, _)| line.starts_with('?'))
            .collect();
        assert!(pings.iter().all(|(line, _)| line == ping), "{hz} Hz");
        assert!(!play.client.holds(play.now));
    }
}

#[test]
fn a_hidden_page_and_who_leaves_send_at_once() {
    let mut play = Play::live(20, capability::TICKS, true);
    play.set(500);
    let lines = |play: &mut Play| {
        let set = play.client.state(1, false, Payload::Text("x"));
        set.expect("it fits");
        play.written()
            .into_iter()
            .filter(|line| !line.starts_with('?'))
            .collect::<Vec<_>>()
    };
    assert!(play.client.holds(play.now));
    play.now = play.client.due().expect("a moment");
    assert_eq!(lines(&mut play), ["1=x"]);
    play.now += 1_000;
    assert!(lines(&mut play).is_empty());
    play.client.willing(true, false).expect("it fits");
    assert_eq!(lines(&mut play), ["WILLING", "1=x"]);
    play.now += 1_000;
    assert_eq!(lines(&mut play), ["1=x"]);
    play.client.willing(true, true).expect("it fits");
    play.now += 1_000;
    assert!(play.written().is_empty(), "it waits again");
    let said = play
        .client
        .event(Audience::Others, Payload::Text("e"), false);
    said.expect("it fits");
    play.client.leave();
    let written = play.written();
    assert_eq!(written, ["WILLING", "EVENT_OTHERS", "LEAVE"]);
}

#[test]
fn what_was_superseded_is_of_this_connection() {
    let mut play = Play::live(20, capability::TICKS, true);
    play.superseded = 7;
    play.set(300);
    assert_eq!(play.client.superseded(), 7);
    play.client.closed(play.link, None);
    play.link = play.client.open(play.now);
    assert_eq!(play.client.superseded(), 0);
}
