//! The PROXY header, row by row: whole, byte by byte, split at every point, and read no further than it asks for.

use roomcast_protocol::proxy_header::{Decoder, KEPT, NoHeader, Origin};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2.
fn binary(command: u8, family: u8, behind: &[u8]) -> Vec<u8> {
    let length = (behind.len() as u16).to_be_bytes();
    [SIGNATURE, &[command, family], &length, behind].concat()
}

fn at(address: &str) -> Result<Option<Origin>, NoHeader> {
    Ok(Some(Origin::At(address.parse().unwrap())))
}

const UNSAID: Result<Option<Origin>, NoHeader> = Ok(Some(Origin::Unsaid));

/// What comes of these pieces, and how many bytes are left.
fn decode(pieces: &[&[u8]]) -> (Result<Option<Origin>, NoHeader>, usize) {
    let mut decoder = Decoder::default();
    let mut left: usize = pieces.iter().map(|piece| piece.len()).sum();
    for piece in pieces {
        let mut input = *piece;
        let outcome = decoder.next(&mut input);
        left -= piece.len() - input.len();
        if outcome != Ok(None) {
            return (outcome, left);
        }
        assert!(input.is_empty());
    }
    (Ok(None), left)
}

/// Reads as a server does, that takes no more from its socket than is asked for. Also how often it reads.
fn read(bytes: &[u8]) -> (Result<Option<Origin>, NoHeader>, usize, usize) {
    let (mut decoder, mut at, mut reads) = (Decoder::default(), 0, 0);
    while at < bytes.len() {
        let end = bytes.len().min(at + decoder.wants());
        let mut input = &bytes[at..end];
        let outcome = decoder.next(&mut input);
        assert!(
            input.is_empty() || outcome.is_err(),
            "it asked for all of it"
        );
        (at, reads) = (end - input.len(), reads + 1);
        if outcome != Ok(None) {
            return (outcome, bytes.len() - at, reads);
        }
    }
    (Ok(None), 0, reads)
}

fn check(header: &[u8], expected: Result<Option<Origin>, NoHeader>) {
    let name = String::from_utf8_lossy(header);
    let behind = b"GET / HTTP/1.1\r\n";
    let bytes = [header, behind].concat();
    let whole = decode(&[&bytes]);
    assert_eq!(whole.0, expected, "{name:?}");
    let each: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(decode(&each).0, expected, "{name:?}, byte by byte");
    for split in 0..bytes.len() {
        let (one, other) = bytes.split_at(split);
        assert_eq!(decode(&[one, other]).0, expected, "{name:?} at {split}");
    }
    let (outcome, left, _) = read(&bytes);
    assert_eq!(outcome, expected, "{name:?}, as much as is asked for");
    if expected.is_ok() {
        assert_eq!((whole.1, left), (behind.len(), behind.len()), "{name:?}");
        for end in 0..header.len() {
            assert_eq!(decode(&[&header[..end]]).0, Ok(None), "{name:?} to {end}");
        }
    }
}

#[test]
fn version_1() {
    let longest = "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
                   ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert_eq!(longest.len(), KEPT);
    for (header, expected) in [
        (
            "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n",
            at("192.0.2.1"),
        ),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 0 1\r\n", at("1.1.1.1")),
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            at("255.255.255.255"),
        ),
        ("PROXY TCP6 2001:db8::1 ::1 1 2\r\n", at("2001:db8::1")),
        ("PROXY TCP6 :: :: 1 2\r\n", at("::")),
        ("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", at("192.0.2.1")),
        ("PROXY UNKNOWN\r\n", UNSAID),
        ("PROXY UNKNOWN anything at all\r\n", UNSAID),
        (longest, UNSAID),
    ] {
        check(header.as_bytes(), expected);
    }
    let (outcome, _, reads) = read(b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n");
    assert!(outcome.is_ok() && reads <= 16, "{reads} reads");
}

#[test]
fn version_2() {
    let four = [192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 4, 1, 0xbb];
    let six: Vec<u8> = (0..36)
        .map(|at| if at < 16 { 0x20 + at } else { 0xff })
        .collect();
    let mut mapped = six.clone();
    mapped[..16].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1]);
    let with_more = |address: &[u8], more: usize| [address, &vec![7; more]].concat();
    for (command, family, behind, expected) in [
        (0x21, 0x11, four.to_vec(), at("192.0.2.1")),
        (
            0x21,
            0x21,
            six.clone(),
            at("2021:2223:2425:2627:2829:2a2b:2c2d:2e2f"),
        ),
        (0x21, 0x21, mapped, at("192.0.2.1")),
        // With types, lengths and values.
        (0x21, 0x11, with_more(&four, 1), at("192.0.2.1")),
        (
            0x21,
            0x21,
            with_more(&six, 300),
            at("2021:2223:2425:2627:2829:2a2b:2c2d:2e2f"),
        ),
        // A health check; one that says nothing, or of a kind that players don't come by.
        (0x20, 0x00, vec![], UNSAID),
        (0x20, 0x11, four.to_vec(), UNSAID),
        (0x21, 0x00, vec![], UNSAID),
        (0x21, 0x00, vec![0; 40], UNSAID),
        (0x21, 0x31, vec![0; 216], UNSAID),
        (0x21, 0x12, four.to_vec(), UNSAID),
    ] {
        check(&binary(command, family, &behind), expected);
    }
    let (outcome, _, reads) = read(&binary(0x21, 0x11, &with_more(&four, 65_000)));
    assert!(outcome.is_ok() && reads <= 4, "{reads} reads");
}

#[test]
fn what_is_no_header_is_refused_as_soon_as_that_is_certain() {
    for text in [
        "GET / HTTP/1.1\r\n\r\n",
        "proxy TCP4 192.0.2.1 198.51.100.1 1 2\r\n",
        "PROXY\r\n         ",
        "PROXY TCP5 192.0.2.1 198.51.100.1 1 2\r\n",
        "PROXY TCP4 2001:db8::1 198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 2\n  ",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 2\rx ",
        "PROXY TCP4 192.0.2 198.51.100.1 1 2\r\n",
    ] {
        check(text.as_bytes(), Err(NoHeader));
    }
    check(
        &[b"PROXY UNKNOWN ", &[b'x'; 200][..], b"\r\n"].concat(),
        Err(NoHeader),
    );
    for (command, family, behind) in [
        (0x11, 0x11, 12),
        (0x22, 0x11, 12),
        (0x21, 0x41, 12),
        (0x21, 0x13, 12),
        (0x21, 0x11, 11),
        (0x21, 0x21, 35),
    ] {
        check(&binary(command, family, &vec![0; behind]), Err(NoHeader));
    }
    // A ClientHello, and a head that only begins alike.
    assert_eq!(decode(&[&[0x16]]).0, Err(NoHeader));
    assert_eq!(decode(&[b"POST"]).0, Err(NoHeader));
    assert_eq!(decode(&[b"\r\n\r\n\0\r\nQUIT\r"]).0, Err(NoHeader));
}
