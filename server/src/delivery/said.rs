//! What is measured of messages on their way.

/// Messages, and since when the oldest of them is here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Said {
    /// Microseconds, of whatever clock the batch's was; of no meaning without messages.
    pub since: u64,
    /// How many. What is no message of a room (answers, records, the parts of one that has begun to leave) counts nothing.
    pub messages: u32,
}

impl Said {
    /// These, and then others, which came later.
    pub fn push(&mut self, others: Self) {
        if self.messages == 0 {
            self.since = others.since;
        }
        self.messages += others.messages;
    }
}
