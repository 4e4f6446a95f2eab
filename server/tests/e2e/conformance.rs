//! Conformance over `/echo`, driven by clients that nobody here wrote: sizes, fragments, control frames
//! between them, floods of small messages, and text of every shape.

use crate::players::{Event, Kind, Part, Player, Puppet, Tungstenite, payload};
use crate::relay::Relay;

/// Around every boundary of the length forms, and of what buffers tend to be sized by.
const SIZES: [usize; 18] = [
    0, 1, 2, 7, 8, 124, 125, 126, 127, 128, 255, 256, 4095, 4096, 16_383, 16_384, 65_535, 65_536,
];

/// Text that is right, however strange (after RFC 3629 and the tests of Autobahn, chapter 6).
const TEXTS: [&str; 12] = [
    "κόσμε",
    "Hello-µ@ßöäüàá-UTF-8!!",
    "\0",
    "\u{7f}",
    "\u{80}",
    "\u{7ff}\u{800}",
    "\u{d7ff}\u{e000}",
    "\u{feff}begins with a byte order mark",
    "\u{fffd}\u{fffe}\u{ffff}",
    "\u{10000}\u{1fffe}\u{10ffff}",
    "e\u{301}\u{200d}👩\u{200d}👩\u{200d}👧",
    "\r\n\t\u{2028}",
];

/// Runs `check` for a connection of each client to `/echo`.
fn for_each_client(flags: &[&str], mut check: impl FnMut(&mut dyn Player)) {
    let relay = Relay::start(flags);
    let url = relay.url("/echo");
    for puppet in [Puppet::ws(), Puppet::websocket_node(), Puppet::websockets()] {
        check(&mut puppet.join(&url));
    }
    check(&mut Tungstenite::join(&url, 0));
}

#[test]
fn every_size_comes_back() {
    for_each_client(&[], |player| {
        for kind in [Kind::Text, Kind::Binary] {
            for len in SIZES {
                let bytes = payload(kind, len);
                player.send(kind, &bytes);
                player.expect(&Event::Message(kind, bytes), "an echo");
            }
        }
    });
}

#[test]
fn fragments_of_every_size_come_back_as_one_message() {
    for_each_client(&[], |player| {
        for kind in [Kind::Text, Kind::Binary] {
            for (len, piece) in [
                (3, 1),
                (300, 1),
                (300, 7),
                (4096, 125),
                (4096, 126),
                (65_536, 1000),
                (65_536, 65_535),
            ] {
                let bytes = payload(kind, len);
                let parts: Vec<Part<'_>> = bytes.chunks(piece).map(Part::Data).collect();
                player.fragments(kind, &parts);
                player.expect(&Event::Message(kind, bytes), "an echo of all fragments");
            }
        }
    });
}

/// A control frame may come between any two fragments, and is answered before the message is whole.
#[test]
fn pings_between_fragments_are_answered() {
    let longest = [b'p'; 125];
    for_each_client(&[], |player| {
        for kind in [Kind::Text, Kind::Binary] {
            let bytes = payload(kind, 1000);
            player.fragments(
                kind,
                &[
                    Part::Data(&bytes[..1]),
                    Part::Ping(b"first"),
                    Part::Data(&bytes[1..500]),
                    Part::Ping(b""),
                    Part::Ping(&longest),
                    Part::Data(&[]),
                    Part::Data(&bytes[500..]),
                ],
            );
            for pong in [b"first".to_vec(), Vec::new(), longest.to_vec()] {
                player.expect(&Event::Pong(pong), "a pong before the message is whole");
            }
            player.expect(&Event::Message(kind, bytes), "an echo");
        }
    });
}

#[test]
fn a_thousand_small_messages_come_back_in_order() {
    for_each_client(&[], |player| {
        let messages = (0..1000_usize).map(|at| {
            payload(
                if at % 2 == 0 {
                    Kind::Binary
                } else {
                    Kind::Text
                },
                at % 65,
            )
        });
        let messages: Vec<Vec<u8>> = messages.collect();
        let kind = |at: usize| {
            if at.is_multiple_of(2) {
                Kind::Binary
            } else {
                Kind::Text
            }
        };
        for (at, bytes) in messages.iter().enumerate() {
            player.send(kind(at), bytes);
        }
        for (at, bytes) in messages.into_iter().enumerate() {
            player.expect(&Event::Message(kind(at), bytes), "an echo in its turn");
        }
    });
}

#[test]
fn text_of_every_shape_comes_back() {
    for_each_client(&[], |player| {
        for text in TEXTS {
            player.send(Kind::Text, text.as_bytes());
            player.expect(&Event::Message(Kind::Text, text.as_bytes().to_vec()), text);
            let bytes: Vec<Part<'_>> = text.as_bytes().chunks(1).map(Part::Data).collect();
            player.fragments(Kind::Text, &bytes);
            player.expect(
                &Event::Message(Kind::Text, text.as_bytes().to_vec()),
                "also byte by byte",
            );
        }
    });
}

/// What each client says when the relay ends the connection for a cause.
#[test]
fn a_message_over_the_limit_is_answered_with_1009() {
    for_each_client(&["--max-message", "1KiB"], |player| {
        let bytes = payload(Kind::Binary, 1024);
        player.send(Kind::Binary, &bytes);
        player.expect(
            &Event::Message(Kind::Binary, bytes.clone()),
            "the limit itself is allowed",
        );
        player.fragments(Kind::Binary, &[Part::Data(&bytes), Part::Data(b"!")]);
        player.expect(&Event::Closed(1009), "one byte over it is not");
    });
}

/// `ws` sends text unchecked when it is given bytes.
#[test]
fn text_that_is_none_is_answered_with_1007() {
    let relay = Relay::start(&[]);
    let puppet = Puppet::ws();
    for bytes in [
        &[0xff][..],
        &[0xc0, 0xaf],
        &[0xed, 0xa0, 0x80],
        &[0xf4, 0x90, 0x80, 0x80],
        &[b'a', 0xe2, 0x82],
    ] {
        let mut player = puppet.join(&relay.url("/echo"));
        player.send(Kind::Text, bytes);
        player.expect(&Event::Closed(1007), "no UTF-8");
    }
}
