//! The two planes with real threads and sockets: whatever holds the control plane up, players play on, and others join.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{io, iter};

use axum::Router;
use axum::routing::get;
use crossbeam_channel::{Receiver, Sender, bounded};
use roomcast_protocol::upgrade::{ClientKey, write_client_request};
use roomcast_protocol::v1::{List, Name, Pairs, Payload, SUBPROTOCOL, up};

use super::process::Process;
use super::{Control, Door, Place, Rights, routes};
use crate::limits::Limits;
use crate::reactor::{Address, Ask, Asker, Published, Reactor, Unasked};
use crate::shard::{Answer, Common, Question};

/// Far above what anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A page of these tests alone.
const PLANTED: &str = "/planted";

/// A relay of two reactors, of which so many run, and operators' socket.
struct World {
    common: Arc<Common>,
    published: Vec<Published>,
    addresses: Vec<Address>,
    players: SocketAddr,
    socket: PathBuf,
    control: Control,
    running: Vec<JoinHandle<io::Result<()>>>,
    /// Those that do not: whoever asks them is heard, and waits.
    _idle: Vec<Reactor>,
    _folder: tempfile::TempDir,
}

impl World {
    fn start(running: usize, planted: impl FnOnce(&[Published]) -> Router) -> Self {
        let common = Arc::new(Common::new(Limits::default(), 2));
        let (reactors, players) = Reactor::all(&common, running);
        let addresses: Vec<Address> = reactors.iter().map(Reactor::address).collect();
        let published: Vec<Published> = reactors.iter().map(Reactor::published).collect();
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("admin.sock");
        let process = Arc::new(Process {
            common: Arc::clone(&common),
            published: published.clone(),
            addresses: addresses.clone(),
            ..Process::unserved(2)
        });
        let router = routes::router(Arc::clone(&process), Arc::new(Rights::default()));
        let router = router.merge(planted(&published));
        let door = Door::open(&Place::Unix(socket.clone())).unwrap();
        let control = Control::run(vec![door], router, process).unwrap();
        let run = |reactor: Reactor| {
            let peers = addresses.clone();
            thread::spawn(move || reactor.run(peers))
        };
        let mut reactors = reactors.into_iter();
        let running = reactors.by_ref().take(running).map(run).collect();
        Self {
            common,
            published,
            addresses,
            players,
            socket,
            control,
            running,
            _idle: reactors.collect(),
            _folder: folder,
        }
    }

    /// What operators are told: the whole answer.
    fn ask(&self, path: &str) -> String {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: relay\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn end(self) {
        self.common.order_drain(0);
        self.addresses.iter().for_each(Address::wake);
        for reactor in self.running {
            reactor.join().unwrap().unwrap();
        }
        self.control.finish();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Raw,
    V1,
}

struct Player {
    stream: TcpStream,
    dialect: Dialect,
    heard: Vec<u8>,
}

impl Player {
    fn join(world: &World, dialect: Dialect, room: &str, name: &str) -> Self {
        let stream = TcpStream::connect(world.players).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut player = Self {
            stream,
            dialect,
            heard: Vec::new(),
        };
        let protocol = (dialect == Dialect::V1).then_some(SUBPROTOCOL);
        let key = ClientKey::from_bytes([7; 16]);
        let mut request = Vec::new();
        let path = format!("/rooms/{room}");
        write_client_request(&mut request, "localhost", &path, &key, protocol, &[]);
        player.stream.write_all(&request).unwrap();
        player.hears("HTTP/1.1 101");
        player.hears("\r\n\r\n");
        if dialect == Dialect::V1 {
            player.sends(up::Packet::Join(up::Join {
                minor: 0,
                mode: up::Mode::Any,
                back: None,
                name: Name::new(name).unwrap(),
                properties: List::EMPTY,
                wishes: Pairs::EMPTY,
            }));
            player.hears(name);
        }
        player
    }

    fn sends(&mut self, packet: up::Packet<'_>) {
        let mut message = Vec::new();
        packet.encode(&mut message);
        self.frame(0x82, &message);
    }

    /// One short frame, masked with zeroes.
    fn frame(&mut self, first: u8, payload: &[u8]) {
        assert!(payload.len() < 126);
        let head = [first, 0x80 | payload.len() as u8, 0, 0, 0, 0];
        self.stream.write_all(&[&head, payload].concat()).unwrap();
    }

    fn says(&mut self, text: &str) {
        match self.dialect {
            Dialect::Raw => self.frame(0x81, text.as_bytes()),
            Dialect::V1 => self.sends(up::Packet::Event {
                term: None,
                to: up::Audience::Others,
                droppable: false,
                payload: Payload::Text(text),
            }),
        }
    }

    /// Reads until this has come, and lets go of what stands before it.
    fn hears(&mut self, text: &str) {
        loop {
            let mut windows = self.heard.windows(text.len());
            if let Some(at) = windows.position(|window| window == text.as_bytes()) {
                self.heard.drain(..at + text.len());
                return;
            }
            let mut bytes = [0; 4096];
            let count = self.stream.read(&mut bytes).expect("it comes in time");
            assert_ne!(count, 0, "the connection ended before {text:?}");
            self.heard.extend_from_slice(&bytes[..count]);
        }
    }
}

/// Pairs in rooms of both dialects, of both reactors by all odds.
struct Playing {
    pairs: Vec<(String, [Player; 2])>,
    said: u32,
}

impl Playing {
    fn begin(world: &World) -> Self {
        let rooms = (0..4).flat_map(|n| [(Dialect::Raw, n), (Dialect::V1, n)]);
        let pairs = rooms.map(|(dialect, n)| {
            let room = format!("{dialect:?}-{n}");
            let join = |name| Player::join(world, dialect, &room, name);
            let pair = [join("Ada"), join("Bob")];
            (room, pair)
        });
        Self {
            pairs: pairs.collect(),
            said: 0,
        }
    }

    /// Nothing that is said is lost, and whoever comes hears it too.
    fn goes_on(&mut self, world: &World) {
        for (room, [one, two]) in &mut self.pairs {
            let mut newcomer = Player::join(world, one.dialect, room, "Cleo");
            for _ in 0..5 {
                self.said += 1;
                let text = format!("message {};", self.said);
                one.says(&text);
                two.hears(&text);
                newcomer.hears(&text);
            }
        }
    }
}

/// A page that stands still until it is told to go on; whoever is told when it stands.
fn standing(published: Option<Vec<Published>>) -> (Router, Receiver<()>, Sender<()>) {
    let (stands, standing) = bounded(1);
    let (go_on, goes_on) = bounded::<()>(1);
    let stop = get(move || async move {
        let held: Vec<_> = published.iter().flatten().map(|one| one.lock()).collect();
        stands.send(()).unwrap();
        // The whole runtime waits: there is one thread.
        goes_on.recv_timeout(2 * PATIENCE).unwrap();
        drop(held);
        "on again"
    });
    (Router::new().route(PLANTED, stop), standing, go_on)
}

/// Players go on while a page stands still, which holds these locks or none.
fn while_it_stands(locks: bool) {
    let (mut standing_at, mut go_on) = (None, None);
    let world = World::start(2, |published| {
        let locks = locks.then(|| published.to_vec());
        let (router, stands, on) = standing(locks);
        (standing_at, go_on) = (Some(stands), Some(on));
        router
    });
    let mut playing = Playing::begin(&world);
    thread::scope(|scope| {
        let asked = scope.spawn(|| world.ask(PLANTED));
        standing_at.unwrap().recv_timeout(PATIENCE).unwrap();
        playing.goes_on(&world);
        let mut stream = UnixStream::connect(&world.socket).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(1)))
            .unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: relay\r\n\r\n").unwrap();
        let unheard = stream.read(&mut [0]).unwrap_err().kind();
        assert!(
            [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&unheard),
            "it stands"
        );
        go_on.unwrap().send(()).unwrap();
        assert!(asked.join().unwrap().ends_with("on again"));
    });
    assert!(world.ask("/metrics").starts_with("HTTP/1.1 200"));
    assert_eq!(world.published.len(), 2);
    drop(playing);
    world.end();
}

#[test]
fn while_the_control_plane_stands_still_players_play_on_and_join() {
    while_it_stands(false);
}

/// What reactors publish is all that both planes lock.
#[test]
fn while_it_holds_what_both_planes_share_players_play_on_and_join() {
    while_it_stands(true);
}

struct Nobody;

impl Asker for Nobody {
    fn is_gone(&self) -> bool {
        false
    }

    fn hear(self: Box<Self>, _: Answer) {}
}

#[test]
fn while_all_lanes_are_full_players_play_on_and_join() {
    let world = World::start(2, |_| Router::new());
    let mut playing = Playing::begin(&world);
    let (over, full) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        for address in &world.addresses {
            let (over, full) = (&over, &full);
            scope.spawn(move || {
                let ask = || Ask {
                    question: Question::Rooms(0),
                    asker: Box::new(Nobody),
                };
                let asked = iter::repeat_with(|| address.ask(ask()));
                for unasked in asked.take_while(|_| !over.load(Ordering::Relaxed)) {
                    if unasked == Err(Unasked::Full) {
                        full.store(true, Ordering::Relaxed);
                        thread::yield_now();
                    }
                }
            });
        }
        playing.goes_on(&world);
        over.store(true, Ordering::Relaxed);
    });
    assert!(full.load(Ordering::Relaxed), "they were full");
    drop(playing);
    world.end();
}

#[test]
fn a_reactor_that_stands_still_is_named_and_the_others_answer() {
    let world = World::start(1, |_| Router::new());
    let late = world.ask("/v1/rooms?from=1.0");
    assert!(late.starts_with("HTTP/1.1 504 "), "{late}");
    assert!(late.contains("reactor 1 did not answer in time"), "{late}");
    assert!(world.ask("/v1/rooms").starts_with("HTTP/1.1 200 "));
    let text = world.ask("/metrics");
    assert!(
        text.contains("roomcast_control_unanswered_total{kind=\"late\"} 1"),
        "{text}"
    );
    world.end();
}
