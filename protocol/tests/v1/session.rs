//! The client machine: its table of states, its heartbeats, and sessions as vectors.

use roomcast_protocol::close::CloseCode;
use roomcast_protocol::v1::client::{
    Client, DEAD_AFTER, Event, HEARTBEAT, KEPT, Kept, Link, Next, Unsendable, Violation,
};
use roomcast_protocol::v1::down::{self, Packet, Slack, Welcome, refused, reset};
use roomcast_protocol::v1::up::{self, Audience, Back, Impairment, Join};
use roomcast_protocol::v1::{
    Change, Changed, Guard, Life, List, PairValue, Pairs, Payload, limit, write_varint,
};
use serde_json::{Value, json};

use crate::meaning::{self, hex};
use crate::packets::{LIFE, TOKEN, id, name};
use crate::relay::ada;
use crate::vectors::committed;

const SECOND: u64 = 1_000_000;

pub(crate) fn welcome() -> Welcome<'static> {
    Welcome {
        created: false,
        minor: 0,
        capabilities: 0,
        life: LIFE,
        id: id(2),
        token: TOKEN,
        seq: 5,
        applied: 0,
        time: 50 * SECOND,
        limits: Pairs::EMPTY,
    }
}

pub(crate) fn bundle(covered: u64, packets: &[Packet<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_varint(&mut bytes, covered);
    for packet in packets {
        packet.encode(&mut bytes);
    }
    bytes
}

pub(crate) fn event(author: u32, payload: &[u8]) -> Packet<'_> {
    Packet::Event {
        author: id(author),
        payload: Payload::Bytes(payload),
        by_host: false,
        addressed: false,
    }
}

fn hi() -> up::Packet<'static> {
    up::Packet::Event {
        term: None,
        to: Audience::Others,
        droppable: false,
        payload: Payload::Text("hi"),
    }
}

/// A client, and what was done with it, as a vector.
pub(crate) struct Script {
    pub(crate) client: Client,
    link: Option<Link>,
    now: u64,
    pub(crate) steps: Vec<Value>,
}

impl Script {
    fn new(join: &Join<'_>) -> Self {
        let mut wanted = Vec::new();
        up::Packet::Join(*join).encode(&mut wanted);
        Self {
            client: Client::new(join, KEPT),
            link: None,
            now: SECOND,
            steps: vec![json!({ "new": hex(&wanted) })],
        }
    }

    /// In the middle of the game, the first pings answered.
    pub(crate) fn live() -> Self {
        let mut script = Self::new(&ada());
        script.open();
        script.transmits();
        script.receive(&bundle(0, &[Packet::Welcome(welcome()), Packet::Ready]));
        for _ in 0..5 {
            script.wait(200_000);
        }
        script
    }

    pub(crate) fn open(&mut self) {
        self.link = Some(self.client.open(self.now));
        self.steps.push(json!({ "at": self.now, "open": true }));
    }

    /// What is written now.
    pub(crate) fn transmits(&mut self) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        let mut message = Vec::new();
        while self.client.transmit(self.now, &mut message) {
            messages.push(std::mem::take(&mut message));
        }
        let hexes: Vec<String> = messages.iter().map(|message| hex(message)).collect();
        self.steps
            .push(json!({ "at": self.now, "transmits": hexes }));
        messages
    }

    pub(crate) fn try_receive(&mut self, message: &[u8]) -> Result<Vec<Value>, Violation> {
        let mut told = Vec::new();
        let link = self.link.expect("a connection");
        let outcome = self.client.receive(link, self.now, message, &mut |event| {
            told.push(match event {
                Event::Resumed => json!("resumed"),
                Event::Reset { reason } => json!({ "reset": reason }),
                Event::Welcome { welcome, dropped } => {
                    json!({ "welcome": welcome.id, "dropped": dropped })
                }
                Event::Packet(packet) => meaning::of_down(&packet),
                Event::Tail(packet) => json!({ "tail": meaning::of_down(&packet) }),
                other => panic!("{other:?}"),
            });
        });
        let mut step = json!({ "at": self.now, "receive": hex(message), "tells": told });
        if let Err(violation) = &outcome {
            step["violation"] = json!(violation.to_string());
        }
        self.steps.push(step);
        outcome.map(|()| told)
    }

    pub(crate) fn receive(&mut self, message: &[u8]) -> Vec<Value> {
        self.try_receive(message).expect("a good message")
    }

    fn send(&mut self, to: Audience<'_>, payload: &str) -> Result<u64, Unsendable> {
        let number = self.client.event(to, Payload::Text(payload), false);
        let payload = Payload::Text(payload);
        let packet = up::Packet::Event {
            term: None,
            to,
            droppable: false,
            payload,
        };
        let number_or_not = json!(number.ok());
        self.steps
            .push(json!({ "send": meaning::of_up(&packet), "number": number_or_not }));
        number
    }

    fn wake(&mut self) -> bool {
        let alive = self.client.wake(self.now);
        self.steps.push(json!({ "at": self.now, "wake": alive }));
        alive
    }

    /// Time passes, with whatever is due in it; the relay answers nothing but the pings.
    fn wait(&mut self, micros: u64) {
        let until = self.now + micros;
        while let Some(due) = self.client.due().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            assert!(self.wake(), "alive");
            for message in self.transmits() {
                for packet in up::decode(&message).expect("a message") {
                    if let Ok(up::Packet::Ping { echo, .. }) = packet {
                        let time = 50 * SECOND + self.now;
                        self.receive(&bundle(0, &[Packet::Pong { echo, time }]));
                    }
                }
            }
        }
        self.now = until;
    }

    pub(crate) fn closed(&mut self, code: Option<u16>) -> Option<Next> {
        let next = self
            .client
            .closed(self.link.expect("a connection"), code.map(CloseCode));
        let word = next.map(|next| match next {
            Next::Resume => "resume",
            Next::ResumeLater => "resume later",
            Next::Stop => "stop",
        });
        self.steps.push(json!({ "closed": code, "next": word }));
        next
    }

    pub(crate) fn vector(self, name: &str) -> Value {
        json!({ "name": name, "steps": self.steps })
    }
}

pub(crate) fn encoded(packets: &[up::Packet<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for packet in packets {
        packet.encode(&mut bytes);
    }
    bytes
}

pub(crate) fn back(cursor: Option<u64>) -> Option<Back> {
    Some(Back {
        token: TOKEN,
        cursor: cursor.map(|seq| up::Cursor { life: LIFE, seq }),
    })
}

#[test]
fn vectors_of_sessions() {
    let vectors = [
        joins_and_speaks().vector("joins, speaks, is acknowledged"),
        resumes().vector("goes on after a lost connection"),
        is_reset(true).vector("is reset after a lost connection, as the same player"),
        is_reset(false).vector("is reset after a lost connection, as another player"),
        is_reset_in_band().vector("is reset on a connection that lives"),
        starts_again().vector("is started again with a token"),
        is_silent().vector("says that it is there, and gives up a silent relay"),
        leaves().vector("leaves"),
    ];
    committed("sessions.json", &vectors);
}

fn joins_and_speaks() -> Script {
    let mut script = Script::new(&ada());
    assert_eq!(script.send(Audience::Others, "early"), Ok(0));
    script.open();
    assert_eq!(script.transmits(), [encoded(&[up::Packet::Join(ada())])]);
    let told = script.receive(&bundle(0, &[Packet::Welcome(welcome())]));
    assert_eq!(told, [json!({ "welcome": 2, "dropped": 0 })]);
    let early = encoded(&[up::Packet::Event {
        term: None,
        to: Audience::Others,
        droppable: false,
        payload: Payload::Text("early"),
    }]);
    assert_eq!(script.transmits(), [early]);
    let player = Packet::Player {
        id: id(2),
        name: name("Ada"),
        away: false,
    };
    let told = script.receive(&bundle(
        0,
        &[
            Packet::KeepAlive { time: 50 * SECOND },
            player,
            Packet::Ready,
        ],
    ));
    assert_eq!(told.len(), 2);
    assert_eq!(script.client.cursor().map(|cursor| cursor.seq), Some(5));
    // The first ping goes at once.
    let ping = encoded(&[up::Packet::Ping {
        echo: SECOND,
        trip: 0,
        ticks: false,
    }]);
    assert_eq!(script.transmits(), [ping]);
    script.now += 20_000;
    script.receive(&bundle(
        0,
        &[Packet::Pong {
            echo: SECOND,
            time: 50 * SECOND + 10_000,
        }],
    ));
    assert_eq!(script.client.trip(), Some(20_000));
    assert_eq!(
        script.client.time(script.now + 7),
        Some(50 * SECOND + 20_007)
    );
    assert_eq!(script.send(Audience::All, "hello"), Ok(1));
    assert_eq!(script.send(Audience::One(id(1)), "psst"), Ok(2));
    script.transmits();
    assert_eq!(script.client.unacknowledged(), 3);
    let unknown = Packet::Unknown {
        kind: 0xf0,
        body: &[1, 2, 3],
    };
    let gone = Packet::Refused {
        number: 2,
        reason: refused::PLAYER_GONE,
        detail: "",
    };
    let told = script.receive(&bundle(
        3,
        &[
            event(2, b"hello"),
            unknown,
            gone,
            Packet::Ack { applied: 3 },
        ],
    ));
    assert_eq!(told.len(), 2);
    assert_eq!(script.client.unacknowledged(), 0);
    assert_eq!(script.client.cursor().map(|cursor| cursor.seq), Some(8));
    script
}

fn resumes() -> Script {
    let mut script = Script::live();
    script.send(Audience::Others, "a").expect("taken");
    script.send(Audience::Others, "b").expect("taken");
    script.transmits();
    script.receive(&bundle(3, &[event(1, &[1])]));
    assert_eq!(script.closed(Some(1006)), Some(Next::Resume));
    assert_eq!(script.closed(Some(1006)), None, "only once");
    script.send(Audience::Others, "c").expect("taken");
    assert_eq!(script.transmits().len(), 0);
    script.now += SECOND;
    let old = script.link;
    script.open();
    let join = Join {
        back: back(Some(8)),
        ..ada()
    };
    assert_eq!(script.transmits(), [encoded(&[up::Packet::Join(join)])]);
    // What the old socket still delivers is not heard.
    let new = std::mem::replace(&mut script.link, old);
    assert_eq!(
        script.client.receive(
            old.expect("one"),
            script.now,
            &bundle(1, &[event(1, &[2])]),
            &mut |_| { panic!("heard") }
        ),
        Ok(())
    );
    assert_eq!(script.client.closed(old.expect("one"), None), None);
    script.link = new;
    // The relay had applied the first of the three.
    let told = script.receive(&bundle(
        1,
        &[
            Packet::Resumed {
                applied: 1,
                time: 60 * SECOND,
            },
            event(1, &[2]),
        ],
    ));
    assert_eq!(told[0], json!("resumed"));
    let again = script.transmits();
    let texts: Vec<String> = again
        .iter()
        .flat_map(|message| up::decode(message).expect("a message"))
        .filter_map(|packet| match packet {
            Ok(up::Packet::Event {
                payload: Payload::Text(text),
                ..
            }) => Some(text.to_owned()),
            _ => None,
        })
        .collect();
    assert_eq!(texts, ["b", "c"]);
    assert_eq!(script.client.cursor().map(|cursor| cursor.seq), Some(9));
    script
}

fn is_reset(same: bool) -> Script {
    let mut script = Script::live();
    script.send(Audience::Others, "a").expect("taken");
    script.send(Audience::Others, "b").expect("taken");
    script.transmits();
    assert_eq!(script.closed(Some(1012)), Some(Next::Resume));
    script.open();
    script.transmits();
    let reason = if same { reset::LOG } else { reset::GONE };
    let again = Welcome {
        seq: 300,
        applied: 1,
        ..welcome()
    };
    let other = Welcome {
        life: Life([3; 8]),
        id: id(2),
        seq: 1,
        time: SECOND,
        ..welcome()
    };
    let answer = Packet::Welcome(if same { again } else { other });
    let told = script.receive(&bundle(
        0,
        &[Packet::Reset { reason }, answer, Packet::Ready],
    ));
    let dropped = if same { 0 } else { 2 };
    assert_eq!(told[1], json!({ "welcome": 2, "dropped": dropped }));
    let (seq, number) = if same { (300, 2) } else { (1, 0) };
    assert_eq!(script.client.cursor().map(|cursor| cursor.seq), Some(seq));
    assert_eq!(script.send(Audience::Others, "c"), Ok(number));
    script.transmits();
    let kept = if same { 2 } else { 1 };
    assert_eq!(script.client.unacknowledged(), kept);
    script
}

fn is_reset_in_band() -> Script {
    let mut script = Script::live();
    script.send(Audience::Others, "a").expect("taken");
    script.transmits();
    script.receive(&bundle(
        0,
        &[Packet::Reset {
            reason: reset::BEHIND,
        }],
    ));
    assert_eq!(script.client.cursor(), None);
    let again = Welcome {
        seq: 300,
        applied: 1,
        ..welcome()
    };
    script.receive(&bundle(0, &[Packet::Welcome(again)]));
    script.receive(&bundle(0, &[Packet::Ready]));
    assert_eq!(script.client.unacknowledged(), 0);
    // Nothing is sent again.
    let written = script.transmits().concat();
    assert!(
        up::decode(&written)
            .expect("a message")
            .all(|packet| matches!(packet, Ok(up::Packet::Ping { .. })))
    );
    script
}

fn starts_again() -> Script {
    let join = Join {
        back: back(None),
        ..ada()
    };
    let mut script = Script::new(&join);
    script.open();
    assert_eq!(script.transmits(), [encoded(&[up::Packet::Join(join)])]);
    // Lost before the end of the welcome: nothing that could be gone on from.
    script.receive(&bundle(
        0,
        &[Packet::Welcome(Welcome {
            applied: 7,
            ..welcome()
        })],
    ));
    script.closed(None);
    script.open();
    assert_eq!(script.transmits(), [encoded(&[up::Packet::Join(join)])]);
    script.receive(&bundle(
        0,
        &[
            Packet::Welcome(Welcome {
                applied: 7,
                ..welcome()
            }),
            Packet::Ready,
        ],
    ));
    assert_eq!(script.send(Audience::Others, "again"), Ok(7));
    script.transmits();
    script
}

fn is_silent() -> Script {
    let mut script = Script::live();
    // Five first pings, then one in 2.5 s.
    let quiet = script.steps.len();
    script.wait(4 * HEARTBEAT);
    let pings = script.steps[quiet..]
        .iter()
        .filter(|step| step.get("transmits").is_some())
        .count();
    assert_eq!(pings, 4);
    // A page whose timers stand still answers what it hears, once.
    script.now += HEARTBEAT;
    script.receive(&bundle(1, &[Packet::KeepAlive { time: 70 * SECOND }]));
    script.receive(&bundle(1, &[Packet::KeepAlive { time: 70 * SECOND }]));
    let pings = script.transmits();
    assert_eq!(pings.len(), 1);
    assert_eq!(up::decode(&pings[0]).expect("a message").count(), 1);
    script.now += DEAD_AFTER - 1;
    assert!(script.wake());
    script.now += 1;
    assert_eq!(script.client.due(), Some(script.now));
    assert!(!script.wake());
    assert_eq!(script.client.due(), None);
    // An answer that never comes is silence too.
    script.open();
    script.transmits();
    script.now += DEAD_AFTER;
    assert_eq!(script.client.due(), Some(script.now));
    assert!(!script.wake());
    script
}

#[test]
fn who_stood_still_was_not_told_nothing() {
    let mut script = Script::live();
    script.now += 10 * DEAD_AFTER;
    script.client.stood_still(script.now);
    assert!(script.wake());
    script.now += DEAD_AFTER - 1;
    assert!(script.wake());
    script.now += 1;
    assert!(!script.wake());
}

fn leaves() -> Script {
    let mut script = Script::live();
    script.send(Audience::Others, "bye").expect("taken");
    script.client.leave();
    script.steps.push(json!({ "leave": true }));
    assert!(!script.client.is_done());
    let written = script.transmits().concat();
    assert!(written.ends_with(&encoded(&[up::Packet::Leave])));
    assert!(script.client.is_done());
    assert_eq!(
        script.send(Audience::Others, "late"),
        Err(Unsendable::Ended)
    );
    assert_eq!(script.closed(Some(1006)), Some(Next::Stop));
    script
}

/// What each packet does in each state: `.` nothing is told, `t` it is told, `!` the session ends.
#[test]
fn every_packet_in_every_state() {
    let other = Welcome {
        life: Life([3; 8]),
        ..welcome()
    };
    let mut buffer = Vec::new();
    let changed = Changed {
        key: name("k"),
        version: 1,
        value: None,
    };
    let changes = List::encode([changed], &mut buffer).expect("one");
    let rows: &[(Packet<'_>, &str)] = &[
        // Joining with a cursor, Welcomed, Live, Resetting
        (event(1, &[]), "!!t!"),
        (Packet::Welcome(welcome()), "t!!t"),
        (Packet::Welcome(other), "t!!!"),
        (Packet::Settings(Pairs::EMPTY), "!tt!"),
        (
            Packet::Player {
                id: id(1),
                name: name("Bob"),
                away: true,
            },
            "!t!!",
        ),
        (Packet::Ready, "!t!!"),
        (
            Packet::Joined {
                id: id(3),
                name: name("Cy"),
                properties: List::EMPTY,
            },
            "!!t!",
        ),
        (
            Packet::Left {
                id: id(3),
                reason: down::left::GRACE_OVER,
            },
            "!!t!",
        ),
        (Packet::Away(id(3)), "!!t!"),
        (Packet::Back(id(3)), "!!t!"),
        (
            Packet::Properties {
                owner: None,
                author: None,
                changes,
            },
            "!tt!",
        ),
        (
            Packet::Resumed {
                applied: 0,
                time: 0,
            },
            "t!!!",
        ),
        (Packet::Reset { reason: 2 }, "ttt!"),
        (
            Packet::Refused {
                number: 0,
                reason: 1,
                detail: "",
            },
            "!!t!",
        ),
        (Packet::Ack { applied: 0 }, "...."),
        (Packet::Pong { echo: 0, time: 0 }, "...."),
        (
            Packet::PongTicks {
                echo: 0,
                time: 0,
                superseded: 0,
                slack: Slack::default(),
            },
            "....",
        ),
        (Packet::Tick { tick: 1, time: 0 }, "..t."),
        (Packet::Aged { ms: 1 }, "..t."),
        (Packet::KeepAlive { time: 0 }, "...."),
        (
            Packet::Unknown {
                kind: 0xf8,
                body: &[],
            },
            "....",
        ),
    ];
    for (packet, expected) in rows {
        let mut outcomes = String::new();
        for state in 0..4 {
            let mut script = if state == 1 {
                Script::new(&ada())
            } else {
                Script::live()
            };
            match state {
                0 => {
                    script.closed(None);
                    script.open();
                }
                1 => {
                    script.open();
                    script.receive(&bundle(0, &[Packet::Welcome(welcome())]));
                }
                2 => {}
                _ => {
                    script.receive(&bundle(0, &[Packet::Reset { reason: 1 }]));
                }
            }
            outcomes.push(match script.try_receive(&bundle(0, &[*packet])) {
                Ok(told) if told.is_empty() => '.',
                Ok(_) => 't',
                Err(_) => {
                    // What comes behind a violation is not heard.
                    assert_eq!(script.try_receive(&[0xff]), Ok(vec![]));
                    assert_eq!(script.client.due(), None);
                    '!'
                }
            });
        }
        assert_eq!(outcomes, *expected, "{}", packet.name());
    }
}

#[test]
fn a_relay_that_lies_is_found_out() {
    let resumed = |applied| Packet::Resumed { applied, time: 0 };
    let ready = [Packet::Welcome(welcome()), Packet::Ready];
    let rows: &[(&str, Vec<u8>, Violation)] = &[
        (
            "live",
            bundle(0, &[Packet::Ack { applied: 2 }]),
            Violation::Applied(2),
        ),
        ("joining", bundle(0, &[resumed(2)]), Violation::Applied(2)),
        (
            "joining",
            bundle(1, &[Packet::Reset { reason: 1 }]),
            Violation::Covered(1),
        ),
        ("joining", bundle(1, &[]), Violation::Covered(1)),
        ("joining", bundle(1, &ready), Violation::Covered(1)),
        (
            "joining",
            bundle(0, &[&ready[..], &[event(1, &[])]].concat()),
            Violation::OutOfPlace("EVENT"),
        ),
        (
            "live",
            bundle((1 << 53) - 1, &[]),
            Violation::Covered((1 << 53) - 1),
        ),
        (
            "live",
            bundle(1, &[event(1, &[]), Packet::Reset { reason: 1 }]),
            Violation::Covered(1),
        ),
    ];
    for (state, message, expected) in rows {
        let mut script = Script::live();
        script.send(Audience::All, "one").expect("taken");
        script.transmits();
        if *state == "joining" {
            script.open();
        }
        assert_eq!(script.try_receive(message), Err(*expected), "{state}");
    }
    let mut script = Script::live();
    let malformed = script.try_receive(&[0, 0x38, 1, 0]);
    assert!(matches!(malformed, Err(Violation::Malformed(_))));
}

#[test]
fn what_the_relay_takes_is_kept_to() {
    let mut buffer = Vec::new();
    let limits = [
        (limit::MESSAGE_BYTES, PairValue::Number(10)),
        (limit::PACKETS_PER_SECOND, PairValue::Number(10)),
        (limit::PACKETS_BURST, PairValue::Number(4)),
    ];
    let limits = Pairs::encode(limits, &mut buffer).expect("good limits");
    let mut client = Client::new(
        &ada(),
        Kept {
            packets: 8,
            bytes: 1000,
        },
    );
    let link = client.open(0);
    let mut message = Vec::new();
    assert!(client.transmit(0, &mut message));
    let answer = bundle(
        0,
        &[
            Packet::Welcome(Welcome {
                limits,
                ..welcome()
            }),
            Packet::Ready,
        ],
    );
    client.receive(link, 0, &answer, &mut |_| {}).expect("good");
    assert_eq!(
        client.event(Audience::All, Payload::Bytes(&[0; 9]), false),
        Err(Unsendable::TooBig)
    );
    for number in 0..8 {
        assert_eq!(
            client.event(Audience::Others, Payload::Text("hi"), false),
            Ok(number)
        );
    }
    assert_eq!(
        client.event(Audience::Others, Payload::Text("hi"), false),
        Err(Unsendable::Full)
    );
    assert_eq!(
        client.impair(Impairment {
            delay: 10_001,
            ..Impairment::default()
        }),
        Err(Unsendable::OutOfBounds)
    );
    assert_eq!(
        client.properties(None, List::EMPTY),
        Err(Unsendable::Nothing)
    );
    // A burst of four, of which the first ping is one; ten bytes a message hold two.
    let mut sizes = Vec::new();
    loop {
        message.clear();
        if !client.transmit(0, &mut message) {
            break;
        }
        assert!(message.len() <= 10);
        sizes.push(up::decode(&message).expect("a message").count());
    }
    assert_eq!(sizes.iter().sum::<usize>(), 4, "{sizes:?}");
    assert_eq!(client.due(), Some(100_000));
    message.clear();
    assert!(!client.transmit(99_999, &mut message) && client.transmit(100_000, &mut message));
    assert_eq!(message, encoded(&[hi()]));
}

#[test]
fn properties_and_impairment_go_as_they_are() {
    let mut script = Script::live();
    let mut buffer = Vec::new();
    let change = Change {
        key: name("map"),
        guard: Guard::Unset,
        value: Some(Payload::Text("desert")),
    };
    let changes = List::encode([change], &mut buffer).expect("one");
    let impairment = Impairment {
        delay: 100,
        ..Impairment::default()
    };
    assert_eq!(script.client.properties(None, changes), Ok(0));
    assert_eq!(script.client.impair(impairment), Ok(1));
    let expected = encoded(&[
        up::Packet::Properties {
            term: None,
            owner: None,
            changes,
        },
        up::Packet::Impair(impairment),
    ]);
    assert_eq!(script.transmits(), [expected]);
}
