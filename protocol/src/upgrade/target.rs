//! The request line: method, target, version.
//!
//! Owns RFC 9112 section 3 and the authority of a URI (RFC 3986 section 3.2). Must not know which paths exist.

use super::{
    Refusal,
    fields::{cut, is_token},
};

/// The first line of a head, cut up but not judged.
pub(super) struct RequestLine<'h> {
    /// A token.
    pub(super) method: &'h str,
    /// Not empty; not yet known to be good.
    pub(super) target: &'h [u8],
    pub(super) version: Version,
}

/// The versions of HTTP that are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// As load balancers and monitors ask after health. Host may be missing, and there are no upgrades.
    Http10,
    /// And every later minor version, which reads as the highest one known (RFC 9110 section 2.5).
    Http11,
}

impl<'h> RequestLine<'h> {
    /// `line` without its CR LF. Exactly one SP between the parts: others split lenient lines differently.
    pub(super) fn parse(line: &'h [u8]) -> Result<Self, Refusal> {
        let (method, rest) = cut(line, b' ').ok_or(Refusal::BadRequestLine)?;
        let method = str::from_utf8(method)
            .ok()
            .filter(|it| is_token(it.as_bytes()));
        let method = method.ok_or(Refusal::BadRequestLine)?;
        let Some((target, version)) = cut(rest, b' ') else {
            // `GET /path` is all of an HTTP/0.9 request.
            return Err(match rest {
                [b'/', ..] if method == "GET" => Refusal::HttpVersion,
                _ => Refusal::BadRequestLine,
            });
        };
        if target.is_empty() {
            return Err(Refusal::BadRequestLine);
        }
        let read = |version| Self {
            method,
            target,
            version,
        };
        match version {
            b"HTTP/1.0" => Ok(read(Version::Http10)),
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => Ok(read(Version::Http11)),
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                Err(Refusal::HttpVersion)
            }
            _ => Err(Refusal::BadRequestLine),
        }
    }
}

/// Where a target points.
pub(super) struct Target<'h> {
    /// Only in absolute-form.
    pub(super) authority: Option<&'h str>,
    /// Starts with `/`.
    pub(super) path: &'h str,
    /// What stands behind the first `?`.
    pub(super) query: Option<&'h str>,
}

impl<'h> Target<'h> {
    /// Takes origin-form, and absolute-form with http or https, which servers must accept (RFC 9112 section 3.2.2,
    /// RFC 6455 section 4.1 item 2); not the forms of CONNECT and OPTIONS.
    ///
    /// Every visible character passes but those that no browser sends raw and that a fragment or a quoting could
    /// begin with; stricter reading of RFC 3986 would refuse the `{`, `|` and `^` that browsers leave in queries.
    pub(super) fn parse(target: &'h [u8]) -> Result<Self, Refusal> {
        let sendable = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>".contains(&byte);
        let target = str::from_utf8(target).map_err(|_| Refusal::BadTarget)?;
        if !target.bytes().all(sendable) {
            return Err(Refusal::BadTarget);
        }
        let (authority, rest) = if target.starts_with('/') {
            (None, target)
        } else {
            let (scheme, rest) = target.split_once("://").ok_or(Refusal::BadTarget)?;
            if !["http", "https"]
                .iter()
                .any(|known| scheme.eq_ignore_ascii_case(known))
            {
                return Err(Refusal::BadTarget);
            }
            let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            if !is_authority(authority.as_bytes()) {
                return Err(Refusal::BadHost);
            }
            (Some(authority), rest)
        };
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        // An absolute URI may leave its path out (RFC 9110 section 4.2.3).
        let path = if path.is_empty() { "/" } else { path };
        Ok(Self {
            authority,
            path,
            query,
        })
    }
}

/// `uri-host [":" port]` of RFC 9110 section 7.2, without user information (4.2.4) and not empty (4.2.1).
pub(super) fn is_authority(bytes: &[u8]) -> bool {
    let (host, port) = match bytes {
        [b'[', rest @ ..] => {
            let Some((literal, port)) = cut(rest, b']') else {
                return false;
            };
            // RFC 3986 section 3.2.2: an IPv6 address; the version-to-come form has never come.
            let Ok(literal) = str::from_utf8(literal) else {
                return false;
            };
            if literal.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            (None, port)
        }
        _ => {
            let colon = bytes
                .iter()
                .position(|&byte| byte == b':')
                .unwrap_or(bytes.len());
            let (host, port) = bytes.split_at(colon);
            (Some(host), port)
        }
    };
    host.is_none_or(is_reg_name) && is_port(port)
}

/// `reg-name` of RFC 3986 section 3.2.2, not empty. IPv4 addresses are among them.
fn is_reg_name(host: &[u8]) -> bool {
    let mut rest = host;
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'%', [high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                after
            }
            (byte, after) if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(byte) => {
                after
            }
            _ => return false,
        };
    }
    !host.is_empty()
}

/// Nothing, or a colon and at most five digits that are a port; the digits may be missing.
fn is_port(port: &[u8]) -> bool {
    match port {
        [] => true,
        [b':', digits @ ..] => {
            digits.len() <= 5
                && digits.iter().all(u8::is_ascii_digit)
                && digits
                    .iter()
                    .fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'))
                    <= 65_535
        }
        _ => false,
    }
}
