//! A ring that overwrites its oldest entry: one writer never waits, readers copy what is still there.

use crate::sync::{AtomicU64, Ordering, fence};

/// One entry: `W` words under a stamp that names the entry they belong to.
#[derive(Debug)]
struct Slot<const W: usize> {
    /// `2 × index + 2` when entry `index` is complete, odd while it is being written.
    stamp: AtomicU64,
    words: [AtomicU64; W],
}

/// The last `capacity` entries of `W` words each. Exactly one thread at a time may push.
#[derive(Debug)]
pub struct Ring<const W: usize> {
    pushed: AtomicU64,
    slots: Box<[Slot<W>]>,
}

impl<const W: usize> Ring<W> {
    /// An empty ring. `capacity` is a power of two, at least 1.
    pub fn new(capacity: usize) -> Ring<W> {
        assert!(capacity.is_power_of_two(), "capacity {capacity} must be a power of two");
        let slot = || Slot { stamp: AtomicU64::new(0), words: std::array::from_fn(|_| AtomicU64::new(0)) };
        Ring { pushed: AtomicU64::new(0), slots: (0..capacity).map(|_| slot()).collect() }
    }

    /// Entries pushed so far; the next entry's index.
    #[inline]
    pub fn pushed(&self) -> u64 {
        self.pushed.load(Ordering::Acquire)
    }

    /// The index of the oldest entry that can still be there.
    pub fn oldest(&self) -> u64 {
        self.pushed().saturating_sub(self.slots.len() as u64)
    }

    /// Appends an entry over the oldest one.
    #[inline]
    pub fn push(&self, words: [u64; W]) {
        let index = self.pushed.load(Ordering::Relaxed);
        let slot = self.slot(index);
        slot.stamp.store(2 * index + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        for (cell, word) in slot.words.iter().zip(words) {
            cell.store(word, Ordering::Relaxed);
        }
        slot.stamp.store(2 * index + 2, Ordering::Release);
        self.pushed.store(index + 1, Ordering::Release);
    }

    /// Entry `index`, or `None` when it was overwritten (or not pushed yet).
    pub fn get(&self, index: u64) -> Option<[u64; W]> {
        let slot = self.slot(index);
        let complete = slot.stamp.load(Ordering::Acquire) == 2 * index + 2;
        let words = std::array::from_fn(|word| slot.words[word].load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        (complete && slot.stamp.load(Ordering::Relaxed) == 2 * index + 2).then_some(words)
    }

    #[inline]
    fn slot(&self, index: u64) -> &Slot<W> {
        &self.slots[index as usize & (self.slots.len() - 1)]
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_last_entries_stay_and_older_ones_are_gone() {
        let ring = Ring::<2>::new(4);
        (0..6).for_each(|value| ring.push([value, value * 10]));
        assert_eq!((ring.pushed(), ring.oldest()), (6, 2));
        assert_eq!(
            (0..7).map(|index| ring.get(index).is_some()).collect::<Vec<_>>(),
            [false, false, true, true, true, true, false]
        );
        assert_eq!(ring.get(5), Some([5, 50]));
    }

    #[test]
    fn a_reader_beside_a_fast_writer_never_sees_a_mixed_entry() {
        let ring = Ring::<3>::new(8);
        std::thread::scope(|scope| {
            scope.spawn(|| (0..200_000).for_each(|value| ring.push([value, !value, value ^ 0xABCD])));
            while ring.pushed() < 200_000 {
                for index in ring.oldest()..ring.pushed() {
                    if let Some([value, inverse, mixed]) = ring.get(index) {
                        assert_eq!((value, inverse, mixed), (index, !index, index ^ 0xABCD));
                    }
                }
            }
        });
    }
}
