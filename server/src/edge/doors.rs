//! Doors: the addresses at which players come in, opened here or inherited with who waits there.
//!
//! Owns: listeners until reactors have them. Must not know: whom they were inherited from. Invariant: whoever waits at a
//! listener that was inherited is accepted, however many listeners and reactors there are.

use std::net::{SocketAddr, TcpListener};
use std::{io, vec};

use super::Failure;
use crate::reactor::{KERNEL_SPREADS, adopt, listen};
use crate::transport::Port;

/// An address that is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// What is to be spoken there.
    pub port: Port,
    /// As it was asked for.
    pub address: SocketAddr,
    /// Only because nobody asked for another.
    pub by_default: bool,
}

/// The listeners of one address.
#[derive(Debug)]
pub struct Door {
    /// What is spoken.
    pub port: Port,
    /// As it was asked for.
    pub given: SocketAddr,
    /// What port 0 turned into.
    pub bound: SocketAddr,
    /// One for each reactor where the kernel spreads connections, else one; other numbers if they are inherited.
    pub listeners: Vec<TcpListener>,
}

/// Doors that somebody else has opened.
#[derive(Debug)]
pub enum Inheritance {
    /// Others may be opened beside them.
    Some(Vec<Door>),
    /// No others but those that are asked for. Who passed them keeps them open for the next process.
    All(Vec<Door>),
}

impl Default for Inheritance {
    fn default() -> Self {
        Self::Some(Vec::new())
    }
}

impl Inheritance {
    /// Whether whoever passed them decides which doors there are, and keeps them.
    pub fn are_all(&self) -> bool {
        matches!(self, Self::All(_))
    }
}

impl Door {
    fn open(wish: &Wish, reactors: usize) -> Result<Self, Failure> {
        let address = wish.address;
        let opened = listen(address, width(reactors)).map_err(|source| Failure::Listen {
            flag: flag_of(wish.port),
            address,
            source,
        });
        let listeners = opened?;
        let bound = listeners[0].local_addr().unwrap_or(address);
        Ok(Self {
            port: wish.port,
            given: address,
            bound,
            listeners,
        })
    }

    /// A door that somebody else has opened, asked for as `given` (as what it is bound to, if that is not known).
    ///
    /// # Errors
    ///
    /// When one of these does not listen, or there is none.
    pub fn inherited(
        port: Port,
        given: Option<SocketAddr>,
        listeners: Vec<TcpListener>,
    ) -> io::Result<Self> {
        listeners.iter().try_for_each(adopt)?;
        let first = listeners.first().ok_or(io::ErrorKind::InvalidInput)?;
        let bound = first.local_addr()?;
        Ok(Self {
            port,
            given: given.unwrap_or(bound),
            bound,
            listeners,
        })
    }

    fn is_wished(&self, wish: &Wish) -> bool {
        self.port == wish.port && [self.given, self.bound].contains(&wish.address)
    }

    /// Each reactor's listener, as often as it takes for all of them to have a reactor. With fewer listeners than reactors,
    /// some share one: whoever is first accepts.
    fn rows(&self, reactors: usize) -> io::Result<Vec<Row>> {
        let width = width(reactors);
        let listeners = |row: usize| {
            let own = self.listeners.iter().cycle().skip(row * width).take(width);
            let copies = own.map(|own| Ok(mio::net::TcpListener::from_std(own.try_clone()?)));
            copies.collect::<io::Result<Vec<_>>>()
        };
        let rows = (0..self.listeners.len().div_ceil(width)).map(|row| {
            Ok(Row {
                port: self.port,
                given: self.given,
                bound: self.bound,
                listeners: listeners(row)?.into_iter(),
            })
        });
        rows.collect()
    }
}

/// What reactors know as one door: a listener of the same address for each.
#[derive(Debug)]
pub struct Row {
    /// What is spoken.
    pub port: Port,
    /// As it was asked for.
    pub given: SocketAddr,
    /// What port 0 turned into.
    pub bound: SocketAddr,
    /// In the order of the reactors.
    pub listeners: vec::IntoIter<mio::net::TcpListener>,
}

/// Doors at all these addresses: inherited ones where there are any, ws before wss.
///
/// # Errors
///
/// What listening at the others says.
pub fn open(
    wishes: &[Wish],
    inheritance: Inheritance,
    reactors: usize,
) -> Result<Vec<Door>, Failure> {
    let are_all = inheritance.are_all();
    let (Inheritance::Some(mut inherited) | Inheritance::All(mut inherited)) = inheritance;
    let mut doors = Vec::new();
    for wish in wishes {
        if let Some(at) = inherited.iter().position(|door| door.is_wished(wish)) {
            doors.push(Door {
                given: wish.address,
                ..inherited.swap_remove(at)
            });
        } else if !(are_all && wish.by_default) {
            doors.push(Door::open(wish, reactors)?);
        }
    }
    if are_all {
        doors.append(&mut inherited);
    }
    for door in inherited {
        tracing::warn!(
            "nobody listens on {} any more: the process before did, and {} does not name it",
            door.bound,
            flag_of(door.port)
        );
    }
    doors.sort_by_key(|door| door.port == Port::Tls);
    Ok(doors)
}

/// What reactors are given of these doors.
///
/// # Errors
///
/// When there are no descriptors for it.
pub fn rows(doors: &[Door], reactors: usize) -> io::Result<Vec<Row>> {
    let rows: io::Result<Vec<_>> = doors.iter().map(|door| door.rows(reactors)).collect();
    Ok(rows?.into_iter().flatten().collect())
}

/// The port of wss, the first if there are several.
pub fn port_of_tls(doors: &[Door]) -> u16 {
    let tls = doors.iter().find(|door| door.port == Port::Tls);
    tls.map_or(0, |door| door.bound.port())
}

/// The flag that asks for such an address.
pub const fn flag_of(port: Port) -> &'static str {
    match port {
        Port::Plain => "--listen",
        Port::Tls => "--listen-tls",
    }
}

/// How connections are secured there, as metrics say it.
pub const fn security_of(port: Port) -> &'static str {
    match port {
        Port::Plain => "plain",
        Port::Tls => "tls",
    }
}

/// How many reactors accept.
const fn width(reactors: usize) -> usize {
    if KERNEL_SPREADS { reactors } else { 1 }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::fd::AsFd;

    use rustix::fs::fstat;

    use super::*;

    fn wish(address: &str) -> Wish {
        Wish {
            port: Port::Plain,
            address: address.parse().unwrap(),
            by_default: false,
        }
    }

    fn sockets(listeners: impl IntoIterator<Item = impl AsFd>) -> BTreeSet<u64> {
        let inode = |socket| fstat(socket).unwrap().st_ino;
        listeners.into_iter().map(inode).collect()
    }

    /// Whatever the numbers, every socket is accepted from, and every reactor has the same doors.
    #[test]
    #[cfg(target_os = "linux")]
    fn every_inherited_listener_has_a_reactor() {
        for (before, after) in [(1, 1), (1, 4), (2, 4), (3, 2), (4, 1), (5, 5)] {
            let opened = Door::open(&wish("127.0.0.1:0"), before).unwrap();
            let all = sockets(&opened.listeners);
            assert_eq!(all.len(), before);
            let door = Door::inherited(Port::Plain, None, opened.listeners).unwrap();
            let rows = rows(&[door], after).unwrap();
            assert!(rows.iter().all(|row| row.listeners.len() == after));
            let given = rows.into_iter().flat_map(|row| row.listeners);
            assert_eq!(sockets(given), all, "{before} for {after}");
        }
    }

    #[test]
    fn what_is_inherited_is_not_opened_again() {
        let first = Door::open(&wish("127.0.0.1:0"), 2).unwrap();
        let bound = first.bound;
        let by_name = open(&[wish("127.0.0.1:0")], Inheritance::Some(vec![first]), 2);
        let [again] = <[Door; 1]>::try_from(by_name.unwrap()).unwrap();
        assert_eq!(again.bound, bound, "it was asked for by the same words");
        let asked = wish(&bound.to_string());
        let [again] =
            <[Door; 1]>::try_from(open(&[asked], Inheritance::Some(vec![again]), 2).unwrap())
                .unwrap();
        assert_eq!(again.bound, bound, "or by what they have become");
        let other = Wish {
            port: Port::Tls,
            ..asked
        };
        let taken = open(&[other], Inheritance::Some(vec![again]), 1);
        assert!(taken.is_err(), "wss is no ws");
    }

    #[test]
    fn beside_passed_doors_nothing_is_opened_that_nobody_asked_for() {
        let passed = Door::open(&wish("127.0.0.1:0"), 1).unwrap();
        let bound = passed.bound;
        let default = Wish {
            by_default: true,
            ..wish("127.0.0.1:0")
        };
        // Its own address is not that of the passed one.
        let default = Wish {
            port: Port::Tls,
            ..default
        };
        let doors = open(
            &[default, wish("127.0.0.2:0")],
            Inheritance::All(vec![passed]),
            1,
        );
        let bounds: Vec<_> = doors.unwrap().iter().map(|door| door.bound.ip()).collect();
        let asked = "127.0.0.2".parse().unwrap();
        assert_eq!(bounds, [asked, bound.ip()]);
    }

    #[test]
    fn what_does_not_listen_is_no_door() {
        let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let refused = Door::inherited(Port::Plain, None, vec![bound.unwrap().into()]);
        assert!(refused.unwrap_err().to_string().contains("does not listen"));
        assert!(Door::inherited(Port::Plain, None, Vec::new()).is_err());
    }
}
