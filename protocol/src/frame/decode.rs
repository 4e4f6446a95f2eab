//! Taking frames off the front of the input.
//!
//! Owns: what is lent from the input as it is, what is kept for later, and in which order.
//! Must not know: where the input comes from, or what is done with a message.
//! Invariant: a frame that is whole in the input is neither copied nor does it allocate, unless it is a fragment;
//! and any split of the input gives the same items, and the same violation after them.

use super::head::{Head, Open};
use super::partial::{Arriving, Lent, Partial};
use super::{MessageKind, Opcode, Role, Rules, Violation};
use crate::close::CloseCode;
use crate::mask;
use crate::utf8;

/// What a connection's input consists of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item<'a> {
    /// A whole message, unmasked; text is valid UTF-8.
    Message {
        /// Text or binary.
        kind: MessageKind,
        /// At most [`Rules::max_message`] bytes.
        payload: &'a [u8],
    },
    /// A ping with its payload of at most 125 bytes, which the pong repeats.
    Ping(&'a [u8]),
    /// A pong with its payload of at most 125 bytes.
    Pong(&'a [u8]),
    /// The peer closes. What follows it in the input means nothing.
    Close {
        /// None if the close frame had no payload.
        code: Option<CloseCode>,
        /// At most 123 bytes.
        reason: &'a str,
    },
}

/// The decoder of one connection's input. Eight bytes, and no more than that while nothing is incomplete.
#[derive(Default, Debug)]
pub struct Decoder {
    partial: Option<Box<Partial>>,
}

/// Where the item is that a step has completed.
enum Ready<'i> {
    /// Nowhere: the input is used up.
    Nothing,
    /// In the input, unmasked and valid.
    InInput(Opcode, &'i [u8]),
    /// The whole buffer.
    BufferedMessage(MessageKind),
    /// The buffer's end, after the fragments so far.
    BufferedControl(Opcode),
}

impl Decoder {
    /// Takes the next item off the front of `input` and advances it. None: the input is used up; the tail of it that
    /// is not a whole frame has been copied.
    ///
    /// Frames that are whole are unmasked in place and lent from `input`. Incomplete ones, and fragments, are
    /// unmasked into the connection's buffer, which lives until the message is delivered and `next` is called again.
    ///
    /// # Errors
    /// At the first violation of RFC 6455 or of `rules`, as early as the bytes show it: a message's size is judged on
    /// the declared length, text on each piece. From then on every call returns the same violation.
    ///
    /// # Examples
    /// ```
    /// use roomcast_protocol::frame::{Decoder, Item, MessageKind, Role, Rules};
    ///
    /// let rules = Rules { role: Role::Client, max_message: 1024 };
    /// let mut decoder = Decoder::default();
    /// // Two frames of a server, read in two pieces.
    /// let (mut first, mut second) = (*b"\x82\x03one\x82\x03", *b"two");
    /// let mut input = &mut first[..];
    /// let item = decoder.next(&rules, &mut input)?;
    /// assert_eq!(item, Some(Item::Message { kind: MessageKind::Binary, payload: b"one" }));
    /// assert_eq!(decoder.next(&rules, &mut input)?, None);
    /// let mut input = &mut second[..];
    /// let item = decoder.next(&rules, &mut input)?;
    /// assert_eq!(item, Some(Item::Message { kind: MessageKind::Binary, payload: b"two" }));
    /// # Ok::<(), roomcast_protocol::frame::Violation>(())
    /// ```
    // For each message, and once more for each read: what is common is little.
    #[inline(always)]
    pub fn next<'a, 'i: 'a>(
        &'a mut self,
        rules: &Rules,
        input: &mut &'i mut [u8],
    ) -> Result<Option<Item<'a>>, Violation> {
        if self.partial.is_none() {
            if input.is_empty() {
                return Ok(None);
            }
            if let Some((kind, payload)) = take_message(rules, input) {
                if kind == MessageKind::Text && !utf8::is_valid(payload) {
                    return Err(self.die(Violation::InvalidUtf8));
                }
                return Ok(Some(Item::Message { kind, payload }));
            }
        }
        self.next_uncommon(rules, input)
    }

    /// Heap bytes held for an incomplete frame or message.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.partial
            .as_ref()
            .map_or(0, |partial| partial.heap_bytes())
    }

    /// Whether the input so far ended between two messages.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.partial
            .as_ref()
            .is_none_or(|partial| partial.is_idle())
    }

    /// Everything that [`take_message`] leaves: control frames, fragments, long lengths, splits, violations.
    #[inline(never)]
    fn next_uncommon<'a, 'i: 'a>(
        &'a mut self,
        rules: &Rules,
        input: &mut &'i mut [u8],
    ) -> Result<Option<Item<'a>>, Violation> {
        if let Some(violation) = self.take_back() {
            return Err(violation);
        }
        let ready = match self.step(rules, input) {
            Ok(ready) => ready,
            Err(violation) => return Err(self.die(violation)),
        };
        let (message, rest) = match &self.partial {
            Some(partial) => partial.buffer.split_at(partial.message_len()),
            None => (&[][..], &[][..]),
        };
        Ok(match ready {
            Ready::Nothing => None,
            Ready::InInput(opcode, payload) => Some(item(opcode, payload)),
            Ready::BufferedMessage(kind) => Some(item(kind.into(), message)),
            Ready::BufferedControl(opcode) => Some(item(opcode, rest)),
        })
    }

    /// Drops what the previous call lent, or reports the violation that ended this decoder.
    fn take_back(&mut self) -> Option<Violation> {
        let partial = self.partial.as_mut()?;
        match std::mem::take(&mut partial.lent) {
            Lent::Nothing => {}
            Lent::Control => partial.buffer.truncate(partial.message_len()),
            Lent::Message => {
                self.partial = None;
                return None;
            }
        }
        let dead = partial.dead();
        if partial.is_idle() {
            self.partial = None;
        }
        dead
    }

    #[cold]
    fn die(&mut self, violation: Violation) -> Violation {
        self.partial = Some(Box::new(Partial::dead_of(violation)));
        violation
    }

    /// Works through the input until an item is complete.
    fn step<'i>(
        &mut self,
        rules: &Rules,
        input: &mut &'i mut [u8],
    ) -> Result<Ready<'i>, Violation> {
        loop {
            let begun = self
                .partial
                .as_mut()
                .and_then(|partial| partial.arriving.take());
            let mut arriving = match begun {
                Some(arriving) => arriving,
                None => {
                    let Some(head) = self.read_head(rules, input)? else {
                        return Ok(Ready::Nothing);
                    };
                    let fragment = !head.fin || head.opcode == Opcode::Continuation;
                    if input.len() >= head.len && !fragment {
                        let payload = take_front(input, head.len);
                        if let Some(key) = head.key {
                            mask::unmask_in_place(payload, key, 0);
                        }
                        judge(head.opcode, payload)?;
                        return Ok(Ready::InInput(head.opcode, payload));
                    }
                    Arriving { head, taken: 0 }
                }
            };

            let head = arriving.head;
            let partial = self.partial.get_or_insert_default();
            let len = input.len().min(head.len - arriving.taken);
            partial.append(&arriving, take_front(input, len), rules.max_message)?;
            arriving.taken += len;
            if arriving.taken < head.len {
                partial.arriving = Some(arriving);
                return Ok(Ready::Nothing);
            }
            let Some(kind) = partial.kind(head.opcode) else {
                judge(head.opcode, &partial.buffer[partial.message_len()..])?;
                partial.lent = Lent::Control;
                return Ok(Ready::BufferedControl(head.opcode));
            };
            partial.open = Some(Open {
                kind,
                len: partial.buffer.len(),
            });
            if head.fin {
                partial.finish_text()?;
                partial.lent = Lent::Message;
                return Ok(Ready::BufferedMessage(kind));
            }
            partial.end_fragment(&head)?;
        }
    }

    /// Reads the next header off the input, which may only be its end; None if it is not all there.
    fn read_head(
        &mut self,
        rules: &Rules,
        input: &mut &mut [u8],
    ) -> Result<Option<Head>, Violation> {
        let open = self.partial.as_ref().and_then(|partial| partial.open);
        let before = self
            .partial
            .as_ref()
            .map_or(0, |partial| partial.header().len());
        if before == 0 {
            if let Some((head, len)) = Head::read(rules, open, input)? {
                take_front(input, len);
                return Ok(Some(head));
            }
            if input.is_empty() {
                return Ok(None);
            }
        }
        let partial = self.partial.get_or_insert_default();
        let added = partial.extend_header(input);
        let head = Head::read(rules, open, partial.header())?;
        let used = head.map_or(added, |(_, len)| len - before);
        take_front(input, used);
        Ok(head.map(|(head, _)| {
            partial.clear_header();
            head
        }))
    }
}

/// The common case, straight through: an unfragmented message that is whole in the input and shorter than 64 KiB.
#[inline(always)]
fn take_message<'i>(
    rules: &Rules,
    input: &mut &'i mut [u8],
) -> Option<(MessageKind, &'i mut [u8])> {
    let &mut [first, second, ..] = &mut **input else {
        return None;
    };
    let kind = match first {
        0x81 => MessageKind::Text,
        0x82 => MessageKind::Binary,
        _ => return None,
    };
    let masked = rules.role == Role::Server;
    if (second & 0x80 != 0) != masked {
        return None;
    }
    let (len, length_form) = match second & 0x7f {
        126 => {
            let &mut [_, _, high, low, ..] = &mut **input else {
                return None;
            };
            let len = usize::from(u16::from_be_bytes([high, low]));
            if len < 126 {
                return None;
            }
            (len, 2)
        }
        127 => return None,
        short => (usize::from(short), 0),
    };
    let header = 2 + length_form + if masked { 4 } else { 0 };
    if len > rules.max_message || input.len() < header + len {
        return None;
    }
    let (header, payload) = take_front(input, header + len).split_at_mut(header);
    if masked {
        let key = *header.last_chunk::<4>()?;
        mask::unmask_in_place(payload, key, 0);
    }
    Some((kind, payload))
}

#[inline(always)]
fn take_front<'i>(input: &mut &'i mut [u8], len: usize) -> &'i mut [u8] {
    let (front, rest) = std::mem::take(input).split_at_mut(len);
    *input = rest;
    front
}

/// Judges the payload of an unfragmented frame.
fn judge(opcode: Opcode, payload: &[u8]) -> Result<(), Violation> {
    let text = match opcode {
        Opcode::Text => payload,
        Opcode::Close => {
            let Some((&code, reason)) = payload.split_first_chunk::<2>() else {
                return Ok(());
            };
            if !CloseCode(u16::from_be_bytes(code)).is_valid_on_wire() {
                return Err(Violation::BadCloseCode);
            }
            reason
        }
        Opcode::Continuation | Opcode::Binary | Opcode::Ping | Opcode::Pong => return Ok(()),
    };
    if utf8::is_valid(text) {
        Ok(())
    } else {
        Err(Violation::InvalidUtf8)
    }
}

/// The item that a judged payload makes.
fn item(opcode: Opcode, payload: &[u8]) -> Item<'_> {
    match opcode {
        Opcode::Text => Item::Message {
            kind: MessageKind::Text,
            payload,
        },
        Opcode::Binary | Opcode::Continuation => Item::Message {
            kind: MessageKind::Binary,
            payload,
        },
        Opcode::Ping => Item::Ping(payload),
        Opcode::Pong => Item::Pong(payload),
        Opcode::Close => match payload.split_first_chunk::<2>() {
            None => Item::Close {
                code: None,
                reason: "",
            },
            Some((&code, reason)) => Item::Close {
                code: Some(CloseCode(u16::from_be_bytes(code))),
                reason: std::str::from_utf8(reason).unwrap_or_default(),
            },
        },
    }
}
