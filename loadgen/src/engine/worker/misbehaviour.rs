//! Those that misbehave on purpose: when churners leave and come back, when the stalling stop and go on reading, and when
//! connections are cut, of anybody or of hosts.
//!
//! Owns these times. Must not know how a client leaves.
//! Invariant: all churners of a run share its rate, and so do those whose connections are cut; a thread has its part of both.

use super::kills::kills;
use crate::engine::client::Client;
use crate::engine::clock::{Nanos, nanos};
use crate::engine::plan::Role;
use crate::engine::schedule::{Period, Ring};
use crate::scenario::Scenario;

/// When a thread's clients misbehave.
#[derive(Debug)]
pub(super) struct Misbehaviour {
    churn: Ring,
    drops: Ring,
    kills: Ring,
    stall: Nanos,
    stall_at: Nanos,
}

impl Misbehaviour {
    /// Nobody does yet.
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            churn: never(),
            drops: never(),
            kills: never(),
            stall: nanos(scenario.stall),
            stall_at: Nanos::MAX,
        }
    }

    /// Traffic begins: the slow stop reading, the others get their times.
    pub(super) fn begin(
        &mut self,
        start: Nanos,
        scenario: &Scenario,
        (rooms, clients): (u32, &mut [Client]),
    ) {
        self.drops = drops(start, scenario, clients);
        self.kills = kills(start, scenario, rooms);
        let mut churners = Vec::new();
        for (client, index) in clients.iter_mut().zip(0..) {
            match client.plan.role {
                Role::Healthy => {}
                Role::Slow => client.paused = true,
                Role::Stalling => self.stall_at = start,
                Role::Churning => churners.push(index),
            }
        }
        if churners.is_empty() {
            return;
        }
        let period = scenario.churners() as f64 / scenario.churn;
        let share = (period * 1e9) as Nanos / churners.len() as Nanos;
        let slots = (1..).map(|i| i * share).zip(churners).collect();
        self.churn = Ring::new(slots, Period::of_rate(1.0 / period), start);
    }

    /// When something is due; `Nanos::MAX`: never.
    #[inline]
    pub(super) fn due(&self) -> Nanos {
        let lost = self.drops.due().min(self.kills.due());
        self.churn.due().min(lost).min(self.stall_at)
    }

    /// Takes the next churner whose time has come.
    #[inline]
    pub(super) fn pop_churner(&mut self, now: Nanos) -> Option<u32> {
        if self.churn.due() > now {
            return None;
        }
        self.churn.pop().map(|(_, index)| index)
    }

    /// Takes the next client whose connection is to be cut.
    #[inline]
    pub(super) fn pop_drop(&mut self, now: Nanos) -> Option<u32> {
        if self.drops.due() > now {
            return None;
        }
        self.drops.pop().map(|(_, index)| index)
    }

    /// Takes the next room whose host is to lose its connection.
    #[inline]
    pub(super) fn pop_kill(&mut self, now: Nanos) -> Option<u32> {
        if self.kills.due() > now {
            return None;
        }
        self.kills.pop().map(|(_, room)| room)
    }

    /// Whether it is time for the stalling to stop, or to go on.
    #[inline]
    pub(super) fn stall(&mut self, now: Nanos) -> bool {
        let due = self.stall_at <= now;
        if due {
            self.stall_at = self.stall_at.saturating_add(self.stall);
        }
        due
    }
}

fn never() -> Ring {
    Ring::new(Vec::new(), Period::of_rate(1.0), 0)
}

/// When the connections of a thread's healthy clients are cut: all in turn, neighbours in a room not after each other.
fn drops(start: Nanos, scenario: &Scenario, clients: &[Client]) -> Ring {
    let mut healthy: Vec<u32> = { clients.iter().zip(0..) }
        .filter(|(client, _)| client.is_healthy())
        .map(|(_, index)| index)
        .collect();
    if scenario.drops <= 0.0 || healthy.is_empty() {
        return never();
    }
    fastrand::Rng::with_seed(scenario.seed).shuffle(&mut healthy);
    let all = scenario.clients - scenario.misbehaving();
    let period = all as f64 / scenario.drops;
    let share = period * 1e9 / healthy.len() as f64;
    let slots =
        { (1..).zip(healthy) }.map(|(turn, index)| ((f64::from(turn) * share) as Nanos, index));
    Ring::new(slots.collect(), Period::of_rate(1.0 / period), start)
}
