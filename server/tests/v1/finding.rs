//! Rooms that were made with a tag: who is told of them, and what.

use roomcast::limits::{LISTED_PROPERTY_BYTES, LISTING_PAGE, Limits};
use roomcast_protocol::v1::up::{Act, Mode};
use roomcast_protocol::v1::{
    Change, Guard, List, Name, PairValue, Pairs, Payload, Property, setting,
};
use serde_json::{Value, json};

use crate::stage::{Actor, Stage, join};

/// Somebody joins a room, or makes it one of so many players with this tag.
fn join_tagged(stage: &mut Stage, room: &str, name: &str, (tag, max): (&str, u64)) -> Actor {
    let mut buffer = Vec::new();
    let wishes = [
        (setting::TAG, PairValue::Bytes(tag.as_bytes())),
        (setting::PLAYERS_MAX, PairValue::Number(max)),
    ];
    let mut wanted = join(name);
    wanted.minor = 1;
    wanted.wishes = Pairs::encode(wishes, &mut buffer).expect("wishes");
    Actor::join_as(stage, room, &wanted)
}

/// The rooms that are told, and behind which there are more.
fn told(stage: &mut Stage, query: &str) -> (Vec<Value>, Value) {
    let (status, body) = stage.ask(&format!("/rooms?{query}"));
    assert_eq!(status, "200", "{query}: {body}");
    let mut page: Value = serde_json::from_str(&body).expect("JSON");
    let rooms = page["rooms"].take();
    (
        serde_json::from_value(rooms).expect("a list"),
        page["after"].take(),
    )
}

fn names(stage: &mut Stage, query: &str) -> Vec<String> {
    let (rooms, _) = told(stage, query);
    let names = rooms
        .into_iter()
        .map(|room| room["name"].as_str().map(str::to_owned));
    names.map(|name| name.expect("a name")).collect()
}

fn write(actor: &mut Actor, stage: &mut Stage, key: &str, value: Payload<'_>) {
    let mut buffer = Vec::new();
    let change = Change {
        key: Name::new(key).expect("a key"),
        guard: Guard::Any,
        value: Some(value),
    };
    let changes = List::encode([change], &mut buffer).expect("changes");
    actor.client.properties(None, changes).expect("it fits");
    actor.play(stage);
}

#[test]
fn a_room_with_a_tag_is_told_as_it_stands() {
    let mut stage = Stage::new(Limits::default());
    let mut bob = join_tagged(&mut stage, "first", "Bob", ("duel", 2));
    assert!(bob.news(&mut stage).contains(&"tag duel".to_owned()));
    let other = join_tagged(&mut stage, "other", "Cy", ("race", 2));
    // Whose makers said nothing of it, and raw ones, are nobody's business.
    let _quiet = Actor::join(&mut stage, "quiet", "Di");
    stage.connect("/rooms/raw", None);
    write(&mut bob, &mut stage, "map", Payload::Text("de\"sert"));
    write(&mut bob, &mut stage, "seed", Payload::Bytes(&[1, 2]));
    stage.pass(1_000, 1_000);
    let alone = json!({"name": "first", "players": 1, "players_max": 2, "open": true, "properties": {"map": "de\"sert"}});
    assert_eq!(
        told(&mut stage, "tag=duel"),
        (vec![alone.clone()], Value::Null)
    );
    assert_eq!(told(&mut stage, "tag=duel&open=1").0, [alone]);
    assert_eq!(names(&mut stage, "tag=race"), ["other"]);
    assert!(names(&mut stage, "tag=quiet").is_empty());
    let mut ada = join_tagged(&mut stage, "first", "Ada", ("race", 9));
    assert!(
        ada.news(&mut stage).contains(&"tag duel".to_owned()),
        "it is made"
    );
    stage.pass(1_000, 1_000);
    let full = told(&mut stage, "tag=duel").0;
    assert_eq!(
        (&full[0]["players"], &full[0]["open"]),
        (&json!(2), &json!(false))
    );
    assert!(names(&mut stage, "tag=duel&open=1").is_empty());
    // Nor is a room open that is locked.
    ada.client.leave();
    ada.play(&mut stage);
    bob.client.act(1, Act::Lock(true)).expect("it fits");
    bob.play(&mut stage);
    stage.pass(1_000, 1_000);
    assert_eq!(told(&mut stage, "tag=duel").0[0]["open"], json!(false));
    bob.client.leave();
    bob.play(&mut stage);
    stage.cut(other.wire);
    stage.pass(1_000, 1_000);
    assert!(names(&mut stage, "tag=duel").is_empty());
    assert_eq!(
        told(&mut stage, "tag=race").0[0]["players"],
        json!(1),
        "away"
    );
    stage.pass(40_000, 1_000);
    assert!(names(&mut stage, "tag=race").is_empty());
}

/// Nobody who asks costs more than a look, and nothing that is told is older than a second.
#[test]
fn what_is_told_is_a_second_old_at_most_and_no_newer_than_it_must_be() {
    let mut stage = Stage::new(Limits::default());
    let bob = join_tagged(&mut stage, "first", "Bob", ("duel", 9));
    assert_eq!(
        names(&mut stage, "tag=duel"),
        ["first"],
        "at once, after nothing for long"
    );
    stage.pass(400, 400);
    let _ada = join_tagged(&mut stage, "second", "Ada", ("duel", 9));
    assert_eq!(names(&mut stage, "tag=duel"), ["first"]);
    let next = stage.shard.next_deadline().expect("it is to be published");
    assert!(next <= 1_000, "{next}");
    stage.pass(600, 600);
    assert_eq!(names(&mut stage, "tag=duel"), ["first", "second"]);
    drop(bob);
}

#[test]
fn a_long_list_comes_in_pages() {
    let mut stage = Stage::new(Limits {
        max_rooms: 300,
        ..Limits::default()
    });
    let all: Vec<String> = (0..250).map(|at| format!("room-{at:03}")).collect();
    let mut players = Vec::new();
    for name in all.iter().rev() {
        players.push(join_tagged(&mut stage, name, "Ada", ("duel", 9)));
    }
    stage.pass(1_000, 1_000);
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let query = format!("tag=duel&open=1&after={after}");
        found.append(&mut names(&mut stage, &query));
        match told(&mut stage, &query).1 {
            Value::String(last) => after = last,
            Value::Null => break,
            other => panic!("{other}"),
        }
        assert_eq!(found.len() % LISTING_PAGE, 0);
    }
    assert_eq!(found, all);
    // What all of them say about themselves makes pages shorter, and never long.
    let long = "\u{1}".repeat(LISTED_PROPERTY_BYTES - 3);
    for player in &mut players {
        write(player, &mut stage, "map", Payload::Text(&long));
        write(player, &mut stage, "title", Payload::Text("too much"));
        write(player, &mut stage, "t", Payload::Text(""));
    }
    stage.pass(1_000, 1_000);
    let (status, body) = stage.ask("/rooms?tag=duel");
    assert!(status == "200" && body.len() < 40_000, "{}", body.len());
    let page: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(page["rooms"][0]["properties"], json!({ "map": long }));
    assert_eq!(page["after"], json!("room-004"));
}

#[test]
fn no_more_rooms_are_listed_than_may_be_and_no_bad_tags() {
    let mut stage = Stage::new(Limits {
        listed_rooms: 1,
        ..Limits::default()
    });
    let mut tags = |room: &str, tag: &str| {
        let mut player = join_tagged(&mut stage, room, "Ada", (tag, 9));
        let news = player.news(&mut stage);
        let tag = news.iter().find_map(|line| line.strip_prefix("tag "));
        (tag.map(str::to_owned), player)
    };
    let (none, _a) = tags("bad", "a\nb");
    let (empty, _b) = tags("empty", "");
    let (first, mut last) = tags("first", "duel");
    let (second, _c) = tags("second", "duel");
    assert_eq!((none, empty, second), (None, None, None));
    assert_eq!(first.as_deref(), Some("duel"));
    stage.pass(1_000, 1_000);
    assert_eq!(names(&mut stage, "tag=duel"), ["first"]);
    // Its place is free when it has ended.
    last.client.leave();
    last.play(&mut stage);
    let _third = join_tagged(&mut stage, "third", "Ada", ("duel", 9));
    stage.pass(1_000, 1_000);
    assert_eq!(names(&mut stage, "tag=duel"), ["third"]);
    for bad in [
        "/rooms",
        "/rooms?tag=",
        "/match?tag=duel",
        "/match?tag=duel&max=0",
    ] {
        let (status, text) = stage.ask(bad);
        assert!(
            status == "400" && text.contains("tag=NAME"),
            "{bad}: {text}"
        );
    }
}

fn matched(stage: &mut Stage, query: &str) -> String {
    let (status, body) = stage.ask(&format!("/match?{query}"));
    assert_eq!(status, "200", "{body}");
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    answer["name"].as_str().expect("a name").to_owned()
}

#[test]
fn who_asks_for_a_match_is_sent_where_others_are() {
    let mut stage = Stage::new(Limits::default());
    let query = "tag=duel&max=3";
    let first = matched(&mut stage, query);
    assert!(first.starts_with("duel-"), "{first}");
    let _a = join_tagged(&mut stage, &first, "A", ("duel", 3));
    let second = matched(&mut stage, query);
    let mut b = join_tagged(&mut stage, &second, "B", ("duel", 3));
    assert_eq!(second, first);
    assert_eq!(
        matched(&mut stage, query),
        first,
        "a third, who does not come"
    );
    let second = matched(&mut stage, query);
    assert_ne!(second, first, "it has had three");
    // Nobody came to the second; the first has a place, as everybody can see.
    stage.pass(6_000, 500);
    assert_eq!(matched(&mut stage, query), first);
    let _c = join_tagged(&mut stage, &first, "C", ("duel", 3));
    stage.pass(1_000, 500);
    let third = matched(&mut stage, query);
    assert!(third != first && third != second);
    // Who leaves makes room for another, unless the game has begun.
    b.client.leave();
    b.play(&mut stage);
    stage.pass(5_000, 500);
    assert_eq!(matched(&mut stage, query), first);
    assert_ne!(
        matched(&mut stage, "tag=duel&max=2"),
        first,
        "of another size"
    );
}

/// Wishes are the creator's: who joins with a tag does not list a room, and `mode` has no part in it.
#[test]
fn who_joins_changes_no_tag() {
    let mut stage = Stage::new(Limits::default());
    let _bob = Actor::join(&mut stage, "lobby", "Bob");
    let _ada = join_tagged(&mut stage, "lobby", "Ada", ("duel", 9));
    stage.pass(1_000, 1_000);
    assert!(names(&mut stage, "tag=duel").is_empty());
    let mut only = join("Cy");
    only.mode = Mode::Join;
    let property = Property {
        key: Name::new("tag").expect("a key"),
        value: Payload::Text("duel"),
    };
    let mut buffer = Vec::new();
    only.properties = List::encode([property], &mut buffer).expect("properties");
    let _cy = Actor::join_as(&mut stage, "lobby", &only);
    stage.pass(1_000, 1_000);
    assert!(names(&mut stage, "tag=duel").is_empty());
}
