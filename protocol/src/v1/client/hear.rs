//! What a message from the relay does to a session: the client's table of `docs/PROTOCOL.md`, section 9.
//!
//! Owns: which packet has its place where, and when the cursor moves.
//! Must not know: when to speak, what the packets are for.
//! Invariant: the cursor moves when all of a bundle has been told, and means something only while the game knows a whole.

use super::{
    Client, Clock, Event, FIRST_PINGS, FIRST_PINGS_APART, Given, Link, Player, State, Violation,
};
use crate::v1::down::{Bundle, Packet, Welcome, capability};
use crate::v1::{NUMBER_MAX, TICK_HZ_MAX, limit, setting};

impl Client {
    /// A message has come; what it says is told in order.
    ///
    /// # Errors
    /// If the relay breaks the protocol. The session is at its end then.
    pub fn receive(
        &mut self,
        link: Link,
        now: u64,
        message: &[u8],
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Violation> {
        if link != self.link || matches!(self.state, State::Lost | State::Ended) {
            return Ok(());
        }
        self.heard_at = now;
        let dealt_with = self.bundle(now, message, tell);
        if dealt_with.is_err() {
            self.state = State::Ended;
        } else {
            self.ping_if_due(now);
        }
        dealt_with
    }

    fn bundle(
        &mut self,
        now: u64,
        message: &[u8],
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Violation> {
        let Bundle { covered, packets } = Bundle::decode(message)?;
        let mut welcome = self.state != State::Live || self.given == Given::Tail;
        let mut complete = false;
        for packet in packets {
            let packet = packet?;
            match packet {
                Packet::Unknown { .. } => continue,
                Packet::KeepAlive { time } => self.clock.stated(time),
                Packet::Tick { .. } | Packet::Aged { .. } => {
                    if self.state == State::Live {
                        tell(Event::Packet(packet));
                    }
                }
                Packet::Pong { echo, time } => self.answered(echo, time, now),
                Packet::PongTicks {
                    echo,
                    time,
                    superseded,
                    slack,
                } => {
                    self.answered(echo, time, now);
                    self.superseded = superseded;
                    self.align.told(echo, slack.ahead(), now);
                }
                Packet::Ack { applied } if self.state != State::Joining => {
                    self.acknowledged(applied)?;
                }
                Packet::Ack { .. } => {}
                _ if complete => return Err(Violation::OutOfPlace(packet.name())),
                _ => {
                    self.packet(now, packet, tell)?;
                    // A resumed client is live within the bundle that says so.
                    welcome = match packet {
                        Packet::Resumed { .. } => false,
                        Packet::Reset { .. } | Packet::Snapshot { .. } => true,
                        _ => welcome,
                    };
                    complete = matches!(packet, Packet::Ready);
                }
            }
        }
        if covered > 0 && welcome {
            return Err(Violation::Covered(covered));
        }
        if let Some(cursor) = &mut self.cursor {
            if *cursor + covered > NUMBER_MAX {
                return Err(Violation::Covered(covered));
            }
            *cursor += covered;
        }
        Ok(())
    }

    /// A packet that is not about the connection alone: its place is checked, and it is told.
    fn packet(
        &mut self,
        now: u64,
        packet: Packet<'_>,
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Violation> {
        if self.given == Given::Tail && self.tail(packet, tell)? {
            return Ok(());
        }
        match (self.state, packet) {
            (State::Joining, Packet::Resumed { applied, time }) if self.cursor.is_some() => {
                self.clock.stated(time);
                if !self.backlog.send_from(applied) {
                    return Err(Violation::Applied(applied));
                }
                self.live(now);
                tell(Event::Resumed);
            }
            (State::Joining | State::Welcomed | State::Live, Packet::Reset { reason }) => {
                if self.state != State::Joining {
                    self.state = State::Resetting;
                }
                self.cursor = None;
                tell(Event::Reset { reason });
            }
            (State::Joining | State::Resetting, Packet::Welcome(welcome)) => {
                self.given = Given::Nothing;
                let dropped = self.welcomed(&welcome)?;
                tell(Event::Welcome { welcome, dropped });
            }
            (State::Welcomed, Packet::Ready) => {
                self.given = Given::Nothing;
                self.cursor = Some(self.welcome_at);
                self.live(now);
                tell(Event::Packet(packet));
            }
            (State::Welcomed, Packet::Snapshot { .. }) if self.given == Given::Nothing => {
                self.given = Given::Tail;
                tell(Event::Packet(packet));
            }
            (State::Live, Packet::Snapshot { .. }) if self.given == Given::Promised => {
                self.given = Given::Tail;
                tell(Event::Packet(packet));
            }
            (State::Live, Packet::Host { id, given, .. }) => {
                self.given = match given && id.is_some() && id == self.id() {
                    true => Given::Promised,
                    false => Given::Nothing,
                };
                tell(Event::Packet(packet));
            }
            (State::Welcomed | State::Live, Packet::Settings(settings)) => {
                let hz = settings.number(setting::TICK_HZ).unwrap_or(0);
                self.align.ticks(hz.min(TICK_HZ_MAX));
                tell(Event::Packet(packet));
            }
            (State::Welcomed, Packet::Player { .. } | Packet::Host { .. })
            | (
                State::Welcomed | State::Live,
                Packet::Properties { .. } | Packet::State { .. } | Packet::Locked(_),
            )
            | (
                State::Live,
                Packet::Event { .. }
                | Packet::Joined { .. }
                | Packet::Left { .. }
                | Packet::Away(_)
                | Packet::Back(_)
                | Packet::Refused { .. }
                | Packet::Removed { .. }
                | Packet::RemovedAll
                | Packet::RefusedState { .. }
                | Packet::SnapshotWanted { .. }
                | Packet::Trips(_)
                | Packet::Notice(_),
            ) => tell(Event::Packet(packet)),
            _ => return Err(Violation::OutOfPlace(packet.name())),
        }
        Ok(())
    }

    /// A packet behind a snapshot: whether it is told as a part of its tail, or as its end where there is no welcome.
    fn tail(
        &mut self,
        packet: Packet<'_>,
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Result<bool, Violation> {
        match packet {
            Packet::Event { .. }
            | Packet::Joined { .. }
            | Packet::Left { .. }
            | Packet::Away(_)
            | Packet::Back(_)
            | Packet::Properties { .. }
            | Packet::Host { .. }
            | Packet::Locked(_) => tell(Event::Tail(packet)),
            Packet::Ready if self.state == State::Live => {
                self.given = Given::Nothing;
                tell(Event::Packet(packet));
            }
            Packet::Ready | Packet::Reset { .. } | Packet::Welcome(_) => return Ok(false),
            _ => return Err(Violation::OutOfPlace(packet.name())),
        }
        Ok(true)
    }

    /// Takes over who the client is now; answers how many packets were dropped.
    fn welcomed(&mut self, welcome: &Welcome<'_>) -> Result<usize, Violation> {
        let player = Player {
            life: welcome.life,
            id: welcome.id,
        };
        let applied = welcome.applied;
        let mut dropped = 0;
        match self.player {
            Some(before) if before == player && self.state == State::Resetting => {
                self.acknowledged(applied)?;
            }
            Some(before) if before == player => {
                if !self.backlog.send_from(applied) {
                    return Err(Violation::Applied(applied));
                }
            }
            _ if self.state == State::Resetting => {
                return Err(Violation::OutOfPlace("WELCOME of another player"));
            }
            Some(_) => {
                dropped = self.backlog.restart(applied);
                self.states.restart();
            }
            None => self.backlog.number_from(applied),
        }
        if self.player.is_none_or(|before| before.life != player.life) {
            self.clock = Clock::default();
        }
        self.clock.stated(welcome.time);
        self.superseded = 0;
        self.offers_ticks = welcome.capabilities & capability::TICKS != 0;
        self.player = Some(player);
        self.token = Some(welcome.token);
        self.cursor = None;
        self.welcome_at = welcome.seq;
        self.message_max = welcome
            .limits
            .number(limit::MESSAGE_BYTES)
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or(usize::MAX);
        self.pace.limit(
            welcome.limits.number(limit::PACKETS_PER_SECOND),
            welcome.limits.number(limit::PACKETS_BURST),
        );
        self.state = State::Welcomed;
        Ok(dropped)
    }

    /// The answer to a ping.
    fn answered(&mut self, echo: u64, time: u64, now: u64) {
        self.clock.answered(echo, time, now);
        self.states.arrived(echo);
    }

    fn live(&mut self, now: u64) {
        self.state = State::Live;
        self.first_pings = FIRST_PINGS;
        self.pinged_at = now.saturating_sub(FIRST_PINGS_APART);
    }

    fn acknowledged(&mut self, applied: u64) -> Result<(), Violation> {
        if self.backlog.free(applied) {
            Ok(())
        } else {
            Err(Violation::Applied(applied))
        }
    }
}
