//! Who is who: the clients of a run, their rooms and their thread.
//!
//! Owns the assignment. Must not know sockets or time.
//! Invariant: a room is whole within one thread; in each room senders are the first members and
//! the misbehaving ones the last.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZero;

use super::clock::Nanos;
use super::schedule::{Period, phases};
use crate::scenario::{Scenario, default_threads};

/// Loopback connections from one address before a further one is used: what a default Linux
/// leaves for local ports, less a reserve for whatever else runs.
const PORTS_PER_ADDRESS: usize = 28_000;

/// How a client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Reads all the time and stays.
    Healthy,
    /// Stops reading when traffic begins.
    Slow,
    /// Stops reading from time to time.
    Stalling,
    /// Leaves and rejoins.
    Churning,
}

/// A client before it connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientPlan {
    /// Which of its thread's rooms.
    pub(crate) room: u32,
    /// Index in the room.
    pub(crate) member: u32,
    /// How it behaves.
    pub(crate) role: Role,
    /// If it sends: the phase of its schedule.
    pub(crate) phase: Option<Nanos>,
    /// The address it connects from, if not any.
    pub(crate) source: Option<IpAddr>,
}

/// A room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RoomPlan {
    /// Its number in the run.
    pub(crate) number: u32,
    /// Members.
    pub(crate) members: u32,
    /// How many of them send.
    pub(crate) senders: u32,
    /// How many of them are healthy.
    pub(crate) healthy: u32,
}

/// What one thread has to do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Share {
    /// Its rooms.
    pub(crate) rooms: Vec<RoomPlan>,
    /// The members of its rooms, room by room.
    pub(crate) clients: Vec<ClientPlan>,
}

/// Shares the clients of a run out: every room to one of `scenario.threads` threads in turn.
/// Threads that would have nothing are left out. `sources` are used in turn.
pub(crate) fn shares(scenario: &Scenario, sources: &[IpAddr]) -> Vec<Share> {
    let rooms = scenario.rooms();
    let threads = scenario.threads.min(rooms);
    let period = Period::of_rate(scenario.phase_hz());
    let phases = phases(scenario.schedule, period, scenario.senders(), scenario.seed);
    let mut next_phase = phases.into_iter();
    let mut next_source = sources.iter().copied().cycle();
    let misbehaving = misbehaving(scenario);
    let mut shares = vec![Share::default(); threads];
    for number in 0..rooms {
        let share = &mut shares[number % threads];
        let members = scenario.members_of(number);
        let senders = scenario.senders_of(number);
        let last = misbehaving.get(&number).map_or(&[][..], Vec::as_slice);
        let healthy = members - last.len();
        let room = share.rooms.len() as u32;
        share.rooms.push(RoomPlan {
            number: number as u32,
            members: members as u32,
            senders: senders as u32,
            healthy: healthy as u32,
        });
        for member in 0..members {
            let role = match member.checked_sub(healthy) {
                Some(index) => last[index],
                None => Role::Healthy,
            };
            share.clients.push(ClientPlan {
                room,
                member: member as u32,
                role,
                phase: if member < senders {
                    next_phase.next()
                } else {
                    None
                },
                source: next_source.next(),
            });
        }
    }
    shares
}

/// Cores that a generator may use without taking them from a server at `target`.
pub(crate) fn cores_of_generator(target: SocketAddr) -> usize {
    if target.ip().is_loopback() {
        return default_threads();
    }
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// The misbehaving of each room, one to each room in turn until all are placed.
fn misbehaving(scenario: &Scenario) -> HashMap<usize, Vec<Role>> {
    let roles = [
        (Role::Slow, scenario.slow_readers),
        (Role::Stalling, scenario.stalling_readers),
        (Role::Churning, scenario.churners()),
    ];
    let roles = roles
        .into_iter()
        .flat_map(|(role, count)| std::iter::repeat_n(role, count));
    let mut placed: HashMap<usize, Vec<Role>> = HashMap::new();
    let mut room = 0;
    for role in roles.take(scenario.clients) {
        loop {
            let here = room % scenario.rooms();
            room += 1;
            let taken = placed.get(&here).map_or(0, Vec::len);
            if taken < scenario.members_of(here) {
                placed.entry(here).or_default().push(role);
                break;
            }
        }
    }
    placed
}

/// The addresses to connect from: those of the scenario, or, to a loopback address with more
/// clients than one address has ports, as many loopback addresses as it takes. Empty: any.
pub(crate) fn sources(scenario: &Scenario, target: SocketAddr) -> Vec<IpAddr> {
    if !scenario.source_addresses.is_empty() {
        let same_family = |ip: &&IpAddr| ip.is_ipv4() == target.is_ipv4();
        let fitting = scenario.source_addresses.iter().filter(same_family);
        return fitting.copied().collect();
    }
    let loopback = matches!(target.ip(), IpAddr::V4(ip) if ip.is_loopback());
    if !loopback || scenario.clients <= PORTS_PER_ADDRESS || !cfg!(target_os = "linux") {
        return Vec::new();
    }
    let count = scenario.clients.div_ceil(PORTS_PER_ADDRESS) as u32;
    let first = u32::from(Ipv4Addr::LOCALHOST);
    let address = |i| IpAddr::V4(Ipv4Addr::from(first + i));
    (0..count).map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Target;

    fn scenario(clients: usize, room_size: usize, senders: usize) -> Scenario {
        let target = Target::parse("ws://127.0.0.1:1").expect("valid");
        Scenario {
            clients,
            room_size,
            senders_per_room: senders,
            ..Scenario::new(target, 1)
        }
    }

    #[test]
    fn everyone_has_one_place() {
        let scenario = Scenario {
            threads: 3,
            ..scenario(25, 4, 2)
        };
        let shares = shares(&scenario, &[]);
        assert_eq!(shares.len(), 3);
        let rooms: Vec<_> = shares.iter().flat_map(|s| &s.rooms).collect();
        assert_eq!(rooms.len(), 7);
        assert_eq!(rooms.iter().map(|r| r.members).sum::<u32>(), 25);
        assert_eq!(shares.iter().map(|s| s.clients.len()).sum::<usize>(), 25);
        let mut phases: Vec<_> = shares
            .iter()
            .flat_map(|s| &s.clients)
            .filter_map(|c| c.phase)
            .collect();
        phases.sort_unstable();
        assert_eq!(phases.len(), 13);
        assert_eq!(phases.len(), scenario.senders());
        assert!(phases.windows(2).all(|w| w[0] < w[1]));
        for share in &shares {
            for client in &share.clients {
                let room = share.rooms[client.room as usize];
                assert!(client.member < room.members);
                assert_eq!(client.phase.is_some(), client.member < room.senders);
                assert_eq!(client.role, Role::Healthy);
                assert_eq!(client.source, None);
            }
        }
    }

    #[test]
    fn threads_without_a_room_do_not_exist() {
        let scenario = Scenario {
            threads: 8,
            ..scenario(10, 10, 10)
        };
        assert_eq!(shares(&scenario, &[]).len(), 1);
    }

    #[test]
    fn the_misbehaving_are_spread_and_last() {
        let scenario = Scenario {
            slow_readers: 3,
            stalling_readers: 2,
            churn: 1.5,
            ..scenario(13, 4, 4)
        };
        let shares = shares(&scenario, &[]);
        let roles = |room: u32| -> Vec<Role> {
            let of_room = shares[0].clients.iter().filter(|c| c.room == room);
            of_room.map(|c| c.role).collect()
        };
        use Role::{Churning as C, Healthy as H, Slow as S, Stalling as T};
        assert_eq!(roles(0), [H, H, S, T]);
        assert_eq!(roles(1), [H, H, S, C]);
        assert_eq!(roles(2), [H, H, S, C]);
        assert_eq!(roles(3), [T]);
        let healthy: Vec<_> = shares[0].rooms.iter().map(|r| r.healthy).collect();
        assert_eq!(healthy, [2, 2, 2, 0]);
    }

    #[test]
    fn sources_are_used_in_turn() {
        let ips: Vec<IpAddr> = ["127.0.0.2", "127.0.0.3"]
            .iter()
            .map(|ip| ip.parse().expect("valid"))
            .collect();
        let shares = shares(&scenario(5, 5, 5), &ips);
        let used: Vec<_> = shares[0].clients.iter().filter_map(|c| c.source).collect();
        assert_eq!(used, [ips[0], ips[1], ips[0], ips[1], ips[0]]);
    }

    #[test]
    fn many_clients_on_loopback_get_more_addresses() {
        let loopback: SocketAddr = "127.0.0.1:7777".parse().expect("valid");
        let remote: SocketAddr = "192.0.2.1:7777".parse().expect("valid");
        let count = |clients, target| sources(&scenario(clients, 10, 10), target).len();
        assert_eq!(count(28_000, loopback), 0);
        assert_eq!(count(28_001, remote), 0);
        if cfg!(target_os = "linux") {
            assert_eq!(count(28_001, loopback), 2);
            assert_eq!(count(100_000, loopback), 4);
        }
        let given = Scenario {
            source_addresses: vec![
                "::1".parse().expect("valid"),
                "127.0.0.9".parse().expect("valid"),
            ],
            ..scenario(1, 1, 1)
        };
        assert_eq!(
            sources(&given, loopback),
            ["127.0.0.9".parse::<IpAddr>().expect("valid")]
        );
    }
}
