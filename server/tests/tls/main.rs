//! wss without sockets: the TLS machine of both roles, and shards whose connections speak it, against rustls's own.

mod machine;
mod pair;
mod played;
mod shard;

/// As many runs as decisions of one kind need to come up in all phases.
const RUNS: u64 = 4_000;

#[test]
fn whatever_happens_on_the_way_nobody_opens_what_was_not_said() {
    let (mut established, mut breached, mut closed, mut opened, mut sealed) = (0, 0, 0, 0, 0);
    for seed in 0..RUNS {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut data: Vec<u8> = (0..rng.usize(1..120)).map(|_| rng.u8(..)).collect();
        if seed % 2 == 0 {
            // Nobody on the way changes anything: everything has to arrive.
            data.iter_mut().skip(1).for_each(|byte| {
                if (4..7).contains(&(*byte % 12)) {
                    *byte += 4;
                }
            });
        }
        println!("seed {seed}");
        let report = machine::run(&data);
        established += u32::from(report.established);
        breached += u32::from(report.breached);
        closed += u32::from(report.closed);
        opened += report.opened;
        sealed += report.sealed;
    }
    println!(
        "{established} established, {breached} breached, {closed} closed, {opened} opened, {sealed} sealed"
    );
    assert!(established > 2_000 && breached > 300 && closed > 400);
    assert!(opened > 100_000 && sealed > 100_000);
}
