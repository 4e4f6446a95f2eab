//! Whether percentiles that were told are those of what was done.
//!
//! The relay does not know what happened to a message before it read it. loadgen counts that, as it must, and says how
//! many it sent or read more than 200 us late itself: those have moved up in rank. So a percentile must lie between what
//! was written down for the ranks that far below and above it. Away from a jump from one mode to the next that changes
//! nothing; at a jump there is no one value that a percentile has.

use std::fmt;

use hdrhistogram::Histogram;

/// What percentiles may differ by, beside 1 %, in ns.
const SLACK: f64 = 200e3;
/// Ranks, in percent, that the relay itself may have moved: what it read late.
const RANKS_OF_RELAY: f64 = 0.5;
/// Ranks, in percent, by which a percentile may be off at most; more are a machine too busy to tell.
const RANKS_MAX: f64 = 5.0;

/// Compares, within so many percent of rank.
pub(crate) struct Judge {
    pub(crate) ranks: f64,
}

/// One percentile, in ns.
pub(crate) struct Row {
    pub(crate) percentile: f64,
    did: f64,
    told: f64,
    pub(crate) within: bool,
}

impl Judge {
    /// As exact as loadgen itself was in time, by these of its own lags; `None`: that is too little to tell.
    pub(crate) fn of_lags(lags: [&Histogram<u64>; 2]) -> Option<Self> {
        let ranks = RANKS_OF_RELAY + lags.map(late).iter().sum::<f64>();
        (ranks <= RANKS_MAX).then_some(Self { ranks })
    }

    /// Percentile by percentile.
    pub(crate) fn compare(&self, did: &Histogram<u64>, told: &Histogram<u64>) -> Vec<Row> {
        let at = |histogram: &Histogram<u64>, percentile: f64| {
            histogram.value_at_percentile(percentile.clamp(0.0, 100.0)) as f64
        };
        let percentiles = (1..100).map(f64::from).chain([99.5, 99.9, 99.99]);
        let row = |percentile| {
            let least = 0.99 * at(did, percentile - self.ranks) - SLACK;
            let most = 1.01 * at(did, percentile + self.ranks) + SLACK;
            let told = at(told, percentile);
            Row {
                percentile,
                did: at(did, percentile),
                told,
                within: (least..=most).contains(&told),
            }
        };
        percentiles.map(row).collect()
    }
}

/// How many percent of what loadgen did it did later than what is tolerated.
fn late(lag: &Histogram<u64>) -> f64 {
    let in_time = lag.count_between(0, SLACK as u64);
    100.0 * (1.0 - in_time as f64 / lag.len().max(1) as f64)
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { did, told, .. } = self;
        write!(
            f,
            "{:>10} {:>10.0} {:>10.0} {:>+8.0}{}",
            self.percentile,
            did / 1e3,
            told / 1e3,
            (told - did) / 1e3,
            if self.within { "" } else { "  WRONG" }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roomcast_loadgen::outcome::empty_histogram;

    /// Two modes and a tail, as the relay draws them, each moved by `with`.
    fn told(with: impl Fn(usize, f64) -> f64) -> Histogram<u64> {
        let mut histogram = empty_histogram();
        for n in 0..20_000 {
            let meant = match n % 100 {
                0..60 => 2e6,
                60..95 => 20e6,
                _ => 50e6 * 8f64.powf(n as f64 / 20_000.0),
            };
            histogram.record(with(n, meant) as u64).expect("in range");
        }
        histogram
    }

    fn wrong(ranks: f64, told: &Histogram<u64>, did: &Histogram<u64>) -> Vec<f64> {
        let rows = Judge { ranks }.compare(did, told);
        let wrong = rows.iter().filter(|row| !row.within);
        wrong.map(|row| row.percentile).collect()
    }

    #[test]
    fn what_was_done_is_right() {
        let did = told(|_, meant| meant);
        for ranks in [RANKS_OF_RELAY, RANKS_MAX] {
            assert!(wrong(ranks, &told(|_, meant| meant), &did).is_empty());
            let near = told(|_, meant| meant * 1.005 + 100e3);
            assert!(wrong(ranks, &near, &did).is_empty());
        }
    }

    /// However many ranks are allowed.
    #[test]
    fn planted_errors_are_refused() {
        let did = told(|_, meant| meant);
        for ranks in [RANKS_OF_RELAY, RANKS_MAX] {
            let all_but_the_jumps = |wrong: &[f64]| wrong.len() > 80;
            for (what, told) in [
                ("500 us too much", told(|_, meant| meant + 500e3)),
                ("500 us too little", told(|_, meant| meant - 500e3)),
                ("a fifth too much", told(|_, meant| meant * 1.2)),
                ("a fifth too little", told(|_, meant| meant * 0.8)),
            ] {
                let wrong = wrong(ranks, &told, &did);
                assert!(all_but_the_jumps(&wrong), "{what}, {ranks}: {wrong:?}");
            }
            // Of the first mode that is within 200 us; of the second it is not.
            for factor in [1.03, 0.97] {
                let wrong = wrong(ranks, &told(|_, meant| meant * factor), &did);
                for percentile in 70..90 {
                    let refused = wrong.contains(&f64::from(percentile));
                    assert!(refused, "{factor}, {ranks}: {percentile}");
                }
            }
        }
    }

    /// Messages that moved up in rank excuse a jump at another rank, but not farther than they moved.
    #[test]
    fn a_jump_is_excused_by_rank_and_no_farther() {
        let did = told(|_, meant| meant);
        let moved =
            |percent: usize| told(move |n, meant| if n % 100 < percent { 20e6 } else { meant });
        assert!(wrong(2.5, &moved(2), &did).is_empty());
        assert_eq!(wrong(RANKS_OF_RELAY, &moved(2), &did), [59.0]);
        assert!(!wrong(RANKS_MAX, &moved(7), &did).is_empty());
    }

    /// A tail that is cut off is seen though it is of five in a hundred.
    #[test]
    fn a_tail_that_is_not_told_is_missed() {
        let did = told(|_, meant| meant);
        let cut = told(|_, meant| meant.min(20e6));
        let wrong = wrong(RANKS_OF_RELAY, &cut, &did);
        assert_eq!(wrong, [96.0, 97.0, 98.0, 99.0, 99.5, 99.9, 99.99]);
    }

    #[test]
    fn who_was_late_too_often_cannot_tell() {
        let (mut sending, mut reading) = (empty_histogram(), empty_histogram());
        reading.record_n(1, 1000).expect("in range");
        sending.record_n(1, 955).expect("in range");
        sending.record_n(1_000_000, 44).expect("in range");
        let judge = Judge::of_lags([&sending, &reading]).expect("4.4 and 0.5 percent");
        assert!(judge.ranks > 4.8, "{}", judge.ranks);
        sending.record_n(1_000_000, 6).expect("in range");
        assert!(Judge::of_lags([&sending, &reading]).is_none());
    }
}
