//! The micro benches, in one program: it is linked with LTO, and once is enough.

mod decode;
mod encode;
mod fanout;
mod mailbox;
mod mask;
mod timer;
mod upgrade;
mod utf8;

use criterion::{criterion_group, criterion_main};
use roomcast_benches::criterion;

criterion_group! {
    name = micro;
    config = criterion();
    targets =
        mask::in_place, mask::copying,
        utf8::whole, utf8::streaming,
        decode::decode,
        encode::server, encode::client,
        upgrade::server,
        fanout::fan_out,
        timer::rearm, timer::expire,
        mailbox::send, mailbox::round_trip,
}
criterion_main!(micro);
