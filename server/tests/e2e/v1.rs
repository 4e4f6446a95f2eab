//! roomcast.v1 over real sockets, ws and wss, with the client of `protocol`.

use std::time::Instant;

use roomcast_protocol::v1::client::{Client, Event, Kept, Link};
use roomcast_protocol::v1::down::Packet;
use roomcast_protocol::v1::up::{Audience, Impairment, Join, Mode};
use roomcast_protocol::v1::{List, Name, Pairs, Payload, SUBPROTOCOL};

use crate::admin::{admin, concerned, start_with_socket};
use crate::patience;
use crate::relay::Relay;
use crate::wire::{BINARY, CLOSE, FIN, PING, TEXT, Wire, upgrade_request};

/// Enough for messages of 1 MiB.
const KEPT: Kept = Kept {
    packets: 1024,
    bytes: 8 * 1024 * 1024,
};

/// A client with its socket, and the texts it has heard.
struct Player {
    client: Client,
    wire: Wire,
    link: Link,
    start: Instant,
    heard: Vec<String>,
    closed: Option<u16>,
}

/// Somebody new.
pub(crate) fn join(name: &str) -> Join<'_> {
    Join {
        minor: 0,
        mode: Mode::Any,
        back: None,
        name: Name::new(name).expect("a name"),
        properties: List::EMPTY,
        wishes: Pairs::EMPTY,
    }
}

/// A WebSocket that speaks roomcast.v1.
fn open(wire: Wire, room: &str) -> Wire {
    let mut wire = wire;
    let field = format!("\r\nSec-WebSocket-Protocol: other, {SUBPROTOCOL}\r\n\r\n");
    let request = upgrade_request(&format!("/rooms/{room}")).replace("\r\n\r\n", &field);
    wire.send(request.as_bytes());
    let response = wire.accepted();
    assert_eq!(response.field("sec-websocket-protocol"), Some(SUBPROTOCOL));
    wire
}

impl Player {
    fn join(wire: Wire, room: &str, name: &str) -> Self {
        let mut player = Self::at_the_door(wire, room, name);
        player.until(|player| player.client.is_live());
        player
    }

    /// Has not sent its first packet.
    fn at_the_door(wire: Wire, room: &str, name: &str) -> Self {
        let mut client = Client::new(&join(name), KEPT);
        Self {
            link: client.open(0),
            client,
            wire: open(wire, room),
            start: Instant::now(),
            heard: Vec::new(),
            closed: None,
        }
    }

    /// Another socket for the same player; the old one is dropped without a word.
    fn resume(&mut self, wire: Wire, room: &str) {
        let old = std::mem::replace(&mut self.wire, open(wire, room));
        self.link = self.client.open(self.now());
        old.reset();
        self.until(|player| player.client.is_live());
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    fn write(&mut self) {
        let mut message = Vec::new();
        while self.client.transmit(self.now(), &mut message) {
            self.wire.message(BINARY, &message);
            message.clear();
        }
    }

    fn say(&mut self, text: &str) {
        let sent = self
            .client
            .event(Audience::Others, Payload::Text(text), false);
        sent.expect("it keeps little");
        self.write();
    }

    /// Speaks and hears until this holds.
    fn until(&mut self, holds: impl Fn(&Self) -> bool) {
        let patience = patience("what a player waits for");
        loop {
            self.write();
            if holds(self) {
                return;
            }
            patience.check();
            let frame = self.wire.next();
            let now = self.now();
            match frame.first & 0x0f {
                CLOSE => self.closed = frame.close_code(),
                PING => {}
                _ => {
                    assert_eq!(frame.first, FIN | BINARY);
                    let heard = &mut self.heard;
                    let tell = &mut |event: Event<'_>| match event {
                        Event::Packet(Packet::Event {
                            author,
                            payload: Payload::Text(text),
                            ..
                        }) => heard.push(format!("{author}: {text}")),
                        Event::Packet(Packet::Notice(text)) => {
                            heard.push(format!("notice: {text}"));
                        }
                        Event::Resumed => heard.push("resumed".to_owned()),
                        Event::Reset { reason } => heard.push(format!("reset {reason}")),
                        _ => {}
                    };
                    self.client
                        .receive(self.link, now, &frame.payload, tell)
                        .expect("the relay keeps to the protocol");
                }
            }
        }
    }

    fn hears(&mut self, expected: &[&str]) {
        self.until(|player| player.heard.len() >= expected.len());
        assert_eq!(self.heard, expected);
        self.heard.clear();
    }
}

#[test]
fn players_of_ws_and_wss_talk_and_go_on_after_lost_connections() {
    let relay = Relay::start_secure(&[]);
    let plain = || Wire::connect(relay.addr());
    let config = relay.client();
    let secure = || Wire::connect_tls(relay.secure_addr(), &config);
    // Rooms on both reactors, and connections that land on either.
    for room in ["lobby", "arena", "attic", "cellar"] {
        let mut bob = Player::join(plain(), room, "Bob");
        let mut ada = Player::join(secure(), room, "Ada");
        ada.say("hi");
        bob.hears(&["2: hi"]);
        bob.say("hello");
        ada.hears(&["1: hello"]);
        for turn in 0..4 {
            let (heard, told) = (format!("2: here {turn}"), format!("1: still {turn}"));
            ada.resume(if turn % 2 == 0 { plain() } else { secure() }, room);
            ada.hears(&["resumed"]);
            ada.say(&heard[3..]);
            bob.hears(&[&heard]);
            bob.say(&told[3..]);
            ada.hears(&[&told]);
        }
        bob.client.leave();
        bob.until(|player| player.closed.is_some());
        assert_eq!(bob.closed, Some(1000));
    }
}

#[test]
fn what_is_larger_than_a_write_arrives_whole() {
    let relay = Relay::start_secure(&["--max-message", "1MiB"]);
    let config = relay.client();
    let mut bob = Player::join(Wire::connect(relay.addr()), "lobby", "Bob");
    let secure = Wire::connect_tls(relay.secure_addr(), &config);
    let mut ada = Player::join(secure, "lobby", "Ada");
    let long = "x".repeat(900_000);
    for len in [10, 20_000, 100_000, 900_000, 1] {
        bob.say(&long[..len]);
        let heard = format!("1: {}", &long[..len]);
        ada.until(|player| !player.heard.is_empty());
        assert!(ada.heard == [heard], "{len} bytes arrive");
        ada.heard.clear();
        ada.say(&long[..len]);
        bob.until(|player| !player.heard.is_empty());
        assert_eq!(bob.heard[0].len(), len + 3);
        bob.heard.clear();
    }
}

#[test]
fn who_does_not_ask_for_it_is_raw_and_the_two_keep_apart() {
    let relay = Relay::start(&[]);
    let _bob = Player::join(Wire::connect(relay.addr()), "lobby", "Bob");
    let mut raw = Wire::join(relay.addr(), "/rooms/lobby");
    assert_eq!(raw.next().close_code(), Some(4011));
}

#[test]
fn no_more_rooms_than_the_operator_lets_there_be() {
    let relay = Relay::start(&["--max-rooms", "1"]);
    let mut ada = Player::join(Wire::connect(relay.addr()), "lobby", "Ada");
    let mut bob = Player::at_the_door(Wire::connect(relay.addr()), "attic", "Bob");
    bob.until(|player| player.closed.is_some());
    assert_eq!(bob.closed, Some(1013));
    let mut cy = Player::join(Wire::connect(relay.addr()), "lobby", "Cy");
    ada.say("there is room here");
    cy.hears(&["1: there is room here"]);
}

#[test]
fn a_bad_network_on_request_where_the_operator_lets_it() {
    let relay = Relay::start_secure(&["--allow-impairment"]);
    relay.logged("--allow-impairment", 1);
    let config = relay.client();
    for secure in [false, true] {
        let connect = || match secure {
            true => Wire::connect_tls(relay.secure_addr(), &config),
            false => Wire::connect(relay.addr()),
        };
        let mut bob = Player::join(connect(), "lobby", "Bob");
        let mut ada = Player::join(connect(), "lobby", "Ada");
        let impairment = Impairment {
            delay: 150,
            jitter: 50,
            ..Impairment::default()
        };
        ada.client.impair(impairment).expect("it keeps little");
        ada.say("from here on");
        bob.until(|player| !player.heard.is_empty());
        let said_at = Instant::now();
        bob.say("late");
        ada.until(|player| !player.heard.is_empty());
        assert!(said_at.elapsed().as_millis() >= 150, "it was held back");
        let cut = Impairment {
            cut: 1,
            ..Impairment::default()
        };
        ada.client.impair(cut).expect("it keeps little");
        ada.write();
        relay.logged("cut", 1 + usize::from(secure));
        if !secure {
            // No close frame says so.
            while let Some(frame) = ada.wire.next_frame() {
                assert_ne!(frame.first & 0x0f, CLOSE);
            }
        }
        ada.resume(connect(), "lobby");
        ada.until(|player| player.heard.iter().any(|line| line == "resumed"));
    }
}

#[test]
fn operators_see_who_is_away_and_may_put_them_out() {
    let (relay, _folder, place) = start_with_socket(&[]);
    let connect = || Wire::connect(relay.addr());
    let _ada = Player::join(connect(), "away", "Ada");
    let bob = Player::join(connect(), "away", "Bob");
    bob.wire.reset();
    let patience = patience("Bob is away");
    let away = loop {
        let players = admin(&place, &["players", "away"]).expect("players");
        assert_eq!(players.len(), 2);
        let mut players = players.iter();
        if players.any(|player| player["player"] == 2 && player["connection"].is_null()) {
            break "2";
        }
        patience.check();
    };
    let kick = ["kick", "--room", "away", "--player", away];
    assert_eq!(concerned(&place, &kick), 1);
    assert_eq!(concerned(&place, &kick), 0, "it is gone");
    assert_eq!(
        admin(&place, &["players", "away"]).expect("players").len(),
        1
    );
    relay.logged("kick player 2 in #", 2);
}

#[test]
fn what_operators_say_is_heard_as_a_notice_also_by_who_comes_back() {
    let (relay, _folder, place) = start_with_socket(&[]);
    let connect = || Wire::connect(relay.addr());
    let mut ada = Player::join(connect(), "lobby", "Ada");
    let mut bob = Player::join(connect(), "arena", "Bob");
    let mut raw = Wire::join(relay.addr(), "/rooms/raw");
    assert_eq!(concerned(&place, &["say", "lobby", "to Ada alone"]), 1);
    ada.hears(&["notice: to Ada alone"]);
    let old = std::mem::replace(&mut ada.wire, connect());
    old.reset();
    let patience = patience("Ada is away");
    while admin(&place, &["status"]).expect("a status")[0]["players_away"] != 1 {
        patience.check();
    }
    assert_eq!(concerned(&place, &["notice", "to all"]), 3);
    bob.hears(&["notice: to all"]);
    raw.expect(TEXT, b"to all");
    let measured = || {
        admin(&place, &["residence", "lobby"])
            .expect("figures")
            .remove(0)
    };
    assert_eq!(measured()["messages"], 0, "measured from now on");
    ada.resume(connect(), "lobby");
    ada.hears(&["resumed", "notice: to all"]);
    assert_eq!(concerned(&place, &["say", "lobby", "again"]), 1);
    ada.hears(&["notice: again"]);
    assert!(measured()["messages"].as_u64() > Some(0));
}
