//! The order book of one venue and whether it can be trusted.
//!
//! `Empty → Buffering → Live → Desynced → Live`: frames are kept until a snapshot joins them without a gap. From the
//! first doubt (a gap, a cross, a refused frame, a lost connection) the book is empty and unsynced until a new snapshot
//! has been bridged; that makes a new book, an old one is never patched.

mod audit;
mod checksum;
mod ladder;
mod pending;
mod recall;

use crate::units::Side;
use crate::view::{DEPTH, Doubt, Level, Sync};
use crate::wire::{Join, MAX_LEVELS, Snapshots, Span};
pub use audit::Audit;
use audit::Since;
use ladder::Ladder;
use pending::Pending;

/// What a depth frame did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The book is live and holds the frame.
    Applied,
    /// Kept until a snapshot bridges it.
    Buffered,
    /// Of no use: the next snapshot will hold it.
    Awaiting,
    /// Older than the book; passed over.
    Old,
    /// An update was missed: the book is desynced. The frame is kept for the next snapshot.
    Gap {
        /// The first update id that would have joined; the book's version where it is the version that does not fit.
        expected: u64,
        /// The frame's first update id, or its version.
        received: u64,
    },
    /// With the whole frame applied the best bid was not below the best ask: the book is desynced.
    Crossed,
    /// With the whole frame applied the levels did not give the frame's checksum: the book is desynced.
    Checksum,
    /// Too few levels are left of what the book was given or kept: others may be missing among the best. It is desynced.
    Shallow,
}

/// How a frame's ids stand to a book at some id.
enum Meeting {
    Joins,
    Old,
    Gap(Change),
}

/// An exact link that does not fit is old only if it leads to where the book stands: behind a smaller id may stand a
/// count that began anew and whose beginning was lost.
fn meet(span: &Span, id: u64) -> Meeting {
    let expected = id + 1;
    match span.join {
        Join::Unnumbered => Meeting::Joins,
        Join::Exact if span.first_id == expected => Meeting::Joins,
        Join::Exact if span.last_id == id => Meeting::Old,
        Join::Overlapping if span.last_id < expected => Meeting::Old,
        Join::Overlapping if span.first_id <= expected => Meeting::Joins,
        _ => Meeting::Gap(Change::Gap { expected, received: span.first_id }),
    }
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
    /// Older than the first frame kept, of a count that the venue has ended since, or of a market far away: fetch again.
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
    version: u64,
    bids: Ladder,
    asks: Ladder,
}

impl Sides {
    fn new() -> Sides {
        Sides { update_id: 0, version: 0, bids: Ladder::new(Side::Buy), asks: Ladder::new(Side::Sell) }
    }

    /// Replaces everything by a snapshot, its levels in any order.
    fn load(&mut self, update_id: u64, version: u64, bids: &[Level], asks: &[Level]) {
        (self.update_id, self.version) = (update_id, version);
        self.bids.load(bids, MAX_LEVELS);
        self.asks.load(asks, MAX_LEVELS);
    }

    /// How a frame stands to the whole book. One that joins by its ids and is of an older market comes from elsewhere:
    /// versions fall only where the venue counts anew (Bybit's are not the ids that join).
    #[inline]
    fn meet(&self, span: &Span) -> Meeting {
        let falls = span.join == Join::Exact && span.version < self.version && !span.leads_back();
        match meet(span, self.update_id) {
            Meeting::Joins if falls => Meeting::Gap(Change::Gap { expected: self.version, received: span.version }),
            meeting => meeting,
        }
    }

    /// Applies a whole frame; tells what is wrong with the book after it.
    #[inline]
    fn apply(&mut self, span: &Span, bids: &[Level], asks: &[Level]) -> Option<Doubt> {
        self.bids.apply(bids, MAX_LEVELS);
        self.asks.apply(asks, MAX_LEVELS);
        let counted = span.join != Join::Unnumbered;
        self.update_id = if counted { span.last_id } else { self.update_id + 1 };
        self.version = if counted { span.version } else { self.version + 1 };
        self.fault(span.checksum)
    }

    /// What is wrong with the book as it stands.
    #[inline]
    fn fault(&self, checksum: Option<i32>) -> Option<Doubt> {
        if !self.uncrossed() {
            return Some(Doubt::Crossed);
        }
        if self.bids.is_shallow(DEPTH) || self.asks.is_shallow(DEPTH) {
            return Some(Doubt::Shallow);
        }
        let wrong = checksum.is_some_and(|sent| sent != checksum::of(self.bids.best_first(), self.asks.best_first()));
        wrong.then_some(Doubt::Checksum)
    }

    fn uncrossed(&self) -> bool {
        match (self.bids.best(), self.asks.best()) {
            (Some(bid), Some(ask)) => bid.price < ask.price,
            _ => true,
        }
    }

    fn clear(&mut self) {
        (self.update_id, self.version) = (0, 0);
        self.bids.clear();
        self.asks.clear();
    }
}

/// Bids, asks, the id of the last update in them, and the way to the next snapshot.
#[derive(Debug)]
pub struct Book {
    sides: Sides,
    sync: Sync,
    doubt: Doubt,
    snapshots: Snapshots,
    pending: Pending,
    /// A snapshot that is newer than every frame so far.
    waiting: Option<Sides>,
    /// The frames since an audit began; `None` while there is none.
    since: Option<Since>,
    /// Frames came that only follow a streamed snapshot, and none did.
    headless: bool,
    /// A snapshot came on the stream once, wherever else they come from.
    streamed: bool,
    /// Where the count before this one ended, if the venue ever counted anew.
    old_end: Option<u64>,
}

impl Book {
    /// An empty book whose snapshots come from there.
    pub fn new(snapshots: Snapshots) -> Book {
        let (sides, pending) = (Sides::new(), Pending::default());
        Book {
            sides,
            sync: Sync::Empty,
            doubt: Doubt::None,
            snapshots,
            pending,
            waiting: None,
            since: None,
            headless: false,
            streamed: false,
            old_end: None,
        }
    }

    /// Whether the book can be trusted.
    pub fn sync(&self) -> Sync {
        self.sync
    }

    /// Why it is, or last was, not live.
    pub fn doubt(&self) -> Doubt {
        self.doubt
    }

    /// Id of the last update in the book; 0 unless live.
    pub fn update_id(&self) -> u64 {
        self.sides.update_id
    }

    /// Version of the market that the book shows, comparable with tops; 0 unless live.
    pub fn version(&self) -> u64 {
        self.sides.version
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

    /// Whether only a new subscription can make the book live: it was in doubt, or frames came without the whole book that
    /// every subscription begins with, and its snapshots come on the stream (or did once, and none was fetched for long).
    /// A connection that follows a lost one subscribes by itself.
    pub fn wants_subscription(&self) -> bool {
        let in_doubt = self.sync == Sync::Desynced && self.doubt != Doubt::Disconnected;
        match self.snapshots {
            Snapshots::Streamed => self.sync != Sync::Live && (in_doubt || self.headless),
            Snapshots::Fetched => in_doubt && self.streamed && self.pending.is_long(),
        }
    }

    /// Takes one depth frame: absolute quantities, 0 removes.
    #[inline]
    pub fn apply(&mut self, span: &Span, bids: &[Level], asks: &[Level]) -> Change {
        if span.leads_back() {
            self.old_end = Some(span.first_id - 1);
        }
        if self.sync != Sync::Live {
            return self.collect(span, bids, asks);
        }
        match self.sides.meet(span) {
            Meeting::Joins => {
                self.note(span, bids, asks);
                self.live_unless(|sides| sides.apply(span, bids, asks))
            }
            Meeting::Old => Change::Old,
            Meeting::Gap(gap) => {
                self.desync(Doubt::Gap);
                self.keep(span, bids, asks);
                gap
            }
        }
    }

    /// Runs `step` on the sides; live unless it finds a fault in them.
    #[inline]
    fn live_unless(&mut self, step: impl FnOnce(&mut Sides) -> Option<Doubt>) -> Change {
        let Some(doubt) = step(&mut self.sides) else {
            self.sync = Sync::Live;
            return Change::Applied;
        };
        self.desync(doubt);
        match doubt {
            Doubt::Checksum => Change::Checksum,
            Doubt::Shallow => Change::Shallow,
            _ => Change::Crossed,
        }
    }

    /// A frame while there is no live book: bridges the waiting snapshot, or is kept.
    fn collect(&mut self, span: &Span, bids: &[Level], asks: &[Level]) -> Change {
        if self.snapshots == Snapshots::Streamed {
            self.headless = true;
            return Change::Awaiting;
        }
        if span.leads_back() {
            // The venue counts anew: nothing from before has an id that means anything now.
            self.pending.clear();
            self.waiting = None;
            return Change::Awaiting;
        }
        // A frame right behind it may also say that nothing has happened since.
        let reaches = |at: u64| span.last_id > at || span.first_id == at + 1;
        match self.waiting.take_if(|snapshot| reaches(snapshot.update_id)) {
            // Binance's prose wants lastUpdateId inside the first frame; real frames also start right after it.
            Some(snapshot) if span.first_id <= snapshot.update_id + 1 => {
                self.sides = snapshot;
                self.live_unless(|sides| sides.apply(span, bids, asks))
            }
            None if self.waiting.is_some() => Change::Old,
            _ => self.keep(span, bids, asks),
        }
    }

    /// Keeps a frame for the next snapshot; one that does not join the frames kept begins anew.
    fn keep(&mut self, span: &Span, bids: &[Level], asks: &[Level]) -> Change {
        if self.snapshots == Snapshots::Streamed {
            return Change::Awaiting;
        }
        if self.sync == Sync::Empty {
            self.sync = Sync::Buffering;
        }
        let change = match self.pending.last_id().map(|id| meet(span, id)) {
            Some(Meeting::Old) => return Change::Old,
            Some(Meeting::Gap(gap)) => {
                self.pending.clear();
                gap
            }
            Some(Meeting::Joins) | None => Change::Buffered,
        };
        self.pending.push(span, bids, asks);
        change
    }

    /// Takes a snapshot that came on the stream: the book is this, whatever it was.
    pub fn replace(&mut self, id: u64, version: u64, checksum: Option<i32>, bids: &[Level], asks: &[Level]) -> Change {
        self.pending.clear();
        (self.waiting, self.since, self.headless, self.streamed) = (None, None, false, true);
        self.live_unless(|sides| {
            sides.load(id, version, bids, asks);
            sides.fault(checksum)
        })
    }

    /// Takes a snapshot that was fetched: it holds every update up to `update_id`.
    pub fn offer(&mut self, update_id: u64, bids: &[Level], asks: &[Level]) -> Bridge {
        if self.sync == Sync::Live {
            return Bridge::Unwanted;
        }
        if self.is_of_old_count(update_id) {
            return Bridge::TooOld;
        }
        let mut snapshot = Sides::new();
        snapshot.load(update_id, update_id, bids, asks);
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

    /// Whether a snapshot that is newer than every frame only seems so, because it was made before the venue counted
    /// anew: frames of the new count that reach its id would join it. It was made shortly before the end of the old count
    /// then; one of the new count is about as new as the newest frame.
    fn is_of_old_count(&self, update_id: u64) -> bool {
        let newest = self.pending.last_id().unwrap_or(0);
        let nearer = |end: u64| newest < update_id && update_id <= end && end - update_id <= update_id - newest;
        self.old_end.is_some_and(nearer)
    }

    /// Applies the frames kept, which follow each other without a gap, to `snapshot`.
    fn join(&mut self, snapshot: Sides, old: usize) -> Bridge {
        let frames = self.pending.take();
        self.waiting = None;
        self.sides = snapshot;
        let step =
            |sides: &mut Sides| frames.iter().find_map(|frame| sides.apply(&frame.span, &frame.bids, &frame.asks));
        match self.live_unless(step) {
            Change::Applied => Bridge::Bridged { applied: frames.len(), old },
            Change::Shallow => Bridge::TooOld,
            _ => Bridge::Crossed,
        }
    }

    /// A frame that might have been a depth frame was lost: a live book is desynced.
    ///
    /// What waits for a bridge may stay: ids that do not follow each other will show what is missing.
    pub fn doubt_if_live(&mut self, doubt: Doubt) {
        if self.sync == Sync::Live {
            self.desync(doubt);
        }
    }

    /// Empties the book and drops everything kept for it.
    pub fn desync(&mut self, doubt: Doubt) {
        if self.sync != Sync::Empty {
            (self.sync, self.doubt) = (Sync::Desynced, doubt);
        }
        self.sides.clear();
        self.pending.clear();
        (self.waiting, self.since, self.headless) = (None, None, false);
    }
}
