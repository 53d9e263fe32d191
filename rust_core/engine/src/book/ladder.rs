//! One side of a book: levels sorted by price in one block of memory.

use crate::units::{Price, Side};
use crate::view::Level;

/// A frame is merged in one pass if that passes at most this many levels per change; otherwise each change is placed alone.
const LEVELS_PER_CHANGE: usize = 24;
/// Fewer changes than this are always placed one by one.
const FEW_CHANGES: usize = 8;
/// Worse than any price: nothing is missing.
const NO_EDGE: Price = Price(i64::MIN);
/// Levels walked one by one before the search begins to leap.
const STROLL: usize = 12;

/// The levels of one side, worst first, so that changes near the best price move few levels.
///
/// Prices are kept times ±1 so that larger is better on both sides.
#[derive(Debug, Clone)]
pub(super) struct Ladder {
    side: Side,
    levels: Vec<Level>,
    /// Best price, turned, at or below which levels may be missing that are on the venue's side of the book.
    edge: Price,
    /// The part of the levels that is being merged; its memory is reused.
    spare: Vec<Level>,
}

impl Ladder {
    pub fn new(side: Side) -> Ladder {
        Ladder { side, levels: Vec::new(), edge: NO_EDGE, spare: Vec::new() }
    }

    /// The level with its price turned inside out, or back.
    #[inline]
    fn turned(side: Side, level: Level) -> Level {
        Level { price: Price(level.price.0 * side.sign()), quantity: level.quantity }
    }

    #[inline]
    fn turned_price(&self, level: &Level) -> Price {
        Ladder::turned(self.side, *level).price
    }

    pub fn clear(&mut self) {
        self.levels.clear();
        self.edge = NO_EDGE;
    }

    /// Whether fewer than `depth` levels are left for which it is known that none between them is missing.
    #[inline]
    pub fn is_shallow(&self, depth: usize) -> bool {
        let known = |at: usize| self.levels[at].price > self.edge;
        self.edge != NO_EDGE && !self.levels.len().checked_sub(depth).is_some_and(known)
    }

    /// The best price at which levels may be missing; `None` if the side is whole.
    pub fn edge(&self) -> Option<Price> {
        (self.edge != NO_EDGE).then(|| Price(self.edge.0 * self.side.sign()))
    }

    /// Says what is missing from a side that was loaded from another one.
    pub fn recall_edge(&mut self, edge: Option<Price>) {
        self.edge = edge.map_or(NO_EDGE, |price| Price(price.0 * self.side.sign()));
    }

    #[inline]
    pub fn best(&self) -> Option<Level> {
        self.levels.last().map(|&level| Ladder::turned(self.side, level))
    }

    pub fn worst(&self) -> Option<Level> {
        self.levels.first().map(|&level| Ladder::turned(self.side, level))
    }

    pub fn best_first(&self) -> impl ExactSizeIterator<Item = Level> {
        self.levels.iter().rev().map(|&level| Ladder::turned(self.side, level))
    }

    /// Replaces all levels by those of a snapshot, in any order; of a price given twice the last one holds. One that
    /// fills the side was cut, by its sender or here.
    pub fn load(&mut self, levels: &[Level], bound: usize) {
        self.clear();
        self.levels.extend(levels.iter().map(|&level| Ladder::turned(self.side, level)));
        self.levels.sort_by_key(|level| level.price);
        self.levels.dedup_by(|later, kept| {
            let same = later.price == kept.price;
            if same {
                *kept = *later;
            }
            same
        });
        self.levels.retain(|level| level.quantity.0 > 0);
        self.trim(bound);
        if self.levels.len() == bound {
            self.edge = self.levels[0].price;
        }
    }

    /// Applies the changes of one frame, then drops the worst levels beyond `bound` (at least 1).
    #[inline]
    pub fn apply(&mut self, changes: &[Level], bound: usize) {
        match self.merge_start(changes) {
            Some(start) => self.merge(start, changes),
            None => self.place_each(changes),
        }
        self.trim(bound);
    }

    /// Where a merge would start: at the place of the worst change. `None` if the frame is not best first (venues send
    /// it so) or if its changes are too far apart.
    fn merge_start(&self, changes: &[Level]) -> Option<usize> {
        let worst = self.turned_price(changes.last()?);
        if changes.len() < FEW_CHANGES {
            return None;
        }
        let best_first = changes.is_sorted_by(|a, b| self.turned_price(a) > self.turned_price(b));
        let start = self.place(worst, self.levels.len());
        (best_first && self.levels.len() - start <= LEVELS_PER_CHANGE * changes.len()).then_some(start)
    }

    /// Writes the levels from `start` on anew, worst first: the old ones and the changes, by price.
    fn merge(&mut self, start: usize, changes: &[Level]) {
        self.spare.clear();
        self.spare.extend_from_slice(&self.levels[start..]);
        self.levels.resize(self.levels.len() + changes.len(), Level::default());
        let (old, out) = (self.spare.as_slice(), &mut self.levels[start..]);
        let (mut read, mut written) = (0, 0);
        for &change in changes.iter().rev() {
            let change = Ladder::turned(self.side, change);
            // Level by level: the runs are short, and a copy of unknown length costs a wrong guess of its own.
            while read < old.len() && old[read].price < change.price {
                out[written] = old[read];
                (read, written) = (read + 1, written + 1);
            }
            read += usize::from(read < old.len() && old[read].price == change.price);
            // Written in any case, kept if it does not remove: no guess at what cannot be guessed.
            out[written] = change;
            written += usize::from(change.quantity.0 != 0);
        }
        let rest = &old[read..];
        out[written..written + rest.len()].copy_from_slice(rest);
        written += rest.len();
        self.levels.truncate(start + written);
    }

    /// Places every change alone, in any order.
    fn place_each(&mut self, changes: &[Level]) {
        // Even an unsorted frame tends to go one way: each search starts where the last one ended.
        let mut at = self.levels.len();
        for &change in changes {
            let change = Ladder::turned(self.side, change);
            at = self.place(change.price, at);
            self.put(at, change);
        }
    }

    /// Sets, inserts or removes at the place that belongs to the price. Removing an absent level is normal.
    #[inline]
    fn put(&mut self, at: usize, change: Level) {
        let removes = change.quantity.0 == 0;
        match self.levels.get_mut(at) {
            Some(level) if level.price == change.price && !removes => level.quantity = change.quantity,
            Some(level) if level.price == change.price => {
                self.levels.remove(at);
            }
            _ if removes => {}
            _ => self.levels.insert(at, change),
        }
    }

    /// The number of levels below `price`, searched from `from` on.
    #[inline]
    fn place(&self, price: Price, from: usize) -> usize {
        let from = from.min(self.levels.len());
        let (below, above) = self.levels.split_at(from);
        if above.first().is_some_and(|level| level.price < price) {
            return from + above.partition_point(|level| level.price < price);
        }
        let walked = below.iter().rev().take(STROLL).take_while(|level| level.price >= price).count();
        if walked < STROLL { from - walked } else { Ladder::leap(below, price, STROLL) }
    }

    /// The place in `below`, of whose last `known` levels none is below `price`: doubling steps, then halving.
    fn leap(below: &[Level], price: Price, known: usize) -> usize {
        let mut reach = known;
        while reach < below.len() && below[below.len() - 1 - reach].price >= price {
            reach *= 2;
        }
        let start = below.len().saturating_sub(reach + 1);
        start + below[start..].partition_point(|level| level.price < price)
    }

    #[inline]
    fn trim(&mut self, bound: usize) {
        if let Some(last @ 1..) = self.levels.len().checked_sub(bound) {
            self.edge = self.edge.max(self.levels[last - 1].price);
            self.levels.drain(..last);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::units::Qty;

    const BOUND: usize = 12;
    const DEPTH: usize = 4;

    /// A side without a bound, best (turned) price last.
    type Twin = BTreeMap<i64, i64>;

    fn levels(side: Side, rows: impl IntoIterator<Item = (i64, i64)>) -> Vec<Level> {
        let level = |(price, quantity)| Level { price: Price(price * side.sign()), quantity: Qty(quantity) };
        rows.into_iter().map(level).collect()
    }

    fn best(side: Side, twin: &Twin) -> Vec<Level> {
        levels(side, twin.iter().rev().map(|(&price, &quantity)| (price, quantity)))
    }

    /// The side as a snapshot of `rows` levels says it.
    fn told(side: Side, twin: &Twin, rows: usize) -> Ladder {
        let mut ladder = Ladder::new(side);
        let mut snapshot = best(side, twin);
        snapshot.truncate(rows);
        ladder.load(&snapshot, BOUND);
        ladder
    }

    /// How many of the best levels each frame takes away, and what else it changes.
    fn frames() -> impl Strategy<Value = Vec<(usize, Vec<(i64, i64)>)>> {
        let row = (60..140_i64, prop_oneof![1 => Just(0_i64), 3 => 1..9_i64]);
        let swept = prop_oneof![1 => Just(0_usize), 1 => 0..10_usize];
        prop::collection::vec((swept, prop::collection::vec(row, 0..14)), 1..40)
    }

    proptest! {
        #[test]
        fn the_best_levels_of_a_side_that_is_not_shallow_are_those_of_one_without_a_bound(
            start in prop::collection::btree_map(60..140_i64, 1..9_i64, 0..60),
            frames in frames(),
            side in prop_oneof![Just(Side::Buy), Just(Side::Sell)],
            cut in prop_oneof![Just(BOUND), Just(usize::MAX)],
        ) {
            let mut twin: Twin = start;
            let mut ladder = told(side, &twin, cut);
            for (swept, rows) in frames {
                let frame: Twin = twin.keys().rev().take(swept).map(|&price| (price, 0)).chain(rows).collect();
                ladder.apply(&best(side, &frame), BOUND);
                twin.extend(frame);
                twin.retain(|_, quantity| *quantity > 0);
                if ladder.is_shallow(DEPTH) {
                    ladder = told(side, &twin, cut);
                    prop_assert!(!ladder.is_shallow(DEPTH), "a snapshot is deep enough");
                }
                let mut truth = best(side, &twin);
                truth.truncate(DEPTH);
                prop_assert_eq!(ladder.best_first().take(DEPTH).collect::<Vec<_>>(), truth);
            }
        }
    }

    #[test]
    fn a_side_is_shallow_as_soon_as_one_of_its_best_levels_might_not_be_the_next() {
        for side in [Side::Buy, Side::Sell] {
            let mut ladder = told(side, &(1..=20).map(|price| (price, 1)).collect(), usize::MAX);
            assert_eq!(ladder.edge(), Some(Price(9 * side.sign())));
            let gone = |prices: std::ops::RangeInclusive<i64>| levels(side, prices.rev().map(|price| (price, 0)));
            ladder.apply(&gone(14..=20), BOUND);
            assert!(!ladder.is_shallow(DEPTH), "10 to 13 are left");
            ladder.apply(&levels(side, [(13, 0), (5, 1), (4, 1)]), BOUND);
            assert!(ladder.is_shallow(DEPTH), "8 to 6 were dropped");
        }
    }

    #[test]
    fn a_side_that_never_lost_a_level_is_whole_however_few_it_has() {
        let mut ladder = told(Side::Buy, &(1..BOUND as i64).map(|price| (price, 1)).collect(), usize::MAX);
        ladder.apply(&levels(Side::Buy, (1..BOUND as i64).map(|price| (price, 0))), BOUND);
        assert_eq!((ladder.is_shallow(DEPTH), ladder.edge()), (false, None));
    }
}
