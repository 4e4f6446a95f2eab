//! Players of roomcast.v1 on one shard, honest and not, judged by what each must have heard.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::server::shard_players(data));
