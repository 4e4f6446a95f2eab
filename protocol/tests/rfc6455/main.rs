//! RFC 6455 as a table. Every row is decoded whole, byte by byte, and split at every point, with the same result.

mod control;
mod data;
mod lengths;
mod table;
#[path = "../wire/mod.rs"]
mod wire;

use roomcast_protocol::frame::{Role, Violation};
use table::*;
use wire::Seen;

#[test]
fn examples_of_section_5_7() {
    let mut table = Table::default();
    let hello = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    table.row(
        "unmasked text",
        Role::Client,
        hello.to_vec(),
        &[text("Hello")],
        None,
    );
    let masked = [
        0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    table.row(
        "masked text",
        Role::Server,
        masked.to_vec(),
        &[text("Hello")],
        None,
    );
    let fragmented = [0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f];
    table.row(
        "fragmented text",
        Role::Client,
        fragmented.to_vec(),
        &[text("Hello")],
        None,
    );
    let ping = [0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    table.row(
        "ping",
        Role::Client,
        ping.to_vec(),
        &[Seen::Ping(b"Hello".to_vec())],
        None,
    );
    let pong = [
        0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    table.row(
        "masked pong",
        Role::Server,
        pong.to_vec(),
        &[Seen::Pong(b"Hello".to_vec())],
        None,
    );
    let mut long = vec![0x82, 0x7e, 0x01, 0x00];
    long.extend(pattern(256));
    table.row(
        "256 bytes",
        Role::Client,
        long,
        &[binary(&pattern(256))],
        None,
    );
    let mut longer = vec![0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0];
    longer.extend(pattern(65_536));
    table.row(
        "64 KiB",
        Role::Client,
        longer,
        &[binary(&pattern(65_536))],
        None,
    );
    table.check();
}

#[test]
fn violations_have_the_close_codes_of_the_rfc() {
    for (violation, code) in [
        (Violation::ReservedBits, 1002),
        (Violation::UnknownOpcode, 1002),
        (Violation::UnmaskedFrame, 1002),
        (Violation::MaskedFrame, 1002),
        (Violation::NonMinimalLength, 1002),
        (Violation::LengthOverflow, 1002),
        (Violation::ControlTooLong, 1002),
        (Violation::ControlFragmented, 1002),
        (Violation::UnexpectedContinuation, 1002),
        (Violation::ExpectedContinuation, 1002),
        (Violation::BadCloseLength, 1002),
        (Violation::BadCloseCode, 1002),
        (Violation::InvalidUtf8, 1007),
        (Violation::MessageTooBig, 1009),
        (Violation::TooManyEmptyFragments, 1008),
    ] {
        assert_eq!(violation.close_code().0, code, "{violation:?}");
        assert!(violation.close_code().is_valid_on_wire());
        assert!(!violation.to_string().is_empty());
    }
}
