//! Runs in pairs: by what ratio one side differs from the other, and how well that is known.
//!
//! It owns the estimate and its interval. It must not know metrics, reports or what is allowed.
//!
//! Invariant: the same pairs give the same interval, in whatever order they come.
//!
//! The estimate is the Hodges-Lehmann median of the ratios' logarithms, which a few spoilt runs
//! do not move; the interval is a bootstrap of it over pairs. Percentiles of a bootstrap are too
//! narrow for few pairs, so they are taken further out, as far as Student's distribution is wider
//! than the normal one (Hesterberg, "What teachers should know about the bootstrap", section 4).

/// Pairs below which nothing is said: not even the whole range of four holds the true ratio in
/// 95 of 100 cases.
pub const PAIRS_MIN: usize = 5;

/// Resamples of a bootstrap: its outermost percentile (of 5 pairs) is then its fifth value.
const RESAMPLES: usize = 5_000;

/// The share of a bootstrap that is cut off at either end for 95 %, from [`PAIRS_MIN`] pairs on:
/// the normal distribution at `t * sqrt(n / (n - 1))`, `t` being Student's 2.5 %. Of more pairs
/// than are listed the last one.
const CUT_OFF: [f64; 26] = [
    0.00095, 0.00243, 0.00411, 0.00574, 0.00722, 0.00855, 0.00972, 0.01076, 0.01167, 0.01248,
    0.01321, 0.01386, 0.01444, 0.01497, 0.01545, 0.01588, 0.01628, 0.01665, 0.01698, 0.01729,
    0.01758, 0.01785, 0.0181, 0.01833, 0.01855, 0.01876,
];

/// A ratio and what it lies between with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The most likely value.
    pub middle: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Of the ratio the other way round.
    #[must_use]
    pub fn inverted(self) -> Self {
        Self {
            middle: 1.0 / self.middle,
            low: 1.0 / self.high,
            high: 1.0 / self.low,
        }
    }
}

/// The ratio of the second figure of each pair to the first. `None` for fewer pairs than
/// [`PAIRS_MIN`], and where a figure is not above zero, because then there is no ratio.
#[must_use]
pub fn ratio(pairs: &[(f64, f64)]) -> Option<Interval> {
    let usable = |&(a, b): &(f64, f64)| a > 0.0 && b > 0.0 && a.is_finite() && b.is_finite();
    if pairs.len() < PAIRS_MIN || !pairs.iter().all(usable) {
        return None;
    }
    let mut logarithms: Vec<f64> = pairs.iter().map(|(a, b)| (b / a).ln()).collect();
    logarithms.sort_by(f64::total_cmp);
    let mut means = Vec::new();
    let middle = hodges_lehmann(&logarithms, &mut means);

    let mut random = fastrand::Rng::with_seed(pairs.len() as u64);
    let mut sample = vec![0.0; logarithms.len()];
    let mut bootstrap: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            sample.fill_with(|| logarithms[random.usize(..logarithms.len())]);
            hodges_lehmann(&sample, &mut means)
        })
        .collect();
    bootstrap.sort_by(f64::total_cmp);
    let cut_off = CUT_OFF[(pairs.len() - PAIRS_MIN).min(CUT_OFF.len() - 1)];
    let outside = (cut_off * RESAMPLES as f64) as usize;
    Some(Interval {
        middle: middle.exp(),
        low: bootstrap[outside].min(middle).exp(),
        high: bootstrap[RESAMPLES - 1 - outside].max(middle).exp(),
    })
}

/// The median of the means of all pairs of values, each value with itself too; `means` is room
/// for them.
fn hodges_lehmann(values: &[f64], means: &mut Vec<f64>) -> f64 {
    means.clear();
    for (index, a) in values.iter().enumerate() {
        means.extend(values[index..].iter().map(|b| f64::midpoint(*a, *b)));
    }
    median(means)
}

/// The median; `values` are reordered and must not be empty.
#[must_use]
pub fn median(values: &mut [f64]) -> f64 {
    let half = values.len() / 2;
    let even = values.len().is_multiple_of(2);
    let (below, upper, _) = values.select_nth_unstable_by(half, f64::total_cmp);
    if !even {
        return *upper;
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    f64::midpoint(lower, *upper)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Figures of runs as a shared machine gives them: noise of 3 % each, every tenth run spoilt
    /// by up to 20 %, and both sides slower together for a while.
    struct Machine {
        random: fastrand::Rng,
        drift: f64,
    }

    impl Machine {
        fn new(seed: u64) -> Self {
            Self {
                random: fastrand::Rng::with_seed(seed),
                drift: 0.0,
            }
        }

        fn run(&mut self, truth: f64) -> f64 {
            // The sum of twelve is as good as normal.
            let normal = (0..12).map(|_| self.random.f64()).sum::<f64>() - 6.0;
            let spoilt = if self.random.u8(..10) == 0 {
                0.2 * self.random.f64()
            } else {
                0.0
            };
            truth * (0.03 * normal + spoilt + self.drift).exp()
        }

        fn pairs(&mut self, count: usize, ratio: f64) -> Vec<(f64, f64)> {
            let pair = |_| {
                self.drift = 0.9 * self.drift + 0.1 * (self.random.f64() - 0.5);
                (self.run(2_500.0), self.run(2_500.0 * ratio))
            };
            (0..count).map(pair).collect()
        }
    }

    /// In how many of 400 comparisons `holds` of the interval.
    fn share(pairs: usize, ratio: f64, holds: impl Fn(Interval) -> bool) -> f64 {
        let mut machine = Machine::new(pairs as u64 * 1_000);
        let held = (0..400).filter(|_| {
            let interval = super::ratio(&machine.pairs(pairs, ratio)).expect("enough pairs");
            holds(interval)
        });
        held.count() as f64 / 400.0
    }

    #[test]
    fn the_truth_is_within_in_95_of_100() {
        for pairs in [5, 8, 15] {
            let within = share(pairs, 1.1, |interval| {
                interval.low <= 1.1 && 1.1 <= interval.high
            });
            // 400 comparisons are off by a point or two themselves.
            assert!((0.92..0.99).contains(&within), "{pairs} pairs: {within}");
        }
    }

    #[test]
    fn equal_sides_are_not_found_worse_by_5_percent_and_much_worse_ones_are() {
        for pairs in [5, 15] {
            let worse = share(pairs, 1.0, |interval| interval.low > 1.05);
            assert!(worse <= 0.005, "{pairs} pairs: {worse}");
        }
        let found = share(15, 1.15, |interval| interval.low > 1.05);
        assert!(found > 0.9, "{found}");
    }

    #[test]
    fn more_pairs_know_it_better() {
        let width = |pairs| {
            let mut machine = Machine::new(7);
            let mut widths: Vec<f64> = (0..30)
                .map(|_| super::ratio(&machine.pairs(pairs, 1.0)).expect("enough"))
                .map(|interval| interval.high - interval.low)
                .collect();
            median(&mut widths)
        };
        assert!(width(5) > 1.5 * width(15));
    }

    #[test]
    fn a_spoilt_run_moves_little() {
        let mut pairs: Vec<(f64, f64)> = Machine::new(3).pairs(15, 1.0);
        let clean = ratio(&pairs).expect("enough");
        pairs[4].1 *= 50.0;
        let spoilt = ratio(&pairs).expect("enough");
        assert!((spoilt.middle / clean.middle - 1.0).abs() < 0.02);
        assert!(spoilt.high < 1.1, "{spoilt:?}");
    }

    #[test]
    fn without_pairs_or_a_ratio_nothing_is_said() {
        let four = vec![(1.0, 1.0); PAIRS_MIN - 1];
        assert_eq!(ratio(&four), None);
        for bad in [
            (0.0, 1.0),
            (1.0, 0.0),
            (f64::INFINITY, 1.0),
            (1.0, f64::NAN),
        ] {
            let mut pairs = vec![(1.0, 1.0); PAIRS_MIN];
            assert!(ratio(&pairs).is_some());
            pairs[2] = bad;
            assert_eq!(ratio(&pairs), None, "{bad:?}");
        }
    }

    fn close(a: f64, b: f64) -> bool {
        (a / b - 1.0).abs() < 1e-9
    }

    fn some_pairs() -> impl Strategy<Value = Vec<(f64, f64)>> {
        prop::collection::vec((1e-3_f64..1e12, 1e-3_f64..1e12), PAIRS_MIN..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn it_lies_within_what_was_seen(pairs in some_pairs()) {
            let interval = ratio(&pairs).expect("enough");
            let seen: Vec<f64> = pairs.iter().map(|(a, b)| b / a).collect();
            let least = seen.iter().copied().fold(f64::INFINITY, f64::min);
            let most = seen.iter().copied().fold(0.0, f64::max);
            prop_assert!(least * (1.0 - 1e-9) <= interval.low && interval.high <= most * (1.0 + 1e-9));
            prop_assert!(interval.low <= interval.middle && interval.middle <= interval.high);
        }

        #[test]
        fn order_does_not_matter_and_scale_goes_through(pairs in some_pairs(), scale in 1e-3_f64..1e3) {
            let interval = ratio(&pairs).expect("enough");
            let mut turned = pairs.clone();
            turned.reverse();
            prop_assert_eq!(ratio(&turned), Some(interval));
            let scaled: Vec<(f64, f64)> = pairs.iter().map(|&(a, b)| (a, b * scale)).collect();
            let scaled = ratio(&scaled).expect("enough");
            prop_assert!(close(scaled.middle, interval.middle * scale));
            prop_assert!(close(scaled.low, interval.low * scale) && close(scaled.high, interval.high * scale));
        }

        #[test]
        fn equal_figures_leave_no_doubt(figure in 1e-3_f64..1e12, growth in 0.1_f64..10.0, count in PAIRS_MIN..40) {
            let interval = ratio(&vec![(figure, figure * growth); count]).expect("enough");
            for end in [interval.low, interval.middle, interval.high] {
                prop_assert!(close(end, growth));
            }
            let back = interval.inverted();
            prop_assert!(close(back.middle, 1.0 / growth) && back.low <= back.high);
        }
    }
}
