//! One market's data path: bytes → wire → book → published, with its counters. One thread at a time writes it.

mod audit;
mod checkpoint;
mod counters;
mod following;
mod freshness;
mod outcome;
mod sequence;

use std::sync::Arc;

pub use audit::Audit;
pub use counters::{Counter, Counters};
pub use outcome::{Applied, SnapshotOutcome};

use crate::book::{Book, Bridge, Change};
use crate::latency::Stage;
use crate::published::{Published, Trade};
use crate::view::{Doubt, Level, Sync, TopOfBook};
use crate::wire::{Message, Print, Refusal, Scratch, Span, Venue};
use freshness::Ahead;
use sequence::{Place, Sequence};

/// One market of one venue.
#[derive(Debug)]
pub struct Market {
    venue: Venue,
    symbol: Box<[u8]>,
    scratch: Scratch,
    book: Book,
    /// The top as published.
    top: TopOfBook,
    /// How far the published top is ahead of the depth book.
    ahead: Ahead,
    /// The numbers of the connection's frames, where the venue counts them.
    sequence: Sequence,
    published: Arc<Published>,
    counters: Arc<Counters>,
    latency: Arc<Stage>,
    was_live: bool,
    /// Version of the book when it was live last; 0 before that on this connection.
    live_version: u64,
    /// Id and version of the last snapshot on the stream, if the book was live ever since.
    whole: Option<(u64, u64)>,
}

impl Market {
    /// An empty market that publishes to `published`. `symbol` as the venue writes it in its frames.
    pub fn new(venue: Venue, symbol: &str, published: Arc<Published>) -> Market {
        Market {
            venue,
            symbol: symbol.as_bytes().into(),
            scratch: Scratch::default(),
            book: Book::new(venue.snapshots()),
            top: TopOfBook::default(),
            ahead: Ahead::default(),
            sequence: Sequence::default(),
            published,
            counters: Arc::default(),
            latency: Arc::default(),
            was_live: false,
            live_version: 0,
            whole: None,
        }
    }

    /// What happened so far; the `Arc` can be read from any thread.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Decode + apply per frame. The owner of the clock records it; the `Arc` can be read from any thread.
    pub fn latency(&self) -> &Arc<Stage> {
        &self.latency
    }

    /// The top as published.
    pub fn top(&self) -> &TopOfBook {
        &self.top
    }

    /// The depth book, without the newer top.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// Whether a snapshot should be fetched.
    pub fn wants_snapshot(&self) -> bool {
        self.book.wants_snapshot()
    }

    /// Whether the book can become live only by a new subscription.
    pub fn wants_subscription(&self) -> bool {
        self.book.wants_subscription()
    }

    /// Takes one frame, received at `recv_ns` (monotonic), and publishes what it changed.
    #[inline]
    pub fn apply(&mut self, frame: &[u8], recv_ns: i64) -> Applied {
        self.counters.frames.add(1);
        let message = self.venue.decode(frame, &self.symbol, &mut self.scratch);
        let applied = match self.sequence_fault(&message) {
            Some(fault) => fault,
            None => self.take(message, recv_ns),
        };
        self.count(applied);
        applied
    }

    #[inline]
    fn take(&mut self, message: Result<Message, Refusal>, recv_ns: i64) -> Applied {
        match message {
            Ok(Message::Top { version, bid, ask }) => self.on_top(version, bid, ask, recv_ns),
            Ok(Message::Depth(span)) => self.on_depth(&span, recv_ns),
            Ok(Message::Snapshot { id, version, checksum }) => self.on_snapshot(id, version, checksum, recv_ns),
            Ok(Message::Trades) => self.on_trades(recv_ns),
            Ok(Message::Reply { accepted }) => Applied::Control { accepted },
            Ok(Message::Shutdown) => Applied::Shutdown,
            Ok(Message::Unrelated(reason)) => Applied::Ignored(reason),
            Err(refusal) => self.on_refusal(refusal),
        }
    }

    /// Checks a frame's number on its connection. A frame that was sent twice is passed over; behind a missing one
    /// nothing about the book is sure, except that a whole snapshot is whole.
    #[inline]
    fn sequence_fault(&mut self, message: &Result<Message, Refusal>) -> Option<Applied> {
        let received = self.scratch.sequence?;
        let expected = match self.sequence.take(received) {
            Place::Next => return None,
            Place::Ahead { .. } if matches!(message, Ok(Message::Snapshot { .. })) => return None,
            Place::Again => return Some(Applied::Ignored("sent twice")),
            Place::Behind { .. } if !self.is_live() => return Some(Applied::Ignored("behind the count")),
            Place::Behind { expected } | Place::Ahead { expected } => expected,
        };
        self.book.doubt_if_live(Doubt::Gap);
        self.publish();
        Some(Applied::Gap { expected, received })
    }

    /// Takes the body of a snapshot request.
    pub fn offer_snapshot(&mut self, body: &[u8]) -> SnapshotOutcome {
        let update_id = match self.venue.decode_snapshot(body, &mut self.scratch) {
            Ok(update_id) => update_id,
            Err(error) => return SnapshotOutcome::Refused(error),
        };
        let bridge = self.book.offer(update_id, &self.scratch.bids, &self.scratch.asks);
        if matches!(bridge, Bridge::Bridged { .. }) && self.shows_an_ended_count() {
            self.drop_top();
        }
        self.publish();
        match bridge {
            Bridge::Bridged { applied, old } => {
                self.counters.applied.add(applied as u64);
                self.counters.ignored.add(old as u64);
                SnapshotOutcome::Bridged
            }
            Bridge::TooOld => SnapshotOutcome::TooOld,
            Bridge::Waiting => SnapshotOutcome::Waiting,
            Bridge::Unwanted => SnapshotOutcome::Unwanted,
            Bridge::Crossed => {
                self.counters.crossed.add(1);
                SnapshotOutcome::Crossed
            }
        }
    }

    /// The connection ended: nothing that was received can be continued. The next one may count its ids anew.
    pub fn disconnected(&mut self) {
        self.book.desync(Doubt::Disconnected);
        self.drop_top();
        (self.sequence, self.live_version) = (Sequence::default(), 0);
        self.publish();
    }

    #[inline]
    fn on_top(&mut self, version: u64, bid: Level, ask: Level, recv_ns: i64) -> Applied {
        // Without a live book the newest top is the one that came last: the venue may count anew.
        if version < self.top.update_id.max(self.ahead.version) && self.is_live() {
            return Applied::Ignored("older than the published top");
        }
        self.top = TopOfBook { bid, ask, update_id: version, ..self.top };
        if self.ahead.on_top(version, self.book.version(), recv_ns) {
            self.top.recv_ns = recv_ns;
        }
        self.published.write_top(&self.top);
        Applied::Top
    }

    #[inline]
    fn on_depth(&mut self, span: &Span, recv_ns: i64) -> Applied {
        let change = self.book.apply(span, &self.scratch.bids, &self.scratch.asks);
        if leads_back(span, change) || change == Change::Applied && self.shows_an_ended_count() {
            self.drop_top();
        }
        if self.ahead.on_depth(change, self.book.version(), self.top.update_id, recv_ns) {
            self.top.recv_ns = recv_ns;
        }
        if change == Change::Applied && self.ahead.is_outdated(recv_ns) {
            // The book's own top is published then.
            self.top.update_id = self.top.update_id.min(self.book.version());
        }
        match change {
            Change::Old | Change::Awaiting => {}
            Change::Buffered if self.top.sync == self.book.sync() => self.published.write_top(&self.top),
            _ => self.publish(),
        }
        match change {
            Change::Applied => Applied::Depth,
            Change::Buffered => Applied::Buffered,
            Change::Awaiting => Applied::Ignored("waits for a snapshot"),
            Change::Old if self.book.sync() == Sync::Live => {
                self.counters.duplicates.add(1);
                Applied::Ignored("older than the book")
            }
            Change::Old => Applied::Ignored("older than the frames kept"),
            Change::Gap { expected, received } => Applied::Gap { expected, received },
            Change::Crossed => Applied::Crossed,
            Change::Checksum => Applied::Checksum,
            Change::Shallow => Applied::Shallow,
        }
    }

    fn on_snapshot(&mut self, id: u64, version: u64, checksum: Option<i32>, recv_ns: i64) -> Applied {
        if self.is_live() && self.whole == Some((id, version)) && version != self.book.version() {
            return Applied::Ignored("sent twice");
        }
        let goes_on = self.is_live() && self.book.version() <= version;
        if !goes_on || self.ahead.is_outdated(recv_ns) {
            self.drop_top();
        }
        let change = self.book.replace(id, version, checksum, &self.scratch.bids, &self.scratch.asks);
        self.ahead.reach(recv_ns);
        self.top.recv_ns = recv_ns;
        // One without ids looks like every other one.
        self.whole = (change == Change::Applied && id > 0).then_some((id, version));
        self.publish();
        match change {
            Change::Applied => Applied::Snapshot,
            Change::Checksum => Applied::Checksum,
            _ => Applied::Crossed,
        }
    }

    fn on_trades(&mut self, recv_ns: i64) -> Applied {
        for &Print { price, quantity, buyer_is_maker } in &self.scratch.trades {
            self.published.push_trade(&Trade { price, quantity, buyer_is_maker, recv_ns });
        }
        self.counters.trades.add(self.scratch.trades.len() as u64);
        Applied::Trade
    }

    fn on_refusal(&mut self, refusal: Refusal) -> Applied {
        if refusal.may_be_depth {
            self.book.doubt_if_live(Doubt::Refused);
            self.publish();
        }
        Applied::Refused(refusal.error)
    }

    /// Whether the top is not newer than the live book but of a count that the venue has ended since: the book went back,
    /// on this frame or while it was lost, and no top of the new count has come.
    #[inline]
    fn shows_an_ended_count(&self) -> bool {
        self.book.version() < self.live_version && self.live_version <= self.top.update_id
    }

    /// Lets the book's own top, or whichever comes next, be the newest: this one would outrank every one to come.
    fn drop_top(&mut self) {
        self.top.update_id = 0;
        self.ahead.drop_top();
    }

    /// Publishes book and top together; the top is the book's own where that is at least as new.
    #[inline]
    fn publish(&mut self) {
        let (mut bids, mut asks) = (self.book.bids(), self.book.asks());
        (self.top.sync, self.top.doubt) = (self.book.sync(), self.book.doubt());
        if self.top.sync == Sync::Live {
            self.live_version = self.book.version();
            if self.live_version >= self.top.update_id {
                self.top.update_id = self.live_version;
                self.top.bid = bids.next().unwrap_or_default();
                self.top.ask = asks.next().unwrap_or_default();
            }
        } else {
            self.whole = None;
        }
        self.counters.bid_levels.set(self.book.bids().len() as u64);
        self.counters.ask_levels.set(self.book.asks().len() as u64);
        self.published.write(&self.top, self.book.version(), self.book.bids(), self.book.asks());
        if self.top.sync == Sync::Live && !self.was_live {
            self.counters.resyncs.add(u64::from(self.counters.snapshots.get() > 0));
            self.counters.snapshots.add(1);
        }
        self.was_live = self.top.sync == Sync::Live;
    }

    #[inline]
    fn count(&self, applied: Applied) {
        let counters = &self.counters;
        let counter = match applied {
            Applied::Top | Applied::Depth | Applied::Snapshot | Applied::Trade => &counters.applied,
            // Counted when a snapshot makes it part of the book, or drops it.
            Applied::Buffered => return,
            Applied::Control { accepted: false } => {
                counters.denied.add(1);
                &counters.ignored
            }
            Applied::Ignored(_) | Applied::Control { .. } | Applied::Shutdown => &counters.ignored,
            Applied::Refused(_) => &counters.refused,
            Applied::Gap { .. } => &counters.gaps,
            Applied::Crossed => &counters.crossed,
            Applied::Checksum => &counters.checksum_failures,
            Applied::Shallow => &counters.shallow,
        };
        counter.add(1);
    }
}

/// Whether the frame tells that the venue's versions go on from a smaller one.
fn leads_back(span: &Span, change: Change) -> bool {
    match change {
        Change::Old => false,
        Change::Gap { expected, received } => received < expected || span.leads_back(),
        _ => span.leads_back(),
    }
}
