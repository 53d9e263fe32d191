//! One writer publishes a block of words; any number of readers copy it without a lock and never see a mixture.
//!
//! The words are atomics, so a torn copy is only a wrong copy (it is thrown away), never undefined behaviour.

use crate::sync::{AtomicU64, Ordering, fence, relax};

/// `N` words under one sequence number, which is odd while the writer is at work.
///
/// Exactly one thread at a time may write; the owner of the writing side guarantees that.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct SeqLock<const N: usize> {
    sequence: AtomicU64,
    words: [AtomicU64; N],
}

impl<const N: usize> Default for SeqLock<N> {
    fn default() -> SeqLock<N> {
        SeqLock { sequence: AtomicU64::new(0), words: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

/// The words of a [`SeqLock`], lent to its writer or to a reader for the length of one closure.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a>(&'a [AtomicU64]);

impl Words<'_> {
    /// The word at `index`.
    #[inline]
    pub fn get(&self, index: usize) -> u64 {
        self.0[index].load(Ordering::Relaxed)
    }

    /// Replaces the word at `index`. For the writer only.
    #[inline]
    pub fn set(&self, index: usize, value: u64) {
        self.0[index].store(value, Ordering::Relaxed);
    }

    /// The words from `start`, `count` of them.
    #[inline]
    pub fn part(&self, start: usize, count: usize) -> Words<'_> {
        Words(&self.0[start..start + count])
    }

    /// The words as pairs `(first, second)`.
    #[inline]
    pub fn pairs(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.chunks_exact(2).map(|pair| (pair[0].load(Ordering::Relaxed), pair[1].load(Ordering::Relaxed)))
    }

    /// Replaces the leading words by `pairs` and returns how many pairs fitted. For the writer only.
    #[inline]
    pub fn set_pairs(&self, pairs: impl Iterator<Item = (u64, u64)>) -> usize {
        let mut written = 0;
        for (pair, (first, second)) in self.0.chunks_exact(2).zip(pairs) {
            pair[0].store(first, Ordering::Relaxed);
            pair[1].store(second, Ordering::Relaxed);
            written += 1;
        }
        written
    }
}

impl<const N: usize> SeqLock<N> {
    /// Lets `change` replace words; readers see all of its changes or none.
    #[inline]
    pub fn write(&self, change: impl FnOnce(Words<'_>)) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(sequence.wrapping_add(1), Ordering::Relaxed);
        // Orders the odd sequence before every word; pairs with the reader's acquire fence.
        fence(Ordering::Release);
        change(Words(&self.words));
        self.sequence.store(sequence.wrapping_add(2), Ordering::Release);
    }

    /// Copies with `copy` until a copy fell between two writes; only that copy's result is returned.
    ///
    /// `copy` may see words of different writes and must bear that: its result is then dropped.
    #[inline]
    pub fn read<R>(&self, mut copy: impl FnMut(Words<'_>) -> R) -> R {
        loop {
            let before = self.sequence.load(Ordering::Acquire);
            if before & 1 == 0 {
                let result = copy(Words(&self.words));
                fence(Ordering::Acquire);
                if self.sequence.load(Ordering::Relaxed) == before {
                    return result;
                }
            }
            relax();
        }
    }
}
