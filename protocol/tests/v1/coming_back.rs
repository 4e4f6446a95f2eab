//! What a client says of the room when it comes back.

use roomcast_protocol::v1::Pairs;
use roomcast_protocol::v1::client::{Client, KEPT};
use roomcast_protocol::v1::down::{Packet, Welcome};
use roomcast_protocol::v1::up::{self, Back, Join, Mode};

use crate::packets::{LIFE, TOKEN, id};
use crate::relay::ada;

fn mode(client: &mut Client) -> Mode {
    client.open(0);
    let mut message = Vec::new();
    assert!(client.transmit(0, &mut message));
    match up::decode(&message).expect("a message").next() {
        Some(Ok(up::Packet::Join(join))) => join.mode,
        other => panic!("{other:?}"),
    }
}

/// After a restart of the relay somebody has to make the room anew.
#[test]
fn who_was_in_a_room_makes_it_anew_if_it_must() {
    let mut answer = vec![0];
    let welcome = Welcome {
        created: false,
        minor: 0,
        capabilities: 0,
        life: LIFE,
        id: id(2),
        token: TOKEN,
        seq: 5,
        applied: 0,
        time: 0,
        limits: Pairs::EMPTY,
    };
    Packet::Welcome(welcome).encode(&mut answer);
    Packet::Ready.encode(&mut answer);
    let back = Some(Back {
        token: TOKEN,
        cursor: None,
    });
    // What was wanted, also when the connection is lost before the welcome; after it; with a token alone.
    for (wanted, later, again) in [
        (Mode::Any, Mode::Any, Mode::Any),
        (Mode::Join, Mode::Any, Mode::Join),
        (Mode::Create, Mode::Any, Mode::Any),
    ] {
        let join = Join {
            mode: wanted,
            ..ada()
        };
        let mut client = Client::new(&join, KEPT);
        assert_eq!(mode(&mut client), wanted);
        assert_eq!(mode(&mut client), wanted);
        let link = client.open(0);
        let heard = client.receive(link, 0, &answer, &mut |_| {});
        assert_eq!(heard, Ok(()));
        assert_eq!(mode(&mut client), later);
        assert_eq!(mode(&mut Client::new(&Join { back, ..join }, KEPT)), again);
    }
}
