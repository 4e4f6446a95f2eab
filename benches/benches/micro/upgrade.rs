//! The server's side of the HTTP upgrade: from a browser's request head to the bytes of the 101.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion};
use roomcast_benches::browser_request;
use roomcast_protocol::upgrade::{self, RequestKind};
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::{Request, create_response, write_response};

pub(crate) fn server(c: &mut Criterion) {
    let mut group = c.benchmark_group("upgrade");
    let head = browser_request();
    let mut out = Vec::with_capacity(512);
    let id = format!("{} B", head.len());
    group.bench_with_input(BenchmarkId::new("roomcast", &id), &head, |b, head| {
        b.iter(|| {
            out.clear();
            let end = upgrade::find_head_end(black_box(head), 0)
                .expect("valid")
                .expect("whole");
            let request = upgrade::parse_request(&head[..end]).expect("valid");
            let RequestKind::Upgrade(wanted) = black_box(request).kind else {
                panic!("it asks for an upgrade");
            };
            upgrade::write_accept(&mut out, &wanted.accept, None);
            black_box(&out);
        });
    });
    group.bench_with_input(BenchmarkId::new("tungstenite", &id), &head, |b, head| {
        b.iter(|| {
            out.clear();
            let (_, request) = Request::try_parse(black_box(head))
                .expect("valid")
                .expect("whole");
            let response = create_response(black_box(&request)).expect("valid");
            write_response(&mut out, &response).expect("a vector takes everything");
            black_box(&out);
        });
    });
}
