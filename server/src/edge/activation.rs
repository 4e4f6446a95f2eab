//! Socket activation: listeners that a supervisor has opened and passes to each process that it starts (`LISTEN_FDS`,
//! sd_listen_fds(3)).
//!
//! Owns: what each passed socket is for. Must not know: reactors. Invariant: a passed socket is served or named in an error.

use std::net::{SocketAddr, TcpListener};
use std::{env, io};

use listenfd::ListenFd;
use thiserror::Error;

use super::doors::{Door, Inheritance, Wish};
use crate::transport::Port;

/// Why a passed socket can't be served, in words for the operator.
#[derive(Debug, Error)]
pub enum Unusable {
    /// No listener of TCP.
    #[error("can't use socket {number} of those that were passed (LISTEN_FDS): {source}")]
    NoListener {
        /// Its number among them, from 1.
        number: usize,
        /// What is wrong with it.
        source: io::Error,
    },
    /// What is to be spoken there?
    #[error(
        "the socket that was passed for {0} is neither ws nor wss: name it so (FileDescriptorName=), or give its address by \
         --listen or --listen-tls"
    )]
    Unnamed(SocketAddr),
    /// It is for wss.
    #[error("the socket that was passed for {0} is for wss: give --tls-cert and --tls-key")]
    NoCertificate(SocketAddr),
}

/// What this process was started with.
pub struct Passed {
    sockets: ListenFd,
    names: Vec<String>,
}

impl Passed {
    /// Takes it out of the environment, so that no program that this one starts takes it for its own. To be called before
    /// there is another thread.
    pub fn to_this_process() -> Self {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        Self {
            sockets: ListenFd::from_env(),
            names: names.split(':').map(str::to_owned).collect(),
        }
    }

    /// The doors that these are: by their names, else by the addresses that are asked for.
    ///
    /// # Errors
    ///
    /// The first socket that can't be used.
    pub fn doors(mut self, wishes: &[Wish]) -> Result<Inheritance, Unusable> {
        if self.sockets.len() == 0 {
            return Ok(Inheritance::default());
        }
        let mut passed: Vec<(Port, SocketAddr, Vec<TcpListener>)> = Vec::new();
        for at in 0..self.sockets.len() {
            let unusable = |source| Unusable::NoListener {
                number: at + 1,
                source,
            };
            let taken = self.sockets.take_tcp_listener(at).map_err(unusable)?;
            let listener = taken
                .ok_or(io::ErrorKind::NotFound.into())
                .map_err(unusable)?;
            let bound = listener.local_addr().map_err(unusable)?;
            let port = port_of(self.names.get(at).map(String::as_str), bound, wishes)?;
            let same =
                |(of, address, _): &&mut (Port, SocketAddr, _)| (*of, *address) == (port, bound);
            // One for each process or thread of the same address (ReusePort=).
            match passed.iter_mut().find(same) {
                Some((.., listeners)) => listeners.push(listener),
                None => passed.push((port, bound, vec![listener])),
            }
        }
        let doors = passed
            .into_iter()
            .enumerate()
            .map(|(at, (port, _, listeners))| {
                Door::inherited(port, None, listeners).map_err(|source| Unusable::NoListener {
                    number: at + 1,
                    source,
                })
            });
        Ok(Inheritance::All(doors.collect::<Result<_, _>>()?))
    }
}

/// What is spoken at a socket of this name that is bound there.
fn port_of(name: Option<&str>, bound: SocketAddr, wishes: &[Wish]) -> Result<Port, Unusable> {
    let asked = || wishes.iter().find(|wish| wish.address == bound);
    let port = match name {
        Some("ws") => Port::Plain,
        Some("wss") => Port::Tls,
        _ => asked().ok_or(Unusable::Unnamed(bound))?.port,
    };
    let has_tls = wishes.iter().any(|wish| wish.port == Port::Tls);
    if port == Port::Tls && !has_tls {
        return Err(Unusable::NoCertificate(bound));
    }
    Ok(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_is_spoken_and_else_the_address_does() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let wish = |port, address| Wish {
            port,
            address: at(address),
            by_default: false,
        };
        let plain = wish(Port::Plain, "[::]:80");
        let both = [plain, wish(Port::Tls, "[::]:443")];
        let of = |name, bound, wishes: &[Wish]| port_of(name, at(bound), wishes).ok();
        assert_eq!(of(Some("ws"), "[::]:1", &both), Some(Port::Plain));
        assert_eq!(of(Some("wss"), "[::]:1", &both), Some(Port::Tls));
        assert_eq!(
            of(Some("roomcast.socket"), "[::]:443", &both),
            Some(Port::Tls)
        );
        assert_eq!(of(None, "[::]:80", &both), Some(Port::Plain));
        assert_eq!(of(None, "[::]:81", &both), None);
        assert_eq!(of(Some("wss"), "[::]:1", &[plain]), None);
    }
}
