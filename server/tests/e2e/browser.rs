//! Two pages of a real browser in one room, with a client of another author.

use crate::players::{Event, Kind, Player, Puppet, payload};
use crate::relay::Relay;

/// Each of them sends messages of all sizes, and all others get them.
pub(crate) fn exchange_all(players: &mut [impl Player]) {
    for sender in 0..players.len() {
        for kind in [Kind::Text, Kind::Binary] {
            for len in [0, 1, 125, 126, 65_535, 65_536] {
                let bytes = payload(kind, len);
                players[sender].send(kind, &bytes);
                let message = Event::Message(kind, bytes);
                for receiver in (0..players.len()).filter(|receiver| *receiver != sender) {
                    players[receiver].expect(&message, "what one page sends the others get");
                }
            }
        }
    }
}

#[test]
fn two_pages_in_one_room_exchange_text_and_binary() {
    let relay = Relay::start(&[]);
    let url = relay.url("/rooms/browser");
    let (browser, ws) = (Puppet::browser(), Puppet::ws());
    let mut players = [browser.join(&url), browser.join(&url), ws.join(&url)];
    exchange_all(&mut players);
    let [mut left, mut stays, _ws] = players;
    left.close(4321, "leaving");
    left.expect(
        &Event::Closed(4321),
        "the browser sees a clean close with its own code",
    );
    stays.send(Kind::Text, b"alone with ws");
}

#[test]
fn a_page_sees_why_the_relay_ended_its_connection() {
    let relay = Relay::start(&["--max-message", "1KiB"]);
    let browser = Puppet::browser();
    let mut page = browser.join(&relay.url("/rooms/browser"));
    page.send(Kind::Binary, &payload(Kind::Binary, 1025));
    page.expect(&Event::Closed(1009), "a message over the limit");
}

/// A browser tells a page nothing of a WebSocket that was refused, so the page fetches the same URL.
#[test]
fn a_page_finds_out_why_its_websocket_was_refused() {
    let relay = Relay::start(&["--max-connections", "1"]);
    let browser = Puppet::browser();
    let _player = browser.join(&relay.url("/rooms/lobby"));
    for (path, why) in [
        ("/rooms/a%20b", "404 This is no room name"),
        ("/rooms/lobby", "503 The server has all the connections"),
    ] {
        let (mut page, _) = browser.try_join(&relay.url(path));
        let said = (0..2).map(|_| page.next());
        let told = |event: &Event| matches!(event, Event::Failed(text) if text.starts_with(why));
        let events: Vec<Event> = said.collect();
        assert!(events.iter().any(told), "{path}: {events:?}");
    }
}
