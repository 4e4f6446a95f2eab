//! Deterministic simulation: production shards, one seed, a clock that is a number.
//!
//! `SEED=n` replays one run and says what it was made of; `SEEDS=n` makes that many runs.

mod world;

use roomcast::planted;
use roomcast::shard::Ends;
use world::choices::Choices;
use world::{Fault, Report, run};

/// Runs, unless the environment says otherwise.
const SEEDS: u64 = 300;
/// Decisions in one run.
const STEPS: usize = 3_000;

/// Ends of players of roomcast.v1 that do what nobody here does.
const V1_ONLY: &[&str] = &[
    "bad_packet",
    "too_many_packets",
    "no_such_room",
    "room_exists",
    "other_dialect",
    "too_many_rooms",
];

fn seeded(seed: u64, fault: Option<Fault>) -> (Report, Result<(), String>) {
    run(Choices::Seed(fastrand::Rng::with_seed(seed)), STEPS, fault)
}

#[test]
fn whatever_happens_the_oracle_finds_nothing() {
    let number = |name: &str| {
        let value = std::env::var(name).ok()?;
        Some(value.parse::<u64>().expect("SEED and SEEDS are numbers"))
    };
    if let Some(seed) = number("SEED") {
        let (report, verdict) = seeded(seed, None);
        println!("seed {seed}: {report:?}");
        verdict.expect("the oracle finds nothing");
        return;
    }
    let mut ends = Ends::default();
    let (mut delivered, mut moved, mut refused_reads, mut heard_late) = (0, 0, 0, 0);
    for seed in 0..number("SEEDS").unwrap_or(SEEDS) {
        let (report, verdict) = seeded(seed, None);
        verdict.unwrap_or_else(|wrong| panic!("SEED={seed}: {wrong}"));
        delivered += report.delivered;
        moved += report.moved;
        refused_reads += report.refused_reads;
        heard_late += report.heard_late;
        ends.add(&report.ends);
    }
    // A simulation in which little happens finds nothing either.
    for (label, count) in ends.iter() {
        println!("{label:>20} {count}");
        // What plays TLS never spends its keys, the players speak raw, and nobody has an address, a ticket or a quota, or speaks
        // HTTP/2.
        let elsewhere = [
            "internal",
            "proxy_header",
            "tls_spent",
            "stay_over",
            "revoked",
            "banned",
            "put_out",
            "room_ended",
            "spectator_spoke",
            "nobody_plays",
            "over_quota",
        ]
        .contains(&label)
            || label.starts_with("address_")
            || label.starts_with("http2_")
            || V1_ONLY.contains(&label);
        assert!(count > 0 || elsewhere, "no connection ended as {label}");
    }
    println!(
        "{delivered} deliveries, {moved} hand-offs, {refused_reads} reads put off, {heard_late} bytes heard late"
    );
    assert!(delivered > 100_000 && moved > 500 && refused_reads > 500 && heard_late > 10_000);
}

/// As a fuzzer decides: with bytes that run out.
#[test]
fn bytes_decide_as_well_as_a_seed() {
    for seed in 0..50 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let bytes: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(2_000).collect();
        let (_, verdict) = run(Choices::Bytes(&bytes), STEPS, None);
        verdict.unwrap_or_else(|wrong| panic!("bytes of seed {seed}: {wrong}"));
    }
}

#[test]
fn one_seed_is_one_run() {
    for seed in 0..3 {
        let runs = [seeded(seed, None), seeded(seed, None)];
        assert_eq!(format!("{:?}", runs[0]), format!("{:?}", runs[1]));
    }
}

#[test]
fn a_twisted_delivery_is_found() {
    for fault in [
        Fault::Drop,
        Fault::Duplicate,
        Fault::Reorder,
        Fault::Misdeliver,
        Fault::Corrupt,
    ] {
        let mut struck = 0;
        for seed in 0..30 {
            let (report, verdict) = seeded(seed, Some(fault));
            struck += u32::from(report.struck);
            assert_eq!(
                verdict.is_err(),
                report.struck,
                "{fault:?} at SEED={seed}: {verdict:?}"
            );
        }
        assert!(struck > 10, "{fault:?} had {struck} occasions");
    }
}

/// A fault inside of the server that is always there is found soon.
#[test]
fn what_the_server_does_wrong_is_found() {
    for fault in [
        planted::Fault::ForgottenRead,
        planted::Fault::LostByte,
        planted::Fault::ForgottenRest,
        planted::Fault::ForgottenMark,
        planted::Fault::WrongGap,
        planted::Fault::SleepingTimer,
        planted::Fault::LeakedSlot,
        planted::Fault::EndlessPause,
        planted::Fault::Overcharge,
        planted::Fault::EndlessEbb,
        planted::Fault::DetachLeaves,
        planted::Fault::DoubledEvent,
        planted::Fault::ShortLog,
        planted::Fault::SeqTooNew,
        planted::Fault::LateAudience,
        planted::Fault::LostAck,
        planted::Fault::DeadSpeaks,
        planted::Fault::AwayGrows,
        planted::Fault::HastyState,
        planted::Fault::Ageless,
        planted::Fault::GhostState,
        planted::Fault::GroupOff,
        planted::Fault::Unfenced,
        planted::Fault::LateTail,
        planted::Fault::Unbarred,
        planted::Fault::Ajar,
        planted::Fault::HalfClosed,
    ] {
        let wrong = |&seed: &u64| seeded(seed, Some(Fault::Within(fault))).1.is_err();
        let found = (0..1_000).find(wrong);
        println!("{fault:?}: SEED={found:?}");
        assert!(found.is_some(), "{fault:?} is not found");
    }
}
