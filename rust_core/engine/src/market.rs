//! One market's data path: bytes → wire → book → published, with its counters. One thread at a time writes it.

use std::sync::Arc;

use crate::book::{Book, Bridge, Change};
use crate::latency::Stage;
use crate::published::{Published, Trade};
use crate::sync::{AtomicU64, Ordering};
use crate::view::{Level, Sync, TopOfBook};
use crate::wire::{Message, Refusal, Scratch, Venue, WireError};

/// What a frame did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// A newer best bid and ask is published.
    Top,
    /// The live book holds the frame, and it is published.
    Depth,
    /// A trade is published.
    Trade,
    /// A depth frame is kept until a snapshot bridges it.
    Buffered,
    /// Valid, but it changed nothing; the text says why.
    Ignored(&'static str),
    /// Not what its kind must be. The book is desynced unless the frame was certainly no depth frame.
    Refused(WireError),
    /// A depth update was missed: the book is desynced.
    Gap {
        /// The first update id that would have joined.
        expected: u64,
        /// The frame's first update id.
        received: u64,
    },
    /// The frame crossed the book: it is desynced.
    Crossed,
    /// The venue's answer to a request.
    Control {
        /// Whether the venue did what was asked.
        accepted: bool,
    },
    /// The venue is about to close the connection.
    Shutdown,
}

impl Applied {
    /// One word, as Python sees it.
    pub fn word(&self) -> &'static str {
        match self {
            Applied::Top => "top",
            Applied::Depth => "depth",
            Applied::Trade => "trade",
            Applied::Buffered => "buffered",
            Applied::Ignored(_) => "ignored",
            Applied::Refused(_) => "refused",
            Applied::Gap { .. } => "gap",
            Applied::Crossed => "crossed",
            Applied::Control { .. } => "control",
            Applied::Shutdown => "shutdown",
        }
    }
}

/// What a snapshot did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotOutcome {
    /// The book is live.
    Bridged,
    /// Older than the first frame kept: fetch again.
    TooOld,
    /// Kept until a frame joins it.
    Waiting,
    /// Crossed, by itself or with the frames kept: fetch again.
    Crossed,
    /// The book was live already; the snapshot was dropped.
    Unwanted,
    /// Not a snapshot of this venue.
    Refused(WireError),
}

impl SnapshotOutcome {
    /// One word, as Python sees it.
    pub fn word(&self) -> &'static str {
        match self {
            SnapshotOutcome::Bridged => "bridged",
            SnapshotOutcome::TooOld => "too_old",
            SnapshotOutcome::Waiting => "waiting",
            SnapshotOutcome::Crossed => "crossed",
            SnapshotOutcome::Unwanted => "unwanted",
            SnapshotOutcome::Refused(_) => "refused",
        }
    }
}

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
        }
    };
}

counters! {
    /// Frames seen.
    frames,
    /// Frames that a reader can see the effect of: tops, trades, depth frames in a live book.
    applied,
    /// Valid frames that changed nothing: unknown events, other symbols, older ids, answers.
    ignored,
    /// Malformed frames.
    refused,
    /// Missed depth updates.
    gaps,
    /// Times that the book went live again after a doubt.
    resyncs,
    /// Frames and snapshots that left the best bid at or above the best ask.
    crossed,
    /// Snapshots bridged.
    snapshots,
    /// Trades published.
    trades,
    /// Bid levels in the live book (a gauge).
    bid_levels,
    /// Ask levels in the live book (a gauge).
    ask_levels,
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
    fn add(&self, count: u64) {
        self.0.store(self.get() + count, Ordering::Relaxed);
    }

    #[inline]
    fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// One market of one venue.
#[derive(Debug)]
pub struct Market {
    venue: Venue,
    symbol: Box<[u8]>,
    scratch: Scratch,
    book: Book,
    /// The top as published.
    top: TopOfBook,
    published: Arc<Published>,
    counters: Arc<Counters>,
    latency: Arc<Stage>,
    was_live: bool,
}

impl Market {
    /// An empty market that publishes to `published`. `symbol` as the venue writes it in its frames.
    pub fn new(venue: Venue, symbol: &str, published: Arc<Published>) -> Market {
        Market {
            venue,
            symbol: symbol.as_bytes().into(),
            scratch: Scratch::default(),
            book: Book::default(),
            top: TopOfBook::default(),
            published,
            counters: Arc::default(),
            latency: Arc::default(),
            was_live: false,
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

    /// Takes one frame, received at `recv_ns` (monotonic), and publishes what it changed.
    #[inline]
    pub fn apply(&mut self, frame: &[u8], recv_ns: i64) -> Applied {
        self.counters.frames.add(1);
        let applied = match self.venue.decode(frame, &self.symbol, &mut self.scratch) {
            Ok(Message::Top { update_id, bid, ask }) => self.on_top(update_id, bid, ask, recv_ns),
            Ok(Message::Depth { first_id, last_id }) => self.on_depth(first_id, last_id, recv_ns),
            Ok(Message::Trade { price, quantity, buyer_is_maker }) => {
                self.on_trade(&Trade { price, quantity, buyer_is_maker, recv_ns })
            }
            Ok(Message::Reply { accepted }) => Applied::Control { accepted },
            Ok(Message::Shutdown) => Applied::Shutdown,
            Ok(Message::Unrelated(reason)) => Applied::Ignored(reason),
            Err(refusal) => self.on_refusal(refusal),
        };
        self.count(applied);
        applied
    }

    /// Takes the body of a snapshot request.
    pub fn offer_snapshot(&mut self, body: &[u8]) -> SnapshotOutcome {
        let update_id = match self.venue.decode_snapshot(body, &mut self.scratch) {
            Ok(update_id) => update_id,
            Err(error) => return SnapshotOutcome::Refused(error),
        };
        let bridge = self.book.offer(update_id, &self.scratch.bids, &self.scratch.asks);
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
        self.book.desync();
        self.top.update_id = 0;
        self.publish();
    }

    #[inline]
    fn on_top(&mut self, update_id: u64, bid: Level, ask: Level, recv_ns: i64) -> Applied {
        self.top.recv_ns = recv_ns;
        let newer = update_id >= self.top.update_id;
        if newer {
            self.top = TopOfBook { bid, ask, update_id, ..self.top };
        }
        self.published.write_top(&self.top);
        if newer { Applied::Top } else { Applied::Ignored("older than the published top") }
    }

    #[inline]
    fn on_depth(&mut self, first_id: u64, last_id: u64, recv_ns: i64) -> Applied {
        self.top.recv_ns = recv_ns;
        let change = self.book.apply(first_id, last_id, &self.scratch.bids, &self.scratch.asks);
        match change {
            Change::Buffered | Change::Old if self.top.sync == self.book.sync() => self.published.write_top(&self.top),
            _ => self.publish(),
        }
        match change {
            Change::Applied => Applied::Depth,
            Change::Buffered => Applied::Buffered,
            Change::Old => Applied::Ignored("older than the book"),
            Change::Gap { expected, received } => Applied::Gap { expected, received },
            Change::Crossed => Applied::Crossed,
        }
    }

    fn on_trade(&mut self, trade: &Trade) -> Applied {
        self.published.push_trade(trade);
        Applied::Trade
    }

    fn on_refusal(&mut self, refusal: Refusal) -> Applied {
        if refusal.may_be_depth {
            self.book.doubt();
            self.publish();
        }
        Applied::Refused(refusal.error)
    }

    /// Publishes book and top together; the top is the book's own where that is at least as new.
    #[inline]
    fn publish(&mut self) {
        let (mut bids, mut asks) = (self.book.bids(), self.book.asks());
        self.top.sync = self.book.sync();
        if self.top.sync == Sync::Live && self.book.update_id() >= self.top.update_id {
            self.top.update_id = self.book.update_id();
            self.top.bid = bids.next().unwrap_or_default();
            self.top.ask = asks.next().unwrap_or_default();
        }
        self.counters.bid_levels.set(self.book.bids().len() as u64);
        self.counters.ask_levels.set(self.book.asks().len() as u64);
        self.published.write(&self.top, self.book.update_id(), self.book.bids(), self.book.asks());
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
            Applied::Top | Applied::Depth => &counters.applied,
            Applied::Trade => {
                counters.trades.add(1);
                &counters.applied
            }
            // Counted when a snapshot makes it part of the book, or drops it.
            Applied::Buffered => return,
            Applied::Ignored(_) | Applied::Control { .. } | Applied::Shutdown => &counters.ignored,
            Applied::Refused(_) => &counters.refused,
            Applied::Gap { .. } => &counters.gaps,
            Applied::Crossed => &counters.crossed,
        };
        counter.add(1);
    }
}
