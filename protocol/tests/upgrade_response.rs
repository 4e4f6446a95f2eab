//! What the server answers: the status of every refusal, the fields each status must carry, and nothing of the
//! request.

mod upgrade_fixture;

use std::collections::HashSet;

use roomcast_protocol::upgrade::{
    AcceptKey, ClientKey, Readers, Refusal, Reply, RequestKind, Status, parse_request,
    write_accept, write_continue, write_done, write_refusal, write_refusal_for, write_reply,
    write_response,
};
use upgrade_fixture::{GOOD, head};

/// A response taken apart by a parser that is not ours.
struct Answer {
    code: u16,
    reason: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let mut table = [httparse::EMPTY_HEADER; 16];
        let mut response = httparse::Response::new(&mut table);
        let len = response.parse(bytes).expect("a response").unwrap();
        assert_eq!(response.version, Some(1));
        let text = str::from_utf8(&bytes[..len]).expect("ASCII");
        assert_eq!(
            text.matches('\n').count(),
            text.matches("\r\n").count(),
            "{text:?}"
        );
        assert_eq!(
            text.matches('\r').count(),
            text.matches("\r\n").count(),
            "{text:?}"
        );
        let fields = response.headers.iter();
        Self {
            code: response.code.unwrap(),
            reason: response.reason.unwrap().to_owned(),
            fields: fields
                .map(|field| {
                    (
                        field.name.to_owned(),
                        String::from_utf8(field.value.to_vec()).unwrap(),
                    )
                })
                .collect(),
            body: bytes[len..].to_vec(),
        }
    }

    /// The value of a field that must not be repeated.
    fn field(&self, name: &str) -> Option<&str> {
        let mut values = self
            .fields
            .iter()
            .filter(|(each, _)| each.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is repeated");
        value
    }
}

fn refuse(refusal: Refusal) -> Answer {
    let mut out = Vec::new();
    write_refusal(&mut out, refusal);
    Answer::read(&out)
}

fn answered() -> impl Iterator<Item = Refusal> {
    Refusal::ALL
        .iter()
        .copied()
        .filter(|&refusal| refusal != Refusal::TlsOnPlainPort)
}

#[test]
fn the_status_of_every_refusal() {
    for &refusal in Refusal::ALL {
        let code = match refusal {
            Refusal::NoTicket
            | Refusal::BadTicket
            | Refusal::TicketExpired
            | Refusal::TicketEarly
            | Refusal::TicketClaims
            | Refusal::TicketClaim(_)
            | Refusal::TicketRooms
            | Refusal::TicketRole
            | Refusal::TicketSpectates
            | Refusal::TicketStay
            | Refusal::TicketRevoked => 401,
            Refusal::OriginNotAllowed
            | Refusal::OriginNotSaid
            | Refusal::HostNotAllowed
            | Refusal::Banned => 403,
            Refusal::NotFound | Refusal::BadRoomName => 404,
            Refusal::MethodNotAllowed | Refusal::PostOnly | Refusal::UpgradeNeedsGet => 405,
            Refusal::HeadTimeout => 408,
            Refusal::BodyTooLarge => 413,
            Refusal::UpgradeRequired | Refusal::HalfUpgrade | Refusal::WebSocketVersion => 426,
            Refusal::AddressConnections | Refusal::AddressJoins => 429,
            Refusal::HeadTooLarge | Refusal::TooManyFields => 431,
            Refusal::ServerFull | Refusal::Draining | Refusal::Stalled => 503,
            Refusal::HttpVersion | Refusal::UpgradeNeedsHttp11 => 505,
            _ => 400,
        };
        assert_eq!(refusal.status().code(), code, "{refusal:?}");
    }
}

#[test]
fn explanations_are_one_line_each_of_its_own() {
    let texts: HashSet<_> = Refusal::ALL
        .iter()
        .map(|refusal| refusal.explanation())
        .collect();
    assert_eq!(texts.len(), Refusal::ALL.len());
    for &refusal in Refusal::ALL {
        let text = refusal.explanation();
        assert_eq!(text, refusal.to_string());
        assert!(
            text.ends_with('.') && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{text:?}"
        );
    }
}

#[test]
fn a_refusal_is_a_whole_response_and_the_last() {
    for refusal in answered() {
        let answer = refuse(refusal);
        assert_eq!(answer.code, refusal.status().code());
        assert_eq!(answer.reason, refusal.status().reason());
        assert_eq!(
            answer.body,
            format!("{}\n", refusal.explanation()).as_bytes()
        );
        assert_eq!(
            answer.field("Content-Length"),
            Some(&*answer.body.len().to_string())
        );
        assert_eq!(
            answer.field("Content-Type"),
            Some("text/plain; charset=utf-8")
        );
        assert_eq!(answer.field("Cache-Control"), Some("no-store"));
        assert_eq!(answer.field("X-Content-Type-Options"), Some("nosniff"));
        // Pages that may not connect may not read either; whose player is banned may say so.
        let is_foreign = matches!(
            refusal,
            Refusal::OriginNotAllowed | Refusal::OriginNotSaid | Refusal::HostNotAllowed
        );
        let readers = (!is_foreign).then_some("*");
        assert_eq!(answer.field("Access-Control-Allow-Origin"), readers);
        let connection = answer.field("Connection").unwrap();
        assert!(
            connection.split(", ").any(|option| option == "close"),
            "{refusal:?}"
        );
    }
}

#[test]
fn fields_that_a_status_must_carry() {
    for refusal in answered() {
        let answer = refuse(refusal);
        let upgrade = (answer.code == 426).then_some("websocket");
        assert_eq!(answer.field("Upgrade"), upgrade, "{refusal:?}");
        assert_eq!(
            answer.field("Sec-WebSocket-Version"),
            upgrade.map(|_| "13"),
            "{refusal:?}"
        );
        assert_eq!(
            answer.field("Connection"),
            Some(if upgrade.is_some() {
                "Upgrade, close"
            } else {
                "close"
            })
        );
        let allow = match refusal {
            Refusal::MethodNotAllowed => Some("GET, HEAD"),
            Refusal::PostOnly => Some("POST"),
            Refusal::UpgradeNeedsGet => Some("GET"),
            _ => None,
        };
        assert_eq!(answer.field("Allow"), allow, "{refusal:?}");
        let wait = answer
            .field("Retry-After")
            .map(|seconds| seconds.parse::<u8>().unwrap());
        assert_eq!(
            wait.is_some(),
            [429, 503].contains(&answer.code),
            "{refusal:?}"
        );
        assert!(wait.is_none_or(|seconds| (1..=5).contains(&seconds)));
        assert_eq!(
            answer.field("WWW-Authenticate").is_some(),
            answer.code == 401,
            "{refusal:?}"
        );
    }
}

#[test]
fn no_answer_to_tls() {
    let mut out = b"before".to_vec();
    write_refusal(&mut out, Refusal::TlsOnPlainPort);
    assert_eq!(out, b"before");
}

#[test]
fn a_head_gets_the_head() {
    for refusal in answered() {
        let (mut whole, mut only) = (Vec::new(), Vec::new());
        write_refusal_for(&mut whole, refusal, false);
        write_refusal_for(&mut only, refusal, true);
        let body = Answer::read(&whole).body;
        assert_eq!([&only[..], &body[..]].concat(), whole, "{refusal:?}");
        assert_eq!(Answer::read(&only).body, b"");
    }
}

#[test]
fn pages_with_every_status() {
    let codes: HashSet<_> = Status::ALL.iter().map(|status| status.code()).collect();
    assert_eq!(codes.len(), Status::ALL.len());
    for &status in Status::ALL {
        for head_only in [false, true] {
            let mut out = b"before".to_vec();
            write_response(
                &mut out,
                status,
                "text/html; charset=utf-8",
                b"<p>\r\n\r\n\0</p>",
                head_only,
            );
            let answer = Answer::read(out.strip_prefix(b"before").expect("appended"));
            assert_eq!(
                (answer.code, &*answer.reason),
                (status.code(), status.reason())
            );
            assert_eq!(
                answer.field("Content-Type"),
                Some("text/html; charset=utf-8")
            );
            assert_eq!(answer.field("Content-Length"), Some("12"));
            assert_eq!(
                answer.body,
                if head_only {
                    &b""[..]
                } else {
                    b"<p>\r\n\r\n\0</p>"
                }
            );
        }
    }
}

#[test]
fn replies_say_whether_the_connection_goes_on() {
    for (keeps, connection) in [(true, "keep-alive"), (false, "close")] {
        let reply = Reply {
            status: Status::Unavailable503,
            kind: "text/plain",
            body: b"wait",
        };
        let mut out = Vec::new();
        write_reply(&mut out, reply, keeps, Readers::EveryPage);
        let answer = Answer::read(&out);
        assert_eq!((answer.code, &answer.body[..]), (503, &b"wait"[..]));
        assert_eq!(answer.field("Content-Length"), Some("4"));
        assert_eq!(answer.field("Retry-After"), Some("5"));
        assert_eq!(answer.field("Connection"), Some(connection));
        assert_eq!(answer.field("Access-Control-Allow-Origin"), Some("*"));
        // Neither changed nor gathered on its way.
        assert_eq!(
            answer.field("Cache-Control"),
            Some("no-store, no-transform")
        );
        assert_eq!(answer.field("X-Accel-Buffering"), Some("no"));
        out.clear();
        write_done(&mut out, keeps, Readers::NoPage);
        let answer = Answer::read(&out);
        assert_eq!((answer.code, answer.body.len()), (204, 0));
        assert_eq!(answer.field("Content-Length"), None);
        assert_eq!(answer.field("Connection"), Some(connection));
        assert_eq!(answer.field("Access-Control-Allow-Origin"), None);
    }
    let mut out = Vec::new();
    write_continue(&mut out);
    assert_eq!(Answer::read(&out).code, 100);
}

fn accept() -> AcceptKey {
    ClientKey::from_bytes(*b"the sample nonce").expected_accept()
}

#[test]
fn the_101() {
    let mut out = Vec::new();
    write_accept(&mut out, &accept(), None);
    let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    assert_eq!(str::from_utf8(&out), Ok(expected));
    out.clear();
    write_accept(&mut out, &accept(), Some("roomcast.v1"));
    let chosen = "xOo=\r\nSec-WebSocket-Protocol: roomcast.v1\r\n\r\n";
    assert_eq!(
        String::from_utf8(out).unwrap(),
        expected.replace("xOo=\r\n\r\n", chosen)
    );
}

#[test]
fn nothing_breaks_out_of_the_101() {
    let mut without = Vec::new();
    write_accept(&mut without, &accept(), None);
    for protocol in [
        "",
        "a b",
        "a,b",
        "a\r\nSet-Cookie: b",
        "a\n",
        "\0",
        "caf\u{e9}",
    ] {
        let mut out = Vec::new();
        write_accept(&mut out, &accept(), Some(protocol));
        assert_eq!(out, without, "{protocol:?}");
    }
}

#[test]
fn what_is_offered_can_be_chosen() {
    let bytes = head(&[&GOOD[..], &["Sec-WebSocket-Protocol: other, roomcast.v1"]].concat());
    let RequestKind::Upgrade(upgrade) = parse_request(&bytes).unwrap().kind else {
        panic!("an upgrade");
    };
    let chosen = upgrade.protocols().find(|&name| name == "roomcast.v1");
    let mut out = Vec::new();
    write_accept(&mut out, &upgrade.accept, chosen);
    assert_eq!(
        Answer::read(&out).field("Sec-WebSocket-Protocol"),
        Some("roomcast.v1")
    );
}
