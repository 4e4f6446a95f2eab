//! Records that are authentic and yet not what they must be. No client library seals them, so they are sealed by hand,
//! with the keys of a session that a library agreed on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384;
use rustls::crypto::cipher::{
    InboundOpaqueMessage, MessageDecrypter, MessageEncrypter, OutboundChunks, OutboundPlainMessage,
};
use rustls::version::TLS13;
use rustls::{
    AlertDescription, ConnectionTrafficSecrets, ContentType, ProtocolVersion, SupportedCipherSuite,
};

use super::session::Session;
use super::witness::{ROOM, Scene};
use crate::wire::{BINARY, FIN, frame};

/// A seat in the witnesses' room, and the keys to it.
struct ByHand {
    socket: TcpStream,
    sealer: Box<dyn MessageEncrypter>,
    sealed: u64,
    opener: Box<dyn MessageDecrypter>,
    opened: u64,
}

impl ByHand {
    fn join(scene: &Scene) -> Self {
        let mut config = Arc::unwrap_or_clone(scene.client(&[&TLS13]));
        config.enable_secret_extraction = true;
        let session = Session::join(scene.relay.secure_addr(), &Arc::new(config), ROOM);
        let SupportedCipherSuite::Tls13(suite) = TLS13_AES_256_GCM_SHA384 else {
            panic!("a suite of TLS 1.3");
        };
        let secrets = session.tls.dangerous_extract_secrets().expect("its keys");
        let ((sealed, tx), (opened, rx)) = (secrets.tx, secrets.rx);
        let (
            ConnectionTrafficSecrets::Aes256Gcm { key, iv },
            ConnectionTrafficSecrets::Aes256Gcm {
                key: their_key,
                iv: their_iv,
            },
        ) = (tx, rx)
        else {
            panic!("this suite is what rustls likes best");
        };
        let mut client = Self {
            socket: session.socket,
            sealer: suite.aead_alg.encrypter(key, iv),
            sealed: 0,
            opener: suite.aead_alg.decrypter(their_key, their_iv),
            opened,
        };
        // AWS-LC counts from the first record that it sees: it is shown those that the library sealed.
        while client.sealed < sealed {
            client.seal(ContentType::ApplicationData, b"sent already");
        }
        client
    }

    fn seal(&mut self, typ: ContentType, payload: &[u8]) -> Vec<u8> {
        let message = OutboundPlainMessage {
            typ,
            version: ProtocolVersion::TLSv1_3,
            payload: OutboundChunks::Single(payload),
        };
        let record = self.sealer.encrypt(message, self.sealed).expect("a record");
        self.sealed += 1;
        record.encode()
    }

    /// Sends this record, after which the relay ends the connection with an alert.
    fn end_with(mut self, record: &[u8]) -> AlertDescription {
        self.socket.write_all(record).expect("the relay takes it");
        let mut rest = Vec::new();
        self.socket.read_to_end(&mut rest).expect("a clean end");
        let (header, body) = rest.split_at_mut(5);
        let typ = ContentType::from(header[0]);
        let record = InboundOpaqueMessage::new(typ, ProtocolVersion::TLSv1_2, body);
        let alert = self.opener.decrypt(record, self.opened).expect("authentic");
        assert_eq!(alert.typ, ContentType::Alert);
        AlertDescription::from(alert.payload[1])
    }
}

/// RFC 8446 section 5.1 sets the limit, 2^14 bytes, and the alert.
#[test]
fn more_than_16_kib_in_a_record_is_too_much() {
    let mut scene = Scene::begin(&[]);
    let full = frame(FIN | BINARY, &[7; (1 << 14) - 8]);
    assert_eq!(full.len(), 1 << 14);
    let mut largest = ByHand::join(&scene);
    let record = largest.seal(ContentType::ApplicationData, &full);
    largest.socket.write_all(&record).expect("taken");
    for witness in [&mut scene.secure, &mut scene.plain] {
        witness.expect(BINARY, &[7; (1 << 14) - 8]);
    }
    let record = largest.seal(ContentType::ApplicationData, &[0; (1 << 14) + 1]);
    assert_eq!(largest.end_with(&record), AlertDescription::RecordOverflow);
    scene.end(&[("tls_violation", 1)]);
}

/// A ClientHello in the middle of a session, as it began a renegotiation up to TLS 1.2, and other things out of place.
#[test]
fn what_belongs_to_a_handshake_is_refused_behind_it() {
    let mut scene = Scene::begin(&[]);
    let hello = scene.stranger(&[&TLS13]).records()[5..].to_vec();
    let cases: [(ContentType, &[u8], AlertDescription); 3] = [
        (
            ContentType::Handshake,
            &hello,
            AlertDescription::UnexpectedMessage,
        ),
        // A Finished.
        (
            ContentType::Handshake,
            &[20, 0, 0, 1, 0],
            AlertDescription::UnexpectedMessage,
        ),
        // A KeyUpdate that asks for nothing that there is.
        (
            ContentType::Handshake,
            &[24, 0, 0, 1, 9],
            AlertDescription::IllegalParameter,
        ),
    ];
    for (typ, payload, alert) in cases {
        let mut client = ByHand::join(&scene);
        let record = client.seal(typ, payload);
        assert_eq!(client.end_with(&record), alert, "{payload:?}");
        scene.calm();
    }
    scene.end(&[("tls_violation", 3), ("peer_gone", 1)]);
}

/// Records with nothing in them are allowed (RFC 8446 section 5.4), a few at a time; nobody needs a flood of them.
#[test]
fn empty_records_are_borne_and_a_flood_of_them_is_not() {
    let mut scene = Scene::begin(&[]);
    let mut client = ByHand::join(&scene);
    for byte in frame(FIN | BINARY, b"here I am") {
        let mut records = Vec::new();
        for _ in 0..16 {
            records.extend(client.seal(ContentType::ApplicationData, &[]));
        }
        records.extend(client.seal(ContentType::ApplicationData, &[byte]));
        client.socket.write_all(&records).expect("taken");
    }
    scene.secure.expect(BINARY, b"here I am");
    scene.plain.expect(BINARY, b"here I am");
    let mut flood = Vec::new();
    for _ in 0..20_000 {
        flood.extend(client.seal(ContentType::ApplicationData, &[]));
    }
    // The relay is gone before it has taken them all.
    let _ = client.socket.write_all(&flood);
    let _ = client.socket.read_to_end(&mut Vec::new());
    scene.end(&[("tls_violation", 1)]);
}
