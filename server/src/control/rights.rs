//! Who may ask what.
//!
//! Owns: tokens and names. Must not know: what is asked. Invariants: a page of the internet whose name leads to this
//! machine (DNS rebinding) is refused by that name; nothing is allowed to pages of other origins (no CORS); how long a
//! comparison of tokens takes says nothing about them.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::{HeaderMap, StatusCode};

use super::trouble::Trouble;
use crate::limits::{CONTROL_TOKEN_MAX, CONTROL_TOKEN_MIN};
use crate::shard::{HostName, can_be_rebound};

/// By which kind of door a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// From anybody who reaches the address, pages in a browser among them.
    Tcp,
    /// From who may open the socket.
    Unix,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    /// To read metrics.
    Scrape,
    /// All else.
    Command,
}

/// A secret that whoever asks has to know.
pub struct Token(Vec<u8>);

impl Token {
    /// The first line of a file.
    ///
    /// # Errors
    ///
    /// When it can't be read, or its first line is too short for a secret or too long for a field.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut text = String::new();
        let most = CONTROL_TOKEN_MAX as u64 + 2;
        File::open(path)?.take(most).read_to_string(&mut text)?;
        let line = text.lines().next().unwrap_or_default().trim();
        let fits = (CONTROL_TOKEN_MIN..=CONTROL_TOKEN_MAX).contains(&line.len());
        let printable = line.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits || !printable {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                format!(
                    "its first line has to be {CONTROL_TOKEN_MIN} to {CONTROL_TOKEN_MAX} printable characters without spaces (try: openssl rand -hex 32)"
                ),
            ));
        }
        Ok(Self(line.as_bytes().to_vec()))
    }

    /// As it stands in the field of a request.
    pub(super) fn field(&self) -> Vec<u8> {
        [&b"Bearer "[..], &self.0].concat()
    }

    fn is(&self, said: &[u8]) -> bool {
        verify_slices_are_equal(&self.0, said).is_ok()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

/// Who may ask what.
#[derive(Debug, Default)]
pub struct Rights {
    /// Who knows it may read metrics; without, everybody may who reaches a door.
    pub scrape: Option<Token>,
    /// Who knows it may do everything; without, everybody may who can open a Unix socket, and nobody else.
    pub command: Option<Token>,
    /// Names beside this machine's own and addresses that requests may say in their Host field.
    pub hosts: Vec<HostName>,
}

impl Rights {
    /// Whether a request with these fields that came by such a door may have this.
    pub(super) fn judge(&self, right: Right, by: By, fields: &HeaderMap) -> Result<(), Trouble> {
        // What opens sockets of the file system is no page; what says no host is no browser.
        if by == By::Tcp
            && let Some(host) = fields.get(HOST)
        {
            let allowed = host.to_str().is_ok_and(|host| {
                !can_be_rebound(host) || self.hosts.iter().any(|name| name.is_said_by(host))
            });
            if !allowed {
                return Err(Trouble::new(
                    StatusCode::FORBIDDEN,
                    "this Host is not allowed (--admin-allow-host)",
                ));
            }
        }
        let said = fields
            .get(AUTHORIZATION)
            .map(axum::http::HeaderValue::as_bytes);
        let said = said.and_then(bearer).unwrap_or_default();
        let is = |token: &Option<Token>| token.as_ref().is_some_and(|token| token.is(said));
        let known = match (right, &self.scrape, &self.command) {
            (Right::Scrape, None, _) => true,
            (Right::Scrape, scrape, command) => is(scrape) || is(command),
            (Right::Command, _, None) if by == By::Unix => true,
            (Right::Command, _, None) => {
                return Err(Trouble::new(
                    StatusCode::FORBIDDEN,
                    "commands over TCP need --admin-token-file; or use a Unix socket",
                ));
            }
            (Right::Command, _, command) => is(command),
        };
        if known {
            Ok(())
        } else {
            Err(Trouble::new(
                StatusCode::UNAUTHORIZED,
                "a bearer token is needed",
            ))
        }
    }
}

/// RFC 9110 section 11.1: the scheme in any case, then spaces. RFC 6750 section 2.1.
fn bearer(field: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = field.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn fields(host: &str, authorization: Option<&str>) -> HeaderMap {
        let mut fields = HeaderMap::new();
        fields.insert(HOST, host.parse().unwrap());
        if let Some(value) = authorization {
            fields.insert(AUTHORIZATION, value.parse().unwrap());
        }
        fields
    }

    #[test]
    fn a_name_that_may_lead_here_is_refused_by_tcp_alone() {
        let rights = Rights {
            hosts: vec![HostName::of("relay.internal").unwrap()],
            ..Rights::default()
        };
        let status = |by, host| rights.judge(Right::Scrape, by, &fields(host, None));
        for host in [
            "127.0.0.1:9777",
            "localhost",
            "[::1]:9777",
            "10.0.0.7",
            "relay.internal:1",
        ] {
            assert_eq!(status(By::Tcp, host), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9777",
            "127.0.0.1.evil.example",
            "",
        ] {
            let refused = status(By::Tcp, host).map_err(|trouble| trouble.status());
            assert_eq!(refused, Err(StatusCode::FORBIDDEN), "{host}");
            assert_eq!(status(By::Unix, host), Ok(()));
        }
    }

    #[test]
    fn who_has_to_know_a_token_says_it() {
        let rights = Rights {
            scrape: Some(Token(SECRET.as_bytes().to_vec())),
            ..Rights::default()
        };
        let may = |authorization: Option<&str>| {
            let fields = fields("localhost", authorization);
            rights.judge(Right::Scrape, By::Unix, &fields).is_ok()
        };
        assert!(may(Some(&format!("Bearer {SECRET}"))) && may(Some(&format!("bearer  {SECRET} "))));
        for wrong in ["Bearer ", "Bearer x", SECRET, &format!("Basic {SECRET}")] {
            assert!(!may(Some(wrong)), "{wrong}");
        }
        assert!(!may(Some(&format!("Bearer {SECRET}0"))) && !may(None));
    }

    /// A right apart: who may scrape may do nothing else, who may do everything may scrape.
    #[test]
    fn commands_need_a_token_of_their_own_or_a_socket() {
        let other = format!("{SECRET}{SECRET}");
        let token = |text: &str| Some(Token(text.as_bytes().to_vec()));
        let status = |rights: &Rights, right, by, said: Option<&str>| {
            let said = said.map(|said| format!("Bearer {said}"));
            let judged = rights.judge(right, by, &fields("localhost", said.as_deref()));
            judged.map_or_else(|trouble| trouble.status().as_u16(), |()| 200)
        };
        let none = Rights::default();
        assert_eq!(status(&none, Right::Command, By::Unix, None), 200);
        assert_eq!(status(&none, Right::Command, By::Tcp, Some(SECRET)), 403);
        let both = Rights {
            scrape: token(SECRET),
            command: token(&other),
            hosts: Vec::new(),
        };
        for by in [By::Tcp, By::Unix] {
            assert_eq!(status(&both, Right::Command, by, None), 401);
            assert_eq!(status(&both, Right::Command, by, Some(SECRET)), 401);
            assert_eq!(status(&both, Right::Command, by, Some(&other)), 200);
            assert_eq!(status(&both, Right::Scrape, by, Some(SECRET)), 200);
            assert_eq!(status(&both, Right::Scrape, by, Some(&other)), 200);
            assert_eq!(status(&both, Right::Scrape, by, None), 401);
        }
    }

    #[test]
    fn a_token_is_a_line_that_is_long_enough() {
        let file = |text: &str| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            Token::read(file.path()).map(|token| token.0).ok()
        };
        let secret = Some(SECRET.as_bytes().to_vec());
        assert_eq!(file(SECRET), secret);
        assert_eq!(file(&format!("{SECRET}\r\nsecond\n")), secret);
        for wrong in ["", "short", "with a space 0123456789", &"x".repeat(10_000)] {
            assert_eq!(file(wrong), None, "{wrong:.20}");
        }
    }
}
