//! Reading a frame's header.
//!
//! Owns: every rule that a header alone can break.
//! Must not know: payloads, buffers.
//! Invariant: rules are judged in the order of the bytes, each as soon as its byte is there, so that a header in
//! pieces fails with what it would fail with as a whole.

use super::{MAX_CONTROL_PAYLOAD, MessageKind, Opcode, Role, Rules, Violation};
use crate::mask::MaskKey;

/// A header that broke no rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) fin: bool,
    pub(super) opcode: Opcode,
    /// Payload bytes; together with the fragments before at most [`Rules::max_message`].
    pub(super) len: usize,
    pub(super) key: Option<MaskKey>,
}

/// The fragmented message that a frame arrives in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) kind: MessageKind,
    /// Payload bytes of the fragments so far.
    pub(super) len: usize,
}

impl Head {
    /// Reads the header at the front of `bytes` and returns it with its length; None: not all of it is there.
    pub(super) fn read(
        rules: &Rules,
        open: Option<Open>,
        bytes: &[u8],
    ) -> Result<Option<(Self, usize)>, Violation> {
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        if first & 0x70 != 0 {
            return Err(Violation::ReservedBits);
        }
        let fin = first & 0x80 != 0;
        let opcode = Opcode::from_bits(first & 0x0f).ok_or(Violation::UnknownOpcode)?;
        match (opcode, open) {
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) if !fin => {
                return Err(Violation::ControlFragmented);
            }
            (Opcode::Continuation, None) => return Err(Violation::UnexpectedContinuation),
            (Opcode::Text | Opcode::Binary, Some(_)) => {
                return Err(Violation::ExpectedContinuation);
            }
            _ => {}
        }

        let Some((&second, rest)) = rest.split_first() else {
            return Ok(None);
        };
        let masked = second & 0x80 != 0;
        match (rules.role, masked) {
            (Role::Server, false) => return Err(Violation::UnmaskedFrame),
            (Role::Client, true) => return Err(Violation::MaskedFrame),
            (Role::Server, true) | (Role::Client, false) => {}
        }
        let short = second & 0x7f;
        if opcode.is_control() && usize::from(short) > MAX_CONTROL_PAYLOAD {
            return Err(Violation::ControlTooLong);
        }
        if opcode == Opcode::Close && short == 1 {
            return Err(Violation::BadCloseLength);
        }

        let (len, rest) = match short {
            126 => {
                let Some((&len, rest)) = rest.split_first_chunk::<2>() else {
                    return Ok(None);
                };
                let len = u64::from(u16::from_be_bytes(len));
                if len < 126 {
                    return Err(Violation::NonMinimalLength);
                }
                (len, rest)
            }
            127 => {
                let Some((&len, rest)) = rest.split_first_chunk::<8>() else {
                    return Ok(None);
                };
                let len = u64::from_be_bytes(len);
                if len >> 63 != 0 {
                    return Err(Violation::LengthOverflow);
                }
                if len < 65_536 {
                    return Err(Violation::NonMinimalLength);
                }
                (len, rest)
            }
            short => (u64::from(short), rest),
        };
        let len = usize::try_from(len).map_err(|_| Violation::MessageTooBig)?;
        if !opcode.is_control() {
            let before = open.map_or(0, |open| open.len);
            if len > rules.max_message.saturating_sub(before) {
                return Err(Violation::MessageTooBig);
            }
        }

        let (key, rest) = if masked {
            let Some((&key, rest)) = rest.split_first_chunk::<4>() else {
                return Ok(None);
            };
            (Some(key), rest)
        } else {
            (None, rest)
        };
        let head = Self {
            fin,
            opcode,
            len,
            key,
        };
        Ok(Some((head, bytes.len() - rest.len())))
    }
}
