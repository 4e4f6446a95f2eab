//! The PROXY protocol, versions 1 and 2: what a proxy that only passes bytes on says before all of them, about where they
//! come from (proxy-protocol.txt, of HAProxy).
//!
//! Owns: the grammar of that header, and how much of what comes certainly belongs to it. Must not know: sockets, or whom to
//! believe. Invariants: of what stands behind the header not a byte is taken; of a header of any length at most
//! [`KEPT`] bytes are kept.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes that are kept at most: the longest header of version 1, with its line break (section 2.1).
pub const KEPT: usize = 107;

/// With what version 2 begins (section 2.2). No header of version 1 and no request does.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// With what version 1 begins.
const WORD: &[u8] = b"PROXY ";
/// The shortest header of all: `PROXY UNKNOWN` and its line break.
const SHORTEST: usize = 15;
/// Bytes of version 2 up to the addresses.
const FIXED: usize = 16;

/// What a header says about where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Nothing: it is the proxy's own, a health check for example, or the proxy does not know or say.
    Unsaid,
    /// From there; one of IPv4 in its own form.
    At(IpAddr),
}

/// It is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no PROXY header, or none that can be read")]
pub struct NoHeader;

/// Whether these first bytes of a connection begin a header: where none is asked for, a proxy sends it in vain.
#[must_use]
pub fn is_begun(bytes: &[u8]) -> bool {
    bytes.starts_with(WORD) || bytes.starts_with(&SIGNATURE)
}

/// Reads one header, however it is split.
#[derive(Debug, Clone)]
pub struct Decoder {
    kept: [u8; KEPT],
    len: usize,
    /// Bytes of version 2 that are still to come and are not looked at, and what was said before them.
    rest: Option<(usize, Origin)>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            kept: [0; KEPT],
            len: 0,
            rest: None,
        }
    }
}

impl Decoder {
    /// How many bytes certainly belong to the header still, at least one until it is whole. Who reads no more than that
    /// from its socket has none in hand that belong to what follows.
    #[must_use]
    pub fn wants(&self) -> usize {
        let kept = &self.kept[..self.len];
        if let Some((rest, _)) = self.rest {
            return rest;
        }
        match kept {
            [] => SHORTEST,
            [b'P', ..] if kept.len() < SHORTEST => SHORTEST - kept.len(),
            [b'P', .., b'\r'] => 1,
            // Of what is unknown, nothing has to follow but the line break.
            [b'P', ..] if kept.starts_with(b"PROXY U") => 2,
            [b'P', ..] => {
                let fields = kept.iter().filter(|&&byte| byte == b' ').count();
                2 * 5_usize.saturating_sub(fields) + 2
            }
            _ if kept.len() < FIXED => FIXED - kept.len(),
            _ => self.length().min(self.address_len()) + FIXED - kept.len(),
        }
    }

    /// Takes the next bytes of the header from the front of `input`. Says what the header said once it is whole; it is not
    /// to be called again then.
    ///
    /// # Errors
    ///
    /// As soon as it is certain that this becomes no header.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Origin>, NoHeader> {
        while !input.is_empty() {
            let (taken, behind) = input.split_at(self.wants().min(input.len()));
            *input = behind;
            if let Some((rest, origin)) = &mut self.rest {
                *rest -= taken.len();
                if *rest == 0 {
                    return Ok(Some(*origin));
                }
                continue;
            }
            let kept = self.kept.get_mut(self.len..self.len + taken.len());
            kept.ok_or(NoHeader)?.copy_from_slice(taken);
            self.len += taken.len();
            if let Some(origin) = self.judge()? {
                return Ok(Some(origin));
            }
        }
        Ok(None)
    }

    fn judge(&mut self) -> Result<Option<Origin>, NoHeader> {
        let kept = &self.kept[..self.len];
        let begins_as = |word: &[u8]| {
            let len = word.len().min(kept.len());
            kept[..len] == word[..len]
        };
        if begins_as(&SIGNATURE) {
            return self.judge_binary();
        }
        if !begins_as(WORD) {
            return Err(NoHeader);
        }
        match kept {
            [line @ .., b'\r', b'\n'] => text(line).map(Some).ok_or(NoHeader),
            [.., b'\r', _] => Err(NoHeader),
            _ if kept.contains(&b'\n') => Err(NoHeader),
            _ => Ok(None),
        }
    }

    /// Version 2, as far as it has come.
    fn judge_binary(&mut self) -> Result<Option<Origin>, NoHeader> {
        if self.len < FIXED {
            return Ok(None);
        }
        let is_known = matches!(self.kept[12], 0x20 | 0x21)
            && matches!(
                self.kept[13],
                0x00 | 0x11 | 0x12 | 0x21 | 0x22 | 0x31 | 0x32
            );
        let (length, address_len) = (self.length(), self.address_len());
        if !is_known || length < address_len {
            return Err(NoHeader);
        }
        if self.len < FIXED + address_len {
            return Ok(None);
        }
        let origin = match self.kept[FIXED..FIXED + address_len] {
            [a, b, c, d, ..] if address_len == 12 => Origin::At(Ipv4Addr::new(a, b, c, d).into()),
            ref address if address_len == 36 => match address.first_chunk::<16>() {
                Some(&address) => Origin::At(IpAddr::V6(Ipv6Addr::from(address)).to_canonical()),
                None => Origin::Unsaid,
            },
            _ => Origin::Unsaid,
        };
        // What follows (types, lengths and values: section 2.2.7) is about TLS and names, and nobody here asks for it.
        match length - address_len {
            0 => Ok(Some(origin)),
            rest => {
                self.rest = Some((rest, origin));
                Ok(None)
            }
        }
    }

    /// Bytes of version 2 behind the fixed ones.
    fn length(&self) -> usize {
        usize::from(u16::from_be_bytes([self.kept[14], self.kept[15]]))
    }

    /// Bytes of the addresses that are looked at: both of TCP, with their ports, unless the connection is the proxy's own.
    fn address_len(&self) -> usize {
        match (self.kept[12], self.kept[13]) {
            (0x21, 0x11) => 12,
            (0x21, 0x21) => 36,
            _ => 0,
        }
    }
}

/// A header of version 1, without its line break.
fn text(line: &[u8]) -> Option<Origin> {
    let line = str::from_utf8(line).ok()?;
    let mut fields = line.split(' ').skip(1);
    let addresses = match fields.next()? {
        // What follows has to be passed over.
        "UNKNOWN" => return Some(Origin::Unsaid),
        "TCP4" => {
            let [from, to] = [fields.next()?, fields.next()?].map(|text| text.parse::<Ipv4Addr>());
            [from.map(IpAddr::V4), to.map(IpAddr::V4)]
        }
        "TCP6" => {
            let [from, to] = [fields.next()?, fields.next()?].map(|text| text.parse::<Ipv6Addr>());
            [from.map(IpAddr::V6), to.map(IpAddr::V6)]
        }
        _ => return None,
    };
    let is_port =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok();
    let ports = [fields.next()?, fields.next()?];
    if !ports.into_iter().all(is_port) || fields.next().is_some() {
        return None;
    }
    let [Ok(from), Ok(_)] = addresses else {
        return None;
    };
    Some(Origin::At(from.to_canonical()))
}
