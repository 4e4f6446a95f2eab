//! Clients of four authors in one room: whoever sends, whatever the size, all others get exactly that.

use crate::players::{Event, Kind, Part, Player, Puppet, Tungstenite, payload};
use crate::relay::Relay;
use crate::wire::{BINARY, FIN, TEXT, Wire};

const SIZES: [usize; 6] = [0, 1, 125, 126, 65_535, 65_536];
const KINDS: [Kind; 2] = [Kind::Text, Kind::Binary];

/// Two of each, so that each kind also meets its own, and who joined first sees who joined last.
fn two_of_each(puppets: &[Puppet], url: &str) -> Vec<Box<dyn Player>> {
    let mut players: Vec<Box<dyn Player>> = Vec::new();
    for round in 0..2 {
        for puppet in puppets {
            players.push(Box::new(puppet.join(url)));
        }
        players.push(Box::new(Tungstenite::join(url, round)));
    }
    players
}

fn puppets() -> [Puppet; 3] {
    [Puppet::ws(), Puppet::websocket_node(), Puppet::websockets()]
}

/// The pieces of a message: cut where a character may be cut too, and with empty ones among them.
fn pieces(bytes: &[u8]) -> [&[u8]; 5] {
    let third = bytes.len() / 3;
    [
        &[],
        &bytes[..third],
        &[],
        &bytes[third..bytes.len() - third.min(1)],
        &bytes[bytes.len() - third.min(1)..],
    ]
}

#[test]
fn every_client_reaches_every_other_with_every_message() {
    let relay = Relay::start(&[]);
    let puppets = puppets();
    let mut players = two_of_each(&puppets, &relay.url("/rooms/all.of-them_~"));
    let mut observer = Wire::join(relay.addr(), "/rooms/all.of-them_~");
    everyone_reaches_everyone(&mut players, &mut observer);
    leave_one_by_one(players);
}

/// Each player in turn sends every message, whole and in fragments; the observer sees what is on the wire.
pub(crate) fn everyone_reaches_everyone(players: &mut [Box<dyn Player>], observer: &mut Wire) {
    for sender in 0..players.len() {
        for kind in KINDS {
            for (len, fragmented) in SIZES
                .into_iter()
                .flat_map(|len| [(len, false), (len, true)])
            {
                let bytes = payload(kind, len);
                if fragmented {
                    players[sender].fragments(kind, &pieces(&bytes).map(Part::Data));
                } else {
                    players[sender].send(kind, &bytes);
                }
                let case = format!(
                    "{kind:?} of {len} bytes from {}, fragmented: {fragmented}",
                    players[sender].name()
                );
                let frame = observer.next();
                let opcode = if kind == Kind::Text { TEXT } else { BINARY };
                assert_eq!(frame.first, FIN | opcode, "{case}: one unfragmented frame");
                assert!(frame.payload == bytes, "{case}: the bytes on the wire");
                let message = Event::Message(kind, bytes);
                for receiver in (0..players.len()).filter(|receiver| *receiver != sender) {
                    players[receiver].expect(&message, &case);
                }
            }
        }
    }
}

/// Each has its ping answered, then leaves with a code of its own; the others stay and notice nothing.
pub(crate) fn leave_one_by_one(mut players: Vec<Box<dyn Player>>) {
    let codes = [1000, 3000, 4999, 4000].into_iter().cycle();
    for code in codes.take(players.len()) {
        let mut leaving = players.remove(0);
        leaving.ping(b"are you there?");
        leaving.expect(
            &Event::Pong(b"are you there?".to_vec()),
            "a ping is answered with its payload",
        );
        if let Some((first, others)) = players.split_first_mut() {
            first.send(Kind::Text, b"farewell");
            let farewell = Event::Message(Kind::Text, b"farewell".to_vec());
            leaving.expect(&farewell, "nothing came before");
            for other in others {
                other.expect(&farewell, "nothing came before");
            }
        }
        leaving.close(code, "enough for today");
        leaving.expect(&Event::Closed(code), "the close handshake echoes the code");
    }
}

/// A client that answers pings is never idle, whoever wrote it; one that does not is.
#[test]
fn answering_keepalive_pings_keeps_every_client_in_the_room() {
    let relay = Relay::start(&["--ping-interval", "300ms", "--idle-timeout", "2s"]);
    let puppets = puppets();
    let url = relay.url("/rooms/quiet");
    let mut silent = Wire::join(relay.addr(), "/rooms/quiet");
    let mut players = two_of_each(&puppets[..], &url);
    // tungstenite answers only while it is read from, which this test does not do until the end.
    players.retain(|player| !player.name().starts_with("tungstenite"));
    assert_eq!(
        silent.read_to_close(),
        Some(4005),
        "a peer that answers nothing is idle"
    );
    let late = players.len() - 1;
    players[late].send(Kind::Binary, b"still here");
    for player in &mut players[..late] {
        player.expect(
            &Event::Message(Kind::Binary, b"still here".to_vec()),
            "it stayed in the room",
        );
    }
}

/// A refusal reaches the client's own error path with its status.
#[test]
fn clients_see_the_status_of_a_refusal() {
    let relay = Relay::start(&[]);
    for puppet in puppets() {
        let (player, event) = puppet.try_join(&relay.url("/nowhere"));
        assert_eq!(event, Event::Refused(404), "{}", player.name());
    }
}
