//! Doors: what is spoken where, and whether somebody waits.

use crate::transport::Port;

/// Why a listener is not being accepted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepting {
    /// Nobody waits, as far as we know.
    Idle,
    /// Somebody may wait: the budget ran out, or an edge came.
    Ready,
    /// Out of descriptors or memory until then (ms).
    PausedUntil(u64),
    /// Somebody else accepts here now.
    HandedOver,
}

/// One door of a reactor; its number is that of its listener.
#[derive(Debug)]
pub struct Door {
    /// What is spoken.
    pub port: Port,
    /// Whether somebody waits.
    pub accepting: Accepting,
}

impl Door {
    /// A door at which somebody may wait.
    pub fn new(port: Port) -> Self {
        Self {
            port,
            accepting: Accepting::Ready,
        }
    }

    /// Somebody waits. A pause is not ended by that.
    pub fn knock(&mut self) {
        if self.accepting == Accepting::Idle {
            self.accepting = Accepting::Ready;
        }
    }

    /// Whether to accept now (ms).
    pub fn is_open(&self, now: u64) -> bool {
        match self.accepting {
            Accepting::Idle | Accepting::HandedOver => false,
            Accepting::Ready => true,
            Accepting::PausedUntil(until) => now >= until,
        }
    }
}
