//! `/healthz` is about this reactor, `/readyz` about all of them; and how a drain begins.

use std::sync::Arc;

use roomcast::limits::{Limits, PULSE_MS};
use roomcast::shard::{Common, Shard, Written};
use roomcast::transport::Port;
use roomcast_protocol::upgrade::{ClientKey, write_client_request};

/// One iteration, in which somebody asks; returns the status line.
fn ask(shard: &mut Shard, now: u64, path: &str) -> String {
    shard.advance(now, now);
    let slot = shard.accept(Port::Plain, None);
    let mut request = format!("GET {path} HTTP/1.0\r\n\r\n").into_bytes();
    shard.receive(slot, &mut request);
    shard.freeze();
    let mut answer = Vec::new();
    while shard.next_write().is_some() {
        let before = answer.len();
        shard.pending().with_slices(|slices| {
            slices
                .iter()
                .for_each(|slice| answer.extend_from_slice(slice));
        });
        shard.wrote(Written::Bytes(answer.len() - before));
    }
    shard.end_of_input(slot);
    shard.reap(|_| {});
    let line = answer.split(|byte| *byte == b'\r').next();
    String::from_utf8_lossy(line.unwrap_or_default()).into_owned()
}

/// A reactor that failed has the others drain, which may have been told to by then.
#[test]
fn a_second_drain_changes_nothing() {
    let common = Arc::new(Common::new(Limits::default(), 1));
    let mut shard = Shard::new(common, 0, 0, 7);
    for _ in 0..10 {
        let slot = shard.accept(Port::Plain, None);
        let mut request = Vec::new();
        let key = ClientKey::from_bytes(*b"the sample nonce");
        write_client_request(&mut request, "relay", "/rooms/r", &key, None, &[]);
        shard.receive(slot, &mut request);
        assert!(shard.is_seated(slot));
    }
    shard.drain(1_000);
    let next = shard.next_deadline();
    assert!(next.is_some_and(|next| next <= 1_100), "{next:?}");
    shard.drain(3_600_000);
    assert_eq!(shard.next_deadline(), next);
    shard.drain(0);
    assert_eq!(shard.next_deadline(), next);
}

#[test]
fn readiness_is_that_all_reactors_go_on() {
    let common = Arc::new(Common::new(Limits::default(), 2));
    let [mut one, mut other] = [0, 1].map(|index| Shard::new(Arc::clone(&common), index, 0, 7));
    let turn = |shard: &mut Shard, now| {
        shard.advance(now, now);
        shard.reap(|_| {});
    };
    turn(&mut one, 10_000);
    turn(&mut other, 10_000);
    let last = 10_000 + PULSE_MS;
    assert_eq!(ask(&mut one, last, "/readyz"), "HTTP/1.1 200 OK");
    // The other one stands still.
    let late = last + 1;
    assert_eq!(
        ask(&mut one, late, "/readyz"),
        "HTTP/1.1 503 Service Unavailable"
    );
    assert_eq!(ask(&mut one, late, "/healthz"), "HTTP/1.1 200 OK");
    turn(&mut other, late);
    assert_eq!(ask(&mut one, late, "/readyz"), "HTTP/1.1 200 OK");
    one.drain(1_000);
    assert_eq!(
        ask(&mut one, late, "/readyz"),
        "HTTP/1.1 503 Service Unavailable"
    );
    assert_eq!(ask(&mut one, late, "/healthz"), "HTTP/1.1 200 OK");
}
