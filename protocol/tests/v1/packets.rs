//! Packets of every kind, at the edges of what they may hold.

use roomcast_protocol::v1::up::{
    self, Act, Audience, Back, Cursor, Impairment, Join, KeyAudience, Mode, StateAudience,
};
use roomcast_protocol::v1::{
    Change, Changed, Groups, Guard, Life, List, Name, PairValue, Pairs, Payload, PlayerId,
    Property, Token, down, limit, setting,
};

pub(crate) const LIFE: Life = Life([8, 7, 6, 5, 4, 3, 2, 1]);
pub(crate) const TOKEN: Token = Token([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);

/// The largest number that a varint carries.
const MOST: u64 = (1 << 53) - 1;

pub(crate) fn id(id: u32) -> PlayerId {
    PlayerId::new(id).expect("not the room")
}

pub(crate) fn name(text: &str) -> Name<'_> {
    Name::new(text).expect("a good name")
}

/// Calls `with` for packets of every kind, each with what it shows.
pub(crate) fn each_up(with: &mut dyn FnMut(&str, &up::Packet<'_>)) {
    let long = [7; 127];
    let longer = [7; 300];
    let mut ids = Vec::new();
    let few = List::encode([id(1), id(300), id(u32::MAX)], &mut ids).expect("ascending ids");
    let mut ids = Vec::new();
    let many = List::encode((1..=256).map(id), &mut ids).expect("as many ids as there may be");
    for (what, to) in [
        ("to the others", Audience::Others),
        ("to all", Audience::All),
        ("to one", Audience::One(id(3))),
        ("to one with a long id", Audience::One(id(u32::MAX))),
        ("to a list", Audience::List(few)),
        ("to the longest list", Audience::List(many)),
        ("to the host", Audience::Host),
        ("to a group", Audience::Group(0)),
        ("to a group with a long number", Audience::Group(u32::MAX)),
    ] {
        for (said, payload) in [
            ("nothing", Payload::Bytes(&[])),
            ("no text", Payload::Text("")),
            ("bytes", Payload::Bytes(&[0, 0xff, 0x80])),
            ("text", Payload::Text("grüß dich 🎲")),
            ("127 bytes", Payload::Bytes(&long)),
            ("300 bytes", Payload::Bytes(&longer)),
        ] {
            let droppable = said == "text";
            with(
                &format!("{said} {what}"),
                &up::Packet::Event {
                    term: None,
                    to,
                    droppable,
                    payload,
                },
            );
        }
    }
    each_state_up(with);
    each_as_host(with);
    each_join(with);
    with("leave", &up::Packet::Leave);
    let mut changes = Vec::new();
    let changes = List::encode(
        [
            Change {
                key: name("a"),
                guard: Guard::Any,
                value: None,
            },
            Change {
                key: name("b"),
                guard: Guard::Unset,
                value: Some(Payload::Text("ü")),
            },
            Change {
                key: name("c"),
                guard: Guard::Version(MOST - 1),
                value: Some(Payload::Bytes(&long)),
            },
        ],
        &mut changes,
    );
    let changes = changes.expect("good changes");
    for (what, owner) in [
        ("properties of the room", None),
        ("properties of a player", Some(id(128))),
    ] {
        with(
            what,
            &up::Packet::Properties {
                term: None,
                owner,
                changes,
            },
        );
    }
    for (what, ticks) in [("ping", false), ("ping that asks for ticks", true)] {
        for (echo, trip) in [(0, 0), (127, 128), (MOST, MOST)] {
            with(what, &up::Packet::Ping { echo, trip, ticks });
        }
    }
    for impairment in [
        Impairment::default(),
        Impairment {
            delay: 10_000,
            jitter: 10_000,
            rate: MOST,
            cut: 600_000,
        },
    ] {
        with("impair", &up::Packet::Impair(impairment));
    }
}

fn each_state_up(with: &mut dyn FnMut(&str, &up::Packet<'_>)) {
    let long = [7; 127];
    for (what, key, room, payload) in [
        ("a state of nothing", 0, false, Payload::Bytes(&[][..])),
        ("a state", 127, false, Payload::Bytes(&[0, 0xff, 0x80])),
        ("a state of text", 128, false, Payload::Text("grüß dich 🎲")),
        (
            "a state of 127 bytes",
            u32::MAX,
            false,
            Payload::Bytes(&long),
        ),
        ("a state of the room", 1, true, Payload::Text("desert")),
    ] {
        with(
            what,
            &up::Packet::State {
                term: None,
                key,
                room,
                payload,
            },
        );
    }
    for (what, key, room) in [
        ("delete", 0, false),
        ("delete of the room's", u32::MAX, true),
    ] {
        let term = None;
        with(what, &up::Packet::Delete { term, key, room });
    }
    for (what, key, room, to, stays) in [
        (
            "audience: the others",
            0,
            false,
            StateAudience::Others,
            false,
        ),
        ("audience: all", 128, false, StateAudience::All, true),
        (
            "audience: a group",
            1,
            false,
            StateAudience::Group(0),
            false,
        ),
        (
            "audience of the room's: a group",
            u32::MAX,
            true,
            StateAudience::Group(u32::MAX),
            false,
        ),
        ("audience: the host", 7, false, StateAudience::Host, true),
    ] {
        let audience = KeyAudience {
            key,
            room,
            to,
            stays,
        };
        with(what, &up::Packet::Audience(audience));
    }
    let (mut one, mut many, mut none) = (Vec::new(), Vec::new(), Vec::new());
    let one = Groups::encode([(7, true)], &mut one).expect("one group");
    let all = (0..256).map(|group| (group * 16_843_009, group % 3 > 0));
    let many = Groups::encode(all, &mut many).expect("as many as there may be");
    let none = Groups::encode([], &mut none).expect("none");
    for (what, only, groups) in [
        ("one group", false, one),
        ("this group alone", true, one),
        ("no groups any more", true, none),
        ("as many groups as there may be", false, many),
    ] {
        with(what, &up::Packet::Groups { only, groups });
    }
}

fn each_as_host(with: &mut dyn FnMut(&str, &up::Packet<'_>)) {
    let mut ids = Vec::new();
    let ids = List::encode([id(1), id(300)], &mut ids).expect("ascending ids");
    let payload = Payload::Text("grüß dich 🎲");
    for (what, term, to) in [
        ("to the others as host", 1, Audience::Others),
        ("to all as host", 127, Audience::All),
        ("to one as host", 128, Audience::One(id(3))),
        ("to a list as host", 2, Audience::List(ids)),
        ("to a group as host", MOST, Audience::Group(7)),
        ("to the host as host", 0, Audience::Host),
    ] {
        let event = up::Packet::Event {
            term: Some(term),
            to,
            droppable: term == 2,
            payload,
        };
        with(what, &event);
    }
    let (key, term) = (300, Some(5));
    for (what, room) in [("as host", false), ("of the room as host", true)] {
        let state = up::Packet::State {
            term,
            key,
            room,
            payload,
        };
        with(&format!("a state {what}"), &state);
        let delete = up::Packet::Delete { term, key, room };
        with(&format!("delete {what}"), &delete);
    }
    let mut changes = Vec::new();
    let change = Change {
        key: name("a"),
        guard: Guard::Any,
        value: None,
    };
    let changes = List::encode([change], &mut changes).expect("a change");
    let owner = Some(id(9));
    let properties = up::Packet::Properties {
        term,
        owner,
        changes,
    };
    with("properties of another player, as host", &properties);
    for (willing, visible) in [(false, false), (true, false), (true, true)] {
        with("willing", &up::Packet::Willing { willing, visible });
    }
    let long = [7; 300];
    for (what, act) in [
        ("hand over", Act::HandOver(id(1))),
        ("hand over to a long id", Act::HandOver(id(u32::MAX))),
        ("kick", Act::Kick(id(128))),
        ("lock", Act::Lock(true)),
        ("unlock", Act::Lock(false)),
        ("close", Act::Close),
        ("snapshot of nothing", Act::Snapshot { seq: 0, state: &[] }),
        (
            "snapshot",
            Act::Snapshot {
                seq: MOST,
                state: &long,
            },
        ),
        ("trips", Act::Trips),
    ] {
        let term = if what == "trips" { MOST } else { 1 };
        with(what, &up::Packet::Act { term, act });
    }
}

fn each_join(with: &mut dyn FnMut(&str, &up::Packet<'_>)) {
    let longest = "ß".repeat(32);
    let value = [1; 4096];
    let keys: Vec<String> = (0..64).map(|key| key.to_string()).collect();
    let mut properties = Vec::new();
    let two = [
        Property {
            key: name("color"),
            value: Payload::Text("rose"),
        },
        Property {
            key: name(&longest),
            value: Payload::Bytes(&value),
        },
    ];
    let two = List::encode(two, &mut properties).expect("two properties");
    let mut properties = Vec::new();
    let most = keys.iter().map(|key| Property {
        key: name(key),
        value: Payload::Bytes(&[]),
    });
    let most = List::encode(most, &mut properties).expect("as many as there may be");
    let mut wishes = Vec::new();
    let wishes = Pairs::encode(
        [
            (1, PairValue::Bytes(b"tag")),
            (setting::PLAYERS_MAX, PairValue::Number(8)),
            (setting::GRACE_MS, PairValue::Number(30_000)),
            (setting::PROPERTIES_BY_ALL, PairValue::Number(0)),
            (setting::KEYS_BY_ALL, PairValue::Number(1)),
            (1001, PairValue::Bytes(&[])),
        ],
        &mut wishes,
    );
    let wishes = wishes.expect("good wishes");
    let plain = Join {
        minor: 0,
        mode: Mode::Any,
        back: None,
        name: name("Ada"),
        properties: List::EMPTY,
        wishes: Pairs::EMPTY,
    };
    let cursor = |seq| {
        Some(Back {
            token: TOKEN,
            cursor: Some(Cursor { life: LIFE, seq }),
        })
    };
    let lost = Some(Back {
        token: TOKEN,
        cursor: None,
    });
    for (what, join) in [
        ("join", plain),
        (
            "join with properties and wishes",
            Join {
                mode: Mode::Create,
                properties: two,
                wishes,
                ..plain
            },
        ),
        (
            "join with the longest name and most properties",
            Join {
                minor: MOST,
                name: name(&longest),
                properties: most,
                ..plain
            },
        ),
        (
            "resume",
            Join {
                mode: Mode::Join,
                back: cursor(8),
                ..plain
            },
        ),
        (
            "resume after the last entry there can be",
            Join {
                back: cursor(MOST),
                wishes,
                ..plain
            },
        ),
        (
            "resume without a cursor",
            Join {
                back: lost,
                properties: two,
                ..plain
            },
        ),
    ] {
        with(what, &up::Packet::Join(join));
    }
}

/// Calls `with` for packets of every kind, each with what it shows.
pub(crate) fn each_down(with: &mut dyn FnMut(&str, &down::Packet<'_>)) {
    let long = [7; 127];
    for (what, author, payload, by_host, addressed) in [
        ("event", 1, Payload::Bytes(&[1, 2, 3][..]), false, false),
        (
            "event of text",
            128,
            Payload::Text("grüß dich 🎲"),
            false,
            false,
        ),
        ("event of nothing", 2, Payload::Bytes(&[]), false, true),
        ("event of no text", 2, Payload::Text(""), false, true),
        ("event by the host", 127, Payload::Bytes(&[0]), true, false),
        (
            "event by the host to some",
            u32::MAX,
            Payload::Bytes(&long),
            true,
            true,
        ),
    ] {
        let author = id(author);
        with(
            what,
            &down::Packet::Event {
                author,
                payload,
                by_host,
                addressed,
            },
        );
    }
    for (what, author, key, payload, by_host) in [
        (
            "state",
            Some(id(1)),
            0,
            Payload::Bytes(&[1, 2, 3][..]),
            false,
        ),
        (
            "state of text",
            Some(id(128)),
            127,
            Payload::Text("grüß dich 🎲"),
            false,
        ),
        ("state of the room", None, 128, Payload::Bytes(&[]), false),
        (
            "state by the host",
            Some(id(u32::MAX)),
            u32::MAX,
            Payload::Text(""),
            true,
        ),
        ("long state", Some(id(2)), 3, Payload::Bytes(&long), false),
    ] {
        with(
            what,
            &down::Packet::State {
                author,
                key,
                payload,
                by_host,
            },
        );
    }
    for (author, key) in [(None, 0), (Some(id(300)), u32::MAX)] {
        with("removed", &down::Packet::Removed { author, key });
    }
    with("all removed", &down::Packet::RemovedAll);
    let mut limits = Vec::new();
    let limits = Pairs::encode(
        [
            (limit::MESSAGE_BYTES, PairValue::Number(65_536)),
            (limit::PACKETS_PER_SECOND, PairValue::Number(120)),
            (limit::PACKETS_BURST, PairValue::Number(240)),
            (limit::PROPERTIES, PairValue::Number(64)),
            (limit::PROPERTY_BYTES, PairValue::Number(MOST)),
            (limit::KEYS, PairValue::Number(64)),
            (limit::STATE_BYTES, PairValue::Number(16_384)),
            (limit::ROOM_KEYS, PairValue::Number(1_024)),
            (limit::ROOM_STATE_BYTES, PairValue::Number(262_144)),
            (limit::GROUPS, PairValue::Number(64)),
            (limit::SNAPSHOT_BYTES, PairValue::Number(65_536)),
            (1001, PairValue::Bytes(&[1, 2])),
        ],
        &mut limits,
    );
    let limits = limits.expect("good limits");
    let welcome = down::Welcome {
        created: true,
        minor: 0,
        capabilities: 0,
        life: LIFE,
        id: id(1),
        token: TOKEN,
        seq: 1,
        applied: 0,
        time: 0,
        limits: Pairs::EMPTY,
    };
    let late = down::Welcome {
        created: false,
        minor: 9,
        capabilities: MOST,
        id: id(u32::MAX),
        seq: MOST,
        applied: MOST,
        time: MOST,
        limits,
        ..welcome
    };
    with("welcome", &down::Packet::Welcome(welcome));
    with(
        "welcome with the largest numbers",
        &down::Packet::Welcome(late),
    );
    with("settings", &down::Packet::Settings(limits));
    with("no settings", &down::Packet::Settings(Pairs::EMPTY));
    let longest = "ß".repeat(32);
    for (what, name, away) in [
        ("player", name("Ada"), false),
        ("player who is away", name(&longest), true),
        ("raw player", Name::NONE, false),
    ] {
        with(
            what,
            &down::Packet::Player {
                id: id(7),
                name,
                away,
            },
        );
    }
    with("ready", &down::Packet::Ready);
    let changed = |value| Changed {
        key: name("color"),
        version: MOST,
        value,
    };
    let mut written = Vec::new();
    let set = List::encode([changed(Some(Payload::Text("rose")))], &mut written).expect("one");
    for (what, name, properties) in [
        ("joined", name("Ada"), set),
        ("joined, a raw player", Name::NONE, List::EMPTY),
    ] {
        with(
            what,
            &down::Packet::Joined {
                id: id(200),
                name,
                properties,
            },
        );
    }
    for reason in [0, 1, 2, 300] {
        with("left", &down::Packet::Left { id: id(7), reason });
    }
    with("away", &down::Packet::Away(id(7)));
    with("back", &down::Packet::Back(id(u32::MAX)));
    let mut written = Vec::new();
    let deleted = List::encode([changed(None)], &mut written).expect("one");
    for (what, owner, author, changes) in [
        ("properties of the room", None, Some(id(1)), set),
        ("properties in a welcome", Some(id(1)), None, set),
        ("a deleted property", Some(id(128)), Some(id(128)), deleted),
    ] {
        with(
            what,
            &down::Packet::Properties {
                owner,
                author,
                changes,
            },
        );
    }
    with(
        "resumed",
        &down::Packet::Resumed {
            applied: 0,
            time: MOST,
        },
    );
    with("reset", &down::Packet::Reset { reason: 1 });
    for (number, reason, detail) in [(0, 1, ""), (MOST, 400, "the room's host says: nö")] {
        with(
            "refused",
            &down::Packet::Refused {
                number,
                reason,
                detail,
            },
        );
    }
    for (key, reason, detail) in [(0, 5, ""), (u32::MAX, 4, "too many keys: 64 at most")] {
        with(
            "refused, a state",
            &down::Packet::RefusedState {
                key,
                reason,
                detail,
            },
        );
    }
    with("acknowledgement", &down::Packet::Ack { applied: 128 });
    with(
        "pong",
        &down::Packet::Pong {
            echo: MOST,
            time: 0,
        },
    );
    with("keep-alive", &down::Packet::KeepAlive { time: 50_000_000 });
    each_host_down(with);
    each_ticks_down(with);
    for (kind, body) in [
        (0x00, &[][..]),
        (0x9a, b"of a host"),
        (0x39, b""),
        (0x8a, &[0; 4]),
        (0xb9, &[0; 2]),
        (0xc1, b""),
        (0xff, &long),
    ] {
        with(
            "a kind to be skipped",
            &down::Packet::Unknown { kind, body },
        );
    }
}

fn each_ticks_down(with: &mut dyn FnMut(&str, &down::Packet<'_>)) {
    for (what, echo, superseded, late, micros) in [
        ("pong where there are no ticks", 0, 0, false, 0),
        ("pong, ahead of the tick", 128, 300, false, 3_000),
        ("pong, behind the tick", MOST, MOST, true, MOST / 2),
    ] {
        let slack = down::Slack { late, micros };
        with(
            what,
            &down::Packet::PongTicks {
                echo,
                time: MOST,
                superseded,
                slack,
            },
        );
    }
    for (tick, time) in [(0, 0), (MOST, MOST)] {
        with("tick", &down::Packet::Tick { tick, time });
    }
    for ms in [0, MOST] {
        with("aged", &down::Packet::Aged { ms });
    }
}

fn each_host_down(with: &mut dyn FnMut(&str, &down::Packet<'_>)) {
    for (what, term, id, given) in [
        ("nobody is the host", 0, None, false),
        ("host", 1, Some(id(1)), false),
        (
            "host who is given a snapshot",
            MOST,
            Some(id(u32::MAX)),
            true,
        ),
    ] {
        with(what, &down::Packet::Host { term, id, given });
    }
    with("locked", &down::Packet::Locked(true));
    with("unlocked", &down::Packet::Locked(false));
    let long = [7; 300];
    for (seq, state, cut) in [(0, &[][..], false), (MOST, &long, true)] {
        with("snapshot", &down::Packet::Snapshot { seq, state, cut });
    }
    with(
        "a snapshot is wanted",
        &down::Packet::SnapshotWanted { term: 128 },
    );
    let (mut none, mut some) = (Vec::new(), Vec::new());
    let none = down::Trips::encode([], &mut none).expect("none");
    let trips = [(id(1), 0), (id(300), 20_000), (id(u32::MAX), MOST)];
    let some = down::Trips::encode(trips, &mut some).expect("ascending ids");
    with("no trips", &down::Packet::Trips(none));
    with("trips", &down::Packet::Trips(some));
    for text in ["", "restart at noon: g\u{fc}le"] {
        with("a notice", &down::Packet::Notice(text));
    }
}
