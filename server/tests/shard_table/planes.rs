//! The control plane may be stuck in whatever it shares with reactors: players play on, join and are sent away.

use roomcast::limits::Limits;

use crate::stage::{Stage, text};

#[test]
fn who_is_stuck_over_what_is_published_holds_up_nobody() {
    let mut stage = Stage::with_reactors(Limits::default(), 2);
    let one = stage.join("/rooms/a");
    stage.pass(2_000);
    let published = stage.published.clone();
    assert_eq!(published[0].lock().accepted, 1);
    let stuck: Vec<_> = published.iter().map(|published| published.lock()).collect();
    stage.pass(5_000);
    let two = stage.join("/rooms/a");
    stage.send(one, &text("heard"));
    assert_eq!(stage.heard(two), "text heard");
    stage.drain(0);
    stage.pass(1);
    assert!(stage.heard(one).contains("close 1012"));
    for reactor in &mut stage.reactors {
        reactor.end();
    }
    assert_eq!(stuck[0].accepted, 1, "nothing was published meanwhile");
}
