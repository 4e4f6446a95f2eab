//! What a connection costs: eight bytes, no allocation for whole frames, and nothing kept once a message is through.

mod wire;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use roomcast_protocol::frame::{
    Decoder, Item, MAX_EMPTY_FRAGMENTS, Opcode, Role, Rules, encode, encode_close, encode_masked,
    header,
};
use wire::{frame, head};

/// Counts the allocations of each thread, so that tests do not count one another's.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

const SERVER: Rules = Rules {
    role: Role::Server,
    max_message: 1 << 20,
};
const FIN: u8 = 0x80;

/// Decodes all of `input`; returns how many items there were.
fn drain(decoder: &mut Decoder, rules: &Rules, mut input: &mut [u8]) -> usize {
    let mut items = 0;
    while decoder
        .next(rules, &mut input)
        .expect("well-formed")
        .is_some()
    {
        items += 1;
    }
    items
}

#[test]
fn a_decoder_is_eight_bytes() {
    assert_eq!(size_of::<Decoder>(), 8);
    let decoder = Decoder::default();
    assert_eq!((decoder.buffered(), decoder.is_idle()), (0, true));
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn whole_frames_do_not_allocate() {
    for role in [Role::Server, Role::Client] {
        let rules = Rules { role, ..SERVER };
        let mut wire = Vec::new();
        let mut count = 0;
        for len in [0, 1, 5, 64, 125, 126, 1000, 65_535, 65_536, 300_000] {
            let mut sequences = "\u{e4}b".repeat(len / 3 + 1);
            sequences.truncate(len / 3 * 3);
            wire.extend(frame(role, FIN | 2, &vec![3; len]));
            wire.extend(frame(role, FIN | 1, sequences.as_bytes()));
            wire.extend(frame(role, FIN | 9, &vec![4; len.min(125)]));
            wire.extend(frame(role, FIN | 10, &vec![5; len.min(125)]));
            count += 4;
        }
        wire.extend(frame(role, FIN | 8, b"\x03\xe8bye"));
        let mut decoder = Decoder::default();
        let mut seen = 0;
        let allocated = allocations(|| seen = drain(&mut decoder, &rules, &mut wire));
        assert_eq!((seen, allocated), (count + 1, 0), "{role:?}");
        assert_eq!(decoder.buffered(), 0);
    }
}

#[test]
fn encoding_into_room_that_is_there_does_not_allocate() {
    let mut out = Vec::with_capacity(1 << 20);
    let payload = vec![1; 70_000];
    let allocated = allocations(|| {
        for len in [0, 64, 125, 126, 65_535, 65_536] {
            encode(&mut out, Opcode::Binary, &payload[..len]);
            encode_masked(&mut out, Opcode::Binary, &payload[..len], [1, 2, 3, 4]);
            let _ = header(true, Opcode::Binary, len, None);
        }
        let reason = "done";
        for mask in [None, Some([1, 2, 3, 4])] {
            encode_close(
                &mut out,
                roomcast_protocol::close::CloseCode::NORMAL,
                reason,
                mask,
            );
        }
    });
    assert_eq!(allocated, 0);
}

#[test]
fn a_frame_in_two_pieces_costs_a_record_and_a_buffer_and_leaves_nothing() {
    let wire = frame(Role::Server, FIN | 2, &[9; 1000]);
    // Within the header, whose payload then comes whole; between header and payload; and within the payload, where
    // one byte gets less room than the frame needs.
    for (at, expected) in [(1, 1), (7, 1), (8, 2), (9, 3), (508, 2), (1007, 2)] {
        let mut wire = wire.clone();
        let (left, right) = wire.split_at_mut(at);
        let mut decoder = Decoder::default();
        let mut seen = 0;
        let allocated = allocations(|| {
            seen += drain(&mut decoder, &SERVER, left);
            seen += drain(&mut decoder, &SERVER, right);
        });
        assert_eq!(allocated, expected, "split at {at}");
        assert_eq!(
            (seen, decoder.buffered(), decoder.is_idle()),
            (1, 0, true),
            "split at {at}"
        );
    }
}

#[test]
fn control_frames_between_fragments_do_not_allocate() {
    let mut decoder = Decoder::default();
    assert_eq!(
        drain(&mut decoder, &SERVER, &mut frame(Role::Server, 2, b"begun")),
        0
    );
    let mut pings = frame(Role::Server, FIN | 9, b"still there?").repeat(1000);
    let mut seen = 0;
    assert_eq!(
        allocations(|| seen = drain(&mut decoder, &SERVER, &mut pings)),
        0
    );
    assert_eq!((seen, decoder.is_idle()), (1000, false));
}

#[test]
fn empty_fragments_cost_nothing() {
    let mut decoder = Decoder::default();
    drain(&mut decoder, &SERVER, &mut frame(Role::Server, 1, b""));
    let held = decoder.buffered();
    let mut fragments = frame(Role::Server, 0, b"").repeat(usize::from(MAX_EMPTY_FRAGMENTS) - 1);
    assert_eq!(
        allocations(|| assert_eq!(drain(&mut decoder, &SERVER, &mut fragments), 0)),
        0
    );
    assert_eq!(decoder.buffered(), held);
    assert!(held < 256, "{held}");
}

#[test]
fn a_declared_length_reserves_nothing() {
    let rules = Rules {
        role: Role::Client,
        ..SERVER
    };
    for first in [FIN | 2, 2, FIN | 1, 1] {
        let mut decoder = Decoder::default();
        drain(
            &mut decoder,
            &rules,
            &mut head(Role::Client, first, 1 << 20),
        );
        assert!(decoder.buffered() < 256, "{}", decoder.buffered());
        drain(&mut decoder, &rules, &mut [0; 10_000]);
        assert!(
            decoder.buffered() < 2 * 10_000 + 256,
            "{}",
            decoder.buffered()
        );
    }
}

#[test]
fn a_violation_frees_what_was_held() {
    let mut decoder = Decoder::default();
    drain(
        &mut decoder,
        &SERVER,
        &mut frame(Role::Server, 2, &[1; 100_000]),
    );
    assert!(decoder.buffered() >= 100_000);
    let mut bad = [0xff];
    assert!(decoder.next(&SERVER, &mut &mut bad[..]).is_err());
    assert!(decoder.buffered() < 256, "{}", decoder.buffered());
    assert!(!decoder.is_idle());
}

#[test]
fn a_delivered_message_is_freed_by_the_next_call() {
    let mut decoder = Decoder::default();
    let wire = frame(Role::Server, FIN | 2, &[7; 5000]);
    drain(&mut decoder, &SERVER, &mut wire[..2000].to_vec());
    let mut rest = wire[2000..].to_vec();
    let mut input = &mut rest[..];
    let item = decoder.next(&SERVER, &mut input).expect("well-formed");
    assert!(matches!(item, Some(Item::Message { payload, .. }) if payload == [7; 5000]));
    assert!(decoder.buffered() >= 5000, "it was lent from the buffer");
    assert!(decoder.is_idle(), "nothing is incomplete");
    assert_eq!(decoder.next(&SERVER, &mut input), Ok(None));
    assert_eq!(decoder.buffered(), 0);
}
