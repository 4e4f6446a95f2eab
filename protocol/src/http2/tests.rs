//! The machine with h2's own client at the other end, and with whatever bytes.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::{Connection, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{Request, StatusCode};
use proptest::prelude::*;

use super::pipe::Pipe;
use super::{BUFFER_MAX, Ended, Event, Machine, OUTPUT_MAX, PREFACE};
use crate::upgrade::{Readers, Reply, Status, write_done, write_endless, write_reply};

/// Polls once.
fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// What the machine told.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Told {
    questions: Vec<(u32, Vec<u8>)>,
    gone: Vec<u32>,
    pongs: usize,
}

impl Told {
    fn hear(&mut self, event: Event<'_>) {
        match event {
            Event::Question { stream, bytes } => {
                match self.questions.iter_mut().find(|(of, _)| *of == stream) {
                    Some((_, all)) => all.extend_from_slice(bytes),
                    None => self.questions.push((stream, bytes.to_vec())),
                }
            }
            Event::Gone { stream } => self.gone.push(stream),
            Event::Pong => self.pongs += 1,
        }
    }

    fn question(&self, stream: u32) -> String {
        let (_, bytes) = self
            .questions
            .iter()
            .find(|(of, _)| *of == stream)
            .expect("it was asked");
        String::from_utf8(bytes.clone()).expect("text")
    }
}

/// Both ends, and bytes that travel a few at a time.
struct Talk {
    machine: Machine,
    pipe: Pipe,
    client: Connection<Pipe>,
    send: SendRequest<Bytes>,
    told: Told,
    ended: Option<Ended>,
    most: usize,
}

impl Talk {
    fn new(most: usize) -> Self {
        let pipe = Pipe::default();
        let mut handshake = Box::pin(h2::client::handshake(pipe.clone()));
        let Poll::Ready(Ok((send, client))) = poll(&mut handshake) else {
            panic!("a client waits for nothing");
        };
        let mut talk = Self {
            machine: Machine::new(),
            pipe,
            client,
            send,
            told: Told::default(),
            ended: None,
            most,
        };
        talk.go_on();
        talk
    }

    /// Until nothing is on its way.
    fn go_on(&mut self) {
        loop {
            if self.ended.is_none() {
                let told = &mut self.told;
                self.ended = self.machine.go_on(&mut |event| told.hear(event)).err();
            }
            let _ = poll(&mut self.client);
            let up = std::mem::take(&mut self.pipe.lock().output);
            for bytes in up.chunks(self.most) {
                if self.ended.is_none() {
                    let told = &mut self.told;
                    self.ended = self
                        .machine
                        .receive(bytes, 0, &mut |event| told.hear(event))
                        .err();
                }
            }
            let down = self.machine.output().to_vec();
            self.machine.left();
            for bytes in down.chunks(self.most) {
                self.pipe.lock().give(bytes);
                let _ = poll(&mut self.client);
            }
            if up.is_empty() && down.is_empty() {
                return;
            }
        }
    }

    fn ask(
        &mut self,
        request: http::request::Builder,
        ends: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let request = request.body(()).expect("a request");
        let asked = self.send.send_request(request, ends).expect("it can ask");
        self.go_on();
        asked
    }

    /// All that comes of this answer.
    fn answer(&mut self, stream: u32, bytes: &[u8]) -> usize {
        let taken = self.machine.answer(stream, bytes);
        self.go_on();
        taken
    }
}

fn answered(response: &mut ResponseFuture) -> (StatusCode, RecvStream) {
    let Poll::Ready(Ok(response)) = poll(response) else {
        panic!("there is an answer");
    };
    (response.status(), response.into_body())
}

fn content(body: &mut RecvStream) -> Vec<u8> {
    let mut all = Vec::new();
    while let Poll::Ready(Some(Ok(bytes))) = body.poll_data(&mut Context::from_waker(Waker::noop()))
    {
        body.flow_control()
            .release_capacity(bytes.len())
            .expect("it came");
        all.extend_from_slice(&bytes);
    }
    all
}

fn get(path: &str) -> http::request::Builder {
    Request::get(format!("http://a.example{path}"))
}

fn reply(body: &[u8]) -> Vec<u8> {
    let reply = Reply {
        status: Status::Ok200,
        kind: "text/plain",
        body,
    };
    let mut out = Vec::new();
    write_reply(&mut out, reply, true, Readers::NoPage);
    out
}

#[test]
fn questions_and_answers_survive_every_cut() {
    for most in [1, 7, 100, 100_000] {
        let mut talk = Talk::new(most);
        let (mut page, _) = talk.ask(get("/healthz"), true);
        let (mut done, mut up) = talk.ask(
            Request::post("http://a.example/rooms/r/http/7/up?seq=0"),
            false,
        );
        assert!(
            talk.told
                .question(1)
                .starts_with("GET /healthz HTTP/1.1\r\nHost: a.example\r\n")
        );
        up.send_data(Bytes::from_static(b"hello"), false)
            .expect("it goes");
        up.send_data(Bytes::from_static(b" you"), true)
            .expect("it goes");
        talk.go_on();
        let question = talk.told.question(3);
        assert!(
            question.ends_with("\r\n\r\n5\r\nhello\r\n4\r\n you\r\n0\r\n\r\n"),
            "{question}"
        );
        let mut nothing = Vec::new();
        write_done(&mut nothing, true, Readers::NoPage);
        assert_eq!(talk.answer(3, &nothing), nothing.len());
        let bytes = reply(b"well");
        for byte in &bytes {
            assert_eq!(talk.answer(1, &[*byte]), 1);
        }
        talk.machine.finish(1);
        talk.machine.finish(3);
        talk.go_on();
        assert_eq!(answered(&mut done).0, 204);
        let (status, mut body) = answered(&mut page);
        assert_eq!(
            (status, content(&mut body)),
            (StatusCode::OK, b"well".to_vec())
        );
        assert!(body.is_end_stream());
        assert_eq!((talk.machine.streams(), talk.ended), (0, None));
        assert_eq!(talk.told.gone, [], "they were answered");
    }
}

#[test]
fn only_the_head_is_said_where_that_is_asked_for() {
    let mut talk = Talk::new(100_000);
    let (mut page, _) = talk.ask(Request::head("http://a.example/"), true);
    talk.answer(1, &reply(b"well"));
    let (_, body) = answered(&mut page);
    assert!(body.is_end_stream());
}

/// Who does not read one answer has the others all the same, and is held no more for than a buffer.
#[test]
fn a_stream_without_window_is_congested_and_no_other() {
    let mut talk = Talk::new(100_000);
    let streams = [1, 3];
    let asked = streams.map(|_| talk.ask(get("/rooms/r/http/7/stream?ack=0"), true).0);
    let mut head = Vec::new();
    write_endless(&mut head, "application/octet-stream", Readers::NoPage);
    let mut bodies: Vec<_> = streams
        .into_iter()
        .zip(asked)
        .map(|(stream, mut asked)| {
            assert_eq!(talk.answer(stream, &head), head.len());
            answered(&mut asked).1
        })
        .collect();
    // The client's own window on the connection is no larger, so the first is left a part of it.
    let some = [7; 1_000];
    let mut given = 0;
    while given < 30_000 {
        assert_eq!(talk.answer(1, &some), some.len());
        given += some.len();
    }
    let mut heard = 0;
    for _ in 0..1_000 {
        assert_eq!(talk.answer(3, &some), some.len());
        heard += content(&mut bodies[1]).len();
        talk.go_on();
    }
    assert_eq!(heard, 1_000 * some.len());
    while talk.answer(1, &some) > 0 {
        given += some.len();
    }
    assert!((60_000..=65_535 + BUFFER_MAX).contains(&given), "{given}");
    assert!(talk.machine.held() < OUTPUT_MAX, "{}", talk.machine.held());
    let first = content(&mut bodies[0]).len();
    talk.go_on();
    let rest = content(&mut bodies[0]).len();
    assert!(first + rest >= 60_000);
    assert_eq!(talk.answer(1, &some), some.len(), "it goes on");
}

#[test]
fn what_is_taken_back_is_told_once_and_nothing_of_it_is_left() {
    let mut talk = Talk::new(100_000);
    let (asked, mut up) = talk.ask(Request::post("http://a.example/rooms/r/http"), false);
    up.send_reset(Reason::CANCEL);
    drop(asked);
    talk.go_on();
    assert_eq!(talk.told.gone, [1]);
    assert_eq!(talk.answer(1, &reply(b"late")), reply(b"late").len());
    talk.machine.finish(1);
    talk.machine.reset(1);
    talk.go_on();
    assert_eq!((talk.told.gone.len(), talk.ended), (1, None));
}

#[test]
fn a_drained_connection_is_over_behind_its_last_answer() {
    let mut talk = Talk::new(100_000);
    let (mut asked, _) = talk.ask(get("/"), true);
    talk.machine.drain();
    talk.go_on();
    assert_eq!(talk.ended, None);
    talk.answer(1, &reply(b"well"));
    talk.machine.finish(1);
    talk.go_on();
    assert_eq!(answered(&mut asked).0, 200);
    assert_eq!(talk.ended, Some(Ended::Done));
}

#[test]
fn a_ping_is_answered() {
    let mut talk = Talk::new(100_000);
    assert!(talk.machine.ping() && !talk.machine.ping(), "one at a time");
    talk.go_on();
    assert_eq!(talk.told.pongs, 1);
    assert!(talk.machine.ping());
}

/// As an attacker says it, one frame after the other.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    let mut frame = vec![a, b, c, kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A GET of / as HPACK has it, with a field of so many bytes.
fn fields(extra: usize) -> Vec<u8> {
    // Indexed: GET, http, /; and an authority.
    let mut fields = b"\x82\x86\x84\x41\x01a".to_vec();
    if extra > 0 {
        fields.extend_from_slice(b"\0\x01x\x7f");
        let mut rest = extra - 127;
        while rest >= 128 {
            fields.push(0x80 | (rest % 128) as u8);
            rest /= 128;
        }
        fields.push(rest as u8);
        fields.resize(fields.len() + extra, b'y');
    }
    fields
}

/// Sends this over and over, some at a time, and answers why that ended.
fn attacked(mut next: impl FnMut(u32) -> Vec<u8>, answers: bool) -> Option<Ended> {
    let mut machine = Machine::new();
    machine.receive(PREFACE, 0, &mut |_| {}).expect("it begins");
    machine
        .receive(&frame(4, 0, 0, &[]), 0, &mut |_| {})
        .expect("it begins");
    for turn in 0..20_000 {
        let mut asked = Vec::new();
        let ended = machine.receive(&next(2 * turn + 1), 0, &mut |event| {
            if let Event::Question { stream, .. } = event {
                asked.push(stream);
            }
        });
        machine.left();
        assert!(machine.held() <= 2 * OUTPUT_MAX, "{}", machine.held());
        for stream in asked.into_iter().filter(|_| answers) {
            machine.answer(stream, &reply(b"well"));
            machine.finish(stream);
        }
        if ended.is_err() {
            return ended.err();
        }
    }
    None
}

#[test]
fn every_known_flood_ends() {
    let headers = |stream| frame(1, 4 + 1, stream, &fields(0));
    for (name, answers, next) in [
        ("pings", false, &mut |_| frame(6, 0, 0, &[0; 8])),
        ("settings", false, &mut |_| frame(4, 0, 0, &[])),
        ("rapid reset", false, &mut |stream| {
            [headers(stream), frame(3, 0, stream, &[0, 0, 0, 8])].concat()
        }),
        ("asks too fast", true, &mut |stream| headers(stream)),
        ("empty data", false, &mut |stream| match stream {
            1 => frame(1, 4, 1, &fields(0)),
            _ => frame(0, 0, 1, &[]),
        }),
        ("continuations", false, &mut |stream| match stream {
            1 => frame(1, 1, 1, &fields(0)),
            _ => frame(9, 0, 1, b"\0\x01x\x01y"),
        }),
        ("priorities", false, &mut |_| {
            frame(2, 0, 1, &[0, 0, 0, 0, 7])
        }),
    ] as [(&str, bool, &mut dyn FnMut(u32) -> Vec<u8>); 7]
    {
        let ended = attacked(next, answers);
        let is_over = matches!(ended, Some(Ended::Flood | Ended::Violation));
        assert!(is_over, "{name}: {ended:?}");
    }
}

#[test]
fn fields_beyond_the_bound_are_not_asked() {
    let mut machine = Machine::new();
    machine.receive(PREFACE, 0, &mut |_| {}).expect("it begins");
    machine
        .receive(&frame(4, 0, 0, &[]), 0, &mut |_| {})
        .expect("it begins");
    let bomb = frame(1, 4 + 1, 1, &fields(12_000));
    let mut told = Told::default();
    machine
        .receive(&bomb, 0, &mut |event| told.hear(event))
        .expect("the stream is refused, not all");
    assert_eq!(told, Told::default());
    // 431, by h2 itself.
    assert!(
        machine.output().windows(9).any(|it| it[3] == 1),
        "{:?}",
        machine.output()
    );
}

#[test]
fn who_sends_and_does_not_read_is_not_waited_for() {
    let mut machine = Machine::new();
    machine.receive(PREFACE, 0, &mut |_| {}).expect("it begins");
    let mut now = 0;
    // Slowly enough not to be a flood, and never read.
    let ended = (0..100_000).find_map(|_| {
        now += 100;
        machine
            .receive(&frame(6, 0, 0, &[0; 8]).repeat(20), now, &mut |_| {})
            .err()
    });
    assert_eq!(ended, Some(Ended::Deaf));
    assert!(machine.held() < 1 << 20);
}

proptest! {
    #[test]
    fn whatever_comes_nothing_panics(
        frames in prop::collection::vec(
            (0u8..11, any::<u8>(), 0u32..8, prop::collection::vec(any::<u8>(), 0..40)), 0..40),
        answers in any::<u8>(),
        cut in 1usize..200,
    ) {
        let mut bytes = PREFACE.to_vec();
        bytes.extend(frame(4, 0, 0, &[]));
        for (kind, flags, stream, payload) in frames {
            let payload = if kind == 1 { [fields(0), payload].concat() } else { payload };
            bytes.extend(frame(kind, flags, stream, &payload));
        }
        let mut machine = Machine::new();
        let mut told = Told::default();
        for bytes in bytes.chunks(cut) {
            if machine.receive(bytes, 0, &mut |event| told.hear(event)).is_err() {
                break;
            }
            for stream in (1..8).filter(|stream| answers >> stream & 1 == 1) {
                machine.answer(stream, &reply(b"well"));
                machine.finish(stream);
            }
        }
        for stream in 0..9 {
            machine.answer(stream, &reply(b"late"));
            machine.reset(stream);
        }
        prop_assert!(machine.held() < 1 << 20);
        let mut gone = told.gone.clone();
        gone.dedup();
        prop_assert_eq!(gone, told.gone);
    }
}
