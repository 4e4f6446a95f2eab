//! Where the relay is: a WebSocket URL, taken apart.
//!
//! Owns the reading of URLs. Must not know sockets, nor resolve names.
//! Invariant: what a [`Target`] puts into a request line or a Host field has no control
//! characters, no spaces and no fragment.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// What stands for the room in a path.
const ROOM: &str = "{room}";

/// A relay's address and the path of its rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    secure: bool,
    host: Host,
    port: u16,
    /// Path and query, with exactly one `{room}`.
    template: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Name(String),
    V6(Ipv6Addr),
}

/// Why a URL cannot be used. Each text says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// No `://`.
    #[error("'{0}' has no scheme: write ws://host:port/path, or wss:// for TLS")]
    NoScheme(String),
    /// Neither `ws` nor `wss`.
    #[error("'{0}://' is not a WebSocket URL: write ws://host:port/path, or wss:// for TLS")]
    Scheme(String),
    /// Something after `#`.
    #[error("a WebSocket URL has no #fragment: leave out '#{0}'")]
    Fragment(String),
    /// `user@`.
    #[error("user names and passwords in the URL are not used: leave out what stands before '@'")]
    UserInfo,
    /// Nothing between `//` and the path.
    #[error("the URL has no host: write ws://host:port/path")]
    NoHost,
    /// A host that is neither a name nor an address.
    #[error("'{0}' is not a host name or an address (IPv6 stands in brackets: [::1])")]
    Host(String),
    /// Not 1 to 65535.
    #[error("'{0}' is not a port: 1 to 65535")]
    Port(String),
    /// A space, a control character or something that is not ASCII.
    #[error("the URL contains {0:?}, which must be percent-encoded")]
    Character(char),
    /// `{room}` more than once.
    #[error("{{room}} may stand in the URL only once")]
    Room,
}

impl Target {
    /// Reads a URL: `ws://host[:port][/path][?query]`, or `wss://` for TLS. `{room}` in the path
    /// or query is where the room's name goes; without it, it goes behind the path (behind
    /// `/rooms` if there is no path). Without a port it is 80, or 443 for `wss`.
    ///
    /// # Errors
    /// See [`TargetError`].
    pub fn parse(url: &str) -> Result<Self, TargetError> {
        let url = url.trim();
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| TargetError::NoScheme(url.to_owned()))?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "ws" => false,
            "wss" => true,
            _ => return Err(TargetError::Scheme(scheme.to_owned())),
        };
        if let Some((_, fragment)) = rest.split_once('#') {
            return Err(TargetError::Fragment(fragment.to_owned()));
        }
        if let Some(bad) = rest.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(TargetError::Character(bad));
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(TargetError::UserInfo);
        }
        let (host, port) = split_authority(authority)?;
        Ok(Self {
            secure,
            host: parse_host(host)?,
            port: parse_port(port)?.unwrap_or(default_port(secure)),
            template: template(path)?,
        })
    }

    /// Whether the connection is over TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether the host is this machine by its very name: `localhost` (RFC 6761 section 6.3) or
    /// a loopback address.
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            Host::V6(address) => address.is_loopback(),
            Host::Name(name) => {
                let ip = name.parse::<Ipv4Addr>();
                ip.is_ok_and(|ip| ip.is_loopback())
                    || name == "localhost"
                    || name.ends_with(".localhost")
            }
        }
    }

    /// The host as the resolver takes it: a name or an address without brackets.
    pub fn host(&self) -> String {
        match &self.host {
            Host::Name(name) => name.clone(),
            Host::V6(address) => address.to_string(),
        }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The Host field: with brackets around an IPv6 address, with the port unless it
    /// is the scheme's own.
    pub fn host_field(&self) -> String {
        let host = match &self.host {
            Host::Name(name) => name.clone(),
            Host::V6(address) => format!("[{address}]"),
        };
        if self.port == default_port(self.secure) {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }

    /// The same rooms by way of somebody at this address, who speaks no TLS.
    pub(crate) fn carried_by(&self, address: SocketAddr) -> Self {
        Self {
            secure: false,
            host: match address.ip() {
                IpAddr::V4(ip) => Host::Name(ip.to_string()),
                IpAddr::V6(ip) => Host::V6(ip),
            },
            port: address.port(),
            template: self.template.clone(),
        }
    }

    /// The whole URL of a room.
    pub fn url_of(&self, room: &str) -> String {
        self.to_string().replacen(ROOM, room, 1)
    }

    /// Where a redirection leads (RFC 9110 section 10.2.2): `location` is absolute, of HTTP or
    /// WebSocket, or relative to this. The name of a room in it must be `{room}` already.
    ///
    /// # Errors
    /// See [`TargetError`].
    pub fn redirected(&self, location: &str) -> Result<Self, TargetError> {
        let location = location.split('#').next().unwrap_or_default();
        let scheme = if self.secure { "wss" } else { "ws" };
        let here = format!("{scheme}://{}", self.host_field());
        let url = match location.split_once("://") {
            Some((http, rest)) if http.eq_ignore_ascii_case("http") => format!("ws://{rest}"),
            Some((https, rest)) if https.eq_ignore_ascii_case("https") => format!("wss://{rest}"),
            Some(_) => location.to_owned(),
            None if location.starts_with("//") => format!("{scheme}:{location}"),
            None if location.starts_with('/') => format!("{here}{location}"),
            None => {
                let path = self.template.split('?').next().unwrap_or_default();
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                format!("{here}{folder}/{location}")
            }
        };
        Self::parse(&url)
    }

    /// Path and query of a room.
    pub fn path_of(&self, room: &str) -> String {
        self.template.replacen(ROOM, room, 1)
    }
}

/// The URL, with `{room}` where the room's name goes.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.host_field(), self.template)
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(url: &str) -> Result<Self, TargetError> {
        Self::parse(url)
    }
}

/// Host (with its brackets) and port, if one is written.
fn split_authority(authority: &str) -> Result<(&str, Option<&str>), TargetError> {
    let bad = || TargetError::Host(authority.to_owned());
    if authority.starts_with('[') {
        let close = authority.find(']').ok_or_else(bad)?;
        let (host, rest) = authority.split_at(close + 1);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(bad()),
        };
    }
    match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => Err(bad()),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

fn parse_host(host: &str) -> Result<Host, TargetError> {
    if host.is_empty() {
        return Err(TargetError::NoHost);
    }
    let bad = || TargetError::Host(host.to_owned());
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or_else(bad)?;
        return inner.parse().map(Host::V6).map_err(|_| bad());
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if host.len() > 253 || !host.chars().all(allowed) {
        return Err(bad());
    }
    Ok(Host::Name(host.to_ascii_lowercase()))
}

/// The port of a URL that names none (RFC 6455 section 3).
fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

fn parse_port(port: Option<&str>) -> Result<Option<u16>, TargetError> {
    let Some(port) = port else { return Ok(None) };
    let bad = || TargetError::Port(port.to_owned());
    if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad());
    }
    match port.parse() {
        Ok(0) | Err(_) => Err(bad()),
        Ok(port) => Ok(Some(port)),
    }
}

/// Path and query with exactly one `{room}`.
fn template(path: &str) -> Result<String, TargetError> {
    match path.matches(ROOM).count() {
        0 => {}
        1 if path.starts_with('/') => return Ok(path.to_owned()),
        1 => return Ok(format!("/{path}")),
        _ => return Err(TargetError::Room),
    }
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    let base = match path {
        "" | "/" => "/rooms/",
        path => path,
    };
    let slash = if base.ends_with('/') { "" } else { "/" };
    let query = query.map(|q| format!("?{q}")).unwrap_or_default();
    Ok(format!("{base}{slash}{ROOM}{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirections_lead_elsewhere() {
        let here = Target::parse("ws://a:7777/rooms/{room}?k=1").expect("valid");
        for (location, there) in [
            ("/r2/{room}", "ws://a:7777/r2/{room}"),
            ("other/{room}", "ws://a:7777/rooms/other/{room}"),
            ("//b/rooms/{room}", "ws://b/rooms/{room}"),
            ("https://b/x/{room}?k=2#top", "wss://b/x/{room}?k=2"),
            ("HTTP://b:81/rooms", "ws://b:81/rooms/{room}"),
            ("wss://b", "wss://b/rooms/{room}"),
        ] {
            let target = here.redirected(location).expect(location);
            assert_eq!(target.to_string(), there, "{location}");
        }
        for location in ["ftp://b/", "https:///x", "/{room}/{room}"] {
            assert!(here.redirected(location).is_err(), "{location}");
        }
    }

    #[test]
    fn urls_that_can_be_used() {
        for (url, host, port, field, path) in [
            (
                "ws://127.0.0.1:7777",
                "127.0.0.1",
                7777,
                "127.0.0.1:7777",
                "/rooms/r1",
            ),
            (
                "ws://127.0.0.1:7777/",
                "127.0.0.1",
                7777,
                "127.0.0.1:7777",
                "/rooms/r1",
            ),
            (
                "ws://Example.org",
                "example.org",
                80,
                "example.org",
                "/rooms/r1",
            ),
            (
                "WS://example.org:80/rooms",
                "example.org",
                80,
                "example.org",
                "/rooms/r1",
            ),
            ("ws://h:1/rooms/", "h", 1, "h:1", "/rooms/r1"),
            (
                "ws://h:65535/a/b?x=1&y=%20",
                "h",
                65535,
                "h:65535",
                "/a/b/r1?x=1&y=%20",
            ),
            ("ws://h?x=1", "h", 80, "h", "/rooms/r1?x=1"),
            ("ws://h/c?room={room}&z", "h", 80, "h", "/c?room=r1&z"),
            ("ws://h?room={room}", "h", 80, "h", "/?room=r1"),
            ("ws://h/{room}/ws", "h", 80, "h", "/r1/ws"),
            (
                "ws://[::1]:7777/rooms",
                "::1",
                7777,
                "[::1]:7777",
                "/rooms/r1",
            ),
            (
                "ws://[2001:db8::1]",
                "2001:db8::1",
                80,
                "[2001:db8::1]",
                "/rooms/r1",
            ),
            (" ws://h ", "h", 80, "h", "/rooms/r1"),
            ("wss://h", "h", 443, "h", "/rooms/r1"),
            ("WSS://h:443/x", "h", 443, "h", "/x/r1"),
            ("wss://h:80", "h", 80, "h:80", "/rooms/r1"),
            ("ws://h:443", "h", 443, "h:443", "/rooms/r1"),
            ("wss://[::1]:7443", "::1", 7443, "[::1]:7443", "/rooms/r1"),
        ] {
            let target = Target::parse(url).unwrap_or_else(|e| panic!("{url}: {e}"));
            assert_eq!(target.host(), host, "{url}");
            assert_eq!(target.port(), port, "{url}");
            assert_eq!(target.host_field(), field, "{url}");
            assert_eq!(target.path_of("r1"), path, "{url}");
            assert!(target.url_of("r1").ends_with(path), "{url}");
            let again = target.to_string();
            assert_eq!(Target::parse(&again).as_ref(), Ok(&target), "{again}");
        }
    }

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for (url, secure, loopback) in [
            ("wss://127.0.0.1:7443", true, true),
            ("ws://127.9.9.9", false, true),
            ("wss://localhost", true, true),
            ("wss://a.localhost", true, true),
            ("wss://[::1]", true, true),
            ("wss://localhost.example.org", true, false),
            ("wss://notlocalhost", true, false),
            ("wss://192.0.2.1", true, false),
            ("wss://[2001:db8::1]", true, false),
        ] {
            let target = Target::parse(url).unwrap_or_else(|e| panic!("{url}: {e}"));
            assert_eq!(target.is_secure(), secure, "{url}");
            assert_eq!(target.is_loopback(), loopback, "{url}");
        }
    }

    #[test]
    fn urls_that_cannot() {
        use TargetError as E;
        for (url, error) in [
            ("", E::NoScheme("".into())),
            ("127.0.0.1:7777", E::NoScheme("127.0.0.1:7777".into())),
            ("wss://h/#b", E::Fragment("b".into())),
            ("wss://", E::NoHost),
            ("http://h", E::Scheme("http".into())),
            ("https://h", E::Scheme("https".into())),
            ("ftp://h", E::Scheme("ftp".into())),
            ("ws://h/a#b", E::Fragment("b".into())),
            ("ws://h#", E::Fragment("".into())),
            ("ws://u:p@h/", E::UserInfo),
            ("ws://u@h", E::UserInfo),
            ("ws://", E::NoHost),
            ("ws:///rooms", E::NoHost),
            ("ws://:80/rooms", E::NoHost),
            ("ws://::1/", E::Host("::1".into())),
            ("ws://[::1", E::Host("[::1".into())),
            ("ws://[::1]x", E::Host("[::1]x".into())),
            ("ws://[::g]", E::Host("[::g]".into())),
            ("ws://a,b/", E::Host("a,b".into())),
            ("ws://h:", E::Port("".into())),
            ("ws://h:0", E::Port("0".into())),
            ("ws://h:65536", E::Port("65536".into())),
            ("ws://h:+1", E::Port("+1".into())),
            ("ws://h:http", E::Port("http".into())),
            ("ws://h/a b", E::Character(' ')),
            ("ws://h/a\r\nb", E::Character('\r')),
            ("ws://h/ä", E::Character('ä')),
            ("ws://h/{room}/{room}", E::Room),
        ] {
            assert_eq!(Target::parse(url), Err(error), "{url}");
        }
    }
}
