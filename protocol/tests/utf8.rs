//! The stream validator agrees with std on every text, however it is cut, and fails on the very first bad byte.

use proptest::prelude::*;
use roomcast_protocol::utf8::{InvalidUtf8, Stream, is_valid};

/// Feeds `bytes` one at a time; the number of bytes after which it failed, or whether the end is good.
fn byte_by_byte(bytes: &[u8]) -> Result<bool, usize> {
    let mut stream = Stream::default();
    for (at, byte) in bytes.iter().enumerate() {
        stream
            .push(std::slice::from_ref(byte))
            .map_err(|InvalidUtf8| at + 1)?;
    }
    Ok(stream.finish().is_ok())
}

/// What [`byte_by_byte`] must say, by std.
fn by_std(bytes: &[u8]) -> Result<bool, usize> {
    for len in 1..=bytes.len() {
        if std::str::from_utf8(&bytes[..len]).is_err_and(|error| error.error_len().is_some()) {
            return Err(len);
        }
    }
    Ok(std::str::from_utf8(bytes).is_ok())
}

#[test]
fn a_stream_is_small() {
    assert!(size_of::<Stream>() <= 8);
}

#[test]
fn every_sequence_of_two_bytes_and_every_longer_one_of_interest() {
    for first in 0..=u8::MAX {
        for second in 0..=u8::MAX {
            let bytes = [first, second];
            assert_eq!(byte_by_byte(&bytes), by_std(&bytes), "{bytes:x?}");
            if first < 0xe0 {
                continue;
            }
            for third in [
                0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe0, 0xf0, 0xff,
            ] {
                for fourth in [0x00, 0x7f, 0x80, 0xbf, 0xc0, 0xff] {
                    let bytes = [first, second, third, fourth];
                    assert_eq!(byte_by_byte(&bytes), by_std(&bytes), "{bytes:x?}");
                }
            }
        }
    }
}

#[test]
fn every_code_point_in_every_pair_of_pieces() {
    let mut buffer = [0; 4];
    for point in '\0'..=char::MAX {
        let bytes = point.encode_utf8(&mut buffer).as_bytes();
        assert!(is_valid(bytes));
        for cut in 0..=bytes.len() {
            let mut stream = Stream::default();
            stream
                .push(&bytes[..cut])
                .expect("the beginning of a code point");
            assert_eq!(stream.finish().is_ok(), cut == 0 || cut == bytes.len());
            stream
                .push(&bytes[..cut])
                .expect("a finished stream begins anew");
            stream.push(&bytes[cut..]).expect("the rest of it");
            stream.finish().expect("a whole code point");
        }
    }
}

/// Text with all lengths of code points, and sometimes one byte of it spoilt.
fn almost_text() -> impl Strategy<Value = Vec<u8>> {
    let spoil = prop::option::of((any::<prop::sample::Index>(), any::<u8>()));
    (any::<String>(), spoil, 0..300_usize).prop_map(|(text, spoil, lead_in)| {
        let mut bytes = vec![b'a'; lead_in];
        bytes.extend_from_slice(text.as_bytes());
        if let (Some((at, byte)), false) = (spoil, bytes.is_empty()) {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

proptest! {
    #[test]
    fn whole_texts_as_std(bytes in almost_text()) {
        prop_assert_eq!(is_valid(&bytes), std::str::from_utf8(&bytes).is_ok());
    }

    #[test]
    fn pieces_as_std(bytes in almost_text(), cuts in prop::collection::vec(1..40_usize, 1..20)) {
        let mut stream = Stream::default();
        let mut rest = &bytes[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            rest = after;
            let so_far = &bytes[..bytes.len() - rest.len()];
            let bad = std::str::from_utf8(so_far).is_err_and(|error| error.error_len().is_some());
            prop_assert_eq!(stream.push(piece).is_err(), bad);
            if bad {
                return Ok(());
            }
        }
        prop_assert_eq!(stream.finish().is_ok(), std::str::from_utf8(&bytes).is_ok());
    }
}
