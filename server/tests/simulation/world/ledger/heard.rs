//! What a guest is told: does it follow from what was said, and from what it knows?
//!
//! Owns: how what a guest knows of its room grows. Must not know: what shards take. Invariant: a guest knows what it was told over
//! the connection that its client hears, and nothing else.

use roomcast_protocol::v1::client::Event;
use roomcast_protocol::v1::{Key, Life, Payload, down};

use super::super::bounds::SLACK_MS;
use super::super::keys::{Ears, Hearing};
use super::super::net::WireId;
use super::super::oracle::{PORTION, Verdict};
use super::super::said::{Said, changes, event, number, times};
use super::super::tail::Tail;
use super::{Groups, GuestId, Ledger, View};

impl Ledger {
    /// A guest begins to hear a bundle, now (ms). Who comes back may find that nothing was said since the last tick, and AGED
    /// counts up to there; bundles of one write say once when that was.
    pub(crate) fn opens_bundle(&mut self, guest: GuestId, bundle: &[u8], now: u64) {
        let this = &mut self.guests[guest];
        let (written, tick) = times(bundle);
        this.stated = written.map(|time| (time, now)).or(this.stated);
        let written = this.stated.filter(|(_, heard)| *heard == now);
        let late = written
            .zip(tick)
            .map(|((written, _), tick)| written.saturating_sub(tick));
        (this.late_ms, this.aged_ms) = (late.unwrap_or(0) / 1_000, 0);
    }

    /// A guest was told something over a connection, now (ms). `steady`: over one that takes everything at once.
    pub(crate) fn heard(
        &mut self,
        wire: WireId,
        guest: GuestId,
        told: Event<'_>,
        (steady, now): (bool, u64),
    ) -> Verdict {
        let heard = match told {
            Event::Packet(down::Packet::State {
                author,
                key,
                payload,
                ..
            }) => self.told_state(guest, (number(author), key), payload, (steady, now)),
            Event::Packet(packet) => self.packet(guest, packet),
            Event::Tail(packet) => self.tail(guest, packet),
            Event::Resumed => {
                let this = &mut self.guests[guest];
                this.tail = None;
                this.is_sure = true;
                let mut joined = this.joined.iter();
                let is_out = joined.any(|joined| joined.wire == wire && joined.is_out);
                is_out
                    .then_some(())
                    .map_or(Ok(()), |()| Err("who was put out is back".into()))
            }
            Event::Reset { reason } => {
                let behind = reason == down::reset::BEHIND;
                self.guests[guest].reset = Some(reason);
                if steady && behind {
                    Err("it is said to be behind".into())
                } else {
                    Ok(())
                }
            }
            Event::Welcome { welcome, dropped } => {
                if dropped > 0 {
                    self.guests[guest].unheard.clear();
                }
                self.welcomed(wire, guest, &welcome)
            }
            _ => Ok(()),
        };
        heard.map_err(|wrong| format!("guest {guest}, connection {wire}: {wrong}"))
    }

    fn welcomed(&mut self, wire: WireId, guest: GuestId, welcome: &down::Welcome<'_>) -> Verdict {
        let id = welcome.id.get();
        let owner = (guest, welcome.token);
        let is_new = !self.ids.contains_key(&(welcome.life.0, id));
        if *self.ids.entry((welcome.life.0, id)).or_insert(owner) != owner {
            return Err(format!("player {id} was somebody else"));
        }
        let this = &mut self.guests[guest];
        let joined = this.joined.iter().find(|joined| joined.wire == wire);
        let joined = joined.ok_or("a welcome without a join")?;
        if this.token.is_some_and(|token| token != welcome.token) {
            if joined.kept {
                return Err("its seat was given up".into());
            }
            this.doubtful = 0;
        }
        let life = welcome.life.0;
        if joined.is_out && this.view.life == Some(life) {
            return Err("who was put out is let in".into());
        }
        let [locked, closed] = joined.known;
        if is_new && locked == Some(life) || closed == Some(life) {
            return Err("who is new is let in where the host lets nobody in".into());
        }
        this.kicks.clear();
        this.id = id;
        this.token = Some(welcome.token);
        this.is_sure = true;
        this.skips = this.reset.take() == Some(down::reset::BEHIND);
        if !this.skips {
            this.next = joined.said;
        }
        this.is_live = false;
        this.view = View {
            life: Some(welcome.life.0),
            ..View::default()
        };
        this.held.clear();
        this.tail = None;
        Ok(())
    }

    /// A guest was told a part of a tail.
    fn tail(&mut self, guest: GuestId, packet: down::Packet<'_>) -> Verdict {
        let this = &mut self.guests[guest];
        let Some(tail) = &mut this.tail else {
            return Ok(());
        };
        let all = &self.rooms[&this.room];
        let holds = match packet {
            down::Packet::Event {
                author, payload, ..
            } => tail.told(all, author.get(), &event(payload)),
            down::Packet::Properties {
                owner,
                author,
                changes: changed,
            } => {
                let changed = changed
                    .iter()
                    .map(|change| (change.key.as_str(), change.value));
                tail.told(all, number(author), &changes(owner, changed))
            }
            down::Packet::Host { id, .. } => {
                tail.passes_to(number(id));
                true
            }
            _ => true,
        };
        let wrong = || format!("in the tail of {tail:?}, {packet:?} is not what comes next");
        holds.then_some(()).ok_or_else(wrong)
    }

    /// A guest has been told all of a tail, if it was told one.
    fn tail_ends(&mut self, guest: GuestId) -> Verdict {
        let this = &mut self.guests[guest];
        match this.tail.take() {
            Some(tail) if !this.skips && !tail.is_whole(&self.rooms[&this.room], this.next) => {
                Err(format!("something is missing at the end of {tail:?}"))
            }
            _ => Ok(()),
        }
    }

    fn packet(&mut self, guest: GuestId, packet: down::Packet<'_>) -> Verdict {
        let this = &mut self.guests[guest];
        let view = &mut this.view;
        let holds = match packet {
            down::Packet::Event {
                author,
                payload,
                by_host,
                ..
            } => {
                let known = author.get() == this.id || view.players.contains_key(&author.get());
                return if known {
                    self.told(guest, author.get(), by_host, &event(payload))
                } else {
                    Err(format!("{author} says something without being there"))
                };
            }
            down::Packet::Properties {
                owner,
                author,
                changes: changed,
            } => {
                let changed = || {
                    changed
                        .iter()
                        .map(|change| (change.key.as_str(), change.value))
                };
                for (key, value) in changed() {
                    let key = (number(owner), key.to_owned());
                    match value {
                        Some(value) => view.properties.insert(key, event(value)),
                        None => view.properties.remove(&key),
                    };
                }
                if !this.is_live {
                    return Ok(());
                }
                return self.told(guest, number(author), false, &changes(owner, changed()));
            }
            down::Packet::Player { id, away, .. } => view.players.insert(id.get(), away).is_none(),
            down::Packet::Joined { id, .. } => view.players.insert(id.get(), false).is_none(),
            down::Packet::Aged { ms } => {
                this.aged_ms = ms;
                true
            }
            down::Packet::Removed { author, key } => {
                this.held.remove(&(number(author), key));
                true
            }
            down::Packet::RemovedAll => {
                this.held.clear();
                true
            }
            down::Packet::RefusedState { .. } => false,
            down::Packet::Left { id, reason } => {
                let who = (view.life.unwrap_or_default(), id.get());
                let kicked = reason == down::left::KICKED;
                let may_be = self.kicks.left(who, kicked, &self.terms);
                this.held.retain(|(owner, _), _| *owner != id.get());
                view.properties.retain(|(owner, _), _| *owner != id.get());
                view.players.remove(&id.get()).is_some() && may_be
            }
            down::Packet::Away(id) => view.players.insert(id.get(), true) == Some(false),
            down::Packet::Back(id) => view.players.insert(id.get(), false) == Some(true),
            down::Packet::Host { term, id, .. } => {
                let life = view.life.unwrap_or_default();
                let id = number(id);
                let grows = term > view.host.0;
                view.host = (term, id);
                grows && *self.terms.entry((life, term)).or_insert(id) == id
            }
            down::Packet::Locked(locked) => {
                let life = view.life.unwrap_or_default();
                let changes = std::mem::replace(&mut view.locked, locked) != locked;
                changes && self.powers.told(&this.room, life, locked, &self.terms)
            }
            down::Packet::Snapshot { state, cut, .. } => {
                let saved = self.saved.get(state).copied();
                this.tail = saved.filter(|_| !cut).map(Tail::behind);
                saved.is_some_and(|saved| self.guests[saved.guest].room == self.guests[guest].room)
            }
            down::Packet::Ready => {
                this.is_live = true;
                let knows_itself = view.players.contains_key(&this.id);
                self.tail_ends(guest)?;
                knows_itself
            }
            down::Packet::Refused { number, .. } => {
                this.kicks.retain(|(kick, _)| *kick != number);
                let doubtful = this.doubtful > 0;
                this.doubtful = this.doubtful.saturating_sub(1);
                doubtful
            }
            _ => true,
        };
        if holds {
            Ok(())
        } else {
            Err(format!("{packet:?} does not follow from what it knows"))
        }
    }

    /// A guest was told what somebody said: is that what comes next?
    fn told(&mut self, guest: GuestId, author: u32, by_host: bool, what: &[u8]) -> Verdict {
        let this = &mut self.guests[guest];
        for said in &self.rooms[&this.room][this.next..] {
            this.next += 1;
            if said.is_for(this.id) {
                if said.author == author && said.what == what {
                    // Where the same was said again, it may be that one.
                    let rest = &self.rooms[&this.room][this.next..];
                    let again = |said: &Said| said.author == author && said.what == what;
                    this.skips &= rest.iter().any(again);
                    let host = said.term.map(|term| (term, author));
                    return match host.filter(|_| by_host) {
                        None if !by_host && host.is_none() => Ok(()),
                        Some(host) if host == this.view.host => Ok(()),
                        _ => Err("said as the host by who is not, or in another term".into()),
                    };
                }
                if !said.may_be_missing() && !this.skips {
                    break;
                }
            }
        }
        Err("another event".into())
    }

    /// A guest was told a value, now (ms).
    fn told_state(
        &mut self,
        guest: GuestId,
        name: (u32, Key),
        value: Payload<'_>,
        (steady, now): (bool, u64),
    ) -> Verdict {
        let now = self.moment(now);
        // A crowd is served in portions.
        let portions = 1 + self.guests.len() as u64 / PORTION;
        let late_ms = u64::from(self.flush_interval_ms) + portions * SLACK_MS;
        let this = &mut self.guests[guest];
        let (me, next) = (this.id, this.next);
        let heard = Hearing {
            value,
            now,
            aged_ms: this.late_ms + this.aged_ms,
            late_ms: (steady && this.is_live).then_some(late_ms),
        };
        if name.0 != 0 && !this.view.players.contains_key(&name.0) {
            return Err(format!("a value of player {}, who is not there", name.0));
        }
        let said = &self.rooms[&this.room];
        let is_exact = this.is_live && !this.skips;
        let told = |writer, after| {
            let mut before = said[..after].iter().skip(next);
            let waits =
                |said: &Said| said.author == writer && said.is_for(me) && !said.may_be_missing();
            !is_exact || !before.any(waits)
        };
        let life = Life(this.view.life.unwrap_or_default());
        let none = Groups::default();
        let groups = self.groups.get(&(life.0, me)).unwrap_or(&none);
        let ears = Ears {
            player: me,
            is_host: true,
            groups: &groups.ever,
        };
        self.keys
            .heard(life, &ears, &mut this.held, name, &heard, told)
    }
}
