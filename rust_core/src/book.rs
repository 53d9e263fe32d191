//! `Book` and `Top`: one market for Python. Readers take no lock that the feed holds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::latency::Stage;
use engine::market::{Applied, Counters, Market, SnapshotOutcome};
use engine::units::Side;
use engine::view::{Published, Sync, TopOfBook, View};
use engine::wake::{CrossWatch, Signal};
use engine::wire::{Venue, WireError};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::clock;
use crate::mailbox::{Mailbox, Wake};
use crate::tape::{Recorded, Tape};

/// Best bid and ask at one moment. Prices and sizes are integers of 10⁻⁸; a size of 0 means that the side is empty.
#[pyclass(frozen, get_all, module = "pytrader._core")]
pub(crate) struct Top {
    /// Best bid, quote × 10⁻⁸.
    bid_e8: i64,
    /// Quantity at the best bid, base × 10⁻⁸.
    bid_size_e8: i64,
    /// Best ask, quote × 10⁻⁸.
    ask_e8: i64,
    /// Quantity at the best ask, base × 10⁻⁸.
    ask_size_e8: i64,
    /// The venue's version of the market behind these prices (its update id, or what stands for it).
    update_id: u64,
    /// Nanoseconds since the last top or depth frame (since the clock's start if there was none).
    age_ns: i64,
    /// Whether the book can be trusted; false from the first doubt until a new snapshot is bridged.
    synced: bool,
    /// "empty", "buffering", "live" or "desynced".
    sync: &'static str,
    /// Why it is, or last was, not live: "gap", "crossed", "refused", "disconnected", "checksum", "diverged"; "" if never.
    doubt: &'static str,
}

impl Top {
    pub(crate) fn new(top: &TopOfBook, mono_ns: i64) -> Top {
        Top {
            bid_e8: top.bid.price.0,
            bid_size_e8: top.bid.quantity.0,
            ask_e8: top.ask.price.0,
            ask_size_e8: top.ask.quantity.0,
            update_id: top.update_id,
            age_ns: top.age_ns(mono_ns),
            synced: top.sync == Sync::Live,
            sync: sync_word(top.sync),
            doubt: top.doubt.word(),
        }
    }
}

#[pymethods]
impl Top {
    fn __repr__(&self) -> String {
        let Top { bid_e8, ask_e8, update_id, sync, .. } = self;
        format!("Top(bid_e8={bid_e8}, ask_e8={ask_e8}, update_id={update_id}, sync={sync:?})")
    }
}

fn sync_word(sync: Sync) -> &'static str {
    match sync {
        Sync::Empty => "empty",
        Sync::Buffering => "buffering",
        Sync::Live => "live",
        Sync::Desynced => "desynced",
    }
}

pub(crate) fn venue_named(name: &str) -> PyResult<Venue> {
    let known = || Venue::ALL.map(Venue::name).join(", ");
    Venue::named(name).ok_or_else(|| PyValueError::new_err(format!("unknown venue {name:?}; known: {}", known())))
}

/// The live order book of one market, with its last trades.
///
/// `venue` names the protocol ("binance"); `symbol` is the market as the venue writes it in its frames.
/// Raises ValueError for an unknown venue.
#[pyclass(frozen, module = "pytrader._core")]
pub(crate) struct Book {
    market: Arc<Mutex<Market>>,
    published: Arc<Published>,
    counters: Arc<Counters>,
    latency: Arc<Stage>,
    watch: Arc<CrossWatch>,
    mailbox: Mailbox,
    recorded: Recorded,
    last_refusal: Mutex<Option<WireError>>,
}

impl Book {
    /// What readers read.
    pub(crate) fn published(&self) -> Arc<Published> {
        Arc::clone(&self.published)
    }

    /// Compares every top and trade with the resting orders, and raises its signal on a cross.
    pub(crate) fn cross_watch(&self) -> Arc<CrossWatch> {
        Arc::clone(&self.watch)
    }

    /// Sets the hook that a snapshot offered from another thread calls; `None` when no link drives the book any more.
    pub(crate) fn set_wake(&self, wake: Option<Wake>) {
        self.mailbox.set_wake(wake);
    }

    /// Takes one frame: the way in for whoever drives the book.
    #[inline]
    pub(crate) fn ingest(&self, frame: &[u8], recv_ns: i64) -> Applied {
        let mut market = self.locked();
        self.recorded.frame(frame, recv_ns);
        let applied = market.apply(frame, recv_ns);
        self.after(&market, applied);
        applied
    }

    /// [`Book::ingest`], its duration recorded as frame latency.
    pub(crate) fn ingest_timed(&self, frame: &[u8], recv_ns: i64) -> Applied {
        let start_ns = clock::mono_ns();
        let mut market = self.locked();
        self.recorded.frame(frame, recv_ns);
        let applied = market.apply(frame, recv_ns);
        self.latency.record((clock::mono_ns() - start_ns).max(0) as u64);
        self.after(&market, applied);
        applied
    }

    /// Applies the snapshot that was posted, if any. Called by the driving thread after it was woken.
    pub(crate) fn take_snapshot(&self) -> Option<SnapshotOutcome> {
        let mut outcome = None;
        self.mailbox.take(|body| {
            let mut market = self.locked();
            outcome = Some(self.offer(&mut market, &body));
            market.wants_snapshot()
        });
        outcome
    }

    /// A connection begins to drive the book.
    pub(crate) fn connected(&self) {
        let _in_order = self.locked();
        self.recorded.begin();
    }

    /// The connection ended: the book is unsynced until the next one has been bridged.
    pub(crate) fn disconnected(&self) {
        let mut market = self.locked();
        self.recorded.end();
        market.disconnected();
        self.mailbox.set_wanted(market.wants_snapshot());
    }

    #[inline]
    fn after(&self, market: &Market, applied: Applied) {
        self.mailbox.set_wanted(market.wants_snapshot());
        if let Applied::Refused(error) = applied {
            self.note_refusal(error);
        }
    }

    fn offer(&self, market: &mut Market, body: &[u8]) -> SnapshotOutcome {
        self.recorded.snapshot(body);
        let outcome = market.offer_snapshot(body);
        if let SnapshotOutcome::Refused(error) = outcome {
            self.note_refusal(error);
        }
        outcome
    }

    fn offer_at_once(&self, body: &[u8]) -> SnapshotOutcome {
        let mut market = self.locked();
        let outcome = self.offer(&mut market, body);
        self.mailbox.set_wanted(market.wants_snapshot());
        outcome
    }

    fn note_refusal(&self, error: WireError) {
        *self.last_refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// The market; if a panic left it half changed, its book is thrown away first.
    #[inline]
    fn locked(&self) -> MutexGuard<'_, Market> {
        self.market.lock().unwrap_or_else(|poison| {
            let mut market = poison.into_inner();
            market.disconnected();
            self.market.clear_poison();
            market
        })
    }
}

#[pymethods]
impl Book {
    #[new]
    #[pyo3(signature = (venue = "binance", symbol = "BTCUSDT"))]
    fn new(venue: &str, symbol: &str) -> PyResult<Book> {
        let watch = Arc::new(CrossWatch::new(Arc::new(Signal::default())));
        let published = Arc::new(Published::new(Arc::clone(&watch)));
        let market = Market::new(venue_named(venue)?, symbol, Arc::clone(&published));
        Ok(Book {
            counters: Arc::clone(market.counters()),
            latency: Arc::clone(market.latency()),
            market: Arc::new(Mutex::new(market)),
            published,
            watch,
            mailbox: Mailbox::default(),
            recorded: Recorded::default(),
            last_refusal: Mutex::new(None),
        })
    }

    /// Takes one frame as the venue sent it and says what it did.
    ///
    /// "top", "depth", "snapshot", "trade": published. "buffered": kept until a snapshot bridges it. "ignored": nothing for this
    /// book. "control", "shutdown": an answer or a notice of the venue. "refused": malformed (see `last_refusal`).
    /// "gap", "crossed", "checksum": the book is unsynced; "refused" unsyncs it too unless the frame was surely no depth frame.
    /// `recv_ns` is the monotonic receive time; without it the frame counts as received now, and is timed.
    #[pyo3(signature = (frame, recv_ns = None))]
    fn apply(&self, frame: &[u8], recv_ns: Option<i64>) -> &'static str {
        match recv_ns {
            Some(recv_ns) => self.ingest(frame, recv_ns).word(),
            None => self.ingest_timed(frame, clock::mono_ns()).word(),
        }
    }

    /// Takes one frame received at `recv_ns` (monotonic) and returns bid, bid size, ask and ask size, all × 10⁻⁸.
    fn apply_top(&self, frame: &[u8], recv_ns: i64) -> (i64, i64, i64, i64) {
        let mut market = self.locked();
        self.recorded.frame(frame, recv_ns);
        let applied = market.apply(frame, recv_ns);
        self.after(&market, applied);
        let top = market.top();
        (top.bid.price.0, top.bid.quantity.0, top.ask.price.0, top.ask.quantity.0)
    }

    /// Offers the body of a snapshot request, from any thread.
    ///
    /// While a link drives the book: "posted", and the link takes it from there. Otherwise it is applied at once:
    /// "bridged", "waiting" (kept until a frame joins it), "too_old" and "crossed" (fetch again), "unwanted" (the book is
    /// live already) or "refused" (see `last_refusal`).
    fn offer_snapshot(&self, py: Python<'_>, body: &[u8]) -> &'static str {
        // A full snapshot is ten thousand levels: long enough to let other Python threads run.
        py.detach(|| if self.mailbox.post(body) { "posted" } else { self.offer_at_once(body).word() })
    }

    /// Waits, without the GIL, until a snapshot should be fetched; false if `timeout_ms` passed first.
    fn wait_snapshot_wanted(&self, py: Python<'_>, timeout_ms: u64) -> bool {
        py.detach(|| self.mailbox.wait_wanted(Duration::from_millis(timeout_ms)))
    }

    /// Appends everything that the book is fed from now on to `tape`. Raises ValueError if it has one already.
    fn set_tape(&self, tape: &Bound<'_, Tape>) -> PyResult<()> {
        let _in_order = self.locked();
        self.recorded.set(tape.get())
    }

    /// The best prices, with their age at `mono_ns` (now, if not given).
    #[pyo3(signature = (mono_ns = None))]
    fn top(&self, mono_ns: Option<i64>) -> Top {
        Top::new(&self.published.top(), mono_ns.unwrap_or_else(clock::mono_ns))
    }

    /// The best `count` levels (at most 100) of side "bid" or "ask" as `(price, quantity)` × 10⁻⁸, best first.
    ///
    /// This is the view that orders are priced on: depth, corrected by a newer top. Raises ValueError for another side.
    #[pyo3(signature = (side, count = 10))]
    fn levels(&self, side: &str, count: usize) -> PyResult<Vec<(i64, i64)>> {
        levels_of(&self.published, side, count)
    }

    /// Everything counted since the book was made, and the live book's levels a side.
    fn counters(&self) -> BTreeMap<&'static str, u64> {
        self.counters.rows().into_iter().collect()
    }

    /// How long decode and apply took per frame, ns: p50_ns, p90_ns, p99_ns, p999_ns, max_ns and count.
    ///
    /// Only frames that were stamped here count: those of a link, and those of `apply` without `recv_ns`.
    fn frame_latency(&self) -> BTreeMap<&'static str, u64> {
        let row = self.latency.histogram().summary();
        let names = ["p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns", "count"];
        names.into_iter().zip([row.p50, row.p90, row.p99, row.p999, row.max, row.count]).collect()
    }

    /// Why the last refused frame or snapshot was refused; None if none was.
    fn last_refusal(&self) -> Option<String> {
        let error = self.last_refusal.lock().unwrap_or_else(PoisonError::into_inner);
        error.map(|error| error.to_string())
    }
}

/// The best `count` levels of a side as readers see them.
pub(crate) fn levels_of(published: &Published, side: &str, count: usize) -> PyResult<Vec<(i64, i64)>> {
    let mut view = View::default();
    published.view(&mut view);
    let levels = view.takes(taker_of(side)?).iter().take(count);
    Ok(levels.map(|level| (level.price.0, level.quantity.0)).collect())
}

/// Who takes the levels of a side.
fn taker_of(side: &str) -> PyResult<Side> {
    match side {
        "bid" => Ok(Side::Sell),
        "ask" => Ok(Side::Buy),
        _ => Err(PyValueError::new_err(format!("side {side:?}: say \"bid\" or \"ask\""))),
    }
}
