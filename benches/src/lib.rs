//! What the micro benches share: how long they measure, the unit they report, and their inputs.
//!
//! A bench stands in a group named for the job, as `group/who/size`, so that `scripts/bench-micro` can print ours
//! beside its peers. Times are per item (frame, delivery, timer), not per round of many.

use std::time::{Duration, Instant};

use criterion::{Bencher, Criterion};
use roomcast_protocol::frame::{self, Opcode};

/// A masking key without two equal bytes, so that a wrong phase cannot go unnoticed.
pub const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Measures each bench for well under a second: there are many, and what is compared runs next to each other.
/// `--measurement-time` and `--sample-size` override it.
pub fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
        .sample_size(30)
        .without_plots()
        .configure_from_args()
}

/// Reports the time of one item, where `round` does `items` of them.
pub fn per_item(bencher: &mut Bencher<'_>, items: u64, mut round: impl FnMut()) {
    bencher.iter_custom(|iterations| {
        let rounds = iterations.div_ceil(items);
        let start = Instant::now();
        for _ in 0..rounds {
            round();
        }
        start
            .elapsed()
            .mul_f64(iterations as f64 / (rounds * items) as f64)
    });
}

/// Bytes that no implementation can guess, the same in every run.
pub fn bytes(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .flatten()
    .take(len)
    .collect()
}

/// `count` masked frames one behind the other, as a client's segment brings them.
pub fn masked_frames(count: usize, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    for _ in 0..count {
        frame::encode_masked(&mut wire, opcode, payload, KEY);
    }
    wire
}

/// What Chromium sends to open a WebSocket from a page.
pub fn browser_request() -> Vec<u8> {
    "GET /rooms/lobby-42 HTTP/1.1\r\n\
     Host: play.example.org\r\n\
     Connection: Upgrade\r\n\
     Pragma: no-cache\r\n\
     Cache-Control: no-cache\r\n\
     User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n\
     Upgrade: websocket\r\n\
     Origin: https://play.example.org\r\n\
     Sec-WebSocket-Version: 13\r\n\
     Accept-Encoding: gzip, deflate, br, zstd\r\n\
     Accept-Language: en-US,en;q=0.9\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
     Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
        .into()
}
