//! The three forms of a length, and the limit that is judged on them.

use roomcast_protocol::frame::Violation;

use crate::table::*;
use crate::wire::{Seen, frame, head, head_in_form};

#[test]
fn lengths_in_all_three_forms() {
    let mut table = Table::default();
    for len in [
        0, 1, 2, 63, 64, 124, 125, 126, 127, 128, 255, 256, 1000, 65_534, 65_535, 65_536, 65_537,
    ] {
        let payload = pattern(len);
        let name = format!("binary of {len}");
        table.frames(
            &name,
            &[(FIN | BINARY, &payload)],
            &[binary(&payload)],
            None,
        );
        let letters = "x".repeat(len);
        let name = format!("text of {len}");
        table.frames(
            &name,
            &[(FIN | TEXT, letters.as_bytes())],
            &[text(&letters)],
            None,
        );
    }
    table.check();
}

#[test]
fn lengths_must_be_in_shortest_form() {
    let mut table = Table::default();
    for role in BOTH {
        for (len, form) in [
            (0, 2),
            (1, 2),
            (125, 2),
            (0, 8),
            (125, 8),
            (126, 8),
            (65_535, 8),
        ] {
            let mut wire = frame(role, FIN | BINARY, b"before");
            wire.extend(head_in_form(role, FIN | BINARY, len, form));
            let name = format!("{len} in {form} bytes");
            let end = Some(Violation::NonMinimalLength);
            table.row(&name, role, wire, &[binary(b"before")], end);
        }
    }
    table.check();
}

#[test]
fn lengths_of_64_bits() {
    let mut table = Table::default();
    for role in BOTH {
        for len in [1 << 63, u64::MAX, 1 << 63 | 5] {
            let wire = head_in_form(role, FIN | BINARY, len, 8);
            table.row("top bit", role, wire, &[], Some(Violation::LengthOverflow));
        }
        for len in [(1 << 63) - 1, 1 << 62, 1 << 32, LIMIT as u64 + 1] {
            let wire = head_in_form(role, FIN | BINARY, len, 8);
            table.row("too long", role, wire, &[], Some(Violation::MessageTooBig));
            // With no limit at all, a giant length is believed and nothing is reserved for it.
            let wire = head_in_form(role, FIN | BINARY, len, 8);
            if usize::try_from(len).is_ok() {
                table.limited("no limit", role, usize::MAX, wire, &[], None);
            }
        }
    }
    table.check();
}

#[test]
fn limit_is_judged_on_declared_lengths() {
    let mut table = Table::default();
    let big = Some(Violation::MessageTooBig);
    for role in BOTH {
        for limit in [0, 1, 10, 125, 126, 200, 65_535, 65_536] {
            let exact = frame(role, FIN | BINARY, &pattern(limit));
            table.limited(
                "exact",
                role,
                limit,
                exact,
                &[binary(&pattern(limit))],
                None,
            );
            // The header is all there is: nothing of the payload is waited for.
            let over = head(role, FIN | BINARY, limit as u64 + 1);
            table.limited("one over", role, limit, over, &[], big);
            let over = head(role, FIN | TEXT, limit as u64 + 1);
            table.limited("text one over", role, limit, over, &[], big);
        }
        let mut sum = frame(role, BINARY, b"12345");
        sum.extend(frame(role, FIN | PING, b"0123456789"));
        sum.extend(frame(role, CONTINUATION, b"1234"));
        sum.extend(frame(role, CONTINUATION, b""));
        let ping = Seen::Ping(b"0123456789".to_vec());
        let fits = [&sum[..], &frame(role, FIN, b"5")].concat();
        table.limited(
            "sum exact",
            role,
            10,
            fits,
            &[ping.clone(), binary(b"1234512345")],
            None,
        );
        let over = [&sum[..], &head(role, FIN, 2)].concat();
        table.limited("sum over", role, 10, over, std::slice::from_ref(&ping), big);
        let far_over = [&sum[..], &head(role, 0, u64::MAX >> 1)].concat();
        table.limited("sum far over", role, 10, far_over, &[ping], big);
    }
    table.check();
}
