//! Properties of both parsers on input nobody thought of: random bytes, well-known pieces in any order, and good
//! heads with a few bytes changed.

mod upgrade_fixture;

use proptest::{collection::vec, prelude::*, sample::select};
use roomcast_protocol::upgrade::{
    ClientKey, MAX_HEAD, Refusal, parse_client_response, parse_request, room_name, write_accept,
    write_client_request,
};
use upgrade_fixture::{GOOD, Seen, head, serve};

/// What heads are made of, right and wrong.
const PIECES: [&[u8]; 42] = [
    b"\r\n",
    b"\r\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b":",
    b",",
    b"\0",
    b"\xff",
    b"/",
    b"?",
    b"%41",
    b"#",
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"GET / HTTP/1.1\r\n",
    b"GET /rooms/a HTTP/1.1\r\n",
    b" HTTP/1.1",
    b" HTTP/1.0",
    b"http://a",
    b"Host: a\r\n",
    b"Host:",
    b"Connection: Upgrade\r\n",
    b"Connection: keep-alive, ",
    b"Upgrade: websocket\r\n",
    b"Upgrade",
    b"websocket",
    b"Sec-WebSocket-Version: 13\r\n",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    b"Sec-WebSocket-Key:",
    b"Sec-WebSocket-Protocol: a, b\r\n",
    b"Sec-WebSocket-Protocol:",
    b"Origin: null\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length:",
    b"Transfer-Encoding:",
    b"chunked",
    b"\x16\x03\x01",
];

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    vec(select(&PIECES[..]), 0..24).prop_map(|pieces| pieces.concat())
}

/// A good handshake or page with bytes replaced, put in, taken out, or lines swapped and doubled.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let lines = vec((0..GOOD.len(), 0..GOOD.len()), 0..2);
    let edits = vec(
        (
            any::<prop::sample::Index>(),
            0..3u8,
            select(&PIECES[..]),
            any::<u8>(),
        ),
        0..4,
    );
    (lines, edits).prop_map(|(swaps, edits)| {
        let mut lines = GOOD.to_vec();
        for (from, to) in swaps {
            lines.insert(to, GOOD[from]);
        }
        let mut bytes = head(&lines);
        for (at, edit, piece, byte) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match edit {
                0 => bytes[at] = byte,
                1 => drop(bytes.splice(at..at, piece.iter().copied())),
                _ => drop(bytes.splice(at..(at + piece.len()).min(bytes.len()), [])),
            }
        }
        bytes
    })
}

fn anything() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..200),
        pieces(),
        damaged(),
        // With an end, so that it gets beyond the search for one.
        pieces()
            .prop_map(|bytes| [b"GET / HTTP/1.1\r\nHost: a\r\n", &bytes[..], b"\r\n\r\n"].concat()),
    ]
}

/// What must hold of every head that was taken, read the most naive way there is.
fn check_taken(bytes: &[u8], seen: &Seen) -> Result<(), TestCaseError> {
    let end = bytes
        .windows(4)
        .position(|part| part == b"\r\n\r\n")
        .expect("an end")
        + 4;
    let text = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let lines: Vec<&str> = text
        .strip_prefix("\r\n")
        .unwrap_or(&text)
        .split("\r\n")
        .collect();
    prop_assert!(!lines.iter().any(|line| line.contains(['\r', '\n', '\0'])));
    let fields: Vec<(&str, &str)> = lines[1..lines.len() - 2]
        .iter()
        .map(|line| line.split_once(':').expect("a colon in every field"))
        .collect();
    prop_assert!(
        fields
            .iter()
            .all(|(name, _)| !name.is_empty() && !name.contains([' ', '\t']))
    );
    let count = |field: &str| fields.iter().filter(|(name, _)| *name == field).count();
    let http10 = lines[0].ends_with(" http/1.0");
    prop_assert!(count("host") == 1 || http10 && count("host") == 0);
    prop_assert_eq!(count("transfer-encoding"), 0);
    prop_assert!(count("content-length") <= 1);
    prop_assert!(fields.iter().all(
        |(name, value)| *name != "content-length" || value.trim().trim_matches('0').is_empty()
    ));
    prop_assert!(
        lines[0].starts_with(if seen.method == "GET" {
            "get "
        } else {
            "head "
        }),
        "{}",
        lines[0]
    );
    prop_assert!(seen.path.starts_with('/'));
    if let Some((_, protocols)) = &seen.upgrade {
        prop_assert_eq!(&seen.method, "GET");
        prop_assert!(!http10);
        prop_assert_eq!(count("sec-websocket-key"), 1);
        prop_assert_eq!(count("sec-websocket-version"), 1);
        prop_assert!(
            protocols
                .iter()
                .all(|name| !name.is_empty() && !name.contains([' ', ',', '\t', '\r']))
        );
    } else {
        prop_assert_eq!(count("sec-websocket-key"), 0);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn splits_change_nothing(bytes in anything(), cuts in vec(any::<prop::sample::Index>(), 0..6)) {
        let whole = serve([&bytes[..]]);
        prop_assert_eq!(&serve(bytes.chunks(1)), &whole);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        prop_assert_eq!(&serve(cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]])), &whole);
        if let Ok(Some((seen, _))) = &whole {
            check_taken(&bytes, seen)?;
        }
    }

    #[test]
    fn the_parser_alone_is_as_strict(bytes in anything()) {
        let expected = match serve([&bytes[..]]) {
            Ok(Some((seen, _))) => Ok(seen),
            Ok(None) => Err(Refusal::IncompleteHead),
            Err(refusal) => Err(refusal),
        };
        prop_assert_eq!(parse_request(&bytes).map(Seen::from), expected);
    }

    #[test]
    fn both_sides_agree(
        nonce in any::<[u8; 16]>(),
        room in "[A-Za-z0-9._~-]{1,64}",
        query in "[!$-;=?-~]{0,40}",
        protocol in prop::option::of("[a-z.0-9]{1,20}"),
        frames in vec(any::<u8>(), 0..40),
    ) {
        let key = ClientKey::from_bytes(nonce);
        let mut request = Vec::new();
        let target = format!("/rooms/{room}?{query}");
        write_client_request(&mut request, "localhost:7777", &target, &key, protocol.as_deref(), &[]);
        request.extend_from_slice(&frames);
        let (seen, rest) = serve([&request[..]]).unwrap().unwrap();
        prop_assert_eq!(rest, &frames[..]);
        let name = room_name(seen.path.strip_prefix("/rooms/").unwrap());
        prop_assert_eq!(name.as_deref(), Some(&room[..]).filter(|room| ![".", ".."].contains(room)));
        prop_assert_eq!(seen.query, Some(query));
        let expected = key.expected_accept();
        let offered: Vec<String> = protocol.iter().cloned().collect();
        prop_assert_eq!(seen.upgrade, Some((expected.as_str().to_owned(), offered)));

        let mut answer = Vec::new();
        write_accept(&mut answer, &expected, protocol.as_deref());
        let len = answer.len();
        answer.extend_from_slice(&frames);
        prop_assert_eq!(parse_client_response(&answer, &key, protocol.as_deref()), Ok(Some(len)));
        let other = ClientKey::from_bytes(nonce.map(|byte| !byte));
        prop_assert!(parse_client_response(&answer, &other, protocol.as_deref()).is_err());
    }

    #[test]
    fn the_client_survives_any_answer(bytes in anything(), status in "HTTP/1.1 (1[0-9]{2}|[0-9]{3}) X\r\n") {
        let key = ClientKey::from_bytes([7; 16]);
        for bytes in [bytes.clone(), [status.as_bytes(), &bytes].concat()] {
            // None of them holds the answer to this key.
            let whole = parse_client_response(&bytes, &key, None);
            prop_assert!(!matches!(whole, Ok(Some(_))));
            let mut prefixes = (0..=bytes.len()).map(|len| parse_client_response(&bytes[..len], &key, None));
            prop_assert_eq!(prefixes.find(|outcome| *outcome != Ok(None)).unwrap_or(Ok(None)), whole);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_attack_ends_at_the_limit(piece in select(&PIECES[..]), lead in pieces()) {
        let bytes = [&lead[..], &piece.repeat(MAX_HEAD + 1)].concat();
        // Without an end there is no waiting for one beyond the limit.
        prop_assert!(!matches!(serve([&bytes[..]]), Ok(None)));
    }
}
