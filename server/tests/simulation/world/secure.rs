//! A client's side of TLS, played by what plays the server's.
//!
//! Owns: the records of one connection, and how far each byte of them brings the server. Must not know: frames, what is
//! right. Invariant: of what a client says, the server knows what is in the records that it was given whole.

use std::collections::VecDeque;

use roomcast::limits::RECORD_PLAINTEXT;
use roomcast::transport::{Heard, Played};

use super::endings::Conduct;
use super::played::End;

/// Bytes that a record adds to its text, and more.
const RECORD_OVERHEAD: usize = 64;

/// One client's TLS.
#[derive(Debug)]
pub(crate) struct Tls {
    end: End,
    /// Said before the handshake is complete.
    early: Vec<u8>,
    /// Bytes sent, and bytes of text in them.
    sent: (usize, usize),
    /// The same at the end of each record that the server has not been given whole.
    records: VecDeque<(usize, usize)>,
    taken: usize,
    opened: usize,
    /// Bytes sent when the server has all that it needs of the handshake.
    agreed_at: Option<usize>,
    /// Bytes sent when it had said that nothing more will come.
    farewell_at: Option<usize>,
    broke: bool,
}

impl Tls {
    /// A handshake that begins with these bytes.
    pub(crate) fn new(hello: &mut Vec<u8>) -> Self {
        let end = End::client(hello);
        Self {
            end,
            early: Vec::new(),
            sent: (hello.len(), 0),
            records: VecDeque::from([(hello.len(), 0)]),
            taken: 0,
            opened: 0,
            agreed_at: None,
            farewell_at: None,
            broke: false,
        }
    }

    fn note(&mut self, out: &[u8], text: usize) {
        self.sent.0 += out.len();
        self.sent.1 += text;
        self.records.push_back(self.sent);
    }

    /// Says something in records of at most so much text; returns what is to be sent now.
    pub(crate) fn say(&mut self, text: &[u8], most: usize) -> Vec<u8> {
        let mut out = Vec::new();
        if self.farewell_at.is_some() || self.broke {
            return out;
        }
        if self.end.is_handshaking() {
            self.early.extend_from_slice(text);
            return out;
        }
        for part in text.chunks(most.min(RECORD_PLAINTEXT)) {
            let mut record = vec![0; part.len() + RECORD_OVERHEAD];
            let len = self.end.seal(part, &mut record).expect("it is open");
            self.note(&record[..len], part.len());
            out.extend_from_slice(&record[..len]);
        }
        out
    }

    /// Opens what came; returns that, and what is to be sent for it.
    ///
    /// # Errors
    ///
    /// When a client would end the connection.
    pub(crate) fn hear(&mut self, mut bytes: Vec<u8>) -> Result<(Vec<u8>, Vec<u8>), String> {
        let (mut text, mut answers) = (Vec::new(), Vec::new());
        let was_handshaking = self.end.is_handshaking();
        if let Heard::Breach(breach) = self.end.receive(&mut bytes, &mut text, &mut answers) {
            // Whoever broke it may be told so in a record of its own.
            return if self.broke {
                Ok((text, Vec::new()))
            } else {
                Err(format!("the server broke TLS: {breach:?}"))
            };
        }
        if was_handshaking && !self.end.is_handshaking() {
            self.note(&answers, 0);
            self.agreed_at = (!self.broke).then_some(self.sent.0);
            let early = std::mem::take(&mut self.early);
            answers.extend(self.say(&early, RECORD_PLAINTEXT));
        }
        Ok((text, answers))
    }

    /// Says that nothing more will come; nothing, if there is no session that could say so.
    pub(crate) fn farewell(&mut self) -> Vec<u8> {
        let mut record = vec![0; RECORD_OVERHEAD];
        let len = match self.end.close_notify(&mut record) {
            Some(len) if !self.broke => len,
            _ => 0,
        };
        record.truncate(len);
        if len > 0 {
            self.note(&record, 0);
            self.farewell_at = Some(self.sent.0);
        }
        record
    }

    /// Sends what no session would.
    pub(crate) fn breach(&mut self) -> Vec<u8> {
        self.broke = true;
        let record = [&[23, 3, 3, 0, 20][..], &[0; 20]].concat();
        self.note(&record, 0);
        record
    }

    /// The server was given so many bytes; returns how many bytes of text they complete.
    pub(crate) fn given(&mut self, bytes: usize) -> usize {
        self.taken += bytes;
        let before = self.opened;
        while let Some(&(sent, text)) = self.records.front()
            && sent <= self.taken
        {
            self.opened = text;
            self.records.pop_front();
        }
        self.opened - before
    }

    /// Whether the server has said that nothing more will come.
    pub(crate) fn is_closed(&self) -> bool {
        self.end.heard() == Heard::Closed
    }

    pub(crate) fn conduct(&self, hung_up: bool) -> Conduct {
        let is_known = |said: Option<usize>| said.is_some_and(|at| at <= self.taken);
        Conduct {
            agreed: is_known(self.agreed_at),
            farewell: is_known(self.farewell_at),
            broke: self.broke,
            hung_up,
        }
    }
}
