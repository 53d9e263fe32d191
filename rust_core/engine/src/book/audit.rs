//! A book that was fetched, compared with the live one at the same version.
//!
//! From the beginning of an audit the frames are kept. The fetched book, which is older by some of them, is brought
//! forward by those; then both must show the same best levels. Frames are absolute: one that the fetched book holds in
//! part may be applied again.

use crate::units::{Price, Qty, Side};
use crate::view::{DEPTH, Doubt, Level, Sync};
use crate::wire::{Join, Span};

use super::ladder::Ladder;
use super::pending::Frame;
use super::{Book, Sides};

/// Most frames kept (ten minutes at ten a second, a minute at a hundred). An audit that needs more is over.
const MAX_FRAMES: usize = 6_000;
/// Most levels kept over all frames (16 bytes each).
const MAX_KEPT_LEVELS: usize = 200_000;

/// What a comparison showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audit {
    /// Both have the same best levels.
    Agrees {
        /// Levels compared, both sides together.
        levels: usize,
    },
    /// They differ: the book is desynced.
    Diverged {
        /// Side of the first difference.
        side: Side,
        /// Best price at which they differ.
        price: Price,
        /// What rests there in the live book; 0 for none.
        ours: Qty,
        /// What rests there in the fetched one; 0 for none.
        theirs: Qty,
    },
    /// The fetched book is older than the frames kept, or they can no longer be told from each other: begin again.
    TooOld,
    /// The fetched book is newer than the stream: ask again when more has come.
    Waiting,
    /// The book is not live: there is nothing to compare.
    Unsynced,
}

/// The frames that a live book took since an audit began.
#[derive(Debug)]
pub(super) struct Since {
    /// Version at the beginning.
    version: u64,
    frames: Vec<Frame>,
    levels: usize,
}

impl Since {
    /// Keeps a frame; false if the audit cannot go on.
    fn keep(&mut self, span: &Span, bids: &[Level], asks: &[Level]) -> bool {
        let last = self.frames.last().map_or(self.version, |frame| frame.span.version);
        self.levels += bids.len() + asks.len();
        if span.join == Join::Unnumbered || span.version < last || self.levels > MAX_KEPT_LEVELS {
            return false;
        }
        self.frames.push(Frame { span: *span, bids: bids.into(), asks: asks.into() });
        self.frames.len() <= MAX_FRAMES
    }
}

impl Book {
    /// Begins an audit, or begins it anew; false if the book is not live.
    pub fn begin_audit(&mut self) -> bool {
        let live = self.sync == Sync::Live;
        let version = self.sides.version;
        self.since = live.then(|| Since { version, frames: Vec::new(), levels: 0 });
        live
    }

    /// Compares a fetched book of that version with the live one. [`Audit::Waiting`] leaves the audit under way, every
    /// other answer ends it.
    pub fn audit(&mut self, version: u64, bids: &[Level], asks: &[Level]) -> Audit {
        if self.sync != Sync::Live {
            return Audit::Unsynced;
        }
        if self.since.is_some() && version > self.sides.version {
            return Audit::Waiting;
        }
        let Some(since) = self.since.take().filter(|since| since.version <= version) else { return Audit::TooOld };
        let mut fetched = Sides::new();
        fetched.load(version, version, bids, asks);
        let worst = (fetched.bids.worst(), fetched.asks.worst());
        for frame in since.frames.iter().filter(|frame| frame.span.version > version) {
            // Not `Sides::apply`: a book in between may be crossed or short of its checksum; the end is what counts.
            fetched.bids.apply(&frame.bids, usize::MAX);
            fetched.asks.apply(&frame.asks, usize::MAX);
        }
        let bids = compare(Side::Buy, worst.0, &self.sides.bids, &fetched.bids);
        let asks = compare(Side::Sell, worst.1, &self.sides.asks, &fetched.asks);
        let audit = match (bids, asks) {
            (Ok(bids), Ok(asks)) => return Audit::Agrees { levels: bids + asks },
            (Err(audit), _) | (_, Err(audit)) => audit,
        };
        self.desync(Doubt::Diverged);
        audit
    }

    #[inline]
    pub(super) fn note(&mut self, span: &Span, bids: &[Level], asks: &[Level]) {
        if let Some(since) = &mut self.since
            && !since.keep(span, bids, asks)
        {
            self.since = None;
        }
    }
}

/// Compares the best levels of a side that are not worse than `worst`, the last that the fetched book knew (one that
/// knew none was empty there); returns how many, or the first difference.
fn compare(side: Side, worst: Option<Level>, ours: &Ladder, theirs: &Ladder) -> Result<usize, Audit> {
    let known =
        |level: &Level| worst.is_none_or(|worst: Level| level.price.0 * side.sign() >= worst.price.0 * side.sign());
    let mut ours = ours.best_first().take_while(known).take(DEPTH);
    let mut theirs = theirs.best_first().take_while(known).take(DEPTH);
    let mut levels = 0;
    loop {
        let (our, their) = (ours.next(), theirs.next());
        if our == their {
            if our.is_none() {
                return Ok(levels);
            }
            levels += 1;
            continue;
        }
        return Err(difference(side, our, their));
    }
}

/// At the better of two prices one side may have nothing.
fn difference(side: Side, our: Option<Level>, their: Option<Level>) -> Audit {
    let price = [our, their].into_iter().flatten().map(|level| level.price).max_by_key(|price| price.0 * side.sign());
    let price = price.unwrap_or_default();
    let at = |level: Option<Level>| level.filter(|level| level.price == price).map_or(Qty(0), |level| level.quantity);
    Audit::Diverged { side, price, ours: at(our), theirs: at(their) }
}
