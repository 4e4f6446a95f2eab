//! The lane of the control plane: what a reactor is asked, and who waits for the answer.
//!
//! Must not know: what is asked. Invariant: asking never waits, nor does answering; who waits no longer costs nothing.

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::limits::ASKS;
use crate::shard::{Answer, Question};

/// Who waits for an answer.
pub trait Asker: Send {
    /// Whether it waits no longer.
    fn is_gone(&self) -> bool;

    /// Takes the answer, without waiting.
    fn hear(self: Box<Self>, answer: Answer);
}

/// A question, and who waits for the answer.
pub struct Ask {
    /// What is asked.
    pub question: Question,
    /// Who asks.
    pub asker: Box<dyn Asker>,
}

/// Why a reactor can't be asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unasked {
    /// Too many ask already.
    Full,
    /// It has ended.
    Gone,
}

/// The sending end.
#[derive(Debug, Clone)]
pub(super) struct Asks(Sender<Ask>);

impl Asks {
    pub(super) fn send(&self, ask: Ask) -> Result<(), Unasked> {
        self.0.try_send(ask).map_err(|error| match error {
            TrySendError::Full(_) => Unasked::Full,
            TrySendError::Disconnected(_) => Unasked::Gone,
        })
    }

    pub(super) fn waiting(&self) -> usize {
        self.0.len()
    }
}

/// A lane for as many as may ask at once.
pub(super) fn lane() -> (Asks, Receiver<Ask>) {
    let (sender, receiver) = bounded(ASKS);
    (Asks(sender), receiver)
}
