//! What happened to a market's frames, in numbers.

use std::collections::BTreeMap;

use crate::sync::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// What happened to a market's frames. The market's one writer counts, any thread reads.
        #[derive(Debug, Default)]
        pub struct Counters { $($(#[$doc])* pub $name: Counter),+ }

        impl Counters {
            /// Every counter with its name.
            pub fn rows(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.get())),+]
            }

            /// Goes on from counts of an earlier market; a name that is missing keeps its count.
            pub(super) fn restore(&self, counts: &BTreeMap<String, u64>) {
                $(if let Some(&count) = counts.get(stringify!($name)) {
                    self.$name.set(count);
                })+
            }
        }
    };
}

counters! {
    /// Frames seen; a connection that took over counts from its beginning.
    frames,
    /// Frames that a reader can see the effect of: tops, trades, depth frames in a live book.
    applied,
    /// Valid frames that changed nothing: unknown events, other symbols, older ids, answers.
    ignored,
    /// Depth frames that a live book had already, among the ignored.
    duplicates,
    /// Requests of ours that the venue refused, among the ignored.
    denied,
    /// Malformed frames.
    refused,
    /// Missed updates.
    gaps,
    /// Times that the book went live again after a doubt.
    resyncs,
    /// Frames and snapshots that left the best bid at or above the best ask.
    crossed,
    /// Frames whose checksum the book did not give.
    checksum_failures,
    /// Frames behind which levels might have been missing among the best.
    shallow,
    /// Snapshots bridged.
    snapshots,
    /// Connections that took over a live book from the one before.
    takeovers,
    /// Times that a fetched book was compared with the live one.
    audits,
    /// Audits that found another level: the book was desynced.
    divergences,
    /// Trades published.
    trades,
    /// Bid levels in the live book (a gauge).
    bid_levels,
    /// Ask levels in the live book (a gauge).
    ask_levels,
}

impl Counters {
    /// Adds what became of the frames of `heir`, whose book goes on as this market's. What only readers see is left out:
    /// they saw none of its trades and of its first book.
    pub(super) fn add_frames(&self, heir: &Counters) {
        let fates: [fn(&Counters) -> &Counter; 10] = [
            |of| &of.frames,
            |of| &of.applied,
            |of| &of.ignored,
            |of| &of.duplicates,
            |of| &of.denied,
            |of| &of.refused,
            |of| &of.gaps,
            |of| &of.crossed,
            |of| &of.checksum_failures,
            |of| &of.shallow,
        ];
        fates.iter().for_each(|fate| fate(self).add(fate(heir).get()));
    }
}

/// A number that one thread changes and any thread reads.
#[derive(Debug)]
pub struct Counter(AtomicU64);

impl Default for Counter {
    fn default() -> Counter {
        Counter(AtomicU64::new(0))
    }
}

impl Counter {
    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    // Single writer: a load and a store are enough.
    #[inline]
    pub(super) fn add(&self, count: u64) {
        self.0.store(self.get() + count, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}
