//! The host of a room: who it is, what it alone may do, and who comes after it.

use std::sync::Arc;

use roomcast::limits::Limits;
use roomcast::shard::Common;
use roomcast_protocol::close::CloseCode;
use roomcast_protocol::v1::up::{Act, Audience, Join, KeyAudience, StateAudience};
use roomcast_protocol::v1::{
    Change, Guard, List, MINOR, Name, Owner, PairValue, Pairs, Payload, PlayerId, down, setting,
};

use crate::ends::Judge;
use crate::stage::{Actor, Stage, join};

pub(crate) fn id(id: u32) -> PlayerId {
    PlayerId::new(id).expect("an id")
}

/// Somebody who knows what a host is.
pub(crate) fn knowing<'a>(name: &'a str, wishes: Pairs<'a>) -> Join<'a> {
    Join {
        minor: MINOR,
        wishes,
        ..join(name)
    }
}

pub(crate) fn come(stage: &mut Stage, name: &str) -> Actor {
    Actor::join_as(stage, "lobby", &knowing(name, Pairs::EMPTY))
}

pub(crate) fn say(actor: &mut Actor, to: Audience<'_>, text: &str) {
    let said = actor.client.event(to, Payload::Text(text), false);
    said.expect("it keeps little");
}

fn say_as_host(actor: &mut Actor, term: u64, text: &str) {
    let text = Payload::Text(text);
    let said = actor
        .client
        .event_as_host(term, Audience::Others, text, false);
    said.expect("it keeps little");
}

pub(crate) fn act(actor: &mut Actor, term: u64, act: Act<'_>) {
    actor.client.act(term, act).expect("it keeps little");
}

fn willing(actor: &mut Actor, willing: bool, visible: bool) {
    actor
        .client
        .willing(willing, visible)
        .expect("it keeps little");
}

/// Bob, who is the host, Ada and Cy; they have heard who is there.
pub(crate) fn three(limits: Limits) -> (Stage, [Actor; 3]) {
    let mut stage = Stage::new(limits);
    let mut all = ["Bob", "Ada", "Cy"].map(|name| come(&mut stage, name));
    all.iter_mut().for_each(|actor| {
        actor.news(&mut stage);
    });
    (stage, all)
}

/// Time passes, and these are alive in it.
pub(crate) fn pass(stage: &mut Stage, ms: u64, actors: &mut [&mut Actor]) {
    for _ in 0..ms / 100 {
        stage.pass(100, 20);
        for actor in &mut *actors {
            actor.client.wake(stage.now * 1_000);
            actor.play(stage);
        }
    }
}

#[test]
fn who_comes_first_is_the_host_and_all_are_told() {
    let mut stage = Stage::new(Limits::default());
    // Who does not know what a host is can be none.
    let mut old = Actor::join(&mut stage, "lobby", "Old");
    assert_eq!(old.news(&mut stage), ["welcome 1 created", "player 1 Old"]);
    assert_ne!(old.capabilities & down::capability::HOSTS, 0);
    let mut bob = come(&mut stage, "Bob");
    let welcome = [
        "welcome 2",
        "player 1 Old",
        "player 2 Bob",
        "host 2 in term 1",
    ];
    assert_eq!(bob.news(&mut stage), welcome);
    assert_eq!(old.news(&mut stage), ["joined 2 Bob", "host 2 in term 1"]);
    let mut ada = come(&mut stage, "Ada");
    assert_eq!(ada.news(&mut stage)[4..], ["host 2 in term 1"]);
    assert_eq!(bob.news(&mut stage), ["joined 3 Ada"]);
    // When it leaves, nobody waits for it.
    bob.client.leave();
    bob.play(&mut stage);
    assert_eq!(ada.news(&mut stage), ["left 2 0", "host 3 in term 2"]);
    // And when nobody is left who could be one, there is none.
    ada.client.leave();
    ada.play(&mut stage);
    let heard = old.news(&mut stage);
    assert_eq!(heard[heard.len() - 2..], ["left 3 0", "host 0 in term 3"]);
    let mut cy = come(&mut stage, "Cy");
    assert_eq!(cy.news(&mut stage)[3..], ["host 4 in term 4"]);
}

#[test]
fn a_host_that_is_lost_keeps_the_role_for_its_grace() {
    let (mut stage, [mut bob, mut ada, mut cy]) = three(Limits::default());
    bob.lose(&mut stage);
    stage.settle();
    pass(&mut stage, 900, &mut [&mut ada, &mut cy]);
    say_as_host(&mut bob, 1, "in time");
    bob.reopen(&mut stage);
    bob.play(&mut stage);
    let heard = ["away 1", "back 1", "1 as host: in time"];
    assert_eq!(ada.news(&mut stage), heard);
    // What it says as the host of a term that is over has no effect, also if it said it before.
    bob.lose(&mut stage);
    say_as_host(&mut bob, 1, "too late");
    let text = Payload::Text("too late");
    bob.client
        .state_as_host(1, 7, false, text)
        .expect("it fits");
    say(&mut bob, Audience::Others, "as anybody");
    stage.settle();
    pass(&mut stage, 1_100, &mut [&mut ada, &mut cy]);
    assert_eq!(ada.news(&mut stage), ["away 1", "host 2 in term 2"]);
    bob.reopen(&mut stage);
    let heard = bob.news(&mut stage);
    let expected = [
        "resumed",
        "resumed",
        "host 2 in term 2",
        "refused state 7 6",
        "refused 1 6",
    ];
    assert_eq!(heard, expected, "nor does it get the role back");
    assert_eq!(ada.news(&mut stage), ["back 1", "1: as anybody"]);
    assert_eq!(
        cy.news(&mut stage),
        [
            &[
                "away 1",
                "back 1",
                "1 as host: in time",
                "away 1",
                "host 2 in term 2"
            ][..],
            &["back 1", "1: as anybody"]
        ]
        .concat()
    );
}

#[test]
fn a_host_that_is_silent_has_lost_its_connection() {
    let (mut stage, [bob, mut ada, mut cy]) = three(Limits::default());
    stage.silence(bob.wire);
    let mut waited = 0;
    while ada.news(&mut stage).last().map(String::as_str) != Some("host 2 in term 2") {
        pass(&mut stage, 100, &mut [&mut ada, &mut cy]);
        waited += 100;
        assert!(waited < 20_000, "there is no other host");
    }
    // 7.5 s, the grace of 1 s, and as late as timers may be.
    assert!((8_000..=8_700).contains(&waited), "{waited} ms");
}

#[test]
fn a_grace_of_nothing_is_none_and_each_room_has_its_own() {
    let mut buffer = Vec::new();
    let wishes = [(setting::HOST_GRACE_MS, PairValue::Number(0))];
    let wishes = Pairs::encode(wishes, &mut buffer).expect("wishes");
    let mut stage = Stage::new(Limits::default());
    let mut bob = Actor::join_as(&mut stage, "lobby", &knowing("Bob", wishes));
    let mut ada = come(&mut stage, "Ada");
    ada.news(&mut stage);
    bob.lose(&mut stage);
    stage.settle();
    assert_eq!(ada.news(&mut stage), ["away 1", "host 2 in term 2"]);
}

#[test]
fn where_nobody_else_could_be_the_host_the_role_waits() {
    let (mut stage, [mut bob, mut ada, mut cy]) = three(Limits::default());
    willing(&mut ada, false, true);
    willing(&mut cy, false, true);
    ada.play(&mut stage);
    cy.play(&mut stage);
    bob.lose(&mut stage);
    pass(&mut stage, 5_000, &mut [&mut ada, &mut cy]);
    assert_eq!(ada.news(&mut stage), ["away 1"]);
    say_as_host(&mut bob, 1, "again");
    bob.reopen(&mut stage);
    bob.play(&mut stage);
    assert_eq!(ada.news(&mut stage), ["back 1", "1 as host: again"]);
    // Whoever is willing first takes it.
    bob.lose(&mut stage);
    pass(&mut stage, 5_000, &mut [&mut ada, &mut cy]);
    willing(&mut cy, true, false);
    cy.play(&mut stage);
    assert_eq!(ada.news(&mut stage), ["away 1", "host 3 in term 2"]);
    // A new one, who is visible, has to wait for 3 s, as for every hidden page.
    bob.client.leave();
    let mut dan = come(&mut stage, "Dan");
    assert_eq!(
        dan.news(&mut stage).last().map(String::as_str),
        Some("host 3 in term 2")
    );
    pass(&mut stage, 2_900, &mut [&mut ada, &mut cy, &mut dan]);
    assert_eq!(ada.news(&mut stage), ["joined 4 Dan"]);
    pass(&mut stage, 200, &mut [&mut ada, &mut cy, &mut dan]);
    assert_eq!(ada.news(&mut stage), ["host 4 in term 3"]);
}

#[test]
fn a_hidden_host_keeps_the_role_unless_somebody_is_visible() {
    let (mut stage, [mut bob, mut ada, mut cy]) = three(Limits::default());
    willing(&mut bob, true, false);
    willing(&mut ada, true, false);
    willing(&mut cy, true, false);
    for actor in [&mut bob, &mut ada, &mut cy] {
        actor.play(&mut stage);
    }
    pass(&mut stage, 5_000, &mut [&mut bob, &mut ada, &mut cy]);
    assert!(ada.news(&mut stage).is_empty());
    willing(&mut cy, true, true);
    cy.play(&mut stage);
    assert_eq!(ada.news(&mut stage), ["host 3 in term 2"]);
    // A look at another tab costs nothing.
    willing(&mut ada, true, true);
    willing(&mut cy, true, false);
    cy.play(&mut stage);
    pass(&mut stage, 2_500, &mut [&mut bob, &mut ada, &mut cy]);
    willing(&mut cy, true, true);
    cy.play(&mut stage);
    pass(&mut stage, 4_000, &mut [&mut bob, &mut ada, &mut cy]);
    assert!(ada.news(&mut stage).is_empty());
    willing(&mut cy, true, false);
    cy.play(&mut stage);
    pass(&mut stage, 3_200, &mut [&mut bob, &mut ada, &mut cy]);
    assert_eq!(ada.news(&mut stage), ["host 2 in term 3"]);
    // Who does not want it any more has lost it at once.
    willing(&mut ada, false, true);
    assert_eq!(ada.news(&mut stage), ["host 1 in term 4"]);
}

#[test]
fn a_relay_that_ends_makes_no_hosts() {
    let (mut stage, [mut bob, mut ada, _cy]) = three(Limits::default());
    // Who is at the door then comes in all the same, and knows what the others do.
    let mut late = Actor::new(&mut stage, "lobby", &knowing("Late", Pairs::EMPTY));
    stage.shard.drain(10_000);
    bob.client.leave();
    bob.play(&mut stage);
    assert_eq!(ada.news(&mut stage), ["left 1 0", "host 0 in term 2"]);
    let welcome = late.news(&mut stage);
    assert_eq!(welcome.last().expect("a host"), "host 0 in term 2");
    assert_eq!(ada.news(&mut stage), ["joined 4 Late"]);
}

#[test]
fn a_host_that_wants_no_longer_to_be_it_gives_it_up_while_the_relay_ends() {
    let (mut stage, [mut bob, mut ada, _cy]) = three(Limits::default());
    stage.shard.drain(10_000);
    willing(&mut bob, false, true);
    bob.play(&mut stage);
    assert_eq!(ada.news(&mut stage), ["host 0 in term 2"]);
}

#[test]
fn a_spectator_is_no_host() {
    let mut stage = Stage::with(Common::new(Limits::default(), 1).with_tickets(Arc::new(Judge)));
    // Who knows nothing of hosts.
    let _ada = Actor::join(&mut stage, "lobby?ticket=player", "Ada");
    let eve = knowing("Eve", Pairs::EMPTY);
    let mut eve = Actor::join_as(&mut stage, "lobby?ticket=spectator", &eve);
    assert_eq!(
        eve.news(&mut stage),
        ["welcome 2", "player 1 Ada", "player 2 "]
    );
    let bob = knowing("Bob", Pairs::EMPTY);
    let mut bob = Actor::join_as(&mut stage, "lobby?ticket=player", &bob);
    assert_eq!(
        bob.news(&mut stage).last().map(String::as_str),
        Some("host 3 in term 1")
    );
    bob.client.leave();
    bob.play(&mut stage);
    assert_eq!(
        eve.news(&mut stage).last().map(String::as_str),
        Some("host 0 in term 2")
    );
}

#[test]
fn the_host_hands_over() {
    let (mut stage, [mut bob, mut ada, mut cy]) = three(Limits::default());
    let to = |player| Act::HandOver(id(player));
    // Refused: not the host; not its term; gone; away; unwilling. To itself it is nothing.
    act(&mut ada, 1, to(2));
    assert_eq!(ada.news(&mut stage), ["refused 0 6"]);
    act(&mut bob, 2, to(2));
    act(&mut bob, 1, to(9));
    act(&mut bob, 1, to(1));
    willing(&mut ada, false, true);
    ada.play(&mut stage);
    act(&mut bob, 1, to(2));
    cy.lose(&mut stage);
    stage.settle();
    act(&mut bob, 1, to(3));
    let refused = [
        "refused 0 6",
        "refused 1 2",
        "away 3",
        "refused 3 3",
        "refused 4 3",
    ];
    let mut heard = bob.news(&mut stage);
    heard.sort();
    let mut expected = refused.map(str::to_owned);
    expected.sort();
    assert_eq!(heard, expected);
    cy.reopen(&mut stage);
    cy.news(&mut stage);
    act(&mut bob, 1, to(3));
    say_as_host(&mut bob, 1, "no longer");
    assert_eq!(
        bob.news(&mut stage),
        ["back 3", "host 3 in term 2", "refused 6 6"]
    );
    assert_eq!(cy.news(&mut stage), ["host 3 in term 2"]);
    say_as_host(&mut cy, 2, "now it is me");
    cy.play(&mut stage);
    assert_eq!(bob.news(&mut stage), ["3 as host: now it is me"]);
}

#[test]
fn an_event_to_the_host_is_for_who_it_is_when_it_is_said() {
    let (mut stage, [mut bob, mut ada, mut cy]) = three(Limits::default());
    say(&mut ada, Audience::Host, "a");
    ada.play(&mut stage);
    assert_eq!(bob.news(&mut stage), ["2 to some: a"]);
    bob.lose(&mut stage);
    stage.settle();
    say(&mut ada, Audience::Host, "b");
    ada.play(&mut stage);
    pass(&mut stage, 1_200, &mut [&mut ada, &mut cy]);
    say(&mut cy, Audience::Host, "c");
    cy.play(&mut stage);
    let heard = ["away 1", "host 2 in term 2", "3 to some: c"];
    assert_eq!(ada.news(&mut stage), heard);
    bob.reopen(&mut stage);
    let heard = ["resumed", "2 to some: b", "host 2 in term 2"];
    assert_eq!(bob.news(&mut stage), heard);
    // Where there is none, it is refused.
    let mut stage = Stage::new(Limits::default());
    let mut old = Actor::join(&mut stage, "lobby", "Old");
    say(&mut old, Audience::Host, "hello?");
    assert_eq!(
        old.news(&mut stage).last().map(String::as_str),
        Some("refused 0 2")
    );
}

/// Key 5 of this one is for the host from now on.
fn keep_for_host(actor: &mut Actor) {
    let audience = KeyAudience {
        key: 5,
        room: false,
        to: StateAudience::Host,
        stays: false,
    };
    actor.client.audience(audience).expect("it keeps little");
}

#[test]
fn a_key_for_the_host_that_is_its_own_goes_with_the_role() {
    let (mut stage, [mut bob, mut ada, _cy]) = three(Limits::default());
    keep_for_host(&mut bob);
    bob.client
        .state(5, false, Payload::Text("up"))
        .expect("it fits");
    assert_eq!(bob.news(&mut stage), ["1.5=up"]);
    act(&mut bob, 1, Act::HandOver(id(2)));
    let mut heard = bob.news(&mut stage);
    heard.sort();
    assert_eq!(heard, ["1.5 gone", "host 2 in term 2"]);
    assert_eq!(ada.news(&mut stage), ["host 2 in term 2", "1.5=up"]);
}

#[test]
fn who_is_not_the_host_any_more_when_it_comes_back_has_no_key_for_it() {
    let (mut stage, [mut bob, mut ada, mut cy]) = three(Limits::default());
    keep_for_host(&mut cy);
    cy.client
        .state(5, false, Payload::Text("up"))
        .expect("it fits");
    cy.play(&mut stage);
    assert_eq!(bob.news(&mut stage), ["3.5=up"]);
    bob.lose(&mut stage);
    stage.settle();
    pass(&mut stage, 1_100, &mut [&mut ada, &mut cy]);
    bob.reopen(&mut stage);
    let heard = bob.news(&mut stage);
    assert!(heard.contains(&"all gone".to_owned()), "{heard:?}");
    assert!(!heard.iter().any(|line| line.contains('=')), "{heard:?}");
}

#[test]
fn a_key_for_the_host_goes_to_who_it_is() {
    let (mut stage, [mut bob, mut ada, mut cy]) = three(Limits::default());
    keep_for_host(&mut cy);
    cy.client
        .state(5, false, Payload::Text("up"))
        .expect("it fits");
    cy.client
        .state(6, false, Payload::Text("x"))
        .expect("it fits");
    cy.play(&mut stage);
    assert_eq!(bob.news(&mut stage), ["3.5=up", "3.6=x"]);
    assert_eq!(ada.news(&mut stage), ["3.6=x"]);
    act(&mut bob, 1, Act::HandOver(id(2)));
    let mut heard = bob.news(&mut stage);
    heard.sort();
    assert_eq!(heard, ["3.5 gone", "host 2 in term 2"]);
    assert_eq!(ada.news(&mut stage), ["host 2 in term 2", "3.5=up"]);
    cy.client
        .state(5, false, Payload::Text("down"))
        .expect("it fits");
    cy.play(&mut stage);
    assert_eq!(ada.news(&mut stage), ["3.5=down"]);
    assert!(bob.news(&mut stage).is_empty());
    // Whoever joins is not the host, and so does not get it.
    let mut dan = come(&mut stage, "Dan");
    assert!(!dan.news(&mut stage).iter().any(|line| line.contains("3.5")));
}

fn property(actor: &mut Actor, term: Option<u64>, owner: Owner) {
    let mut buffer = Vec::new();
    let change = Change {
        key: Name::new("map").expect("a name"),
        guard: Guard::Any,
        value: Some(Payload::Text("desert")),
    };
    let changes = List::encode([change], &mut buffer).expect("a change");
    let done = match term {
        Some(term) => actor.client.properties_as_host(term, owner, changes),
        None => actor.client.properties(owner, changes),
    };
    done.expect("it keeps little");
}

#[test]
fn the_host_writes_everybodys_properties_and_alone_what_is_its_alone() {
    let mut buffer = Vec::new();
    let wishes = [setting::PROPERTIES_BY_ALL, setting::KEYS_BY_ALL];
    let wishes = wishes.map(|setting| (setting, PairValue::Number(0)));
    let wishes = Pairs::encode(wishes, &mut buffer).expect("wishes");
    let mut stage = Stage::new(Limits::default());
    let mut bob = Actor::join_as(&mut stage, "lobby", &knowing("Bob", wishes));
    let mut ada = come(&mut stage, "Ada");
    ada.news(&mut stage);
    bob.news(&mut stage);
    // She may write neither the room's nor his, nor keys of the room.
    property(&mut ada, None, None);
    property(&mut ada, None, Some(id(1)));
    property(&mut ada, Some(1), None);
    ada.client
        .state(1, true, Payload::Text("x"))
        .expect("it fits");
    ada.client.delete(2, true).expect("it fits");
    let audience = KeyAudience {
        key: 1,
        room: true,
        to: StateAudience::All,
        stays: false,
    };
    ada.client.audience(audience).expect("it keeps little");
    let mut heard = ada.news(&mut stage);
    heard.sort();
    let refused = [
        "refused 0 3",
        "refused 1 3",
        "refused 2 6",
        "refused 3 3",
        "refused state 1 3",
        "refused state 2 3",
    ];
    assert_eq!(heard, refused);
    assert!(bob.news(&mut stage).is_empty());
    // He may, as the host; and not as anybody.
    property(&mut bob, Some(1), None);
    property(&mut bob, Some(1), Some(id(2)));
    property(&mut bob, None, Some(id(2)));
    bob.client
        .state_as_host(1, 1, true, Payload::Text("y"))
        .expect("it fits");
    bob.play(&mut stage);
    let heard = [
        "properties 0 by 1, map=desert",
        "properties 2 by 1, map=desert",
        "0.1=y as host",
    ];
    assert_eq!(ada.news(&mut stage), heard);
    bob.client.delete_as_host(1, 1, true).expect("it fits");
    bob.client.audience(audience).expect("it keeps little");
    bob.play(&mut stage);
    assert_eq!(ada.news(&mut stage), ["0.1 gone"]);
    assert!(bob.news(&mut stage).contains(&"refused 2 3".to_owned()));
}

#[test]
fn a_browser_that_reloads_its_page_is_as_willing_as_before() {
    let (mut stage, [mut bob, mut ada, _cy]) = three(Limits::default());
    willing(&mut ada, false, true);
    ada.play(&mut stage);
    stage.close(ada.wire, CloseCode::GOING_AWAY);
    let back = roomcast_protocol::v1::up::Back {
        token: ada.client.token().expect("a token"),
        cursor: None,
    };
    let again = Join {
        back: Some(back),
        ..knowing("Ada", Pairs::EMPTY)
    };
    let mut ada = Actor::join_as(&mut stage, "lobby", &again);
    ada.news(&mut stage);
    bob.client.leave();
    bob.play(&mut stage);
    assert_eq!(ada.news(&mut stage), ["left 1 0", "host 3 in term 2"]);
}

#[test]
fn what_is_for_a_host_that_left_a_relay_that_ends_is_for_nobody() {
    let (mut stage, [mut bob, mut ada, mut cy]) = three(Limits::default());
    keep_for_host(&mut cy);
    cy.play(&mut stage);
    stage.shard.drain(10_000);
    bob.client.leave();
    bob.play(&mut stage);
    assert_eq!(ada.news(&mut stage), ["left 1 0", "host 0 in term 2"]);
    // Nobody sits there any more.
    cy.client
        .state(5, false, Payload::Text("up"))
        .expect("it fits");
    say(&mut cy, Audience::Host, "is anybody there?");
    say(&mut cy, Audience::Others, "we two");
    cy.play(&mut stage);
    assert_eq!(ada.news(&mut stage), ["3: we two"]);
}
