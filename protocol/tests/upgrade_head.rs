//! Finding the end of a head that arrives in pieces.

mod upgrade_fixture;

use roomcast_protocol::upgrade::{MAX_HEAD, Refusal, asks_for_head_only, find_head_end};
use upgrade_fixture::{GOOD, head, page, serve};

#[test]
fn no_end_before_the_blank_line() {
    let whole = head(&GOOD);
    for len in 0..whole.len() {
        assert_eq!(find_head_end(&whole[..len], 0), Ok(None), "{len} bytes");
    }
    assert_eq!(find_head_end(&whole, 0), Ok(Some(whole.len())));
}

#[test]
fn what_was_scanned_is_not_scanned_again() {
    let whole = head(&GOOD);
    for scanned in 2..whole.len() {
        let mut bytes = whole.clone();
        // All but the four bytes that can be a part of the blank line: to look at them would be a refusal.
        bytes[..scanned.saturating_sub(4)].fill(0);
        assert_eq!(
            find_head_end(&bytes, scanned),
            Ok(Some(whole.len())),
            "{scanned} scanned"
        );
    }
}

#[test]
fn what_is_behind_the_head_is_not_scanned() {
    let whole = head(&GOOD);
    let more = [&whole[..], &[0; MAX_HEAD]].concat();
    assert_eq!(find_head_end(&more, 0), Ok(Some(whole.len())));
    assert_eq!(find_head_end(&more, whole.len() - 1), Ok(Some(whole.len())));
}

#[test]
fn too_large_as_soon_as_it_is_certain() {
    let mut bytes = b"GET / HTTP/1.1\r\nHost: a\r\nX: ".to_vec();
    bytes.resize(MAX_HEAD - 1, b'y');
    assert_eq!(find_head_end(&bytes, 0), Ok(None));
    bytes.push(b'y');
    assert_eq!(
        find_head_end(&bytes, MAX_HEAD - 1),
        Err(Refusal::HeadTooLarge)
    );
    assert_eq!(serve(bytes.chunks(1)), Err(Refusal::HeadTooLarge));
    bytes.extend_from_slice(b"\r\n\r\n");
    assert_eq!(find_head_end(&bytes, 0), Err(Refusal::HeadTooLarge));
}

#[test]
fn an_end_across_the_limit_is_too_late() {
    for inside in 0..4 {
        let mut bytes = b"GET / HTTP/1.1\r\nHost: a\r\nX: ".to_vec();
        bytes.resize(MAX_HEAD - inside, b'y');
        bytes.extend_from_slice(b"\r\n\r\n");
        assert_eq!(
            find_head_end(&bytes, 0),
            Err(Refusal::HeadTooLarge),
            "{inside} inside"
        );
        assert_eq!(
            serve(bytes.chunks(1)),
            Err(Refusal::HeadTooLarge),
            "{inside} inside"
        );
    }
}

#[test]
fn hopeless_from_the_first_byte() {
    for first in 0..=u8::MAX {
        let expected = match first {
            0x16 => Err(Refusal::TlsOnPlainPort),
            b'\r' => Ok(None),
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~' => {
                Ok(None)
            }
            _ if first.is_ascii_alphanumeric() => Ok(None),
            _ => Err(Refusal::BadRequestLine),
        };
        assert_eq!(find_head_end(&[first], 0), expected, "{first:#04x}");
    }
}

#[test]
fn hopeless_before_the_end() {
    // Refused when the byte comes, not when the time is up.
    let rows: &[(&[u8], Refusal)] = &[
        (b"GET / HTTP/1.1\n", Refusal::BareLineBreak),
        (b"GET / HTTP/1.1\rH", Refusal::BareLineBreak),
        (b"GET / HTTP/1.1\r\r", Refusal::BareLineBreak),
        (b"GET /\0", Refusal::ControlByte),
        (b"GET /\x1f", Refusal::ControlByte),
        (b"\r\n\r\n", Refusal::BadRequestLine),
        (b"\rG", Refusal::BareLineBreak),
    ];
    for (bytes, refusal) in rows {
        assert_eq!(find_head_end(bytes, 0), Err(*refusal), "{bytes:?}");
        assert_eq!(
            find_head_end(bytes, bytes.len() - 1),
            Err(*refusal),
            "{bytes:?}"
        );
        assert_eq!(
            find_head_end(&bytes[..bytes.len() - 1], 0),
            Ok(None),
            "{bytes:?}"
        );
    }
}

#[test]
fn more_scanned_than_received_is_harmless() {
    assert_eq!(find_head_end(b"GET", 400), Ok(None));
    assert_eq!(find_head_end(b"", usize::MAX), Ok(None));
}

#[test]
fn heads_that_want_no_content() {
    assert!(asks_for_head_only(&page("HEAD / HTTP/1.1", &[])));
    assert!(asks_for_head_only(b"\r\nHEAD / HTTP/1.0\r\n"));
    assert!(!asks_for_head_only(&page("GET / HTTP/1.1", &[])));
    assert!(!asks_for_head_only(b"HEADER / HTTP/1.1"));
    assert!(!asks_for_head_only(b""));
}
