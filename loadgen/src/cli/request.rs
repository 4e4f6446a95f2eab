//! The flags of the upgrade request: what it says beyond what it must.
//!
//! It owns what each of these flags means. It must not know how a request is written.
//!
//! Invariant: what comes out of here can stand in a request as it is: it ends no line.

use std::str::FromStr;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args};

use crate::scenario::Request;

/// What clients ask for when they join.
#[derive(Clone, Debug, Args)]
pub struct RequestArgs {
    /// Field of every upgrade request, such as 'Authorization: Bearer TOKEN'; repeatable. Its value
    /// is in no report
    #[arg(
        long,
        env = "LOADGEN_HEADER",
        value_name = "NAME: VALUE",
        help_heading = "Target"
    )]
    pub header: Vec<Header>,
    /// Origin of the page that the clients would be of, such as <https://example.org>
    #[arg(long, env = "LOADGEN_ORIGIN", value_name = "ORIGIN", value_parser = parse_value, help_heading = "Target")]
    pub origin: Option<String>,
    /// Subprotocol to ask for; a server that does not choose it lets nobody in
    #[arg(long, env = "LOADGEN_SUBPROTOCOL", value_name = "NAME", value_parser = parse_token, help_heading = "Target")]
    pub subprotocol: Option<String>,
    /// Go where the first client is redirected to, instead of only saying where that is
    #[arg(long, env = "LOADGEN_FOLLOW_REDIRECTS", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new(), help_heading = "Target")]
    pub follow_redirects: bool,
}

/// One value of `--header`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    name: String,
    value: String,
}

/// Fields that loadgen writes itself, and the flags for those that can be chosen.
const OWN: [(&str, &str); 11] = [
    ("host", "--url"),
    ("origin", "--origin"),
    ("sec-websocket-protocol", "--subprotocol"),
    ("connection", ""),
    ("upgrade", ""),
    ("sec-websocket-key", ""),
    ("sec-websocket-version", ""),
    ("sec-websocket-extensions", ""),
    ("sec-websocket-accept", ""),
    ("content-length", ""),
    ("transfer-encoding", ""),
];

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once(':')
            .ok_or("there is no ':' in it; write 'Name: value'")?;
        let name = parse_token(name)?;
        let own = OWN.iter().find(|(own, _)| name.eq_ignore_ascii_case(own));
        match own {
            Some((_, "")) => Err(format!("{name} is part of every handshake as it must be")),
            Some((_, flag)) => Err(format!("{name} is what {flag} is for")),
            None => Ok(Self {
                name,
                value: parse_value(value)?,
            }),
        }
    }
}

/// A token (RFC 9110 section 5.6.2): a field's name, or a subprotocol's.
fn parse_token(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if text.is_empty() || !text.chars().all(allowed) {
        return Err(format!(
            "{text:?} is no name: letters, digits and - . _ ~ make one"
        ));
    }
    Ok(text.to_owned())
}

/// What may stand behind the colon, without the space around it.
fn parse_value(text: &str) -> Result<String, String> {
    let text = text.trim_matches([' ', '\t']);
    match text.chars().find(|c| !matches!(c, '\t' | ' '..='~')) {
        Some(bad) => Err(format!("{bad:?} can't stand in a header")),
        None => Ok(text.to_owned()),
    }
}

impl RequestArgs {
    /// What is described.
    #[must_use]
    pub fn request(&self) -> Request {
        let origin = self.origin.iter();
        let origin = origin.map(|origin| ("Origin".to_owned(), origin.clone()));
        let others = self.header.iter();
        let others = others.map(|header| (header.name.clone(), header.value.clone()));
        Request {
            headers: origin.chain(others).collect(),
            subprotocol: self.subprotocol.clone(),
            follow_redirects: self.follow_redirects,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_fields_of_their_own() {
        let header: Header = "X-Game:  a: b ".parse().unwrap();
        assert_eq!(
            (header.name.as_str(), header.value.as_str()),
            ("X-Game", "a: b")
        );
        for (text, want) in [
            ("X-Game", "no ':'"),
            (": x", "is no name"),
            ("X Game: x", "is no name"),
            ("X: a\r\nY: b", "can't stand"),
            ("host: x", "--url"),
            ("Origin: x", "--origin"),
            ("Sec-WebSocket-Protocol: x", "--subprotocol"),
            ("Upgrade: x", "every handshake"),
        ] {
            let error = text.parse::<Header>().unwrap_err();
            assert!(error.contains(want), "{text}: {error}");
        }
    }
}
