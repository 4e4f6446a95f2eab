//! Events as an EventSource reads them, and the frames that they were made of.
//!
//! Owns an event as far as it has come. Must not know who sends it. Invariant: what is no event of a session is an error.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roomcast_protocol::close::CloseCode;
use roomcast_protocol::frame::{Opcode, encode, encode_close};

use super::wrong;

/// An event as far as it has come.
#[derive(Default)]
pub(super) struct Event {
    /// Frames behind it, counted from the beginning; none: it is not one of them.
    pub(super) id: Option<u64>,
    name: String,
    data: Option<String>,
}

impl Event {
    /// Takes a line of it.
    pub(super) fn read(&mut self, line: &str) -> io::Result<()> {
        match line.split_once(": ") {
            Some(("id", id)) => self.id = Some(id.parse().map_err(|_| wrong("an id"))?),
            Some(("event", name)) => name.clone_into(&mut self.name),
            Some(("data", line)) => match &mut self.data {
                None => self.data = Some(line.to_owned()),
                Some(data) => {
                    data.push('\n');
                    data.push_str(line);
                }
            },
            _ => {}
        }
        Ok(())
    }

    /// The frame that it was made of.
    pub(super) fn encode(self, out: &mut Vec<u8>) -> io::Result<()> {
        let data = self.data.unwrap_or_default();
        let bytes = || STANDARD.decode(&data).map_err(|_| wrong("base64"));
        match &*self.name {
            "" => encode(out, Opcode::Text, data.as_bytes()),
            "t" => encode(out, Opcode::Text, &bytes()?),
            "b" => encode(out, Opcode::Binary, &bytes()?),
            "close" => {
                let code = data.parse().map_err(|_| wrong("a code"))?;
                encode_close(out, CloseCode(code), "", None);
            }
            _ => return Err(wrong("an event")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> io::Result<Vec<u8>> {
        let mut event = Event::default();
        for line in lines {
            event.read(line)?;
        }
        let mut frame = Vec::new();
        event.encode(&mut frame)?;
        Ok(frame)
    }

    #[test]
    fn events_are_the_frames_that_they_were_made_of() {
        for frame in [
            &b"\x81\x00"[..],
            b"\x81\x03a\nb",
            b"\x81\x03a\rb",
            b"\x82\x03\0\xff\n",
            b"\x88\x02\x03\xf4",
        ] {
            let mut lines = Vec::new();
            roomcast_protocol::events::encode(&mut lines, frame);
            let lines = String::from_utf8(lines).unwrap();
            let lines: Vec<_> = lines.split('\n').filter(|line| !line.is_empty()).collect();
            assert_eq!(read(&lines).unwrap(), frame);
        }
        assert!(read(&["event: x", "data: y"]).is_err());
        assert!(read(&["event: b", "data: ?"]).is_err());
    }
}
