//! Request content: chunks as tables, each whole, byte by byte and cut at every point, and properties of any split.

use proptest::prelude::*;
use roomcast_protocol::upgrade::{Body, Framing, MAX_ASIDE, Refusal};

const MOST: usize = 64;

/// Content and what came behind it; `None` while it is not whole.
type Outcome = Result<Option<(Vec<u8>, Vec<u8>)>, Refusal>;

fn read<'s>(framing: Framing, segments: impl IntoIterator<Item = &'s [u8]>) -> Outcome {
    let mut body = Body::new(framing, MOST)?;
    let (mut content, mut rest) = (Vec::new(), Vec::new());
    let mut whole = false;
    for mut segment in segments {
        whole = whole || body.next(&mut segment, &mut content)?;
        assert!(whole || segment.is_empty());
        assert!(content.len() <= MOST);
        rest.extend_from_slice(segment);
    }
    whole = whole || body.next(&mut &[][..], &mut content)?;
    Ok(whole.then_some((content, rest)))
}

fn every_way(framing: Framing, bytes: &[u8]) -> Outcome {
    let whole = read(framing, [bytes]);
    assert_eq!(read(framing, bytes.chunks(1)), whole, "byte by byte");
    for at in 0..=bytes.len() {
        let (front, back) = bytes.split_at(at);
        assert_eq!(read(framing, [front, back]), whole, "cut at {at}");
    }
    whole
}

fn good(content: &[u8], rest: &[u8]) -> Outcome {
    Ok(Some((content.to_vec(), rest.to_vec())))
}

#[test]
fn chunks_that_are_read() {
    for (bytes, content, rest) in [
        ("0\r\n\r\n", "", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello", ""),
        (
            "5\r\nhello\r\n6\r\n, you!\r\n0\r\n\r\nGET",
            "hello, you!",
            "GET",
        ),
        ("0005\r\n\r\n\0\n\r\r\n00000000\r\n\r\n", "\r\n\0\n\r", ""),
        ("a\r\n0123456789\r\n0\r\n\r\n", "0123456789", ""),
        ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789", ""),
        ("1;a=b;c=\"d \te\"\r\nx\r\n0;last\r\n\r\n", "x", ""),
        (
            "1;\r\nx\r\n0\r\nDigest: abc\r\nOther: \t\r\n\r\n\r\n",
            "x",
            "\r\n",
        ),
        (
            "1\r\nx\r\n0\r\nContent-Length: 5\r\n\r\n12345",
            "x",
            "12345",
        ),
    ] {
        let outcome = every_way(Framing::Chunked, bytes.as_bytes());
        assert_eq!(
            outcome,
            good(content.as_bytes(), rest.as_bytes()),
            "{bytes:?}"
        );
    }
}

#[test]
fn chunks_that_are_not() {
    let long = format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(MAX_ASIDE.into()));
    let trailers = format!("0\r\n{}\r\n", "a: b\r\n".repeat(300));
    for bytes in [
        "\r\n",
        ";a\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\rhello\r\n0\r\n\r\n",
        "5;a\0\r\nhello\r\n0\r\n\r\n",
        "5;a\x7f\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n0\r\n\rX",
        "5\r\nhello\r\n0\r\na: b\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "g\r\n",
        "000000005\r\nhello\r\n0\r\n\r\n",
        &long,
        &trailers,
    ] {
        let outcome = every_way(Framing::Chunked, bytes.as_bytes());
        assert_eq!(outcome, Err(Refusal::BadChunk), "{bytes:?}");
    }
}

#[test]
fn a_content_is_bounded_before_it_comes() {
    assert!(Body::new(Framing::Length(MOST as u64), MOST).is_ok());
    for length in [MOST as u64 + 1, u64::MAX] {
        let body = Body::new(Framing::Length(length), MOST);
        assert_eq!(body.err(), Some(Refusal::BodyTooLarge));
    }
    for bytes in ["41\r\n", "ffffffff\r\n", "40\r\n"] {
        let more = format!("{bytes}{}\r\n1\r\n", "x".repeat(MOST));
        let outcome = every_way(Framing::Chunked, more.as_bytes());
        assert_eq!(outcome, Err(Refusal::BodyTooLarge), "{bytes:?}");
    }
    assert_eq!(Refusal::BodyTooLarge.status().code(), 413);
    assert_eq!(Refusal::BadChunk.status().code(), 400);
}

#[test]
fn a_length_is_all_there_is() {
    assert_eq!(every_way(Framing::Length(0), b"GET /"), good(b"", b"GET /"));
    assert_eq!(every_way(Framing::Length(0), b""), good(b"", b""));
    assert_eq!(
        every_way(Framing::Length(3), b"0\r\n\r\n"),
        good(b"0\r\n", b"\r\n")
    );
    assert_eq!(every_way(Framing::Length(3), b"ab"), Ok(None));
}

proptest! {
    /// However a content is cut into chunks, and those into segments, it is the same, and so is what follows.
    #[test]
    fn any_chunks_in_any_pieces(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..3),
        rest in prop::collection::vec(any::<u8>(), 0..20),
        lens in prop::collection::vec(1usize..10, 1..50),
    ) {
        let mut bytes = Vec::new();
        for chunk in &chunks {
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        bytes.extend_from_slice(&rest);
        let mut segments = Vec::new();
        let mut left = &bytes[..];
        for len in lens.iter().cycle() {
            if left.is_empty() {
                break;
            }
            let (front, back) = left.split_at((*len).min(left.len()));
            segments.push(front);
            left = back;
        }
        prop_assert_eq!(read(Framing::Chunked, segments), good(&chunks.concat(), &rest));
    }

    /// Whatever comes: any split says the same.
    #[test]
    fn any_bytes_any_split(
        bytes in "[0-9a-f;:x\r\n]{0,30}",
        length in prop::option::of(0u64..40),
    ) {
        every_way(length.map_or(Framing::Chunked, Framing::Length), bytes.as_bytes()).ok();
    }
}
