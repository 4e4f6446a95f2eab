//! rustls's own client, record by record: what it seals is in the test's hands before it leaves.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::PollFlags;
use rustls::{AlertDescription, ClientConfig, ClientConnection, Error};
use socket2::SockRef;

use crate::patience;
use crate::stream::{client, connect};
use crate::wire::{ready_within, upgrade_request};

/// How the relay ended a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With a close_notify.
    Told,
    /// With an alert that says what was wrong.
    Alert(AlertDescription),
    /// TCP ended, and TLS said nothing of it.
    Cut,
    /// TCP was reset.
    Reset,
}

/// A client's session, and the socket to the relay.
pub(super) struct Session {
    pub(super) tls: ClientConnection,
    pub(super) socket: TcpStream,
}

impl Session {
    /// Connects; nothing is sent yet.
    pub(super) fn connect(addr: SocketAddr, config: &Arc<ClientConfig>) -> Self {
        Self {
            tls: client(config, "localhost"),
            socket: connect(addr),
        }
    }

    /// Connects, shakes hands and takes a seat at this path.
    pub(super) fn join(addr: SocketAddr, config: &Arc<ClientConfig>, path: &str) -> Self {
        let mut session = Self::connect(addr, config);
        session.shake_hands();
        session.say(upgrade_request(path).as_bytes());
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let end = session.hear(&mut head);
            assert_eq!(end, None, "{}", String::from_utf8_lossy(&head));
        }
        session
    }

    /// Goes on with the handshake and takes a seat at this path, if the relay has the time for it.
    pub(super) fn try_join(mut self, path: &str) -> Option<Self> {
        let mut answer = [0; 12];

        while self.tls.is_handshaking() {
            self.tls.complete_io(&mut self.socket).ok()?;
        }
        let mut stream = rustls::Stream::new(&mut self.tls, &mut self.socket);
        stream.write_all(upgrade_request(path).as_bytes()).ok()?;
        stream.read_exact(&mut answer).ok()?;
        answer.starts_with(b"HTTP/1.1 101").then_some(self)
    }

    pub(super) fn shake_hands(&mut self) {
        while self.tls.is_handshaking() {
            let records = self.records();
            self.send(&records);
            let mut early = Vec::new();
            if self.tls.is_handshaking() {
                assert_eq!(self.hear(&mut early), None, "the handshake goes on");
            }
            assert!(early.is_empty(), "nothing was asked for");
        }
        let last = self.records();
        self.send(&last);
    }

    /// What TLS wants to send by now.
    pub(super) fn records(&mut self) -> Vec<u8> {
        let mut records = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut records).expect("memory takes all");
        }
        records
    }

    /// These bytes as records.
    pub(super) fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        self.tls
            .writer()
            .write_all(plain)
            .expect("memory takes all");
        self.records()
    }

    /// Seals and sends.
    pub(super) fn say(&mut self, plain: &[u8]) {
        let records = self.seal(plain);
        self.send(&records);
    }

    /// Sends bytes as they are, records or not.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("the relay takes them");
    }

    /// Sends as many of these bytes as the relay takes before it is gone.
    pub(super) fn try_send(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes);
    }

    /// Waits for bytes for at most `millis`; true when there are some, or the end.
    pub(super) fn readable_within(&self, millis: u64) -> bool {
        ready_within(&self.socket, PollFlags::IN, millis)
    }

    /// Waits until the relay has let go of the connection altogether, so that whatever is written is answered by RST.
    pub(super) fn expect_gone(&mut self) {
        let patience = patience("the relay lets go of the connection");
        while self.socket.write_all(&[0]).is_ok()
            && !ready_within(&self.socket, PollFlags::empty(), 10)
        {
            patience.check();
        }
    }

    /// Waits for bytes of the relay. Appends what was in them, and says whether they were the end.
    pub(super) fn hear(&mut self, plain: &mut Vec<u8>) -> Option<End> {
        match self.tls.read_tls(&mut self.socket) {
            Ok(0) => return Some(End::Cut),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Some(End::Reset),
            Err(error) => panic!("nothing came in time: {error}"),
        }
        match self.tls.process_new_packets() {
            Ok(state) => {
                let start = plain.len();
                plain.resize(start + state.plaintext_bytes_to_read(), 0);
                let mut reader = self.tls.reader();
                reader.read_exact(&mut plain[start..]).expect("as many");
                state.peer_has_closed().then_some(End::Told)
            }
            Err(Error::AlertReceived(alert)) => Some(End::Alert(alert)),
            Err(error) => panic!("the relay broke TLS: {error}"),
        }
    }

    /// Reads on to the end: what was said, and how it ended. Behind a close_notify or an alert nothing may come but
    /// the end of TCP.
    pub(super) fn hear_to_the_end(&mut self) -> (Vec<u8>, End) {
        let mut plain = Vec::new();
        let end = loop {
            if let Some(end) = self.hear(&mut plain) {
                break end;
            }
        };
        if !matches!(end, End::Cut | End::Reset) {
            let mut rest = Vec::new();
            // A relay that was sent more than it wanted to read may reset what is over anyway.
            let _ = self.socket.read_to_end(&mut rest);
            assert!(rest.is_empty(), "behind the end came {rest:?}");
        }
        (plain, end)
    }

    /// How the relay ends it, whatever it says before.
    pub(super) fn end(&mut self) -> End {
        self.hear_to_the_end().1
    }

    /// Says that nothing more will be sent, in TLS.
    pub(super) fn close_notify(&mut self) {
        self.tls.send_close_notify();
        let records = self.records();
        self.send(&records);
    }

    /// A FIN: nothing more will be sent, in TCP.
    pub(super) fn finish_writing(&self) {
        self.socket
            .shutdown(Shutdown::Write)
            .expect("a half-closed socket");
    }

    /// Ends the connection with RST.
    pub(super) fn reset(self) {
        SockRef::from(&self.socket)
            .set_linger(Some(Duration::ZERO))
            .expect("no lingering");
    }
}
