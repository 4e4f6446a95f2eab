//! The smallest relay of roomcast.v1 from which players can resume, and the faults that it can be told to make there.
//!
//! Owns a listener and a thread for each connection. Must not know the engine.
//! Invariant: what it did wrong is counted where it does it, so that a test can demand the very same number.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use roomcast_protocol::close::CloseCode;
use roomcast_protocol::frame::{self, Decoder, Item, Opcode, Role, Rules};
use roomcast_protocol::upgrade::{self, RequestKind};
use roomcast_protocol::v1::down::{Packet, Welcome};
use roomcast_protocol::v1::up::{self, Audience, Join};
use roomcast_protocol::v1::{Life, Pairs, PlayerId, SUBPROTOCOL, Token, write_varint};

/// What to do wrong when a player comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The first event that it missed is not sent again.
    Lose,
    /// The last event that it had is sent again.
    Double,
    /// The last event of its own counts as not applied, so that it is applied twice.
    Unapply,
    /// It is told to begin anew, and rightly misses what it missed.
    Reset,
}

/// A relay that runs until the process ends.
pub struct Relay {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    rooms: HashMap<String, Room>,
    faults: u64,
}

#[derive(Default)]
struct Room {
    /// Who said it, and the packet.
    log: Vec<(PlayerId, Vec<u8>)>,
    players: Vec<Player>,
}

struct Player {
    stream: Option<TcpStream>,
    /// Of which connection.
    connection: u64,
    applied: u64,
    /// How much of the log it has been given.
    given: usize,
}

impl Relay {
    /// Makes `fault` whenever a player comes back for whom there is something to do wrong.
    pub fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for (connection, stream) in (0..).zip(listener.incoming().flatten()) {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, connection, &state, fault));
            }
        });
        Self { address, state }
    }

    /// How many faults it has made.
    pub fn faults(&self) -> u64 {
        lock(&self.state).faults
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut stream: TcpStream, connection: u64, state: &Mutex<State>, fault: Fault) {
    let _ = stream.set_nodelay(true);
    let Some((name, mut input)) = handshake(&mut stream) else {
        return;
    };
    let rules = Rules {
        role: Role::Server,
        max_message: 1 << 20,
    };
    let mut decoder = Decoder::default();
    let mut buffer = vec![0; 64 * 1024];
    let mut me = None;
    'connection: loop {
        let mut rest = &mut input[..];
        while let Ok(Some(item)) = decoder.next(&rules, &mut rest) {
            match item {
                Item::Message { payload, .. } => {
                    let mut state = lock(state);
                    let State { rooms, faults } = &mut *state;
                    let room = rooms.entry(name.clone()).or_default();
                    for packet in up::decode(payload).expect("packets") {
                        room.hear(&mut me, packet.expect("a packet"), fault, faults, || {
                            (stream.try_clone().expect("a descriptor"), connection)
                        });
                    }
                }
                Item::Close { .. } => {
                    let mut bytes = Vec::new();
                    frame::encode_close(&mut bytes, CloseCode::NORMAL, "", None);
                    let _ = stream.write_all(&bytes);
                    break 'connection;
                }
                Item::Ping(_) | Item::Pong(_) => {}
            }
        }
        match stream.read(&mut buffer) {
            Ok(read) if read > 0 => input = buffer[..read].to_vec(),
            _ => break,
        }
    }
    if let Some(me) = me
        && let Some(room) = lock(state).rooms.get_mut(&name)
        && room.players[me].connection == connection
    {
        room.players[me].stream = None;
    }
    let _ = stream.shutdown(std::net::Shutdown::Both);
}

fn handshake(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    let end = loop {
        let read = stream.read(&mut buffer).ok().filter(|&read| read > 0)?;
        head.extend_from_slice(&buffer[..read]);
        if let Some(end) = upgrade::find_head_end(&head, 0).ok()? {
            break end;
        }
    };
    let request = upgrade::parse_request(&head[..end]).ok()?;
    let RequestKind::Upgrade(upgrade) = &request.kind else {
        return None;
    };
    let mut answer = Vec::new();
    upgrade::write_accept(&mut answer, &upgrade.accept, Some(SUBPROTOCOL));
    stream.write_all(&answer).ok()?;
    Some((request.path.to_string(), head[end..].to_vec()))
}

/// A token says whose it is.
fn id_of(me: usize) -> PlayerId {
    PlayerId::new(me as u32 + 1).expect("not 0")
}

impl Room {
    fn hear(
        &mut self,
        me: &mut Option<usize>,
        packet: up::Packet<'_>,
        fault: Fault,
        faults: &mut u64,
        link: impl FnOnce() -> (TcpStream, u64),
    ) {
        match (packet, *me) {
            (up::Packet::Join(join), None) => *me = Some(self.join(&join, fault, faults, link())),
            (
                up::Packet::Event {
                    to: Audience::Others,
                    payload,
                    ..
                },
                Some(me),
            ) => {
                let author = id_of(me);
                let mut event = Vec::new();
                Packet::Event {
                    author,
                    payload,
                    by_host: false,
                    addressed: false,
                }
                .encode(&mut event);
                self.log.push((author, event));
                self.players[me].applied += 1;
                for player in 0..self.players.len() {
                    self.give(player);
                }
            }
            (up::Packet::Leave, Some(me)) => self.players[me].stream = None,
            (up::Packet::Ping { .. }, Some(_)) => {}
            (other, _) => panic!("{other:?}"),
        }
    }

    fn join(
        &mut self,
        join: &Join<'_>,
        fault: Fault,
        faults: &mut u64,
        (stream, connection): (TcpStream, u64),
    ) -> usize {
        let (stream, end) = (Some(stream), self.log.len());
        let Some(back) = join.back else {
            self.players.push(Player {
                stream,
                connection,
                applied: 0,
                given: end,
            });
            let me = self.players.len() - 1;
            self.welcome(me, &[]);
            return me;
        };
        let me = usize::from(back.token.0[0]) - 1;
        let cursor = back.cursor.expect("it names its cursor").seq as usize;
        let player = &mut self.players[me];
        (player.stream, player.connection, player.given) = (stream, connection, cursor);
        let author = id_of(me);
        let is_for_me = |at: &usize| self.log[*at].0 != author;
        let mut first = Vec::new();
        let mut applied = player.applied;
        match fault {
            Fault::None => {}
            Fault::Reset => {
                let mut reset = Vec::new();
                Packet::Reset { reason: 2 }.encode(&mut reset);
                *faults += 1;
                self.players[me].given = end;
                self.welcome(me, &reset);
                return me;
            }
            Fault::Lose => {
                if let Some(lost) = (cursor..end).find(is_for_me) {
                    player.given = lost + 1;
                    *faults += 1;
                }
            }
            Fault::Double => {
                if let Some(last) = (0..cursor).rev().find(is_for_me) {
                    first.clone_from(&self.log[last].1);
                    *faults += 1;
                }
            }
            Fault::Unapply => {
                if applied > 0 {
                    applied -= 1;
                    player.applied = applied;
                    *faults += 1;
                }
            }
        }
        let mut packets = Vec::new();
        Packet::Resumed { applied, time: 0 }.encode(&mut packets);
        packets.append(&mut first);
        // What is skipped is covered all the same.
        let skipped = self.players[me].given - cursor;
        self.players[me].given = cursor;
        self.send(me, skipped, &packets);
        self.give(me);
        me
    }

    fn welcome(&mut self, me: usize, before: &[u8]) {
        let mut packets = before.to_vec();
        let mut token = [0; 16];
        token[0] = me as u8 + 1;
        Packet::Welcome(Welcome {
            created: false,
            minor: 0,
            capabilities: 0,
            life: Life([7; 8]),
            id: id_of(me),
            token: Token(token),
            seq: self.players[me].given as u64,
            applied: self.players[me].applied,
            time: 0,
            limits: Pairs::EMPTY,
        })
        .encode(&mut packets);
        Packet::Settings(Pairs::EMPTY).encode(&mut packets);
        Packet::Ready.encode(&mut packets);
        self.send(me, 0, &packets);
    }

    /// All that a player has not been given.
    fn give(&mut self, to: usize) {
        let covered = self.log.len() - self.players[to].given;
        if covered == 0 {
            return;
        }
        let mut packets = Vec::new();
        for (author, event) in &self.log[self.players[to].given..] {
            if *author != id_of(to) {
                packets.extend_from_slice(event);
            }
        }
        self.send(to, covered, &packets);
    }

    fn send(&mut self, to: usize, covered: usize, packets: &[u8]) {
        let player = &mut self.players[to];
        let Some(stream) = &mut player.stream else {
            return;
        };
        let mut message = Vec::new();
        write_varint(&mut message, covered as u64);
        message.extend_from_slice(packets);
        let mut whole = Vec::new();
        frame::encode(&mut whole, Opcode::Binary, &message);
        player.given += covered;
        // Who is gone notices by itself.
        let _ = stream.write_all(&whole);
    }
}
