//! Faults that are planted so that the oracle can show that it finds them.
//!
//! Owns: one fault, and when it strikes. Must not know: whether it was found. Invariant: one that twists a
//! delivery strikes once, and only who is owed everything, so that it must not go unnoticed.

use roomcast::planted;

use super::compose::Message;
use super::net::WireId;
use super::player::Heard;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A delivery is lost.
    Drop,
    /// A delivery comes twice.
    Duplicate,
    /// Two deliveries change places.
    Reorder,
    /// A delivery reaches somebody else.
    Misdeliver,
    /// A bit of the stream is flipped.
    Corrupt,
    /// Something inside of the server, from the beginning.
    Within(planted::Fault),
}

#[derive(Debug)]
pub(crate) struct Planted {
    fault: Option<Fault>,
    /// Occasions that pass before it strikes.
    countdown: usize,
    pub(crate) struck: bool,
    held: Option<(WireId, Message)>,
}

impl Planted {
    pub(crate) fn new(fault: Option<Fault>, countdown: usize) -> Self {
        planted::plant(match fault {
            Some(Fault::Within(fault)) => Some(fault),
            _ => None,
        });
        Self {
            fault,
            countdown,
            struck: false,
            held: None,
        }
    }

    /// Whether this occasion is the one.
    fn strikes(&mut self, fault: Fault) -> bool {
        if self.fault != Some(fault) || self.struck {
            return false;
        }
        self.struck = self.countdown == 0;
        self.countdown = self.countdown.saturating_sub(1);
        self.struck
    }

    /// Flips a bit.
    pub(crate) fn corrupt(&mut self, bytes: &mut [u8]) {
        let at = self.countdown;
        if let Some(middle) = bytes.len().checked_sub(1)
            && self.strikes(Fault::Corrupt)
        {
            bytes[middle / 2] ^= 1 << (at % 8);
        }
    }

    /// What becomes of a delivery, among `wires` connections.
    pub(crate) fn twist(
        &mut self,
        wire: WireId,
        heard: Heard,
        wires: usize,
    ) -> Vec<(WireId, Heard)> {
        let Heard::Message(message) = &heard else {
            return vec![(wire, heard)];
        };
        if self
            .held
            .as_ref()
            .is_some_and(|(held, first)| *held == wire && first != message)
        {
            let (_, first) = self.held.take().expect("it is held");
            return vec![(wire, heard), (wire, Heard::Message(first))];
        }
        if self.strikes(Fault::Drop) {
            Vec::new()
        } else if self.strikes(Fault::Duplicate) {
            vec![(wire, heard.clone()), (wire, heard)]
        } else if self.strikes(Fault::Misdeliver) {
            vec![((wire + 1) % wires, heard)]
        } else if self.strikes(Fault::Reorder) {
            // If nothing follows that it could change places with, it is lost.
            self.held = Some((wire, message.clone()));
            Vec::new()
        } else {
            vec![(wire, heard)]
        }
    }
}
