//! Mail between reactors: what `reactor::Address::send` is made of (a bounded crossbeam channel, then mio's waker).
//!
//! The channel costs nanoseconds, the waker a system call: which is why a connection changes its reactor at most once
//! in its life.

use std::hint::black_box;
use std::io::ErrorKind;
use std::sync::Arc;
use std::thread;

use criterion::{BenchmarkId, Criterion};
use crossbeam_channel::{Receiver, Sender, bounded};
use mio::{Events, Poll, Token, Waker};
use roomcast::limits::MAILBOX_CAPACITY;
use roomcast::reactor::Mail;

struct Mailbox {
    poll: Poll,
    events: Events,
    address: Address,
    mail: Receiver<Mail<()>>,
}

#[derive(Clone)]
struct Address {
    sender: Sender<Mail<()>>,
    waker: Arc<Waker>,
}

impl Address {
    fn put(&self, number: usize) {
        let mail = black_box(Mail::Accepted {
            socket: (),
            door: number,
            peer: None,
        });
        self.sender.try_send(mail).expect("there is room");
    }

    fn wake(&self) {
        self.waker.wake().expect("the poll lives");
    }

    fn send(&self, number: usize) {
        self.put(number);
        self.wake();
    }
}

impl Mailbox {
    fn new() -> Self {
        let poll = Poll::new().expect("a descriptor is free");
        let waker = Waker::new(poll.registry(), Token(0)).expect("a descriptor is free");
        let (sender, mail) = bounded(MAILBOX_CAPACITY);
        Self {
            poll,
            events: Events::with_capacity(16),
            address: Address {
                sender,
                waker: Arc::new(waker),
            },
            mail,
        }
    }

    fn address(&self) -> Address {
        self.address.clone()
    }

    fn wait(&mut self) -> Mail<()> {
        loop {
            if let Ok(mail) = self.mail.try_recv() {
                return mail;
            }
            match self.poll.poll(&mut self.events, None) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => other.expect("the poll works"),
            }
        }
    }
}

/// Both ends on one thread: the price of each part.
pub(crate) fn send(c: &mut Criterion) {
    let mut group = c.benchmark_group("mailbox");
    let mailbox = Mailbox::new();
    group.bench_function(BenchmarkId::new("roomcast", 1), |b| {
        b.iter(|| {
            mailbox.address.send(1);
            mailbox.mail.try_recv().expect("there is mail")
        });
    });
    group.bench_function(BenchmarkId::new("channel alone", 1), |b| {
        b.iter(|| {
            mailbox.address.put(1);
            mailbox.mail.try_recv().expect("there is mail")
        });
    });
    group.bench_function(BenchmarkId::new("waker alone", 1), |b| {
        b.iter(|| mailbox.address.wake());
    });
}

/// There and back between two threads that sleep in `poll`, as reactors do.
pub(crate) fn round_trip(c: &mut Criterion) {
    let mut group = c.benchmark_group("mailbox_round_trip");
    group.bench_function(BenchmarkId::new("roomcast", 1), |b| {
        let (mut here, mut there) = (Mailbox::new(), Mailbox::new());
        let (to_here, to_there) = (here.address(), there.address());
        thread::scope(|scope| {
            scope.spawn(move || {
                while let Mail::Accepted { door: 1, .. } = there.wait() {
                    to_here.send(1);
                }
            });
            b.iter(|| {
                to_there.send(1);
                here.wait()
            });
            to_there.send(0);
        });
    });
}
