//! Who is let in by which ticket.

use std::fs::{self, Permissions};
use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PublicKeyData};
use roomcast_protocol::upgrade::Claim;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::limits::{TICKET_STAY_MAX_MS, TICKETS_REMEMBERED};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
/// In the year 2096.
const FAR: u64 = 4_000_000_000;

fn keys(folder: &Path, texts: &[&[u8]]) -> Result<Keys, Unusable> {
    let files = texts.iter().enumerate().map(|(at, text)| {
        let file = folder.join(at.to_string());
        fs::write(&file, text).unwrap();
        file
    });
    Keys::load(Files {
        keys: files.collect(),
        revoked: None,
    })
}

fn trusting(texts: &[&[u8]]) -> Keys {
    keys(TempDir::new().unwrap().path(), texts).unwrap()
}

impl Keys {
    /// What a ticket lets its bearer do, whoever that is.
    fn passes(&self, ticket: &str, room: Option<&str>) -> Result<Pass, Refusal> {
        self.passes_at(ticket, room, Seconds::now())
    }

    fn passes_at(&self, ticket: &str, room: Option<&str>, now: Seconds) -> Result<Pass, Refusal> {
        let pass = self.judge_at(ticket, room, now)?;
        assert!(pass.bearer.is_some());
        Ok(Pass {
            bearer: None,
            ..pass
        })
    }
}

fn good() -> Value {
    json!({"sub": "ada", "rooms": ["a", "b-*"], "exp": FAR})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = good();
    claims[name] = value;
    claims
}

fn signed(claims: &Value) -> String {
    encode(
        &Header::default(),
        claims,
        &EncodingKey::from_secret(SECRET),
    )
    .unwrap()
}

#[test]
fn each_claim_is_heeded_and_named() {
    let keys = trusting(&[SECRET]);
    let mut missing = vec![];
    let bad = |claim| Err(Refusal::TicketClaim(claim));
    for (name, claim) in [
        ("sub", Claim::Sub),
        ("rooms", Claim::Rooms),
        ("exp", Claim::Exp),
    ] {
        let mut claims = good();
        claims.as_object_mut().unwrap().remove(name);
        missing.push((claims, bad(claim)));
    }
    let rows = [
        (good(), Ok(Pass::default())),
        (with("rooms", json!(["*"])), Ok(Pass::default())),
        (with("role", json!("player")), Ok(Pass::default())),
        (with("aud", json!("a lobby")), Ok(Pass::default())),
        (with("exp", json!(1)), Err(Refusal::TicketExpired)),
        (with("nbf", json!(FAR)), Err(Refusal::TicketEarly)),
        (with("rooms", json!(["aa", "A"])), Err(Refusal::TicketRooms)),
        (with("rooms", json!([])), bad(Claim::Rooms)),
        (with("rooms", json!("a")), bad(Claim::Rooms)),
        (with("sub", json!("")), bad(Claim::Sub)),
        (with("exp", json!("tomorrow")), bad(Claim::Exp)),
        (with("role", json!("referee")), Err(Refusal::TicketRole)),
        (with("stay", json!(1)), Err(Refusal::TicketStay)),
        (with("limits", json!({"rooms": 1})), bad(Claim::Limits)),
        (with("limits", json!({"bytes": 0})), bad(Claim::Limits)),
        (with("limits", json!(null)), bad(Claim::Limits)),
        (with("limits", json!(7)), bad(Claim::Limits)),
        (with("jti", json!(7)), bad(Claim::Jti)),
        // Nobody could take these back.
        (with("jti", json!("")), bad(Claim::Jti)),
        (with("jti", json!("7 ")), bad(Claim::Jti)),
        (with("sub", json!("ada\nbob")), bad(Claim::Sub)),
        (with("nbf", json!("now")), bad(Claim::Nbf)),
        (with("nbf", json!(null)), Ok(Pass::default())),
        (with("stay", json!([])), bad(Claim::Stay)),
        (with("role", json!(7)), Err(Refusal::TicketRole)),
    ];
    for (claims, verdict) in rows.into_iter().chain(missing) {
        assert_eq!(
            keys.passes(&signed(&claims), Some("a")),
            verdict,
            "{claims}"
        );
    }
    // One reader would take the first, another the second.
    let payload = good().to_string().replacen('{', r#"{"sub":"bob","#, 1);
    let said = [r#"{"alg":"HS256"}"#, &payload].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
    let said = said.join(".");
    let key = EncodingKey::from_secret(SECRET);
    let signature = jsonwebtoken::crypto::sign(said.as_bytes(), &key, Algorithm::HS256).unwrap();
    let verdict = keys.passes(&format!("{said}.{signature}"), Some("a"));
    assert_eq!(verdict, Err(Refusal::TicketClaims));
    let ticket = signed(&good());
    for (room, verdict) in [
        (Some("b-1"), Ok(Pass::default())),
        (Some("b-"), Ok(Pass::default())),
        (Some("b"), Err(Refusal::TicketRooms)),
        (Some("ab"), Err(Refusal::TicketRooms)),
        (None, Ok(Pass::default())),
    ] {
        assert_eq!(keys.passes(&ticket, room), verdict, "{room:?}");
    }
}

/// The time at which a test asks.
const NOW: Seconds = Seconds(1_000_000);

#[test]
fn times_are_looked_at_also_where_the_signature_is_known() {
    let keys = trusting(&[SECRET]);
    for (name, at, before, after) in [
        (
            "exp",
            NOW.0,
            Ok(Pass::default()),
            Err(Refusal::TicketExpired),
        ),
        ("nbf", NOW.0, Err(Refusal::TicketEarly), Ok(Pass::default())),
    ] {
        for at in [json!(at), json!(at as f64 + 0.5)] {
            let ticket = signed(&with(name, at));
            let moments = [
                (NOW.0 - 6, &before),
                (NOW.0 - 5, if name == "exp" { &before } else { &after }),
                (NOW.0 + 4, if name == "exp" { &before } else { &after }),
                (NOW.0 + 5, &after),
            ];
            for (now, verdict) in moments {
                let judged = keys.passes_at(&ticket, Some("a"), Seconds(now));
                assert_eq!(&judged, verdict, "{name} at {now}");
            }
        }
    }
}

#[test]
fn a_ticket_says_what_its_bearer_may_do() {
    let keys = trusting(&[SECRET]);
    let judged = |name: &str, value: Value| {
        let ticket = signed(&with(name, value));
        keys.passes_at(&ticket, Some("a"), NOW).unwrap()
    };
    assert!(judged("role", json!("spectator")).spectates);
    let quota = judged("limits", json!({"messages": 20})).quota;
    assert_eq!((quota.messages, quota.bytes), (NonZeroU32::new(20), None));
    for (stay, ms) in [
        (NOW.0 + 60, 70_000),
        (NOW.0, 10_000),
        (NOW.0 - 4, 6_000),
        (u64::MAX, TICKET_STAY_MAX_MS),
    ] {
        assert_eq!(judged("stay", json!(stay)).stay_ms, Some(ms), "{stay}");
    }
}

#[test]
fn a_ticket_can_be_taken_back() {
    let folder = TempDir::new().unwrap();
    let (key, list) = (folder.path().join("key"), folder.path().join("list"));
    fs::write(&key, SECRET).unwrap();
    fs::write(&list, "").unwrap();
    let files = Files {
        keys: vec![key],
        revoked: Some(list.clone()),
    };
    let keys = Keys::load(files).unwrap();
    let tickets = [good(), with("jti", json!("7")), with("sub", json!("bob"))];
    let judged = || {
        let let_in = |claims| keys.passes(&signed(claims), None).map(drop);
        [0, 1, 2].map(|at| let_in(&tickets[at]))
    };
    assert_eq!(judged(), [Ok(()); 3]);
    let no = Err(Refusal::TicketRevoked);
    for (lines, verdicts) in [
        ("jti 7\n", [Ok(()), no, Ok(())]),
        ("sub ada\n", [no, no, Ok(())]),
        // A slip: as before.
        ("bob\n", [no, no, Ok(())]),
    ] {
        fs::write(&list, lines).unwrap();
        keys.reload();
        assert_eq!(judged(), verdicts, "{lines}");
    }
}

fn known(keys: &Keys) -> usize {
    keys.current.read().verified.len()
}

#[test]
fn what_is_known_of_signatures_ends_with_the_keys() {
    let folder = TempDir::new().unwrap();
    let keys = keys(folder.path(), &[SECRET]).unwrap();
    let ticket = signed(&good());
    for _ in 0..2 {
        assert_eq!(keys.passes(&ticket, Some("a")), Ok(Pass::default()));
        assert_eq!(keys.passes(&ticket, Some("c")), Err(Refusal::TicketRooms));
        assert!(keys.passes(&format!("{ticket}x"), Some("a")).is_err());
        assert_eq!(known(&keys), 1, "a forged one fills nothing");
    }
    keys.reload();
    assert_eq!(known(&keys), 0);
    assert_eq!(keys.passes(&ticket, Some("a")), Ok(Pass::default()));
    fs::write(folder.path().join("0"), [9; 32]).unwrap();
    keys.reload();
    assert_eq!(keys.passes(&ticket, Some("a")), Err(Refusal::BadTicket));
}

#[test]
fn no_more_tickets_are_remembered_than_there_may_be() {
    let keys = trusting(&[SECRET]);
    let long = "x".repeat(TICKET_REMEMBERED_BYTES);
    assert_eq!(
        keys.passes(&signed(&with("sub", json!(long))), None),
        Ok(Pass::default())
    );
    assert_eq!(known(&keys), 0, "a ticket may be too long for that");
    let verified = Verified::default();
    let claims = keys.current.read().verify(&signed(&good())).unwrap();
    for number in 0..3 * TICKETS_REMEMBERED {
        verified.remember(Hash::of(&number.to_string()), &claims);
        // Who comes back again and again is never forgotten.
        assert!(verified.find(&Hash::of("0")).is_some(), "{number}");
    }
    assert!(verified.len() <= TICKETS_REMEMBERED, "{}", verified.len());
}

#[test]
fn forged_tickets_let_nobody_in() {
    let keys = trusting(&[SECRET]);
    let ticket = signed(&good());
    let parts: Vec<&str> = ticket.split('.').collect();
    let none = BASE64_URL_SAFE_NO_PAD.encode(br#"{"alg":"none"}"#);
    let crit = Header {
        crit: Some(vec!["b64".to_owned()]),
        ..Header::default()
    };
    let crit = encode(&crit, &good(), &EncodingKey::from_secret(SECRET)).unwrap();
    let other = BASE64_URL_SAFE_NO_PAD.encode(with("rooms", json!(["*"])).to_string());
    let longer = Header::new(Algorithm::HS512);
    for forged in [
        String::new(),
        "a.b.c".to_owned(),
        format!("{none}.{}.", parts[1]),
        format!("{}.{other}.{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{ticket}.x"),
        ticket[..ticket.len() - 2].to_owned(),
        crit,
        encode(&longer, &good(), &EncodingKey::from_secret(SECRET)).unwrap(),
        encode(
            &Header::default(),
            &good(),
            &EncodingKey::from_secret(&[7; 32]),
        )
        .unwrap(),
    ] {
        assert_eq!(
            keys.passes(&forged, Some("a")),
            Err(Refusal::BadTicket),
            "{forged}"
        );
    }
}

#[test]
fn a_key_verifies_its_own_algorithm_only() {
    let (ec, ed) = (&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519);
    for (kind, algorithm) in [(ec, Algorithm::ES256), (ed, Algorithm::EdDSA)] {
        let key = KeyPair::generate_for(kind).unwrap();
        let pem = key.public_key_pem();
        let private = match algorithm {
            Algorithm::ES256 => EncodingKey::from_ec_der(key.serialized_der()),
            _ => EncodingKey::from_ed_der(key.serialized_der()),
        };
        let header = Header {
            kid: Some("k1".to_owned()),
            ..Header::new(algorithm)
        };
        let ticket = encode(&header, &good(), &private).unwrap();
        assert_eq!(
            trusting(&[pem.as_bytes()]).passes(&ticket, Some("a")),
            Ok(Pass::default())
        );
        // The classic: the public key, taken for a secret.
        let secret = EncodingKey::from_secret(pem.as_bytes());
        let forged = encode(&Header::default(), &good(), &secret).unwrap();
        let both = trusting(&[SECRET, pem.as_bytes()]);
        assert_eq!(both.passes(&forged, Some("a")), Err(Refusal::BadTicket));
        assert_eq!(both.passes(&ticket, Some("a")), Ok(Pass::default()));
        assert_eq!(
            both.passes(&signed(&good()), Some("a")),
            Ok(Pass::default())
        );

        let raw = key.der_bytes();
        let encoded = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let jwk = |id: &str| match algorithm {
            Algorithm::ES256 => json!({"kty": "EC", "crv": "P-256", "kid": id, "alg": "ES256",
                "x": encoded(&raw[1..33]), "y": encoded(&raw[33..])}),
            _ => json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": encoded(raw)}),
        };
        let set = |id: &str| json!({"keys": [jwk(id)]}).to_string();
        assert_eq!(
            trusting(&[set("k1").as_bytes()]).passes(&ticket, Some("a")),
            Ok(Pass::default())
        );
        let elsewhere = trusting(&[set("k2").as_bytes()]).passes(&ticket, Some("a"));
        assert_eq!(elsewhere, Err(Refusal::BadTicket));
    }
}

#[test]
fn what_is_no_key_is_refused_in_one_line() {
    let folder = TempDir::new().unwrap();
    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let private = p384.serialize_pem();
    let public = p384.public_key_pem();
    for (text, says) in [
        (&b"short"[..], "32 bytes"),
        (private.as_bytes(), "-pubout"),
        (public.as_bytes(), "P-256"),
        (b"-----BEGIN PUBLIC KEY-----\nM!\n", "PEM"),
        (b"{}", "JWKS"),
        (b"{\"keys\": []}", "no key"),
        (
            b"{\"keys\": [{\"kty\": \"oct\", \"k\": \"AAAA\"}]}",
            "32 bytes",
        ),
    ] {
        let line = keys(folder.path(), &[text]).unwrap_err().to_string();
        assert!(
            line.contains(says) && line.lines().count() == 1,
            "{says}: {line}"
        );
    }
}

/// Whoever knows a public key could sign with it.
#[test]
fn a_public_key_in_another_form_is_no_secret() {
    let folder = TempDir::new().unwrap();
    for kind in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519] {
        let key = KeyPair::generate_for(kind).unwrap();
        let (pem, der) = (key.public_key_pem(), key.subject_public_key_info());
        let body: String = pem.lines().filter(|line| !line.contains('-')).collect();
        let utf16: Vec<u8> = pem.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let certificate = rcgen::CertificateParams::default();
        let certificate = certificate.self_signed(&key).unwrap();
        for (text, says) in [
            (der.clone(), "-inform DER"),
            ([&der[..], b"\n"].concat(), "-inform DER"),
            (key.serialized_der().to_vec(), "-inform DER"),
            (certificate.der().to_vec(), "-inform DER"),
            (certificate.pem().into(), "-pubkey -noout"),
            (format!("\u{feff}{pem}").into(), "byte order mark"),
            ([&b"\xff\xfe"[..], &utf16].concat(), "byte order mark"),
            (format!("# of the lobby\n{pem}").into(), "before"),
            (body.clone().into(), "without its -----BEGIN"),
            (format!("{body}\n").into(), "without its -----BEGIN"),
            (format!("ssh-ed25519 {body} ada").into(), "ssh-keygen"),
            (format!("ecdsa-sha2-nistp256 {body}\n").into(), "ssh-keygen"),
            (
                b"[{\"kty\": \"EC\", \"crv\": \"P-256\"}]\n".to_vec(),
                "\"keys\"",
            ),
        ] {
            let line = keys(folder.path(), &[&text]).unwrap_err().to_string();
            let told = line.contains(says) && line.lines().count() == 1;
            assert!(told, "{says}: {line}");
        }
    }
}

#[test]
fn a_secret_may_be_any_other_bytes() {
    for secret in [
        &b"0123456789abcdef0123456789abcdef"[..],
        &[0x30; 50],
        b"012345678901234567890123456789012345678901234567890",
        b"  a secret [with] blanks { and } signs\n",
        &[0xff; 32],
        b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        b"[not a list, but the beginning of a secret",
    ] {
        trusting(&[secret]);
    }
}

#[test]
fn a_secret_that_everyone_may_read_is_noticed() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("key");
    let ed = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    for (text, mode, open) in [
        (SECRET, 0o644, true),
        (SECRET, 0o640, false),
        (ed.public_key_pem().as_bytes(), 0o644, false),
    ] {
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let own = keys::read(std::slice::from_ref(&file)).unwrap();
        assert_eq!(keys::is_open_to_others(&file, &own), open, "{mode:o}");
    }
}

#[test]
fn keys_are_read_again_or_stay_as_they_are() {
    let folder = TempDir::new().unwrap();
    let keys = keys(folder.path(), &[SECRET]).unwrap();
    let ticket = signed(&good());
    fs::write(folder.path().join("0"), "short").unwrap();
    keys.reload();
    assert_eq!(keys.passes(&ticket, None), Ok(Pass::default()));
    fs::write(folder.path().join("0"), [9; 32]).unwrap();
    keys.reload();
    assert_eq!(keys.passes(&ticket, None), Err(Refusal::BadTicket));
}

#[test]
fn what_is_made_here_is_good_here() {
    let folder = TempDir::new().unwrap();
    let keys = keys(folder.path(), &[SECRET, b"{\"keys\": [{\"kty\": \"oct\", \"k\": \"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}]}"]).unwrap();
    let order = |key: &str| Order {
        key: folder.path().join(key),
        sub: "ada".to_owned(),
        rooms: vec!["a".to_owned()],
        seconds: 600,
        stay: Some(60),
        spectates: true,
        id: None,
    };
    let ticket = write(order("0")).unwrap();
    let pass = keys.passes(&ticket, Some("a")).unwrap();
    assert!(pass.spectates && pass.stay_ms.is_some());
    assert!(
        write(order("1"))
            .unwrap_err()
            .to_string()
            .contains("no secret")
    );
}

#[test]
fn whose_a_ticket_is_goes_by_its_sub() {
    let keys = trusting(&[SECRET]);
    let sub = |claims: &Value| {
        let pass = keys.judge(&signed(claims), Some("a"));
        pass.unwrap().bearer.unwrap().sub
    };
    assert_eq!(sub(&good()), sub(&with("jti", json!("2"))));
    assert_ne!(sub(&good()), sub(&with("sub", json!("bob"))));
}
