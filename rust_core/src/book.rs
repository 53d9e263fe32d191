//! `Book` and `Top`: one market for Python. Readers take no lock that the feed holds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use engine::latency::Stage;
use engine::market::{Applied, Audit, Counters, Market, SnapshotOutcome};
use engine::succession::Succession;
use engine::units::Side;
use engine::view::{Published, Sync, TopOfBook, Trade, View};
use engine::wake::{CrossWatch, Signal};
use engine::wire::{Venue, WireError};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::clock;
use crate::denials::Denials;
use crate::mailbox::{Mailbox, Posted, UNDRIVEN};
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
    /// Why it is, or last was, not live: "gap", "crossed", "refused", "disconnected", "checksum", "diverged",
    /// "shallow"; "" if never.
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
    succession: Succession,
    published: Arc<Published>,
    counters: Arc<Counters>,
    latency: Arc<Stage>,
    watch: Arc<CrossWatch>,
    mailbox: Mailbox,
    recorded: Recorded,
    /// What the mailbox was told for a book without a connection.
    wanted: AtomicBool,
    /// Mirrors the lead's wish for a successor, for those who wait for it.
    successor_wanted: Mutex<bool>,
    successor_changed: Condvar,
    last_refusal: Mutex<Option<WireError>>,
    venue: Venue,
    denials: Denials,
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

    /// Who writes the market.
    #[inline]
    pub(crate) fn succession(&self) -> &Succession {
        &self.succession
    }

    /// Where snapshots wait.
    pub(crate) fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// Where what the market is fed is written down.
    #[inline]
    pub(crate) fn recorded(&self) -> &Recorded {
        &self.recorded
    }

    /// Whose market it is.
    pub(crate) fn venue(&self) -> Venue {
        self.venue
    }

    /// Takes one frame into `market`, its duration recorded as frame latency.
    #[inline]
    pub(crate) fn ingest_timed(&self, market: &mut Market, frame: &[u8], recv_ns: i64) -> Applied {
        let start_ns = clock::mono_ns();
        let applied = self.ingest(market, frame, recv_ns);
        self.latency.record((clock::mono_ns() - start_ns).max(0) as u64);
        applied
    }

    /// Takes the body of a snapshot request into `market`.
    pub(crate) fn offer(&self, market: &mut Market, body: &[u8]) -> SnapshotOutcome {
        let outcome = market.offer_snapshot(body);
        if let SnapshotOutcome::Refused(error) = outcome {
            self.note_refusal(error);
        }
        outcome
    }

    /// The lead, or its wish for a successor, may be another one.
    pub(crate) fn succession_changed(&self) {
        let mut wanted = self.successor_wanted.lock().unwrap_or_else(PoisonError::into_inner);
        *wanted = self.succession.wants_successor();
        self.successor_changed.notify_all();
    }

    #[inline]
    fn ingest(&self, market: &mut Market, frame: &[u8], recv_ns: i64) -> Applied {
        let applied = market.apply(frame, recv_ns);
        match applied {
            Applied::Refused(error) => self.note_refusal(error),
            Applied::Control { accepted: false } => self.denials.note(self.venue.denial(frame)),
            _ => {}
        }
        applied
    }

    /// Changes the market from a thread that is no connection's.
    #[inline]
    fn change<T>(&self, step: impl FnOnce(&mut Market) -> T) -> T {
        let (value, wanted) = self.succession.with_market(|market| {
            let value = step(market);
            (value, market.wants_snapshot())
        });
        if self.wanted.swap(wanted, Ordering::Relaxed) != wanted {
            self.mailbox.set_wanted(UNDRIVEN, wanted);
        }
        value
    }

    fn note_refusal(&self, error: WireError) {
        *self.last_refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

#[pymethods]
impl Book {
    #[new]
    #[pyo3(signature = (venue = "binance", symbol = "BTCUSDT"))]
    fn new(venue: &str, symbol: &str) -> PyResult<Book> {
        let watch = Arc::new(CrossWatch::new(Arc::new(Signal::default())));
        let published = Arc::new(Published::new(Arc::clone(&watch)));
        let venue = venue_named(venue)?;
        let market = Market::new(venue, symbol, Arc::clone(&published));
        Ok(Book {
            counters: Arc::clone(market.counters()),
            latency: Arc::clone(market.latency()),
            succession: Succession::new(market),
            published,
            watch,
            mailbox: Mailbox::default(),
            recorded: Recorded::default(),
            wanted: AtomicBool::new(false),
            successor_wanted: Mutex::new(false),
            successor_changed: Condvar::new(),
            last_refusal: Mutex::new(None),
            venue,
            denials: Denials::default(),
        })
    }

    /// Takes one frame as the venue sent it and says what it did.
    ///
    /// "top", "depth", "snapshot", "trade": published. "buffered": kept until a snapshot bridges it. "ignored": nothing for this
    /// book. "control", "shutdown": an answer or a notice of the venue. "refused": malformed (see `last_refusal`).
    /// "gap", "crossed", "checksum", "shallow": the book is unsynced; "refused" unsyncs it too unless the frame was surely no
    /// depth frame.
    /// `recv_ns` is the monotonic receive time; without it the frame counts as received now, and is timed.
    #[pyo3(signature = (frame, recv_ns = None))]
    fn apply(&self, frame: &[u8], recv_ns: Option<i64>) -> &'static str {
        let applied = match recv_ns {
            Some(recv_ns) => self.change(|market| {
                self.recorded.frame(0, frame, recv_ns);
                self.ingest(market, frame, recv_ns)
            }),
            None => self.change(|market| {
                let recv_ns = clock::mono_ns();
                self.recorded.frame(0, frame, recv_ns);
                self.ingest_timed(market, frame, recv_ns)
            }),
        };
        applied.word()
    }

    /// Takes one frame received at `recv_ns` (monotonic) and returns bid, bid size, ask and ask size, all × 10⁻⁸.
    fn apply_top(&self, frame: &[u8], recv_ns: i64) -> (i64, i64, i64, i64) {
        let top = self.change(|market| {
            self.recorded.frame(0, frame, recv_ns);
            self.ingest(market, frame, recv_ns);
            *market.top()
        });
        (top.bid.price.0, top.bid.quantity.0, top.ask.price.0, top.ask.quantity.0)
    }

    /// Offers the body of a snapshot request, from any thread.
    ///
    /// From the first link on that drives the book: "posted", and those that want one take it from there, or "unwanted".
    /// Before that it is applied at once:
    /// "bridged", "waiting" (kept until a frame joins it), "too_old" and "crossed" (fetch again), "unwanted" (the book is
    /// live already) or "refused" (see `last_refusal`).
    fn offer_snapshot(&self, py: Python<'_>, body: &[u8]) -> &'static str {
        // A full snapshot is ten thousand levels: long enough to let other Python threads run.
        py.detach(|| match self.mailbox.post(body) {
            Posted::Taken => "posted",
            Posted::Unwanted => SnapshotOutcome::Unwanted.word(),
            Posted::Undriven => {
                let outcome = self.change(|market| {
                    self.recorded.snapshot(0, body);
                    self.offer(market, body)
                });
                outcome.word()
            }
        })
    }

    /// Waits, without the GIL, until a snapshot should be fetched; false if `timeout_ms` passed first.
    fn wait_snapshot_wanted(&self, py: Python<'_>, timeout_ms: u64) -> bool {
        py.detach(|| self.mailbox.wait_wanted(Duration::from_millis(timeout_ms)))
    }

    /// Appends everything that the book is fed from now on to `tape`. Raises ValueError if it has one already.
    fn set_tape(&self, tape: &Bound<'_, Tape>) -> PyResult<()> {
        self.succession.with_market(|_in_order| self.recorded.set(tape.get()))
    }

    /// Waits, without the GIL, until the link that drives the book wants a successor; false if `timeout_ms` passed first.
    fn wait_successor_wanted(&self, py: Python<'_>, timeout_ms: u64) -> bool {
        py.detach(|| {
            let wanted = self.successor_wanted.lock().unwrap_or_else(PoisonError::into_inner);
            let timeout = Duration::from_millis(timeout_ms);
            let waited = self.successor_changed.wait_timeout_while(wanted, timeout, |wanted| !*wanted);
            !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
        })
    }

    /// Begins to keep what `audit` needs; false if the book is not live. Ask the venue for its book after this.
    fn begin_audit(&self, py: Python<'_>) -> bool {
        // The feed may hold the market for as long as a whole snapshot takes.
        py.detach(|| self.succession.with_market(Market::begin_audit))
    }

    /// Compares the body of a request for the book with the live one, at the same version, the best 100 levels a side.
    ///
    /// "agrees"; "diverged": another level stands there, and the book is unsynced; "waiting": newer than the stream, ask
    /// again soon; "too_old": begin again; "unsynced": not live; "refused": no snapshot (see `last_refusal`).
    fn audit(&self, py: Python<'_>, body: &[u8]) -> &'static str {
        let audit = |market: &mut Market| {
            let audit = market.audit(body);
            if matches!(audit, Ok(Audit::Diverged { .. })) {
                self.recorded.diverged();
            }
            audit
        };
        let audited = || {
            let _until_recorded = self.recorded.in_order();
            self.succession.with_market(audit)
        };
        py.detach(|| match audited() {
            Ok(audit) => audit.word(),
            Err(error) => {
                self.note_refusal(error);
                "refused"
            }
        })
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

    /// The venue's last trades, at most 1,024, oldest first, as `(price, quantity, side)`: amounts × 10⁻⁸, and "buy" or
    /// "sell", what the taker did.
    fn trades(&self) -> Vec<(i64, i64, &'static str)> {
        let mut found = Vec::new();
        self.published.trades.read_since(0, &mut found);
        let side = |trade: &Trade| if trade.buyer_is_maker { "sell" } else { "buy" };
        found.iter().map(|trade| (trade.price.0, trade.quantity.0, side(trade))).collect()
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

    /// How many requests of ours the venue has refused on any connection, and its words on those behind the first `known`:
    /// at most the last 8, oldest first, each a line of at most 201 characters.
    #[pyo3(signature = (known = 0))]
    fn denials(&self, known: u64) -> (u64, Vec<String>) {
        self.denials.since(known)
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
