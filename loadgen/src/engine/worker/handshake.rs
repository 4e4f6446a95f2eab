//! How clients get in: TCP, the upgrade (TLS, which may be between, is `secure`'s), and those that take too long.

use std::io::Read;
use std::sync::Arc;

use mio::event::Event;
use roomcast_protocol::upgrade::{self, ClientError, ClientKey};

use super::ramp::Turn;
use super::{Stage, Worker};
use crate::engine::client::{Phase, Upgrading};
use crate::engine::clock::{Nanos, nanos};
use crate::engine::link::{self, Gauges};
use crate::engine::session::Speech;
use crate::engine::socket::{self, Failure};
use crate::engine::tls::Security;
use crate::engine::wire::{open_and_answer, write_whole};

impl Worker {
    /// Opens the connections whose time has come.
    pub(super) fn ramp_up(&mut self) {
        while let Some(turn) = self.ramp.pop(self.io.now()) {
            match turn {
                Turn::Forfeit => self.count_failure(&Failure::NotTried),
                // Who was in before, and is not any more, had its turn.
                Turn::Of(index) if self.clients[index as usize].attempt > 0 => {}
                Turn::Of(index) => self.connect(index),
            }
            self.ramped();
        }
    }

    /// Says so, once, when every client is in or has failed.
    fn ramped(&mut self) {
        if self.ramp.is_just_over() {
            self.tell(link::Event::Ramped);
        }
    }

    /// Begins to connect a client that is away.
    pub(super) fn connect(&mut self, index: u32) {
        let Some(address) = self.ramp.address else {
            return;
        };
        let now = self.io.tick();
        let client = &mut self.clients[index as usize];
        client.attempt = client.attempt.wrapping_add(1);
        let timeout = nanos(self.settings.scenario.handshake_timeout);
        let deadline = now.saturating_add(timeout);
        self.ramp.deadlines.set(deadline, index, client);
        client.phase = Phase::Connecting(now);
        self.ramp.under_way += 1;
        let connecting = socket::connect(address, client.plan.source, client.plan.role);
        let registered = connecting.and_then(|mut stream| {
            self.io.register(&mut stream, index)?;
            Ok(stream)
        });
        match registered {
            Ok(stream) => client.stream = Some(stream),
            Err(error) => self.failed(index, error.into()),
        }
    }

    /// A client that is not in yet has an event.
    pub(super) fn advance(&mut self, index: u32, event: &Event) {
        let client = &self.clients[index as usize];
        match client.phase {
            Phase::Connecting(since) if event.is_writable() || event.is_error() => {
                let Some(stream) = &client.stream else { return };
                match socket::is_connected(stream) {
                    Ok(true) => self.connected(index, since),
                    Ok(false) => {}
                    Err(error) => self.failed(index, error.into()),
                }
            }
            Phase::Securing { .. } => self.read_handshake(index),
            Phase::Upgrading(_) => self.read_answer(index),
            _ => {}
        }
    }

    fn connected(&mut self, index: u32, since: Nanos) {
        let now = self.io.tick();
        if self.stage == Stage::Quiet {
            self.ramp.connect.record(now - since);
        }
        let settings = Arc::clone(&self.settings);
        match &settings.secure {
            None => self.request(index, since),
            Some(secure) => self.begin_securing(index, secure, since),
        }
    }

    /// The transport is ready: asks for the upgrade.
    pub(super) fn request(&mut self, index: u32, connecting_since: Nanos) {
        let scenario = &self.settings.scenario;
        let client = &mut self.clients[index as usize];
        let number = self.rooms[client.plan.room as usize].number;
        let room = scenario.room_of(number);
        let key = ClientKey::from_bytes(self.random.u128(..).to_le_bytes());
        let extra = scenario.request.headers.iter();
        let extra: Vec<_> = extra
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let out = &mut self.traffic.writing.out;
        out.clear();
        upgrade::write_client_request(
            out,
            &scenario.target.host_field(),
            &scenario.target.path_of(&room),
            &key,
            scenario.subprotocol(),
            &extra,
        );
        client.phase = Phase::Upgrading(Box::new(Upgrading {
            connecting_since,
            since: self.io.now(),
            key,
            answer: Vec::new(),
        }));
        let Some(stream) = &mut client.stream else {
            return;
        };
        let written = match &mut client.security {
            Security::Plain => write_whole(stream, out),
            Security::Tls(tls) => {
                let sealed = &mut self.io.sealed;
                sealed.clear();
                tls.seal(out, sealed)
                    .map_err(Failure::Tls)
                    .and_then(|()| write_whole(stream, sealed))
            }
        };
        match written {
            Ok(()) => self.read_answer(index),
            Err(failure) => self.failed(index, failure),
        }
    }

    fn read_answer(&mut self, index: u32) {
        loop {
            let client = &mut self.clients[index as usize];
            let (Phase::Upgrading(upgrading), Some(stream)) =
                (&mut client.phase, &mut client.stream)
            else {
                return;
            };
            let read = match stream.read(&mut self.io.buffer) {
                Ok(0) if client.security.is_cut_short() => {
                    return self.failed(index, Failure::Truncated);
                }
                Ok(0) => return self.failed(index, Failure::Ended),
                Ok(read) => read,
                Err(error) => match error.kind() {
                    std::io::ErrorKind::WouldBlock => return,
                    std::io::ErrorKind::Interrupted => continue,
                    _ => return self.failed(index, error.into()),
                },
            };
            if let Security::Tls(tls) = &mut client.security {
                let io = &mut self.io;
                let input = &mut io.buffer[..read];
                let answered = open_and_answer(stream, tls, input, &mut io.text, &mut io.sealed);
                upgrading.answer.extend_from_slice(&io.text);
                if let Err(failure) = answered {
                    return self.failed(index, failure);
                }
            } else {
                upgrading.answer.extend_from_slice(&self.io.buffer[..read]);
            }
            let offered = self.settings.scenario.subprotocol();
            match upgrade::parse_client_response(&upgrading.answer, &upgrading.key, offered) {
                Ok(None) => {}
                Ok(Some(len)) => return self.upgraded(index, len),
                Err(ClientError::Status(400)) if self.tls_is_wanted(index) => {
                    return self.failed(index, Failure::TlsWanted);
                }
                Err(error) => {
                    let failure = self.redirected(index, error);
                    return self.failed(index, failure.unwrap_or(Failure::Upgrade(error)));
                }
            }
        }
    }

    /// Where an answer that is not the 101 sends the client, if it does.
    fn redirected(&self, index: u32, error: ClientError) -> Option<Failure> {
        let client = &self.clients[index as usize];
        let (ClientError::Status(status), Phase::Upgrading(upgrading)) = (error, &client.phase)
        else {
            return None;
        };
        let location = upgrade::redirect_location(&upgrading.answer)?;
        // The same for every room, as far as it is.
        let number = self.rooms[client.plan.room as usize].number;
        let room = self.settings.scenario.room_of(number);
        Some(Failure::Redirected(
            status,
            location.replace(&room, "{room}"),
        ))
    }

    /// Whether a plain request was answered with the advice to speak TLS.
    fn tls_is_wanted(&self, index: u32) -> bool {
        let client = &self.clients[index as usize];
        let (Phase::Upgrading(upgrading), Security::Plain) = (&client.phase, &client.security)
        else {
            return false;
        };
        let answer = String::from_utf8_lossy(&upgrading.answer);
        ["TLS", "HTTPS", "https://", "wss://"]
            .iter()
            .any(|word| answer.contains(word))
    }

    /// The 101 is here, `len` bytes of what was read.
    fn upgraded(&mut self, index: u32, len: usize) {
        let now = self.io.tick();
        let client = &mut self.clients[index as usize];
        let Phase::Upgrading(upgrading) = std::mem::replace(&mut client.phase, Phase::Away) else {
            return;
        };
        let times = (upgrading.connecting_since, upgrading.since);
        let is_in = matches!(client.speech, Speech::Raw);
        if is_in {
            self.joined(index, times);
        } else {
            self.greet(index, times);
        }
        let mut behind = upgrading.answer;
        self.frames(index, &mut behind[len..], now);
        // The read that brought the 101 may have been cut short by the size of the buffer.
        let client = &mut self.clients[index as usize];
        self.io.read_later(index, client);
        if is_in {
            self.entered(Ok(()));
        }
    }

    /// The client is in its room, asked for at `since`.
    pub(super) fn joined(&mut self, index: u32, (connecting_since, since): (Nanos, Nanos)) {
        let now = self.io.now();
        let client = &mut self.clients[index as usize];
        let (room, member) = (client.plan.room, client.plan.member);
        client.phase = Phase::Joined;
        self.ramp.under_way -= 1;
        self.present.enter(client);
        let plays = client.speech.session().map(|session| session.settle());
        if self.stage == Stage::Quiet {
            self.ramp.join.record(now - since);
            self.ramp.connections.joined += 1;
        } else {
            self.ramp.rejoin.record(now - connecting_since);
            self.ramp.connections.rejoins += 1;
            // A player's welcome has said so, and what came behind it is judged already.
            if plays.is_none() {
                self.traffic.ledger.rejoined(room, member);
                self.traffic.values.ledger.rejoined(room, member);
            }
        }
    }

    /// A client did not get in.
    pub(super) fn failed(&mut self, index: u32, failure: Failure) {
        self.ramp.under_way -= 1;
        if self.clients[index as usize].speech.is_lost() {
            return self.not_back(index, &failure);
        }
        self.clients[index as usize].reset();
        if self.stage != Stage::Quiet {
            self.ramp.connections.rejoins_failed += 1;
        } else if self.ramp.is_paced() {
            self.count_failure(&failure);
        }
        self.entered(Err(failure));
    }

    pub(super) fn entered(&mut self, result: Result<(), Failure>) {
        if self.ramp.is_at_the_first() && self.stage == Stage::Quiet {
            self.tell(link::Event::First(result));
        }
        self.ramped();
    }

    fn count_failure(&mut self, failure: &Failure) {
        self.ramp.count_failure(failure);
        let failed = self.ramp.connections.failed_total();
        Gauges::set(&self.ends.gauges.failed, failed);
    }

    /// Ends the handshakes and leaves that take too long.
    pub(super) fn time_out(&mut self) {
        while let Some(index) = self.ramp.deadlines.pop(self.io.now(), &self.clients) {
            if self.clients[index as usize].phase.is_entering() {
                self.failed(index, Failure::TimedOut);
            }
        }
        while let Some(index) = self.endings.deadlines.pop(self.io.now(), &self.clients) {
            if matches!(self.clients[index as usize].phase, Phase::Leaving { .. }) {
                self.left(index, false);
            }
        }
    }
}
