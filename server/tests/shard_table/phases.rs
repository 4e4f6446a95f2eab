//! The table of a connection's life: every phase by every input.

use roomcast::limits::{DISCARD_WHILE_CLOSING, Limits};
use roomcast_protocol::frame::Opcode;

use crate::net::WireId;
use crate::stage::{Stage, WIDE, frame, text};

/// Where a connection stands when the input comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Accepted, nothing has come.
    Fresh,
    /// A part of the head has come.
    Head,
    /// In a room with one other.
    Room,
    /// In an echo.
    Echo,
    /// Told to go (1012), not heard since.
    AwaitPeer,
    /// Has broken the protocol, and its socket takes nothing.
    Flush,
    /// Has broken the protocol, was told, and has not ended its side.
    Linger,
}

/// What comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    /// The beginning of what could come here: of a head, or of a frame.
    Part,
    /// What is expected: the rest of a request, or a message.
    Whole,
    /// Bytes that are neither.
    Garbage,
    /// More than is allowed.
    TooMuch,
    /// A close frame with 1000.
    Close,
    /// A close frame without a code.
    BareClose,
    /// The end of the peer's side.
    Fin,
    /// A reset, seen by reading.
    Reset,
    /// A reset, seen by writing: by what comes of `Whole`, or by what waits.
    WriteFails,
    /// The socket takes bytes again.
    Space,
    /// The process is to end, at once.
    Drain,
    /// Nothing, for the time that this phase may last.
    Timer,
}

/// What follows: what the peer hears, what the other member hears, the reason counted so far, and whether the
/// connection is gone.
type Row = (Phase, Input, &'static str, &'static str, &'static str, bool);

const GONE: bool = true;
const STAYS: bool = false;

#[rustfmt::skip]
const TABLE: &[Row] = {
    use Input::*;
    use Phase::*;
    &[
        (Fresh, Part, "", "", "", STAYS),
        (Fresh, Whole, "101", "", "", STAYS),
        (Fresh, Garbage, "400, end", "", "refused", STAYS),
        (Fresh, TooMuch, "431, end", "", "refused", STAYS),
        (Fresh, Close, "400, end", "", "refused", STAYS),
        (Fresh, BareClose, "400, end", "", "refused", STAYS),
        (Fresh, Fin, "end", "", "peer_gone", GONE),
        (Fresh, Reset, "end", "", "connection_lost", GONE),
        (Fresh, WriteFails, "end", "", "connection_lost", GONE),
        (Fresh, Space, "", "", "", STAYS),
        (Fresh, Drain, "", "close 1012", "drain", STAYS),
        (Fresh, Timer, "408, end", "", "handshake_timeout", STAYS),

        (Head, Part, "", "", "", STAYS),
        (Head, Whole, "101", "", "", STAYS),
        (Head, Garbage, "400, end", "", "refused", STAYS),
        (Head, TooMuch, "431, end", "", "refused", STAYS),
        (Head, Close, "400, end", "", "refused", STAYS),
        // None of its bytes is one that a head could not have.
        (Head, BareClose, "", "", "", STAYS),
        (Head, Fin, "end", "", "peer_gone", GONE),
        (Head, Reset, "end", "", "connection_lost", GONE),
        (Head, WriteFails, "end", "", "connection_lost", GONE),
        (Head, Space, "", "", "", STAYS),
        (Head, Drain, "", "close 1012", "drain", STAYS),
        (Head, Timer, "408, end", "", "handshake_timeout", STAYS),

        (Room, Part, "", "", "", STAYS),
        (Room, Whole, "", "text hi", "", STAYS),
        (Room, Garbage, "close 1002, end", "", "violation", STAYS),
        (Room, TooMuch, "close 1009, end", "", "too_big", STAYS),
        (Room, Close, "close 1000, end", "", "peer_closed", STAYS),
        (Room, BareClose, "close, end", "", "peer_closed", STAYS),
        (Room, Fin, "end", "", "peer_gone", GONE),
        (Room, Reset, "end", "", "connection_lost", GONE),
        (Room, WriteFails, "end", "", "connection_lost", GONE),
        (Room, Space, "", "", "", STAYS),
        (Room, Drain, "close 1012", "close 1012", "2 drain", STAYS),
        (Room, Timer, "ping, ping, close 4005", "ping, ping, close 4005", "2 idle", STAYS),

        (Echo, Part, "", "", "", STAYS),
        (Echo, Whole, "text hi", "", "", STAYS),
        (Echo, Garbage, "close 1002, end", "", "violation", STAYS),
        (Echo, TooMuch, "close 1009, end", "", "too_big", STAYS),
        (Echo, Close, "close 1000, end", "", "peer_closed", STAYS),
        (Echo, BareClose, "close, end", "", "peer_closed", STAYS),
        (Echo, Fin, "end", "", "peer_gone", GONE),
        (Echo, Reset, "end", "", "connection_lost", GONE),
        (Echo, WriteFails, "end", "", "connection_lost", GONE),
        (Echo, Space, "", "", "", STAYS),
        (Echo, Drain, "close 1012", "close 1012", "2 drain", STAYS),
        (Echo, Timer, "ping, ping, close 4005", "ping, ping, close 4005", "2 idle", STAYS),

        (AwaitPeer, Part, "", "", "2 drain", STAYS),
        (AwaitPeer, Whole, "", "", "2 drain", STAYS),
        (AwaitPeer, Garbage, "end", "", "2 drain", STAYS),
        (AwaitPeer, TooMuch, "end", "", "2 drain", STAYS),
        (AwaitPeer, Close, "end", "", "2 drain", STAYS),
        (AwaitPeer, BareClose, "end", "", "2 drain", STAYS),
        (AwaitPeer, Fin, "end", "", "2 drain", GONE),
        (AwaitPeer, Reset, "end", "", "2 drain", GONE),
        // Nothing waits to be written.
        (AwaitPeer, WriteFails, "", "", "2 drain", STAYS),
        (AwaitPeer, Space, "", "", "2 drain", STAYS),
        (AwaitPeer, Drain, "", "", "2 drain", STAYS),
        (AwaitPeer, Timer, "end", "end", "2 drain", GONE),

        (Flush, Part, "", "", "violation", STAYS),
        (Flush, Whole, "", "", "violation", STAYS),
        (Flush, Garbage, "", "", "violation", STAYS),
        (Flush, TooMuch, "", "", "violation", STAYS),
        (Flush, Close, "", "", "violation", STAYS),
        (Flush, BareClose, "", "", "violation", STAYS),
        // The peer may still read: what is left to say is said when there is space.
        (Flush, Fin, "", "", "violation", STAYS),
        (Flush, Reset, "end", "", "violation", GONE),
        (Flush, WriteFails, "end", "", "violation", GONE),
        (Flush, Space, "close 1002, end", "", "violation", STAYS),
        (Flush, Drain, "", "close 1012", "violation, drain", STAYS),
        (Flush, Timer, "end", "", "violation", GONE),

        (Linger, Part, "end", "", "violation", STAYS),
        (Linger, Whole, "end", "", "violation", STAYS),
        (Linger, Garbage, "end", "", "violation", STAYS),
        (Linger, TooMuch, "end", "", "violation", STAYS),
        (Linger, Close, "end", "", "violation", STAYS),
        (Linger, BareClose, "end", "", "violation", STAYS),
        (Linger, Fin, "end", "", "violation", GONE),
        (Linger, Reset, "end", "", "violation", GONE),
        // Nothing is written any longer.
        (Linger, WriteFails, "end", "", "violation", STAYS),
        (Linger, Space, "end", "", "violation", STAYS),
        (Linger, Drain, "end", "close 1012", "violation, drain", STAYS),
        (Linger, Timer, "end", "", "violation", GONE),
    ]
};

fn limits() -> Limits {
    Limits {
        max_message: 1_000,
        ping_ms: 20_000,
        idle_ms: 60_000,
        ..Limits::default()
    }
}

const GARBAGE: &[u8] = b"\xff\x00\x00\x00";

/// A connection in `phase`, and another member of its room.
fn arrange(phase: Phase) -> (Stage, WireId, WireId) {
    let mut stage = Stage::new(limits());
    let path = if phase == Phase::Echo {
        "/echo"
    } else {
        "/rooms/r"
    };
    let other = stage.join(path);
    let wire = match phase {
        Phase::Fresh | Phase::Head => stage.connect(),
        _ => stage.join(path),
    };
    match phase {
        Phase::Fresh | Phase::Room | Phase::Echo => {}
        Phase::Head => stage.send(wire, &stage.request(path)[..20]),
        Phase::AwaitPeer => {
            stage.drain(0);
            stage.pass(32);
            assert_eq!(stage.heard(wire), "close 1012");
            assert_eq!(stage.heard(other), "close 1012");
        }
        Phase::Flush => {
            stage.net().wires[wire].resize(0);
            stage.send(wire, GARBAGE);
        }
        Phase::Linger => {
            stage.send(wire, GARBAGE);
            assert_eq!(stage.heard(wire), "close 1002, end");
        }
    }
    (stage, wire, other)
}

/// Lets `input` come. The other member says what makes a write, where one is needed.
fn apply(stage: &mut Stage, phase: Phase, wire: WireId, other: WireId, input: Input) {
    let head = matches!(phase, Phase::Fresh | Phase::Head);
    let path = "/rooms/r";
    let whole = match phase {
        Phase::Fresh => stage.request(path),
        Phase::Head => stage.request(path)[20..].to_vec(),
        _ => text("hi"),
    };
    match input {
        Input::Part => stage.send(wire, &whole[..3]),
        Input::Whole => stage.send(wire, &whole),
        Input::Garbage => stage.send(wire, GARBAGE),
        Input::TooMuch => {
            let much = match phase {
                Phase::Fresh | Phase::Head => [b"GET /", &[b'a'; 9_000][..]].concat(),
                Phase::Flush | Phase::Linger => vec![0; DISCARD_WHILE_CLOSING as usize + 1],
                // Judged by what its header says.
                _ => b"\x82\xfe\x03\xe9\0\0\0\0".to_vec(),
            };
            stage.send(wire, &much);
        }
        Input::Close => stage.send(wire, &frame(Opcode::Close, &1000_u16.to_be_bytes())),
        Input::BareClose => stage.send(wire, &frame(Opcode::Close, &[])),
        Input::Fin => stage.hang_up(wire),
        Input::Reset => {
            stage.net().wires[wire].send_reset();
            stage.settle();
        }
        Input::WriteFails => {
            stage.net().wires[wire].broken = true;
            match phase {
                Phase::Room => stage.send(other, &text("hi")),
                Phase::Echo => stage.send(wire, &whole),
                _ if head => stage.send(wire, &whole),
                _ => {
                    stage.net().wires[wire].resize(WIDE);
                    stage.settle();
                }
            }
        }
        Input::Space => {
            stage.net().wires[wire].resize(WIDE);
            stage.settle();
        }
        Input::Drain => {
            stage.drain(0);
            stage.pass(32);
        }
        Input::Timer => {
            let limits = limits();
            let ms = match phase {
                Phase::Fresh | Phase::Head => limits.handshake_ms,
                Phase::Room | Phase::Echo => limits.idle_ms,
                Phase::AwaitPeer | Phase::Flush | Phase::Linger => limits.close_ms,
            };
            stage.pass(u64::from(ms) + 32);
        }
    }
}

#[test]
fn every_input_in_every_phase() {
    for &(phase, input, told, others_told, ends, gone) in TABLE {
        let cell = format!("{phase:?} x {input:?}");
        let (mut stage, wire, other) = arrange(phase);
        let others = stage.heard(other);
        assert!(matches!(&*others, "" | "end"), "{cell}: {others}");
        apply(&mut stage, phase, wire, other, input);
        assert_eq!(stage.heard(wire), told, "{cell}");
        // Alone in its echo, or not even in the room yet, it is told nothing of this one.
        assert_eq!(stage.heard(other), others_told, "{cell}, the other");
        assert_eq!(stage.ends(), ends, "{cell}");
        assert_eq!(!stage.is_there(wire), gone, "{cell}: gone");
        stage.close();
    }
}

#[test]
fn no_cell_is_missing() {
    let mut cells: Vec<String> = TABLE
        .iter()
        .map(|row| format!("{:?} {:?}", row.0, row.1))
        .collect();
    cells.dedup();
    assert_eq!(cells.len(), 7 * 12);
}

/// Within `close_ms` of its end every connection is gone, whatever its peer does or does not do.
#[test]
fn an_end_takes_no_longer_than_it_may() {
    for &(phase, input, .., ends, gone) in TABLE {
        if ends.is_empty() || gone {
            continue;
        }
        let (mut stage, wire, other) = arrange(phase);
        apply(&mut stage, phase, wire, other, input);
        if stage.reason(wire).is_none() {
            continue;
        }
        let end = stage.now + u64::from(limits().close_ms);
        // A trickle does not renew it.
        while stage.now < end + 32 && stage.is_there(wire) {
            stage.send(wire, b"\0");
            stage.pass(100);
        }
        assert!(!stage.is_there(wire), "{phase:?} x {input:?}");
        stage.close();
    }
}
