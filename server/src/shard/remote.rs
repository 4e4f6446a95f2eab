//! Remote links: requests whose connections stay where they are, while what they ask of is at home at another reactor.
//!
//! Owns: what shards say to each other of such requests, and how much of that is on its way. Must not know: what is asked, or
//! how it is answered. Invariants: each question has one answer; of both no more is under way between two reactors than their
//! bounds; a question that finds no room is refused, an answer waits where it comes from, as what it is made of; an answer for a
//! request that is gone is dropped, which loses nothing that its client has not acknowledged.
//!
//! At home a request is a connection like any other, but for its socket, so all that sessions do with requests is the same.

use std::collections::BTreeSet;
use std::mem;

use roomcast_protocol::upgrade::{Readers, Refusal, Reply, Status};

use super::connection::Phase;
use super::exchange::{Exchange, busy};
use super::identity::Identity;
use super::sessions::Call;
use super::{Action, DisconnectReason, Shard};
use crate::limits::{POLL_HOLD_MS, REMOTE_ANSWERS, REMOTE_ASK, REMOTE_ASKS, UP_VERDICT_MS};
use crate::planted::{self, Fault};

/// What one shard says to another.
#[derive(Debug)]
pub struct Word {
    /// The reactor that says it.
    from: usize,
    said: Said,
}

#[derive(Debug)]
pub(super) enum Said {
    Ask(Box<Ask>),
    Answer(Box<Answer>),
    /// So many bytes of answers have been taken.
    Credit(usize),
    /// No session counts for the address of this connection any more.
    CountsAgain {
        slot: u32,
        id: u64,
    },
    /// Some of an answer that crosses as it is written, and whether that is all.
    Piece {
        to: Asking,
        /// The session that was asked counts for the address of who asks.
        carries: bool,
        bytes: Vec<u8>,
        ends: bool,
    },
    /// So many bytes of the answer to this question have been taken.
    Took {
        number: u64,
        bytes: usize,
    },
    /// Nobody waits for it any more.
    Gone {
        number: u64,
    },
}

/// A request, whole.
#[derive(Debug)]
pub(super) struct Ask {
    by: Asking,
    who: Identity,
    call: Call,
    content: Vec<u8>,
    /// Whose pages may read the answer, if its head comes from there.
    readers: Readers,
}

impl Asking {
    pub(super) fn slot(self) -> u32 {
        self.slot
    }

    pub(super) fn number(self) -> u64 {
        self.number
    }

    /// The slot of the connection that counts for its address.
    pub(super) fn counts(self) -> u32 {
        self.counts.0
    }
}

/// Where its answer goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking {
    slot: u32,
    /// Tells it from other requests there.
    number: u64,
    /// What it weighs until it is answered.
    weighs: usize,
    /// The slot and the id of the connection that counts for its address.
    counts: (u32, u64),
}

/// Who waits at another reactor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Remote {
    reactor: usize,
    by: Asking,
}

/// A connection at another reactor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Afar {
    reactor: usize,
    slot: u32,
    id: u64,
}

impl Remote {
    /// The reactor that asks, and what.
    pub(super) fn whose(self) -> (usize, Asking) {
        (self.reactor, self.by)
    }
}

#[derive(Debug)]
pub(super) struct Answer {
    to: Asking,
    /// The session that was asked counts for the address of who asks.
    carries: bool,
    verdict: Verdict,
}

/// What a request is answered.
#[derive(Debug)]
enum Verdict {
    Reply {
        status: Status,
        kind: Box<str>,
        body: Vec<u8>,
    },
    Done,
    Refused(Refusal, DisconnectReason),
}

impl Verdict {
    fn bytes(&self) -> usize {
        match self {
            Self::Reply { body, .. } => body.len(),
            Self::Done | Self::Refused(..) => 0,
        }
    }
}

/// What is on its way between this shard and another one.
#[derive(Debug, Clone, Default)]
struct Pair {
    /// Bytes of questions that have no answer.
    asked: usize,
    /// Bytes of answers that were not taken, as far as is known.
    given: usize,
    /// Bytes of its answers that were taken, of which it was not told.
    taken: usize,
    /// Sessions that have an answer for which there is no room.
    waiting: BTreeSet<u32>,
}

/// The same for each reactor.
#[derive(Debug)]
pub(super) struct Remotes {
    pairs: Vec<Pair>,
    /// Of the next question.
    number: u64,
}

impl Remotes {
    pub(super) fn new(reactors: usize) -> Self {
        Self {
            pairs: vec![Pair::default(); reactors],
            number: 0,
        }
    }

    /// A question of so many bytes of content for this reactor, from this slot; none if there is no room for it.
    fn ask(&mut self, reactor: usize, slot: u32, content: usize) -> Option<Asking> {
        let weighs = REMOTE_ASK + content;
        let pair = &mut self.pairs[reactor];
        if pair.asked + weighs > REMOTE_ASKS {
            return None;
        }
        pair.asked += weighs;
        self.number += 1;
        let number = self.number;
        Some(Asking {
            slot,
            number,
            weighs,
            counts: (slot, 0),
        })
    }

    /// Whether an answer of so many bytes for the session in this slot may leave; else that is told once it may. One alone may
    /// be as large as it is.
    pub(super) fn has_credit(&mut self, remote: Remote, bytes: usize, session: u32) -> bool {
        let pair = &mut self.pairs[remote.reactor];
        let has = pair.given == 0 || pair.given + bytes <= REMOTE_ANSWERS;
        if !has {
            pair.waiting.insert(session);
        }
        has
    }
}

impl Shard {
    /// The request in this slot, which is whole, is asked at the reactor that is home to what it asks of.
    pub(super) fn ask_home(&mut self, slot: u32, home: usize, call: Call, content: Vec<u8>) {
        let Some(mut by) = self.remotes.ask(home, slot, content.len()) else {
            return self.respond(slot, busy());
        };
        let parent = self.streams.parent(slot);
        by.counts = (parent, self.connections[parent as usize].who.id());
        let ms = match call {
            Call::Poll(..) => POLL_HOLD_MS + UP_VERDICT_MS,
            _ => UP_VERDICT_MS,
        };
        let mut readers = Readers::NoPage;
        if let Phase::Exchange(exchange) = &mut self.connections[slot as usize].phase {
            exchange.awaits = Some(by.number);
            readers = exchange.readers();
        }
        // Of one session few wait; who asks of none is answered at once, and counts again.
        self.count_no_longer(slot);
        self.hold(slot, ms);
        let who = self.connections[slot as usize].who;
        let ask = Ask {
            by,
            who,
            call,
            content,
            readers,
        };
        self.say_to(home, Said::Ask(Box::new(ask)));
    }

    pub(super) fn say_to(&mut self, reactor: usize, said: Said) {
        let from = self.index;
        let word = Word { from, said };
        self.actions.push(Action::Say { reactor, word });
    }

    /// Hears what another shard says.
    pub fn hear_word(&mut self, word: Word) {
        let Word { from, said } = word;
        match said {
            Said::Ask(ask) => self.hear_ask(from, *ask),
            Said::Answer(answer) => self.hear_answer(from, *answer),
            Said::Piece {
                to,
                carries,
                bytes,
                ends,
            } => self.hear_piece(from, to, carries, &bytes, ends),
            Said::Took { number, bytes } => self.hear_took(from, number, bytes),
            Said::Gone { number } => self.hear_gone(from, number),
            Said::CountsAgain { slot, id } => {
                let connection = self.connections.get(slot as usize);
                if connection.is_some_and(|it| it.who.id() == id && it.is_unseated()) {
                    self.count_again(slot);
                }
            }
            Said::Credit(bytes) => {
                let pair = &mut self.remotes.pairs[from];
                pair.given = pair.given.saturating_sub(bytes);
                for session in mem::take(&mut pair.waiting) {
                    self.tell_again(session);
                }
            }
        }
    }

    /// The reactor that this word was for has ended, and with it what was asked of.
    pub fn unsaid(&mut self, reactor: usize, word: Word) {
        if let Said::Piece { to, .. } = word.said {
            return self.hear_gone(reactor, to.number);
        }
        if let Said::Ask(ask) = word.said {
            let to = ask.by;
            let verdict = gone();
            let answer = Answer {
                to,
                carries: false,
                verdict,
            };
            self.hear_answer(reactor, answer);
        }
    }

    /// Tells whose answers were taken in this iteration, so that there is room for more.
    pub fn give_credit(&mut self) {
        for reactor in 0..self.remotes.pairs.len() {
            let taken = mem::take(&mut self.remotes.pairs[reactor].taken);
            if taken > 0 && !planted::is(Fault::LostCredit) {
                self.say_to(reactor, Said::Credit(taken));
            }
        }
    }

    fn hear_ask(&mut self, reactor: usize, ask: Ask) {
        let Ask {
            by,
            who,
            call,
            content,
            readers,
        } = ask;
        let remote = Remote { reactor, by };
        let crosses = call.is_linked();
        let exchange = Exchange::of_another(call, remote, readers);
        let slot = self.connect_remote(who, exchange);
        if crosses {
            self.links.open(slot, remote);
        }
        self.heed_call(slot, content);
    }

    fn hear_answer(&mut self, from: usize, answer: Answer) {
        let Answer {
            to,
            carries,
            verdict,
        } = answer;
        self.answered_by(from, to);
        self.remotes.pairs[from].taken += verdict.bytes();
        let connection = self.connections.get_mut(to.slot as usize);
        match connection.map(|connection| &mut connection.phase) {
            Some(Phase::Exchange(exchange)) if exchange.awaits == Some(to.number) => {
                exchange.carries = carries;
            }
            _ => return,
        }
        let slot = to.slot;
        if carries {
            self.count_no_longer(to.counts.0);
        }
        match verdict {
            Verdict::Reply { status, kind, body } => {
                let (kind, body) = (&*kind, &*body);
                self.respond(slot, Reply { status, kind, body });
            }
            Verdict::Done => self.respond_done(slot),
            Verdict::Refused(refusal, reason) => self.refuse_for(slot, refusal, false, reason),
        }
    }

    /// A question is no longer under way.
    pub(super) fn answered_by(&mut self, reactor: usize, to: Asking) {
        self.remotes.pairs[reactor].asked -= to.weighs;
    }

    /// Who waits at another reactor for the answer to the request in this slot, if somebody does and nothing of it has been given.
    pub(super) fn remote(&self, slot: u32) -> Option<Remote> {
        match &self.connections[slot as usize].phase {
            Phase::Exchange(exchange) => exchange.remote.filter(|_| !exchange.is_streaming()),
            _ => None,
        }
    }

    /// The connection that waits at another reactor for the answer to the request in this slot, if one does.
    pub(super) fn afar(&self, slot: u32) -> Option<Afar> {
        let Remote { reactor, by } = self.remote(slot)?;
        let (slot, id) = by.counts;
        Some(Afar { reactor, slot, id })
    }

    /// No session counts for the address of this connection any more.
    pub(super) fn say_counts_again(&mut self, whose: Afar) {
        let Afar { reactor, slot, id } = whose;
        self.say_to(reactor, Said::CountsAgain { slot, id });
    }

    /// Answers a request that waits at another reactor with this. False if it is one of this reactor.
    pub(super) fn reply_to_remote(&mut self, slot: u32, reply: Reply<'_>) -> bool {
        self.answer_remote(slot, || Verdict::Reply {
            status: reply.status,
            kind: reply.kind.into(),
            body: reply.body.into(),
        })
    }

    /// The same, that it has been done.
    pub(super) fn done_for_remote(&mut self, slot: u32) -> bool {
        self.answer_remote(slot, || Verdict::Done)
    }

    /// The same with a refusal.
    pub(super) fn refuse_remote(
        &mut self,
        slot: u32,
        refusal: Refusal,
        reason: DisconnectReason,
    ) -> bool {
        self.answer_remote(slot, || Verdict::Refused(refusal, reason))
    }

    fn answer_remote(&mut self, slot: u32, verdict: impl FnOnce() -> Verdict) -> bool {
        let Some(Remote { reactor, by: to }) = self.remote(slot) else {
            return false;
        };
        let verdict = verdict();
        self.remotes.pairs[reactor].given += verdict.bytes();
        let carries = match &self.connections[slot as usize].phase {
            Phase::Exchange(exchange) => exchange.carries,
            _ => false,
        };
        let answer = Answer {
            to,
            carries,
            verdict,
        };
        self.links.close(slot);
        self.say_to(reactor, Said::Answer(Box::new(answer)));
        self.bury(slot);
        true
    }
}

/// What of a session is said that is no more.
fn gone() -> Verdict {
    Verdict::Reply {
        status: Status::Gone410,
        kind: "application/json".into(),
        body: b"{}\n".to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::RECEIVE_BUFFER;

    fn remote(by: Asking) -> Remote {
        Remote { reactor: 1, by }
    }

    #[test]
    fn questions_and_answers_have_bounds() {
        let mut remotes = Remotes::new(2);
        let mut asked = Vec::new();
        while let Some(by) = remotes.ask(1, 7, RECEIVE_BUFFER) {
            asked.push(by);
        }
        let each = RECEIVE_BUFFER + REMOTE_ASK;
        assert_eq!(asked.len(), REMOTE_ASKS / each);
        assert!(asked.is_sorted_by(|a, b| a.number < b.number));
        assert!(remotes.ask(0, 7, RECEIVE_BUFFER).is_some(), "another pair");
        let (first, session) = (asked[0], 3);
        assert!(remotes.has_credit(remote(first), 10 * REMOTE_ANSWERS, session));
        remotes.pairs[1].given = 1;
        assert!(remotes.has_credit(remote(first), REMOTE_ANSWERS - 1, session));
        assert!(remotes.pairs[1].waiting.is_empty());
        for _ in 0..2 {
            assert!(!remotes.has_credit(remote(first), REMOTE_ANSWERS, session));
        }
        assert_eq!(remotes.pairs[1].waiting.len(), 1);
    }
}
