//! How deliveries come in.

use std::io::{self, Read};

use mio::event::Event;
use roomcast_protocol::close::CloseCode;
use roomcast_protocol::frame::{self, Item};
use roomcast_protocol::v1::client::Violation;

use super::hear::{Ear, News};
use super::io::RECEIVE_BUFFER;
use super::traffic::Traffic;
use super::{SENDS_PER_READ, Worker};
use crate::engine::client::Phase;
use crate::engine::clock::Nanos;
use crate::engine::session::Speech;
use crate::engine::tls::Security;

/// What a close frame without a code is counted as (RFC 6455 section 7.4.1).
const NO_CODE: u16 = 1005;

/// What frames asked for.
enum Asked {
    Nothing,
    /// There are pongs to write.
    Flush,
    /// The server closes, with this code.
    Close(CloseCode),
    /// The server broke the protocol.
    Violation(frame::Violation),
    /// The server broke `roomcast.v1`.
    Breach(Violation),
}

impl Worker {
    /// A client's socket has an event.
    #[inline]
    pub(super) fn ready(&mut self, index: u32, event: &Event) {
        let client = &mut self.clients[index as usize];
        match client.phase {
            Phase::Joined | Phase::Leaving { .. } | Phase::Greeting { .. } => {
                if event.is_read_closed() || event.is_error() {
                    client.ending = true;
                    self.io.resume(index, client);
                }
                if event.is_writable() && self.clients[index as usize].blocked {
                    self.flush(index);
                }
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    self.read(index);
                }
            }
            Phase::Away => {}
            Phase::Connecting(_) | Phase::Securing { .. } | Phase::Upgrading(_) => {
                self.advance(index, event);
            }
        }
        self.send_due(SENDS_PER_READ);
    }

    /// Reads those that no event will tell of, once each.
    pub(super) fn read_again(&mut self) {
        let mut again = self.io.take_again();
        for index in again.drain(..) {
            self.clients[index as usize].queued = false;
            self.read(index);
            self.send_due(SENDS_PER_READ);
        }
        self.io.keep_again(again);
    }

    /// One `recv`, and everything that was in it.
    fn read(&mut self, index: u32) {
        let client = &mut self.clients[index as usize];
        if client.paused {
            client.readable = true;
            return;
        }
        let Some(stream) = &mut client.stream else {
            return;
        };
        let mut buffer = std::mem::take(&mut self.io.buffer);
        let read = stream.read(&mut buffer);
        let waited = self.io.tick_after_read();
        let now = self.io.now();
        match read {
            Ok(0) => self.ended(index),
            Ok(read) => {
                if self.timeline.is_measuring() {
                    self.io.receive_wait.record(waited);
                    self.timeline.lag(waited, true, &self.ends.gauges);
                }
                self.timeline.bytes_in += read as u64;
                match &mut self.clients[index as usize].security {
                    Security::Plain => self.frames(index, &mut buffer[..read], now),
                    Security::Tls(_) => self.records(index, &mut buffer[..read], now),
                }
                // A short read took all there was, and more will be an event.
                let client = &mut self.clients[index as usize];
                if read == RECEIVE_BUFFER || client.ending {
                    self.io.read_later(index, client);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // An error that was read before (by a write) leaves an end without an event.
                if self.clients[index as usize].ending {
                    self.ended(index);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.io.read_later(index, &mut self.clients[index as usize]);
            }
            Err(_) => self.ended(index),
        }
        self.io.buffer = buffer;
    }

    /// Takes the frames out of what was read at `now`.
    pub(super) fn frames(&mut self, index: u32, input: &mut [u8], now: Nanos) {
        let client = &mut self.clients[index as usize];
        if let Phase::Leaving { answered: true } = client.phase {
            // What follows a close frame means nothing.
            return;
        }
        let first = index - client.plan.member;
        let Traffic {
            rules,
            ledger,
            measure,
            seats,
            values,
            layouts,
            ..
        } = &mut self.traffic;
        let layout = layouts[client.plan.room as usize];
        let mut row = ledger.row(client.plan.room, client.plan.member);
        let mut keys = values.ledger.row(client.plan.room, client.plan.member);
        let mut input = input;
        let mut asked = Asked::Nothing;
        let mut news = News::default();
        loop {
            match client.decoder.next(rules, &mut input) {
                Ok(Some(Item::Message { kind, payload })) => match &mut client.speech {
                    Speech::Raw => measure.delivery(&mut row, kind, payload, now),
                    Speech::V1(Some(session)) => {
                        let ear = Ear {
                            measure,
                            row: &mut row,
                            keys: &mut keys,
                            seats,
                            hosts: &mut self.hosts,
                            layout,
                            room: client.plan.room,
                            index,
                            first,
                            now,
                            news: &mut news,
                        };
                        if let Err(breach) = ear.hear(session, kind, payload) {
                            asked = Asked::Breach(breach);
                            break;
                        }
                    }
                    Speech::V1(None) => {}
                },
                Ok(None) => break,
                Ok(Some(Item::Ping(payload))) => {
                    let payload = <[u8]>::to_vec(payload);
                    client.pong(&payload, self.random.u32(..).to_le_bytes());
                    asked = Asked::Flush;
                }
                Ok(Some(Item::Pong(_))) => {}
                Ok(Some(Item::Close { code, .. })) => {
                    asked = Asked::Close(code.unwrap_or(CloseCode(NO_CODE)));
                    break;
                }
                Err(violation) => {
                    asked = Asked::Violation(violation);
                    break;
                }
            }
        }
        let plays = matches!(client.speech, Speech::V1(_));
        self.answer(index, asked, plays.then_some(&news));
    }

    /// Does what frames asked for; a player has heard something.
    fn answer(&mut self, index: u32, asked: Asked, news: Option<&News>) {
        let client = &self.clients[index as usize];
        match asked {
            Asked::Nothing => {
                if let Some(news) = news {
                    self.heard(index, news);
                }
            }
            Asked::Flush => {
                if !client.blocked {
                    self.flush(index);
                }
            }
            Asked::Close(code) => self.server_closes(index, code),
            Asked::Violation(violation) => {
                self.hang_up(index, violation.close_code(), violation.to_string());
            }
            Asked::Breach(breach) => {
                self.hang_up(
                    index,
                    CloseCode::MALFORMED_PACKET,
                    format!("roomcast.v1: {breach}"),
                );
            }
        }
    }
}
