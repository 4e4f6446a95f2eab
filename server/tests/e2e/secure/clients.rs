//! Clients of four authors over wss and over ws, all in one room.

use crate::clients::{everyone_reaches_everyone, leave_one_by_one};
use crate::players::{Event, Player, Puppet, Tungstenite};
use crate::relay::Relay;
use crate::wire::Wire;

/// Whoever sends, whatever the size, whole or in fragments, over TLS or not: all others get exactly that.
#[test]
fn plain_and_tls_players_of_every_kind_share_a_room() {
    let relay = Relay::start_secure(&[]);
    let path = "/rooms/all.of-them_~";
    let puppets = Puppet::all_trusting(&relay.ca());
    let mut players: Vec<Box<dyn Player>> = Vec::new();
    for url in [relay.secure_url(path), relay.url(path)] {
        for puppet in &puppets {
            players.push(Box::new(puppet.join(&url)));
        }
    }
    players.push(Box::new(Tungstenite::join_secure(&relay, path, 0)));
    players.push(Box::new(Tungstenite::join(&relay.url(path), 1)));
    let mut observer = Wire::join_tls(relay.secure_addr(), &relay.client(), path);
    everyone_reaches_everyone(&mut players, &mut observer);
    leave_one_by_one(players);
}

/// The clients above were not careless: without the authority they don't talk to this relay.
#[test]
fn clients_that_do_not_know_the_authority_refuse_the_certificate() {
    let mut relay = Relay::start_secure(&["--drain", "0"]);
    let puppets = [Puppet::ws(), Puppet::websocket_node(), Puppet::websockets()];
    for puppet in &puppets {
        let (player, event) = puppet.try_join(&relay.secure_url("/echo"));
        assert!(
            matches!(event, Event::Failed(_)),
            "{} joined: {event:?}",
            player.name()
        );
    }
    drop(puppets);
    let strangers = Relay::start_secure(&[]).client();
    let mut wire = Wire::connect_tls(relay.secure_addr(), &strangers);
    let refused = wire
        .try_send(b"GET /")
        .expect_err("a certificate of nobody");
    assert!(
        refused.to_string().contains("invalid peer certificate"),
        "{refused}"
    );
    drop(wire);
    relay.ended(4);
    // Not every client sends an alert before it goes; rustls does.
    let ends = relay.ends();
    assert!(ends.get("tls_handshake") >= Some(&1), "{ends:?}");
    assert_eq!(ends.values().sum::<u64>(), 4, "{ends:?}");
}

/// A refusal reaches the client's own error path with its status.
#[test]
fn clients_see_the_status_of_a_refusal() {
    let relay = Relay::start_secure(&[]);
    for puppet in Puppet::all_trusting(&relay.ca()) {
        let (player, event) = puppet.try_join(&relay.secure_url("/nowhere"));
        assert_eq!(event, Event::Refused(404), "{}", player.name());
    }
}
