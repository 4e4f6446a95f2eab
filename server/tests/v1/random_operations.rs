//! Honest players, strangers and raw players do what seeds and bytes decide.

use crate::choices::Choices;
use crate::operations::run;

#[test]
fn whatever_is_done_honest_players_hear_everything() {
    for seed in 0..60 {
        println!("seed {seed}");
        run(Choices::Seed(fastrand::Rng::with_seed(seed)), 600);
    }
}

/// As a fuzzer decides: with bytes that run out.
#[test]
fn bytes_decide_as_well_as_a_seed() {
    for seed in 0..60 {
        println!("bytes of seed {seed}");
        let mut rng = fastrand::Rng::with_seed(seed);
        let bytes: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(900).collect();
        run(Choices::Bytes(&bytes), 2_000);
    }
}
