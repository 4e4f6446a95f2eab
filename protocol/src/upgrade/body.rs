//! The content of a request: which bytes it is, and where it ends (RFC 9112 sections 6 and 7.1).
//!
//! Owns the two ways in which a request says that. Must not know what the content is for.
//!
//! Invariant: any split of the input gives the same content and the same refusal; nothing is taken that another
//! implementation could read differently, and what is kept is bounded before it comes.

use super::Refusal;

/// The most bytes of chunk extensions and trailers of one content, which mean nothing here; more is 400.
pub const MAX_ASIDE: u16 = 1024;

/// The most digits of a chunk's size.
const MAX_DIGITS: u8 = 8;

/// How a head says where the content behind it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes; none, if nothing was said.
    Length(u64),
    /// In chunks, of which the last is empty.
    Chunked,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// So many bytes, and the end.
    Length(u64),
    /// The size of a chunk as far as it has come, and how many digits that are.
    Size(u32, u8),
    /// What stands behind the size of this chunk.
    Extension(u32),
    /// The end of that line.
    SizeLf(u32),
    /// So many bytes of a chunk.
    Chunk(u32),
    ChunkCr,
    ChunkLf,
    /// A line behind the last chunk, and whether nothing stands in it yet.
    Trailer(bool),
    TrailerLf(bool),
    End,
}

/// Takes the content of one request off the front of the input.
///
/// ```
/// use roomcast_protocol::upgrade::{Body, Framing};
///
/// let mut body = Body::new(Framing::Chunked, 1024)?;
/// let (mut input, mut content) = (&b"5\r\nhello\r\n0\r\n\r\nGET /"[..], Vec::new());
/// assert!(body.next(&mut input, &mut content)?);
/// assert_eq!((&content[..], input), (&b"hello"[..], &b"GET /"[..]));
/// # Ok::<(), roomcast_protocol::upgrade::Refusal>(())
/// ```
#[derive(Debug, Clone)]
pub struct Body {
    state: State,
    /// Bytes of content that may still be announced.
    left: usize,
    /// Bytes of extensions and trailers so far.
    aside: u16,
}

impl Body {
    /// For a content of at most so many bytes.
    ///
    /// # Errors
    ///
    /// [`Refusal::BodyTooLarge`], if it is announced to have more.
    pub fn new(framing: Framing, most: usize) -> Result<Self, Refusal> {
        let state = match framing {
            Framing::Length(length) if length > most as u64 => return Err(Refusal::BodyTooLarge),
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size(0, 0),
        };
        Ok(Self {
            state,
            left: most,
            aside: 0,
        })
    }

    /// Appends to `content` what the input has of it. True once it is whole; the rest of the input is then not of it.
    ///
    /// # Errors
    ///
    /// [`Refusal::BadChunk`] and [`Refusal::BodyTooLarge`]; then nothing that follows means anything.
    pub fn next(&mut self, input: &mut &[u8], content: &mut Vec<u8>) -> Result<bool, Refusal> {
        loop {
            self.state = match self.state {
                State::End => return Ok(true),
                State::Length(0) => State::End,
                State::Chunk(0) => State::ChunkCr,
                _ if input.is_empty() => return Ok(false),
                State::Length(left) => {
                    let most = usize::try_from(left).unwrap_or(usize::MAX);
                    State::Length(left - take(most, input, content) as u64)
                }
                State::Chunk(left) => {
                    State::Chunk(left - take(left as usize, input, content) as u32)
                }
                _ => {
                    let (&byte, rest) = input.split_first().ok_or(Refusal::BadChunk)?;
                    *input = rest;
                    self.between(byte)?
                }
            };
        }
    }

    /// What a byte between chunks leads to.
    fn between(&mut self, byte: u8) -> Result<State, Refusal> {
        let digit = char::from(byte).to_digit(16);
        Ok(match (self.state, byte) {
            (State::Size(size, digits), _) if digits < MAX_DIGITS && digit.is_some() => {
                State::Size(size << 4 | digit.unwrap_or_default(), digits + 1)
            }
            (State::Size(size, 1..), b'\r') | (State::Extension(size), b'\r') => {
                State::SizeLf(size)
            }
            (State::Size(size, 1..), b';') => self.ignore(State::Extension(size))?,
            (State::Extension(size), _) if is_visible(byte) => {
                self.ignore(State::Extension(size))?
            }
            (State::SizeLf(0), b'\n') | (State::TrailerLf(false), b'\n') => State::Trailer(true),
            (State::SizeLf(size), b'\n') => {
                let left = self.left.checked_sub(size as usize);
                self.left = left.ok_or(Refusal::BodyTooLarge)?;
                State::Chunk(size)
            }
            (State::ChunkCr, b'\r') => State::ChunkLf,
            (State::ChunkLf, b'\n') => State::Size(0, 0),
            (State::Trailer(is_empty), b'\r') => State::TrailerLf(is_empty),
            (State::Trailer(_), _) if is_visible(byte) => self.ignore(State::Trailer(false))?,
            (State::TrailerLf(true), b'\n') => State::End,
            _ => return Err(Refusal::BadChunk),
        })
    }

    /// Goes on behind a byte that means nothing here.
    fn ignore(&mut self, to: State) -> Result<State, Refusal> {
        self.aside += 1;
        if self.aside > MAX_ASIDE {
            return Err(Refusal::BadChunk);
        }
        Ok(to)
    }
}

/// Whether a byte may stand in a line: no line break, no other control byte but HTAB.
fn is_visible(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

/// Moves at most so many bytes, and says how many.
fn take(most: usize, input: &mut &[u8], content: &mut Vec<u8>) -> usize {
    let (front, rest) = input.split_at(most.min(input.len()));
    content.extend_from_slice(front);
    *input = rest;
    front.len()
}
