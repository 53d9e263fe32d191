//! The order book of one venue and whether it can be trusted.
//!
//! `Empty → Buffering → Live → Desynced → Live`: frames are kept until a snapshot joins them without a gap. From the
//! first doubt (a gap, a cross, a refused frame, a lost connection) the book is empty and unsynced until a new snapshot
//! has been bridged; that makes a new book, an old one is never patched.

mod ladder;
mod pending;

use crate::units::Side;
use crate::view::{Level, Sync};
use crate::wire::MAX_LEVELS;
use ladder::Ladder;
use pending::Pending;

/// What a depth frame did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The book is live and holds the frame.
    Applied,
    /// Kept until a snapshot bridges it.
    Buffered,
    /// Older than the book; passed over.
    Old,
    /// An update was missed: the book is desynced. The frame is kept for the next snapshot.
    Gap {
        /// The first update id that would have joined.
        expected: u64,
        /// The frame's first update id.
        received: u64,
    },
    /// With the whole frame applied the best bid was not below the best ask: the book is desynced.
    Crossed,
}

/// What a snapshot did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bridge {
    /// The book is live.
    Bridged {
        /// Buffered frames that were applied on top.
        applied: usize,
        /// Buffered frames that the snapshot already held.
        old: usize,
    },
    /// Older than the first frame kept: fetch again.
    TooOld,
    /// Newer than every frame so far: kept until a frame joins it.
    Waiting,
    /// The snapshot, or a buffered frame on top of it, is crossed: fetch again.
    Crossed,
    /// The book is live; the snapshot was dropped.
    Unwanted,
}

/// A full snapshot, its levels in any order.
#[derive(Debug, Clone)]
struct Sides {
    update_id: u64,
    bids: Ladder,
    asks: Ladder,
}

impl Sides {
    fn new() -> Sides {
        Sides { update_id: 0, bids: Ladder::new(Side::Buy), asks: Ladder::new(Side::Sell) }
    }

    fn from_levels(update_id: u64, bids: &[Level], asks: &[Level]) -> Sides {
        let mut sides = Sides { update_id, ..Sides::new() };
        sides.bids.load(bids, MAX_LEVELS);
        sides.asks.load(asks, MAX_LEVELS);
        sides
    }

    /// Applies a whole frame; false if the book is crossed after it.
    #[inline]
    fn apply(&mut self, last_id: u64, bids: &[Level], asks: &[Level]) -> bool {
        self.bids.apply(bids, MAX_LEVELS);
        self.asks.apply(asks, MAX_LEVELS);
        self.update_id = last_id;
        self.uncrossed()
    }

    fn uncrossed(&self) -> bool {
        match (self.bids.best(), self.asks.best()) {
            (Some(bid), Some(ask)) => bid.price < ask.price,
            _ => true,
        }
    }

    fn clear(&mut self) {
        self.update_id = 0;
        self.bids.clear();
        self.asks.clear();
    }
}

/// Bids, asks, the id of the last update in them, and the way to the next snapshot.
#[derive(Debug)]
pub struct Book {
    sides: Sides,
    sync: Sync,
    pending: Pending,
    /// A snapshot that is newer than every frame so far.
    waiting: Option<Sides>,
}

impl Default for Book {
    fn default() -> Book {
        Book { sides: Sides::new(), sync: Sync::Empty, pending: Pending::default(), waiting: None }
    }
}

impl Book {
    /// Whether the book can be trusted.
    pub fn sync(&self) -> Sync {
        self.sync
    }

    /// Id of the last update in the book; 0 unless live.
    pub fn update_id(&self) -> u64 {
        self.sides.update_id
    }

    /// Bids, best first.
    pub fn bids(&self) -> impl ExactSizeIterator<Item = Level> {
        self.sides.bids.best_first()
    }

    /// Asks, best first.
    pub fn asks(&self) -> impl ExactSizeIterator<Item = Level> {
        self.sides.asks.best_first()
    }

    /// Whether a snapshot should be fetched: there are frames to join it to and none is at hand.
    pub fn wants_snapshot(&self) -> bool {
        self.sync != Sync::Live && self.waiting.is_none() && !self.pending.is_empty()
    }

    /// Takes one depth frame: updates `first_id..=last_id`, absolute quantities, 0 removes.
    #[inline]
    pub fn apply(&mut self, first_id: u64, last_id: u64, bids: &[Level], asks: &[Level]) -> Change {
        if self.sync != Sync::Live {
            return self.collect(first_id, last_id, bids, asks);
        }
        let expected = self.sides.update_id + 1;
        if last_id < expected {
            return Change::Old;
        }
        if first_id > expected {
            self.desync();
            self.pending.push(first_id, last_id, bids, asks);
            return Change::Gap { expected, received: first_id };
        }
        self.live_if(|sides| sides.apply(last_id, bids, asks))
    }

    /// Runs `step` on the sides; live if it holds, desynced if it crossed them.
    #[inline]
    fn live_if(&mut self, step: impl FnOnce(&mut Sides) -> bool) -> Change {
        if step(&mut self.sides) {
            self.sync = Sync::Live;
            return Change::Applied;
        }
        self.desync();
        Change::Crossed
    }

    /// A frame while there is no live book: bridges the waiting snapshot, or is kept.
    fn collect(&mut self, first_id: u64, last_id: u64, bids: &[Level], asks: &[Level]) -> Change {
        match self.waiting.take_if(|snapshot| last_id > snapshot.update_id) {
            // Binance's prose wants lastUpdateId inside the first frame; real frames also start right after it.
            Some(snapshot) if first_id <= snapshot.update_id + 1 => {
                self.sides = snapshot;
                self.live_if(|sides| sides.apply(last_id, bids, asks))
            }
            None if self.waiting.is_some() => Change::Old,
            _ => self.keep(first_id, last_id, bids, asks),
        }
    }

    fn keep(&mut self, first_id: u64, last_id: u64, bids: &[Level], asks: &[Level]) -> Change {
        if self.sync == Sync::Empty {
            self.sync = Sync::Buffering;
        }
        let expected = self.pending.next_id().unwrap_or(first_id);
        if last_id < expected {
            return Change::Old;
        }
        if first_id > expected {
            self.pending.clear();
            self.pending.push(first_id, last_id, bids, asks);
            return Change::Gap { expected, received: first_id };
        }
        self.pending.push(first_id, last_id, bids, asks);
        Change::Buffered
    }

    /// Takes a snapshot that holds every update up to `update_id`.
    pub fn offer(&mut self, update_id: u64, bids: &[Level], asks: &[Level]) -> Bridge {
        if self.sync == Sync::Live {
            return Bridge::Unwanted;
        }
        let snapshot = Sides::from_levels(update_id, bids, asks);
        if !snapshot.uncrossed() {
            return Bridge::Crossed;
        }
        let old = self.pending.drop_until(update_id);
        match self.pending.first_id() {
            None => {
                self.waiting = Some(snapshot);
                Bridge::Waiting
            }
            Some(first_id) if first_id > update_id + 1 => Bridge::TooOld,
            Some(_) => self.join(snapshot, old),
        }
    }

    /// Applies the frames kept, which follow each other without a gap, to `snapshot`.
    fn join(&mut self, snapshot: Sides, old: usize) -> Bridge {
        let frames = self.pending.take();
        self.waiting = None;
        self.sides = snapshot;
        let step = |sides: &mut Sides| frames.iter().all(|frame| sides.apply(frame.last_id, &frame.bids, &frame.asks));
        match self.live_if(step) {
            Change::Applied => Bridge::Bridged { applied: frames.len(), old },
            _ => Bridge::Crossed,
        }
    }

    /// A frame that might have been a depth frame was lost: a live book is desynced.
    ///
    /// What waits for a bridge may stay: ids that do not follow each other will show what is missing.
    pub fn doubt(&mut self) {
        if self.sync == Sync::Live {
            self.desync();
        }
    }

    /// Empties the book and drops everything kept for it.
    pub fn desync(&mut self) {
        if self.sync != Sync::Empty {
            self.sync = Sync::Desynced;
        }
        self.sides.clear();
        self.pending.clear();
        self.waiting = None;
    }
}
