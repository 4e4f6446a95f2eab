//! Flags of the control plane: where and by whom it is asked.
//!
//! Owns: how these are called and told. Must not know: what is asked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::{fmt, io};

use clap::Args;

use super::access::parse_host;
use super::units::parse_address;
use crate::control::{Door, Place, Rights, Token};
use crate::shard::HostName;

/// The part of the command line that is about operators.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Operation")]
pub struct AdminFlags {
    /// Serve metrics and the admin API here: an address of this machine alone (127.0.0.1:9777), or unix:PATH, a socket for its
    /// owner and its group. Several times for several; in the environment, separated by commas. Other addresses need
    /// --metrics-token-file, and the text goes over them as it is [default: nowhere]
    #[arg(long, env = "ROOMCAST_ADMIN", value_name = "IP:PORT|unix:PATH", value_delimiter = ',', value_parser = parse_place)]
    admin: Vec<Place>,

    /// Only who knows the first line of this file may read metrics (Authorization: Bearer …) [default: whoever reaches
    /// --admin]
    #[arg(
        long,
        env = "ROOMCAST_METRICS_TOKEN_FILE",
        value_name = "FILE",
        requires = "admin"
    )]
    metrics_token_file: Option<PathBuf>,

    /// Who knows the first line of this file may use the admin API (Authorization: Bearer …), and read metrics. Without,
    /// whoever may open a socket of --admin may, and nobody over TCP
    #[arg(
        long,
        env = "ROOMCAST_ADMIN_TOKEN_FILE",
        value_name = "FILE",
        requires = "admin"
    )]
    admin_token_file: Option<PathBuf>,

    /// Names by which --admin may be asked, beside addresses and localhost: what other names lead here is not answered, since
    /// pages can make them. Several times for several; in the environment, separated by commas
    #[arg(long, env = "ROOMCAST_ADMIN_ALLOW_HOST", value_name = "NAME", value_delimiter = ',', value_parser = parse_host,
        requires = "admin")]
    admin_allow_host: Vec<HostName>,
}

/// Why the control plane can't be reached as it was asked for.
#[derive(Debug)]
pub struct Unreachable {
    what: String,
    source: io::Error,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.source)?;
        if self.source.kind() == io::ErrorKind::AddrInUse {
            f.write_str(" (another program has it: stop it, or choose another place)")?;
        }
        Ok(())
    }
}

impl std::error::Error for Unreachable {}

impl AdminFlags {
    /// Whether there is a control plane.
    pub fn is_on(&self) -> bool {
        !self.admin.is_empty()
    }

    /// The addresses among its places.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.admin.iter().filter_map(|place| match place {
            Place::Tcp(address) => Some(*address),
            Place::Unix(_) => None,
        })
    }

    /// Whether its places and what is asked for there agree.
    ///
    /// # Errors
    ///
    /// One line that names the flags and says what to do.
    pub fn agree(&self) -> Result<(), String> {
        match self.open_to_all() {
            Some(open) => Err(format!(
                "--admin {open} is open to others: give --metrics-token-file with it, or an address like 127.0.0.1:{}",
                open.port()
            )),
            None => Ok(()),
        }
    }

    /// A place that more than this machine reaches, and at which nobody would be asked for a token.
    fn open_to_all(&self) -> Option<SocketAddr> {
        let mut open = self.admin.iter().filter_map(|place| match place {
            Place::Tcp(address) if !address.ip().to_canonical().is_loopback() => Some(*address),
            _ => None,
        });
        open.next().filter(|_| self.metrics_token_file.is_none())
    }

    /// Who may ask.
    ///
    /// # Errors
    ///
    /// When a file can't be used.
    pub fn rights(&self) -> Result<Rights, Unreachable> {
        let read = |path: &PathBuf| {
            Token::read(path).map_err(|source| Unreachable {
                what: format!("can't use the token in {}", path.display()),
                source,
            })
        };
        Ok(Rights {
            scrape: self.metrics_token_file.as_ref().map(read).transpose()?,
            command: self.admin_token_file.as_ref().map(read).transpose()?,
            hosts: self.admin_allow_host.clone(),
        })
    }

    /// Opens its doors.
    ///
    /// # Errors
    ///
    /// When one can't be opened.
    pub fn doors(&self) -> Result<Vec<Door>, Unreachable> {
        let open = |place: &Place| {
            Door::open(place).map_err(|source| Unreachable {
                what: format!("can't serve --admin at {place}"),
                source,
            })
        };
        self.admin.iter().map(open).collect()
    }
}

/// A place where the control plane is, or is to be.
pub fn parse_place(text: &str) -> Result<Place, String> {
    match text.strip_prefix("unix:") {
        Some("") => Err("give a path behind unix:".to_owned()),
        Some(path) => Ok(Place::Unix(path.into())),
        None => parse_address(text)
            .map(Place::Tcp)
            .map_err(|line| format!("{line}; or unix: and a path")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        assert_eq!(
            parse_place("unix:/run/roomcast/admin.sock"),
            Ok(Place::Unix("/run/roomcast/admin.sock".into()))
        );
        let address = "127.0.0.1:9777";
        assert_eq!(
            parse_place(address),
            Ok(Place::Tcp(address.parse().unwrap()))
        );
        for wrong in ["unix:", "9777", "localhost:9777", "/run/admin.sock"] {
            assert!(parse_place(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_that_others_reach_needs_a_token() {
        let flags = |place: &str, token: Option<&str>| AdminFlags {
            admin: vec![parse_place(place).unwrap()],
            metrics_token_file: token.map(PathBuf::from),
            admin_token_file: None,
            admin_allow_host: Vec::new(),
        };
        for local in [
            "127.0.0.1:9777",
            "[::1]:9777",
            "[::ffff:127.0.0.1]:9777",
            "unix:/a",
        ] {
            assert_eq!(flags(local, None).open_to_all(), None, "{local}");
        }
        for open in ["0.0.0.0:9777", "[::]:9777", "10.0.0.7:9777"] {
            assert!(flags(open, None).open_to_all().is_some(), "{open}");
            assert_eq!(flags(open, Some("token")).open_to_all(), None, "{open}");
        }
    }
}
