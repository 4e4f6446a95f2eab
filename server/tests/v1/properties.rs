//! Properties of the room and of players.

use roomcast::limits::Limits;
use roomcast_protocol::v1::{Change, Guard, List, Name, Owner, Payload, PlayerId, Property};

use crate::stage::{Actor, Stage, join};

fn change(actor: &mut Actor, owner: u32, changes: &[(&str, Guard, Option<&str>)]) {
    let mut buffer = Vec::new();
    let changes = changes.iter().map(|(key, guard, value)| Change {
        key: Name::new(key).expect("a key"),
        guard: *guard,
        value: value.map(Payload::Text),
    });
    let changes = List::encode(changes, &mut buffer).expect("changes");
    let owner: Owner = PlayerId::new(owner);
    actor.client.properties(owner, changes).expect("it fits");
}

#[test]
fn all_are_told_of_what_has_changed_and_the_writer_of_what_has_not() {
    let mut stage = Stage::new(Limits::default());
    let mut bob = Actor::join(&mut stage, "lobby", "Bob");
    let mut ada = Actor::join(&mut stage, "lobby", "Ada");
    ada.news(&mut stage);
    bob.news(&mut stage);
    change(&mut ada, 0, &[("map", Guard::Unset, Some("desert"))]);
    assert_eq!(ada.news(&mut stage), ["properties 0 by 2, map=desert"]);
    assert_eq!(bob.news(&mut stage), ["properties 0 by 2, map=desert"]);
    // He was too late, and nothing of it is done.
    change(
        &mut bob,
        0,
        &[
            ("round", Guard::Any, Some("1")),
            ("map", Guard::Unset, Some("marsh")),
        ],
    );
    assert_eq!(bob.news(&mut stage), ["refused 0 1"]);
    assert!(ada.news(&mut stage).is_empty());
    // The third entry: two have joined.
    change(&mut bob, 0, &[("map", Guard::Version(3), None)]);
    assert_eq!(bob.news(&mut stage), ["properties 0 by 1, map=gone"]);
    assert_eq!(ada.news(&mut stage), ["properties 0 by 1, map=gone"]);
    // Her own, and nobody else's.
    change(&mut ada, 2, &[("color", Guard::Any, Some("rose"))]);
    change(&mut ada, 1, &[("color", Guard::Any, Some("grey"))]);
    change(&mut ada, 7, &[("color", Guard::Any, Some("grey"))]);
    assert_eq!(
        ada.news(&mut stage),
        [
            "properties 2 by 2, color=rose",
            "refused 2 3",
            "refused 3 2"
        ]
    );
}

#[test]
fn a_welcome_has_them_all() {
    let mut stage = Stage::new(Limits::default());
    let mut buffer = Vec::new();
    let color = Property {
        key: Name::new("color").expect("a key"),
        value: Payload::Text("rose"),
    };
    let mut with_color = join("Ada");
    with_color.properties = List::encode([color], &mut buffer).expect("properties");
    let mut ada = Actor::join_as(&mut stage, "lobby", &with_color);
    change(&mut ada, 0, &[("map", Guard::Unset, Some("desert"))]);
    ada.play(&mut stage);
    let mut bob = Actor::join(&mut stage, "lobby", "Bob");
    let expected = [
        "welcome 2",
        "player 1 Ada",
        "player 2 Bob",
        "properties 0 by 0, map=desert",
        "properties 1 by 0, color=rose",
    ];
    assert_eq!(bob.news(&mut stage), expected);
}

#[test]
fn nobody_has_more_than_it_may() {
    let mut stage = Stage::new(Limits::default());
    let mut ada = Actor::join(&mut stage, "lobby", "Ada");
    ada.news(&mut stage);
    let long = "x".repeat(4_000);
    for key in ["a", "b", "c", "d", "e"] {
        change(&mut ada, 0, &[(key, Guard::Any, Some(&long))]);
    }
    let news = ada.news(&mut stage);
    assert_eq!(news.len(), 5);
    assert_eq!(news[4], "refused 4 4", "16 KiB");
}
