//! Histograms in JSON: a summary for people and the whole histogram for tools.
//!
//! It owns the encoding (HdrHistogram V2, zlib, base64: what every HdrHistogram library reads)
//! and the choice of percentiles that are printed. It must not know what was measured.
//!
//! Invariant: a histogram that was written and read back is equal to the one written, so
//! merging and comparing files is as exact as merging and comparing in memory.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use serde::{Deserialize, Deserializer as SerdeDeserializer, Serialize, Serializer};

use crate::outcome::SparseHistogram;

/// The percentiles of every table and summary, each with the name a check uses.
pub const PERCENTILES: [(&str, f64); 5] = [
    ("p50", 50.0),
    ("p90", 90.0),
    ("p99", 99.0),
    ("p99.9", 99.9),
    ("p99.99", 99.99),
];

/// Encodes as base64 of the compressed V2 form.
#[must_use]
pub fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(histogram, &mut bytes)
        .expect("a histogram within its bounds serializes into memory");
    STANDARD.encode(bytes)
}

/// Decodes what [`encode`] wrote.
///
/// # Errors
/// Says in a few words why the text is not such a histogram.
pub fn decode(text: &str) -> Result<Histogram<u64>, String> {
    let bytes = STANDARD
        .decode(text)
        .map_err(|error| format!("histogram is not base64: {error}"))?;
    Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .map_err(|error| format!("histogram is not in HdrHistogram's V2 form: {error}"))
}

/// Adds `other` to `sum`, growing the range of `sum` where needed: never a lost count.
///
/// # Errors
/// When the two cannot be added exactly because they do not resolve values alike.
pub fn add(sum: &mut Histogram<u64>, other: &Histogram<u64>) -> Result<(), String> {
    if other.is_empty() {
        return Ok(());
    }
    if sum.is_empty() {
        *sum = other.clone();
        return Ok(());
    }
    if (sum.low(), sum.sigfig()) != (other.low(), other.sigfig()) {
        return Err(format!(
            "histograms of different resolution ({} ns at {} digits and {} ns at {} digits) cannot be added exactly",
            sum.low(),
            sum.sigfig(),
            other.low(),
            other.sigfig()
        ));
    }
    sum.auto(true);
    let added = sum.add(other).map_err(|error| error.to_string());
    sum.auto(false);
    added
}

/// Times that were measured and times that never ended: these are longer than all others.
#[derive(Clone, Copy, Debug)]
pub struct Times<'a> {
    measured: &'a Histogram<u64>,
    never: u64,
}

impl<'a> Times<'a> {
    /// Of things that all came to an end.
    #[must_use]
    pub fn of(measured: &'a Histogram<u64>) -> Self {
        Self::with_never(measured, 0)
    }

    /// With so many that never did.
    #[must_use]
    pub fn with_never(measured: &'a Histogram<u64>, never: u64) -> Self {
        Self { measured, never }
    }

    /// How many there are, ended or not.
    #[must_use]
    pub fn count(self) -> u64 {
        self.measured.len() + self.never
    }

    /// How many have ended.
    #[must_use]
    pub fn ended(self) -> u64 {
        self.measured.len()
    }

    /// Not one.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.count() == 0
    }

    /// The shortest, in nanoseconds.
    #[must_use]
    pub fn min(self) -> f64 {
        if self.measured.is_empty() {
            f64::INFINITY
        } else {
            self.measured.min() as f64
        }
    }

    /// The longest, in nanoseconds.
    #[must_use]
    pub fn max(self) -> f64 {
        self.or_never(self.measured.max() as f64)
    }

    /// The mean, in nanoseconds.
    #[must_use]
    pub fn mean(self) -> f64 {
        self.or_never(self.measured.mean())
    }

    /// What so many percent do not exceed, in nanoseconds; infinite where that is something that never ended.
    #[must_use]
    pub fn percentile(self, percentile: f64) -> f64 {
        if self.never == 0 {
            return self.measured.value_at_percentile(percentile) as f64;
        }
        let rank = (percentile / 100.0 * self.count() as f64).ceil() as u64;
        let mut below = 0;
        let mut values = self.measured.iter_recorded();
        let found = values.find(|value| {
            below += value.count_at_value();
            below >= rank.max(1)
        });
        found.map_or(f64::INFINITY, |value| value.value_iterated_to() as f64)
    }

    fn or_never(self, value: f64) -> f64 {
        if self.never > 0 { f64::INFINITY } else { value }
    }
}

/// How a histogram of nanoseconds stands in report.json: of what was measured only.
#[derive(Serialize, Deserialize)]
struct Written {
    count: u64,
    min_ns: u64,
    mean_ns: f64,
    p50_ns: u64,
    p90_ns: u64,
    p99_ns: u64,
    #[serde(rename = "p99.9_ns")]
    p99_9_ns: u64,
    #[serde(rename = "p99.99_ns")]
    p99_99_ns: u64,
    max_ns: u64,
    /// The whole histogram; everything above can be computed from it.
    hdr_v2_deflate_base64: String,
}

/// Serializes a histogram with its summary; for `#[serde(with)]`.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(
    histogram: &Histogram<u64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    Written {
        count: histogram.len(),
        min_ns: histogram.min(),
        mean_ns: histogram.mean(),
        p50_ns: histogram.value_at_percentile(50.0),
        p90_ns: histogram.value_at_percentile(90.0),
        p99_ns: histogram.value_at_percentile(99.0),
        p99_9_ns: histogram.value_at_percentile(99.9),
        p99_99_ns: histogram.value_at_percentile(99.99),
        max_ns: histogram.max(),
        hdr_v2_deflate_base64: encode(histogram),
    }
    .serialize(serializer)
}

/// Reads what [`serialize`] wrote; for `#[serde(with)]`. Only the whole histogram is believed,
/// and its count must be the one written beside it.
///
/// # Errors
/// Those of the deserializer, and those of [`decode`].
pub fn deserialize<'de, D: SerdeDeserializer<'de>>(
    deserializer: D,
) -> Result<Histogram<u64>, D::Error> {
    let written = Written::deserialize(deserializer)?;
    let histogram = decode(&written.hdr_v2_deflate_base64).map_err(serde::de::Error::custom)?;
    if histogram.len() != written.count {
        return Err(serde::de::Error::custom(format!(
            "histogram holds {} values but says it holds {}",
            histogram.len(),
            written.count
        )));
    }
    Ok(histogram)
}

/// The sparse form of a whole histogram of the same bounds.
#[must_use]
pub fn to_sparse(histogram: &Histogram<u64>) -> SparseHistogram {
    SparseHistogram::from_counts(
        histogram
            .iter_recorded()
            .map(|step| (step.value_iterated_to(), step.count_at_value()))
            .collect(),
    )
}

/// For `#[serde(with)]` on a sparse histogram: the same JSON as a whole one.
pub mod sparse {
    use super::{SerdeDeserializer, Serializer, SparseHistogram, to_sparse};

    /// Serializes as [`super::serialize`] does.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(
        histogram: &SparseHistogram,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        super::serialize(&histogram.to_histogram(), serializer)
    }

    /// Reads as [`super::deserialize`] does.
    ///
    /// # Errors
    /// Those of [`super::deserialize`], and values that an interval cannot hold.
    pub fn deserialize<'de, D: SerdeDeserializer<'de>>(
        deserializer: D,
    ) -> Result<SparseHistogram, D::Error> {
        let whole = super::deserialize(deserializer)?;
        if whole.max()
            > crate::outcome::empty_histogram().highest_equivalent(crate::outcome::HIGHEST_NS)
        {
            return Err(serde::de::Error::custom(
                "an interval holds a latency above 60 s",
            ));
        }
        Ok(to_sparse(&whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{HIGHEST_NS, empty_histogram};
    use crate::report::sample::ladder;
    use proptest::prelude::*;

    fn of(values: &[u64]) -> Histogram<u64> {
        let mut histogram = empty_histogram();
        for &value in values {
            histogram.record(value).unwrap();
        }
        histogram
    }

    proptest! {
        #[test]
        fn encoding_is_lossless(values in prop::collection::vec(1..=HIGHEST_NS, 0..200)) {
            let histogram = of(&values);
            prop_assert_eq!(&decode(&encode(&histogram)).unwrap(), &histogram);
        }

        #[test]
        fn adding_halves_is_the_whole(
            values in prop::collection::vec(1..=HIGHEST_NS, 0..200),
            cut in 0_usize..200,
        ) {
            let cut = cut.min(values.len());
            let mut sum = of(&values[..cut]);
            add(&mut sum, &of(&values[cut..])).unwrap();
            prop_assert_eq!(sum, of(&values));
        }
    }

    #[test]
    fn damage_is_told_apart_from_data() {
        assert!(decode("***").unwrap_err().contains("base64"));
        assert!(decode("AAAA").unwrap_err().contains("V2"));
        let mut cut = encode(&of(&[5_000]));
        cut.truncate(cut.len() / 2 / 4 * 4);
        assert!(decode(&cut).is_err());
    }

    #[test]
    fn different_resolutions_are_refused() {
        let mut coarse = Histogram::new_with_bounds(1_000, HIGHEST_NS, 3).unwrap();
        coarse.record(5_000).unwrap();
        let error = add(&mut coarse, &of(&[5_000])).unwrap_err();
        assert!(error.contains("cannot be added exactly"), "{error}");
    }

    #[test]
    fn a_larger_range_is_taken_over() {
        let mut small = Histogram::new_with_bounds(1, 1_000_000, 3).unwrap();
        small.record(5_000).unwrap();
        add(&mut small, &of(&[HIGHEST_NS])).unwrap();
        assert_eq!(small.len(), 2);
        assert_eq!(small.max(), of(&[HIGHEST_NS]).max());
    }

    #[test]
    fn what_never_ended_is_later_than_everything_that_did() {
        let measured = ladder(1_000_000, 1_000_000, 90);
        let times = Times::with_never(&measured, 10);
        assert_eq!((times.count(), times.ended()), (100, 90));
        let at = |percentile| times.percentile(percentile);
        let value = |ms: u64| measured.highest_equivalent(ms * 1_000_000) as f64;
        assert_eq!(
            (at(1.0), at(50.0), at(90.0)),
            (value(1), value(50), value(90))
        );
        assert_eq!(
            (at(90.1), at(99.0), at(100.0)),
            (f64::INFINITY, f64::INFINITY, f64::INFINITY)
        );
        assert_eq!((times.max(), times.mean()), (f64::INFINITY, f64::INFINITY));
        assert_eq!(times.min(), measured.min() as f64);
        let nothing = crate::outcome::empty_histogram();
        assert!(Times::of(&nothing).is_empty());
        let never = Times::with_never(&nothing, 1);
        assert_eq!(
            (never.min(), never.percentile(50.0)),
            (f64::INFINITY, f64::INFINITY)
        );
    }
}
