//! How long stages take: the last samples, and a histogram whose quantiles are off by at most 1/64.
//!
//! Values below 64 have a bucket each; above, every doubling is cut into 64 buckets of equal width (the idea of
//! HdrHistogram, <http://hdrhistogram.org>).

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::ring::Ring;
use crate::sync::{AtomicU64, Ordering};

/// log2 of the buckets in one doubling.
const SUB_BITS: u32 = 6;
/// Buckets that cover every u64.
const BUCKETS: usize = (64 - SUB_BITS as usize + 1) << SUB_BITS;
/// Samples that a [`Stage`] keeps besides its histogram.
const LAST_SAMPLES: usize = 1024;

#[inline]
fn bucket_of(value: u64) -> usize {
    let shift = (63 - (value | 1).leading_zeros()).saturating_sub(SUB_BITS);
    ((shift as usize) << SUB_BITS) + (value >> shift) as usize
}

/// The largest value that falls into `bucket`.
fn top_of(bucket: usize) -> u64 {
    let shift = (bucket >> SUB_BITS).saturating_sub(1);
    let lead = (bucket - (shift << SUB_BITS)) as u64;
    (lead << shift) + ((1_u64 << shift) - 1)
}

/// Quantiles as one row. All values in the histogram's unit; 0 when there are no samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Summary<T> {
    /// Half of the samples are at most this.
    pub p50: T,
    /// 90 % of the samples are at most this.
    pub p90: T,
    /// 99 % of the samples are at most this.
    pub p99: T,
    /// 99.9 % of the samples are at most this.
    pub p999: T,
    /// The largest sample, exact.
    pub max: T,
    /// Number of samples.
    pub count: u64,
}

/// The quantiles of a [`Summary`], in parts of 10,000.
const ROW: [u32; 4] = [5_000, 9_000, 9_900, 9_990];

/// The rank (from 1) of quantile `per_10_000` among `count` samples.
fn rank(count: u64, per_10_000: u32) -> u64 {
    let scaled = u128::from(count) * u128::from(per_10_000.min(10_000));
    (scaled.div_ceil(10_000) as u64).max(1)
}

/// Counts of u64 values in buckets of 1/64 relative width; recording never allocates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u64>,
    count: u64,
    min: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: vec![0; BUCKETS], count: 0, min: u64::MAX, max: 0 }
    }
}

impl Histogram {
    /// Counts one value.
    #[inline]
    pub fn record(&mut self, value: u64) {
        self.counts[bucket_of(value)] += 1;
        self.count += 1;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// Number of values recorded.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The smallest value, exact; `None` without values.
    pub fn min(&self) -> Option<u64> {
        (self.count > 0).then_some(self.min)
    }

    /// The largest value, exact; `None` without values.
    pub fn max(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max)
    }

    /// The value that `per_10_000` of 10,000 samples do not exceed (9,990 = p99.9), at most 1/64 too high.
    pub fn quantile(&self, per_10_000: u32) -> Option<u64> {
        (self.count > 0).then(|| self.at_rank(rank(self.count, per_10_000)))
    }

    /// p50, p90, p99, p99.9, max and count.
    pub fn summary(&self) -> Summary<u64> {
        let [p50, p90, p99, p999] = ROW.map(|part| self.quantile(part).unwrap_or(0));
        Summary { p50, p90, p99, p999, max: self.max, count: self.count }
    }

    /// The upper edge of the bucket that holds the value of this rank (1 = smallest), never above the largest value.
    fn at_rank(&self, rank: u64) -> u64 {
        let mut seen = 0;
        let bucket = self.counts.iter().position(|&count| {
            seen += count;
            seen >= rank
        });
        bucket.map_or(self.max, |bucket| top_of(bucket).min(self.max))
    }

    /// A histogram with these counts; refuses bucket numbers and extremes that no sequence of records can give.
    fn from_sparse(sparse: &Sparse) -> Result<Histogram, &'static str> {
        let mut histogram = Histogram::default();
        for &(bucket, count) in &sparse.counts {
            let cell = histogram.counts.get_mut(bucket).ok_or("bucket out of range")?;
            *cell = cell.checked_add(count).ok_or("count out of range")?;
            histogram.count = histogram.count.checked_add(count).ok_or("count out of range")?;
        }
        let full = |value: u64| histogram.counts[bucket_of(value)] > 0;
        if histogram.count > 0 && !(full(sparse.min) && full(sparse.max) && sparse.min <= sparse.max) {
            return Err("extremes outside the counted buckets");
        }
        if histogram.count > 0 {
            (histogram.min, histogram.max) = (sparse.min, sparse.max);
        }
        Ok(histogram)
    }
}

/// The text form: only buckets that hold something.
#[derive(Serialize, Deserialize)]
struct Sparse {
    min: u64,
    max: u64,
    counts: Vec<(usize, u64)>,
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let counts = self.counts.iter().copied().enumerate().filter(|&(_, count)| count > 0).collect();
        Sparse { min: self.min().unwrap_or(0), max: self.max, counts }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Histogram::from_sparse(&Sparse::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A histogram of signed values: quantiles run from the most negative to the most positive.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Signed {
    below: Histogram,
    above: Histogram,
}

impl Signed {
    /// Counts one value; `i64::MIN` counts as `-i64::MAX`.
    #[inline]
    pub fn record(&mut self, value: i64) {
        let side = if value < 0 { &mut self.below } else { &mut self.above };
        side.record(value.max(-i64::MAX).unsigned_abs());
    }

    /// Number of values recorded.
    pub fn count(&self) -> u64 {
        self.below.count + self.above.count
    }

    /// The value that `per_10_000` of 10,000 samples do not exceed, off by at most 1/64 of its size.
    pub fn quantile(&self, per_10_000: u32) -> Option<i64> {
        let rank = rank(self.count(), per_10_000);
        let below = self.below.count;
        (self.count() > 0).then(|| match rank.checked_sub(below + 1) {
            None => -(self.below.at_rank(below - rank + 1) as i64),
            Some(above) => self.above.at_rank(above + 1) as i64,
        })
    }

    /// The largest value, exact; `None` without values.
    pub fn max(&self) -> Option<i64> {
        self.above.max().map(|value| value as i64).or(self.below.min().map(|value| -(value as i64)))
    }

    /// p50, p90, p99, p99.9, max and count.
    pub fn summary(&self) -> Summary<i64> {
        let [p50, p90, p99, p999] = ROW.map(|part| self.quantile(part).unwrap_or(0));
        Summary { p50, p90, p99, p999, max: self.max().unwrap_or(0), count: self.count() }
    }
}

/// One stage of the path: one thread records, any thread reads without a lock.
#[derive(Debug)]
pub struct Stage {
    last: Ring<1>,
    counts: Box<[AtomicU64]>,
    min: AtomicU64,
    max: AtomicU64,
}

impl Default for Stage {
    fn default() -> Stage {
        let counts = (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Stage { last: Ring::new(LAST_SAMPLES), counts, min: AtomicU64::new(u64::MAX), max: AtomicU64::new(0) }
    }
}

impl Stage {
    /// Counts one sample, ns. For the one thread that owns the stage.
    #[inline]
    pub fn record(&self, value_ns: u64) {
        self.last.push([value_ns]);
        // Single writer: a load and a store are enough, and a locked increment would cost ten times as much.
        let cell = &self.counts[bucket_of(value_ns)];
        cell.store(cell.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        if value_ns > self.max.load(Ordering::Relaxed) {
            self.max.store(value_ns, Ordering::Relaxed);
        }
        if value_ns < self.min.load(Ordering::Relaxed) {
            self.min.store(value_ns, Ordering::Relaxed);
        }
    }

    /// A copy of the histogram as it stands; a sample recorded meanwhile may or may not be in it.
    pub fn histogram(&self) -> Histogram {
        let counts: Vec<u64> = self.counts.iter().map(|cell| cell.load(Ordering::Relaxed)).collect();
        let count = counts.iter().sum();
        Histogram { counts, count, min: self.min.load(Ordering::Relaxed), max: self.max.load(Ordering::Relaxed) }
    }

    /// The last samples, oldest first, ns; at most 1,024.
    pub fn last(&self) -> Vec<u64> {
        let indices = self.last.oldest()..self.last.pushed();
        indices.filter_map(|index| self.last.get(index)).map(|[value]| value).collect()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_cover_every_value_without_a_hole() {
        assert_eq!((bucket_of(0), bucket_of(127), bucket_of(128), bucket_of(u64::MAX)), (0, 127, 128, BUCKETS - 1));
        assert_eq!(top_of(BUCKETS - 1), u64::MAX);
        for bucket in 0..BUCKETS - 1 {
            assert_eq!((bucket_of(top_of(bucket)), bucket_of(top_of(bucket) + 1)), (bucket, bucket + 1));
        }
    }

    #[test]
    fn text_that_no_records_can_give_is_refused() {
        for text in [
            r#"{"min":1,"max":1,"counts":[[3776,1]]}"#,
            r#"{"min":1,"max":1,"counts":[[1,18446744073709551615],[1,1]]}"#,
            r#"{"min":2,"max":1,"counts":[[1,1],[2,1]]}"#,
            r#"{"min":1,"max":9,"counts":[[1,1]]}"#,
        ] {
            assert!(serde_json::from_str::<Histogram>(text).is_err(), "{text}");
        }
    }

    fn exact<T: Copy + Ord>(values: &[T], per_10_000: u32) -> T {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        sorted[(rank(values.len() as u64, per_10_000) - 1) as usize]
    }

    proptest! {
        #[test]
        fn quantiles_equal_those_of_the_sorted_values_within_a_64th(
            values in prop::collection::vec(prop_oneof![0..200_u64, any::<u32>().prop_map(u64::from), any::<u64>()], 1..200),
            per_10_000 in 0..=10_000_u32,
        ) {
            let mut histogram = Histogram::default();
            let stage = Stage::default();
            values.iter().for_each(|&value| { histogram.record(value); stage.record(value) });
            let (found, truth) = (histogram.quantile(per_10_000).unwrap_or(0), exact(&values, per_10_000));
            prop_assert!(found >= truth && found - truth <= truth / 64, "{found} for {truth}");
            prop_assert_eq!(&stage.histogram(), &histogram);
            prop_assert_eq!(stage.last(), values);
            let text = serde_json::to_string(&histogram).unwrap_or_default();
            prop_assert_eq!(serde_json::from_str::<Histogram>(&text).ok(), Some(histogram));
        }

        #[test]
        fn signed_quantiles_run_from_the_most_negative_to_the_most_positive(
            values in prop::collection::vec(prop_oneof![-200..200_i64, any::<i32>().prop_map(i64::from)], 1..200),
            per_10_000 in 0..=10_000_u32,
        ) {
            let mut signed = Signed::default();
            values.iter().for_each(|&value| signed.record(value));
            let (found, truth) = (signed.quantile(per_10_000).unwrap_or(0), exact(&values, per_10_000));
            prop_assert!((found - truth).abs() <= truth.abs() / 64, "{found} for {truth}");
            prop_assert_eq!(signed.max(), values.iter().copied().max());
            let text = serde_json::to_string(&signed).unwrap_or_default();
            prop_assert_eq!(serde_json::from_str::<Signed>(&text).ok(), Some(signed));
        }
    }
}
