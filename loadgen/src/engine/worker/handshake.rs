//! How clients get in: the ramp, TCP, the upgrade (TLS, which may be between, is `secure`'s).

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;

use mio::event::Event;
use mio::{Interest, Token};
use roomcast_protocol::upgrade::{self, ClientError, ClientKey};

use super::secure::{open_and_answer, write_whole};
use super::{Stage, Worker};
use crate::engine::client::{Phase, Upgrading};
use crate::engine::clock::{Nanos, nanos};
use crate::engine::link::{self, Gauges};
use crate::engine::schedule::Period;
use crate::engine::socket::{self, Failure};
use crate::engine::tls::Security;

/// Failures of one thread after which it opens no further connections: this many, or a tenth of
/// its clients if that is more.
const FAILURES_MAX: u64 = 16;

/// The opening of a thread's connections.
#[derive(Debug)]
pub(super) struct Ramp {
    start: Nanos,
    period: Period,
    /// The next client, and of how many.
    next: usize,
    concurrent: usize,
}

impl Worker {
    /// Opens the connections whose time has come.
    pub(super) fn ramp_up(&mut self) {
        while self.ramp_due() <= self.now {
            let Some(ramp) = &mut self.ramp else { return };
            let client = ramp.next;
            ramp.next += 1;
            let limit = FAILURES_MAX.max(self.clients.len() as u64 / 10);
            if self.connections.failed_total() > limit {
                self.count_failure(&Failure::NotTried);
            } else if self.clients[client].attempt == 0 {
                // Who was in before, and is not any more, had its turn.
                self.connect(client as u32);
            }
            self.ramped();
        }
    }

    /// When the next connection is to be opened; `Nanos::MAX`: not now.
    pub(super) fn ramp_due(&self) -> Nanos {
        match &self.ramp {
            Some(ramp) if ramp.next < self.clients.len() && self.under_way < ramp.concurrent => {
                let all = ramp.next * self.settings.threads + self.index;
                ramp.start + ramp.period.offset(all as u64)
            }
            _ => Nanos::MAX,
        }
    }

    pub(super) fn begin_ramp(&mut self, address: SocketAddr, start: Nanos) {
        let scenario = &self.settings.scenario;
        self.address = Some(address);
        self.ramp = Some(Ramp {
            start,
            period: Period::of_rate(scenario.connect_rate),
            next: 0,
            concurrent: scenario.connect_concurrency.div_ceil(self.settings.threads),
        });
    }

    /// Says so, once, when every client is in or has failed.
    fn ramped(&mut self) {
        if let Some(ramp) = &self.ramp
            && ramp.next == self.clients.len()
            && self.under_way == 0
        {
            self.ramp = None;
            self.tell(link::Event::Ramped);
        }
    }

    /// Begins to connect a client that is away.
    pub(super) fn connect(&mut self, index: u32) {
        let Some(address) = self.address else { return };
        let now = self.settings.clock.now();
        self.now = now;
        let client = &mut self.clients[index as usize];
        client.attempt = client.attempt.wrapping_add(1);
        let timeout = nanos(self.settings.scenario.handshake_timeout);
        self.handshakes
            .push_back((now.saturating_add(timeout), index, client.attempt));
        client.phase = Phase::Connecting(now);
        self.under_way += 1;
        let registered = socket::connect(address, client.plan.source, client.plan.role).and_then(
            |mut stream| {
                let interest = Interest::READABLE | Interest::WRITABLE;
                let token = Token(index as usize);
                self.poll
                    .registry()
                    .register(&mut stream, token, interest)?;
                Ok(stream)
            },
        );
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
        let now = self.settings.clock.now();
        self.now = now;
        if self.stage == Stage::Quiet {
            self.connect.record(now - since);
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
        self.out.clear();
        upgrade::write_client_request(
            &mut self.out,
            &scenario.target.host_field(),
            &scenario.target.path_of(&room),
            &key,
            scenario.request.subprotocol.as_deref(),
            &extra,
        );
        client.phase = Phase::Upgrading(Box::new(Upgrading {
            connecting_since,
            since: self.now,
            key,
            answer: Vec::new(),
        }));
        let Some(stream) = &mut client.stream else {
            return;
        };
        let written = match &mut client.security {
            Security::Plain => write_whole(stream, &self.out),
            Security::Tls(tls) => {
                self.sealed.clear();
                let sealed = tls.seal(&self.out, &mut self.sealed);
                sealed
                    .map_err(Failure::Tls)
                    .and_then(|()| write_whole(stream, &self.sealed))
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
            let read = match stream.read(&mut self.buffer) {
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
                let input = &mut self.buffer[..read];
                let answered =
                    open_and_answer(stream, tls, input, &mut self.text, &mut self.sealed);
                upgrading.answer.extend_from_slice(&self.text);
                if let Err(failure) = answered {
                    return self.failed(index, failure);
                }
            } else {
                upgrading.answer.extend_from_slice(&self.buffer[..read]);
            }
            let offered = self.settings.scenario.request.subprotocol.as_deref();
            match upgrade::parse_client_response(&upgrading.answer, &upgrading.key, offered) {
                Ok(None) => {}
                Ok(Some(len)) => return self.joined(index, len),
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
    fn joined(&mut self, index: u32, len: usize) {
        let now = self.settings.clock.now();
        self.now = now;
        let client = &mut self.clients[index as usize];
        let Phase::Upgrading(upgrading) = std::mem::replace(&mut client.phase, Phase::Joined)
        else {
            return;
        };
        let (room, member) = (client.plan.room, client.plan.member);
        let healthy = client.is_healthy();
        self.under_way -= 1;
        self.joined += 1;
        self.joined_healthy += usize::from(healthy);
        if self.stage == Stage::Quiet {
            self.join.record(now - upgrading.since);
            self.connections.joined += 1;
        } else {
            self.rejoin.record(now - upgrading.connecting_since);
            self.connections.rejoins += 1;
            self.ledger.rejoined(room, member);
        }
        let mut behind = upgrading.answer;
        self.frames(index, &mut behind[len..], now);
        // The read that brought the 101 may have been cut short by the size of the buffer.
        self.read_later(index);
        self.entered(Ok(()));
    }

    /// A client did not get in.
    pub(super) fn failed(&mut self, index: u32, failure: Failure) {
        self.clients[index as usize].reset();
        self.under_way -= 1;
        if self.stage != Stage::Quiet {
            self.connections.rejoins_failed += 1;
        } else if self.ramp.is_some() {
            self.count_failure(&failure);
        }
        self.entered(Err(failure));
    }

    fn entered(&mut self, result: Result<(), Failure>) {
        if self.address.is_some() && self.ramp.is_none() && self.stage == Stage::Quiet {
            self.tell(link::Event::First(result));
        }
        self.ramped();
    }

    fn count_failure(&mut self, failure: &Failure) {
        self.connections.refused += u64::from(failure.is_refusal());
        *self
            .connections
            .failed
            .entry(failure.to_string())
            .or_default() += 1;
        Gauges::set(&self.ends.gauges.failed, self.connections.failed_total());
    }

    /// Ends the handshakes and leaves that take too long.
    pub(super) fn time_out(&mut self) {
        while let Some(&(deadline, index, attempt)) = self.handshakes.front()
            && deadline <= self.now
        {
            self.handshakes.pop_front();
            let client = &self.clients[index as usize];
            if client.attempt == attempt && client.phase.is_entering() {
                self.failed(index, Failure::TimedOut);
            }
        }
        while let Some(&(deadline, index, attempt)) = self.leaves.front()
            && deadline <= self.now
        {
            self.leaves.pop_front();
            let client = &self.clients[index as usize];
            if client.attempt == attempt && matches!(client.phase, Phase::Leaving { .. }) {
                self.left(index, false);
            }
        }
    }
}
