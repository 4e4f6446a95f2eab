//! The gate: by which name a request may ask for a seat, and from which pages.
//!
//! Owns: the names and origins that the operator allows. Must not know: tickets, sockets, addresses. Invariant: a page of
//! the internet that has its own name lead to this machine (DNS rebinding) gets nothing at a door that only this machine
//! reaches: its browser says that name.

use roomcast_protocol::upgrade::Refusal;

/// A name, or all below one.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Exactly(String),
    /// What stands behind the `*`, with its dot.
    Below(String),
}

impl Name {
    /// `text` in lower case.
    fn of(text: &str) -> Option<Self> {
        let is_name = |name: &str| {
            let labels = name.split('.').all(|label| !label.is_empty());
            labels && name.bytes().all(is_of_name)
        };
        match text.strip_prefix('*') {
            Some(below) => {
                let named = below.strip_prefix('.').is_some_and(is_name);
                named.then(|| Self::Below(below.to_owned()))
            }
            None if text.starts_with('[') && text.ends_with(']') => {
                Some(Self::Exactly(text.to_owned()))
            }
            None => is_name(text).then(|| Self::Exactly(text.to_owned())),
        }
    }

    fn covers(&self, name: &str) -> bool {
        match self {
            Self::Exactly(own) => own.eq_ignore_ascii_case(name),
            Self::Below(end) => name.len().checked_sub(end.len()).is_some_and(|at| {
                let (beginning, rest) = (name.get(..at), name.get(at..));
                beginning.is_some_and(|label| !label.is_empty() && label.bytes().all(is_of_name))
                    && rest.is_some_and(|rest| rest.eq_ignore_ascii_case(end))
            }),
        }
    }
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// A name that requests may say in their Host field, whatever the port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(Name);

impl HostName {
    /// `play.example.com`, `*.example.com`, `[2001:db8::1]`.
    pub fn of(text: &str) -> Option<Self> {
        Name::of(&text.to_ascii_lowercase()).map(Self)
    }

    /// Whether a request says this name that has this Host field.
    pub fn is_said_by(&self, host: &str) -> bool {
        let (name, _) = split_port(host);
        self.0.covers(name.strip_suffix('.').unwrap_or(name))
    }
}

/// Pages that may connect: `https://play.example.com`, `https://*.example.com:8443`, or `null` (files, sandboxes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Those that have none.
    Null,
    /// Those with this scheme, name and port.
    Of {
        /// With its `://`.
        scheme: &'static str,
        /// Whose.
        host: HostName,
        /// With its colon; empty for the scheme's own.
        port: String,
    },
}

impl Origin {
    /// As an operator writes it.
    pub fn of(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        if text == "null" {
            return Some(Self::Null);
        }
        let (scheme, own_port) = [("https://", ":443"), ("http://", ":80")]
            .into_iter()
            .find(|(scheme, _)| text.starts_with(scheme))?;
        let (host, port) = split_port(&text[scheme.len()..]);
        let number = port.strip_prefix(':');
        if number.is_some_and(|number| number.parse::<u16>().is_err()) {
            return None;
        }
        // A browser leaves it out.
        let port = if port == own_port { "" } else { port };
        Some(Self::Of {
            scheme,
            host: HostName::of(host)?,
            port: port.to_owned(),
        })
    }

    fn covers(&self, origin: &str) -> bool {
        match self {
            Self::Null => origin == "null",
            Self::Of { scheme, host, port } => {
                origin.strip_prefix(scheme).is_some_and(|authority| {
                    let (name, said) = split_port(authority);
                    host.0.covers(name) && said == port
                })
            }
        }
    }
}

/// A name, and what follows it: a port with its colon, or nothing.
fn split_port(authority: &str) -> (&str, &str) {
    let colon = authority.rfind(':').filter(|&colon| {
        let in_brackets = authority[colon..].contains(']');
        !in_brackets
    });
    authority.split_at(colon.unwrap_or(authority.len()))
}

/// A name by which a browser reaches the machine that it runs on, and nothing else.
fn is_loopback(name: &str) -> bool {
    let bare = name.strip_suffix('.').unwrap_or(name);
    let literal = bare
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    let address = literal.unwrap_or(bare).parse::<std::net::IpAddr>();
    match address {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => {
            let is_below = Name::Below(".localhost".to_owned()).covers(bare);
            is_below || bare.eq_ignore_ascii_case("localhost")
        }
    }
}

/// Whether a page may have had the name in this Host field lead to this machine: it is no address, nor this machine's own.
pub fn can_be_rebound(host: &str) -> bool {
    let (name, _) = split_port(host);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    !is_loopback(name) && bare.parse::<std::net::IpAddr>().is_err()
}

/// Who may ask for a seat.
#[derive(Debug, Default)]
pub struct Gate {
    /// Pages that may; all of them if none is named.
    pub origins: Vec<Origin>,
    /// Names that requests may say; all of them if none is named, but at doors that only this machine reaches.
    pub hosts: Vec<HostName>,
    /// By the number of a door, whether only this machine reaches it.
    pub loopback: Vec<bool>,
    /// By the number of a door, whether a proxy says first where a connection comes from.
    pub announced: Vec<bool>,
}

impl Gate {
    /// Whether only this machine reaches the door of that number.
    pub(super) fn is_loopback(&self, door: usize) -> bool {
        self.loopback.get(door).copied().unwrap_or_default()
    }

    /// Whether a proxy says first where connections come from that come by the door of that number.
    pub(super) fn is_announced(&self, door: usize) -> bool {
        self.announced.get(door).copied().unwrap_or_default()
    }

    /// Whether pages of this origin may connect. What says none is no page.
    pub(super) fn lets_in(&self, origin: Option<&str>) -> bool {
        let Some(origin) = origin else { return true };
        self.origins.is_empty() || self.origins.iter().any(|allowed| allowed.covers(origin))
    }

    /// Whether a request that says this host and origin may ask for a seat; it came by a door that only this machine
    /// reaches, and from there, if it is `local`. What says no host is no browser.
    pub(super) fn admit(
        &self,
        host: Option<&str>,
        origin: Option<&str>,
        local: bool,
    ) -> Result<(), Refusal> {
        if let Some(host) = host {
            let (name, _) = split_port(host);
            let anyone = self.hosts.is_empty() && !local;
            let known = anyone
                || self.hosts.iter().any(|allowed| allowed.is_said_by(host))
                || (local && is_loopback(name));
            if !known {
                return Err(Refusal::HostNotAllowed);
            }
        }
        if self.lets_in(origin) {
            Ok(())
        } else {
            Err(Refusal::OriginNotAllowed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(origins: &[&str], hosts: &[&str]) -> Gate {
        Gate {
            origins: origins
                .iter()
                .map(|text| Origin::of(text).unwrap())
                .collect(),
            hosts: hosts
                .iter()
                .map(|text| HostName::of(text).unwrap())
                .collect(),
            loopback: vec![true, false],
            announced: vec![],
        }
    }

    #[test]
    fn a_local_door_goes_by_local_names_only() {
        let none = gate(&[], &[]);
        let named = gate(&[], &["play.example.com", "*.eu.example.com"]);
        // Host; at a local door, at another; the same with names allowed.
        for (host, verdicts) in [
            ("localhost:7777", [true, true, true, false]),
            ("LocalHost", [true, true, true, false]),
            ("localhost.", [true, true, true, false]),
            ("game.localhost:1", [true, true, true, false]),
            ("127.0.0.1:7777", [true, true, true, false]),
            ("127.9.9.9", [true, true, true, false]),
            ("[::1]:7777", [true, true, true, false]),
            ("[::ffff:127.0.0.1]", [true, true, true, false]),
            ("evil.example", [false, true, false, false]),
            ("localhost.evil.example", [false, true, false, false]),
            ("notlocalhost", [false, true, false, false]),
            ("10.0.0.1", [false, true, false, false]),
            ("Play.example.com:443", [false, true, true, true]),
            ("play.example.com.", [false, true, true, true]),
            ("a.eu.example.com", [false, true, true, true]),
            ("a.b.eu.example.com", [false, true, true, true]),
            ("eu.example.com", [false, true, false, false]),
            (".eu.example.com", [false, true, false, false]),
            ("aeu.example.com", [false, true, false, false]),
        ] {
            let judged = [
                (&none, true),
                (&none, false),
                (&named, true),
                (&named, false),
            ]
            .map(|(gate, local)| gate.admit(Some(host), None, local).is_ok());
            assert_eq!(judged, verdicts, "{host}");
        }
        assert!(none.admit(None, None, true).is_ok(), "a health check");
    }

    #[test]
    fn origins_are_compared_whole() {
        let named = gate(
            &[
                "https://play.example.com",
                "http://*.example.org:8080",
                "null",
            ],
            &[],
        );
        for (origin, is_let_in) in [
            ("https://play.example.com", true),
            ("http://play.example.com", false),
            ("https://play.example.com:8443", false),
            ("https://play.example.com.evil.example", false),
            ("https://evil.example/play.example.com", false),
            ("http://a.example.org:8080", true),
            ("http://a.example.org", false),
            ("http://example.org:8080", false),
            ("http://evil.example/.example.org:8080", false),
            ("null", true),
            ("", false),
        ] {
            assert_eq!(named.lets_in(Some(origin)), is_let_in, "{origin}");
        }
        assert!(named.lets_in(None), "no page");
        assert!(gate(&[], &[]).lets_in(Some("https://any.example")));
        let default_port = gate(&["https://a.example:443", "http://a.example:80"], &[]);
        assert!(default_port.lets_in(Some("https://a.example")));
        assert!(default_port.lets_in(Some("http://a.example")));
    }

    #[test]
    fn what_is_no_origin_or_name_is_not_taken_for_one() {
        for text in [
            "play.example.com",
            "ws://a",
            "https://",
            "https://a/b",
            "https://a:x",
            "https://*",
            "*",
            "",
        ] {
            assert_eq!(Origin::of(text), None, "{text}");
        }
        for text in ["", "*", "*example.com", "a:80", "https://a", "a..b", "a b"] {
            assert_eq!(HostName::of(text), None, "{text}");
        }
    }
}
