//! What proxies say about who a request is from: `X-Forwarded-For`, and the Forwarded field of RFC 7239.
//!
//! Owns: the grammars of both. Must not know whom to believe. Invariant: hops come from the right, where the last proxy has
//! put what it saw itself; nothing that stands further left, which anybody may have written, changes how that is read.

use std::net::IpAddr;

use super::fields::trim;

/// In which field hops are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HopField {
    /// `X-Forwarded-For`: addresses, separated by commas.
    Customary,
    /// `Forwarded`: `for=` in elements of pairs (RFC 7239 section 4).
    Standard,
}

/// The fields by which proxies say who a request is from.
#[derive(Debug, Clone, Copy)]
pub struct Forwarded<'h> {
    lines: &'h [u8],
}

impl<'h> Forwarded<'h> {
    /// `lines`: field lines as they stood in the head, each with its CR LF.
    pub(super) fn new(lines: &'h [u8]) -> Self {
        Self { lines }
    }

    /// For whom each proxy says that it forwards, the last proxy first; `None` for what is no address (`unknown`, a name,
    /// anything). Nothing at all if there is no such field.
    pub fn hops(&self, field: HopField) -> impl Iterator<Item = Option<IpAddr>> + use<'h> {
        let name = match field {
            HopField::Customary => "X-Forwarded-For",
            HopField::Standard => "Forwarded",
        };
        let values = self.lines.rsplit(|&byte| byte == b'\n').filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let (said, value) = (&line[..colon], &line[colon + 1..]);
            let value = value.strip_suffix(b"\r").unwrap_or(value);
            said.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
        });
        let elements = values.flat_map(|value| value.rsplit(|&byte| byte == b','));
        let elements = elements.map(trim).filter(|element| !element.is_empty());
        elements.map(move |hop| match field {
            HopField::Customary => address(hop),
            HopField::Standard => element(hop),
        })
    }
}

/// The node that one element of Forwarded is for (RFC 7239 sections 4 and 5.2). A comma within quotes divides it like any
/// other: no address has one.
fn element(element: &[u8]) -> Option<IpAddr> {
    let pairs = element.split(|&byte| byte == b';');
    let mut nodes = pairs.filter_map(|pair| {
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        let name = trim(&pair[..equals]);
        name.eq_ignore_ascii_case(b"for")
            .then(|| trim(&pair[equals + 1..]))
    });
    match (nodes.next(), nodes.next()) {
        (Some(node), None) => address(unquoted(node)),
        _ => None,
    }
}

fn unquoted(text: &[u8]) -> &[u8] {
    match text {
        [b'"', text @ .., b'"'] => text,
        text => text,
    }
}

/// An address, perhaps with a port behind it, which may be a made up one. One of IPv6 may stand in brackets.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?;
    let (address, rest) = match text.strip_prefix('[') {
        Some(text) => text.split_once(']')?,
        // More than one colon is IPv6 without a port.
        None if text.bytes().filter(|&byte| byte == b':').count() == 1 => {
            text.split_at(text.find(':')?)
        }
        None => (text, ""),
    };
    let address: IpAddr = address.parse().ok()?;
    let is_port = rest.is_empty() || rest.starts_with(':');
    is_port.then(|| address.to_canonical())
}
