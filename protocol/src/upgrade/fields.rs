//! Field lines and the lists in them.
//!
//! Owns the small grammars that several fields share: tokens (RFC 9110 section 5.6.2), comma lists (5.6.1), and the
//! walk over field lines that have passed the parser. Must not know what any field means.

/// The field in which a client offers subprotocols (RFC 6455 section 11.3.4).
pub(super) const PROTOCOL_FIELD: &str = "Sec-WebSocket-Protocol";

/// `tchar` of RFC 9110 section 5.6.2.
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// `token` of RFC 9110 section 5.6.2.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_token_byte)
}

/// Without the SP and HTAB around it (`OWS`, RFC 9110 section 5.6.3).
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Elements of a comma list. Empty ones are passed over, as RFC 9110 section 5.6.1.2 asks of recipients.
pub(super) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(trim)
        .filter(|element| !element.is_empty())
}

/// Whether a comma list has this element, in any case.
pub(super) fn list_contains(value: &[u8], element: &str) -> bool {
    elements(value).any(|each| each.eq_ignore_ascii_case(element.as_bytes()))
}

/// The subprotocols a client offers, in its order of preference, across repeated fields (RFC 6455 section 11.3.4).
///
/// A name that is offered twice comes twice: the RFC forbids a client to do so, but a server that looks for a name
/// it knows can't be misled by it, and finding duplicates would be quadratic work on an attacker's list.
#[derive(Debug, Clone)]
pub struct Protocols<'h> {
    /// Field lines not yet walked.
    lines: &'h [u8],
    /// Rest of the value that is being walked.
    value: &'h [u8],
}

impl<'h> Protocols<'h> {
    /// `lines`: field lines as they stood in the head, each with its CR LF.
    pub(super) fn new(lines: &'h [u8]) -> Self {
        Self { lines, value: &[] }
    }
}

impl<'h> Iterator for Protocols<'h> {
    type Item = &'h str;

    fn next(&mut self) -> Option<&'h str> {
        loop {
            while !self.value.is_empty() {
                let (element, rest) = cut(self.value, b',').unwrap_or((self.value, &[]));
                self.value = rest;
                // Never skips in a request that was accepted: its offers are all tokens.
                if let Ok(element) = str::from_utf8(trim(element))
                    && !element.is_empty()
                {
                    return Some(element);
                }
            }
            let (line, rest) = cut(self.lines, b'\n')?;
            self.lines = rest;
            if let Some((name, value)) = cut(line, b':')
                && name.eq_ignore_ascii_case(PROTOCOL_FIELD.as_bytes())
            {
                self.value = value.strip_suffix(b"\r").unwrap_or(value);
            }
        }
    }
}

/// What stands before and behind the first `separator`.
pub(super) fn cut(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&byte| byte == separator)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}
