//! A true market whose frames reach ours through a bad connection: lost, doubled, late, cut, crossed, with snapshots from
//! any moment, new connections, ids that begin anew, audits and hand-overs, for every way in which frames join.
//!
//! The twin is the truth itself, two maps and the state at every step: a live book equals one of its states, the one
//! its ids name, and its top that of this state or of a later one. A book that got every frame in order must be live. `SEED=n FUZZ=1` repeats an input.

#[path = "fuzz/dice.rs"]
mod dice;
#[path = "fuzz/truth.rs"]
mod truth;

use std::collections::HashMap;
use std::sync::Arc;

use dice::Dice;
use engine::market::{Applied, Audit, Market, SnapshotOutcome};
use engine::view::Published;
use engine::wake::{CrossWatch, Signal};
use engine::wire::{Snapshots, Venue};
use truth::{Dialect, Sent, Side, State, Truth};

const USUAL: u64 = 400;
const STEPS: usize = 60;
/// No machine has just been started.
const BEGUN_NS: i64 = 1_000_000_000_000;

fn published() -> Arc<Published> {
    Arc::new(Published::new(Arc::new(CrossWatch::new(Arc::new(Signal::default())))))
}

/// One of our markets on a connection of its own.
struct Ours {
    market: Market,
    /// The state that its newest applied frame leads to, where ids do not name it.
    shown: usize,
    /// The state of the newest frame that reached it; the next one in order follows it.
    reached: Option<usize>,
}

impl Ours {
    fn new(dialect: Dialect) -> Ours {
        let symbol = match dialect.venue() {
            Venue::Okx => "BTC-USDT",
            Venue::Coinbase => "BTC-USD",
            _ => "BTCUSDT",
        };
        Ours { market: Market::new(dialect.venue(), symbol, published()), shown: 0, reached: None }
    }

    fn take(&mut self, sent: &Sent, now: i64) -> Applied {
        let applied = self.market.apply(sent.bytes.as_bytes(), now);
        if matches!(applied, Applied::Depth | Applied::Snapshot) {
            self.shown = sent.state;
        }
        applied
    }
}

/// Everything of one input.
struct World {
    truth: Truth,
    ours: Ours,
    sent: Vec<Sent>,
    now: i64,
    /// Where the newest count begins, if the market cannot know of it: it was not live in the count before that on this
    /// connection, and the frame that told was lost. Until it shows a top of it, one of an old count may look newer.
    hidden: Option<usize>,
    /// The state that the book showed when it was live last on this connection.
    last_live: Option<usize>,
    /// It could not know of such a count, on this connection: what its age tells is of the old one.
    misled: bool,
    /// The state of the newest top that readers saw of a live book, on this connection.
    seen: Option<usize>,
    /// How often the book was live at the end of a step.
    lived: u64,
}

impl World {
    fn new(dialect: Dialect) -> World {
        let (truth, ours) = (Truth::new(dialect), Ours::new(dialect));
        let (hidden, last_live, seen) = (None, None, None);
        World { truth, ours, sent: vec![], now: BEGUN_NS, hidden, last_live, misled: false, seen, lived: 0 }
    }

    /// A frame in order: a live book that had everything before it must stay live.
    fn deliver(&mut self, sent: Sent, before: usize) {
        let live = self.ours.market.is_live() && self.ours.reached == Some(before);
        let applied = self.ours.take(&sent, self.now);
        assert!(!live || self.ours.market.is_live(), "a frame in order ended a live book: {applied:?}\n{}", sent.bytes);
        let (top, book) = (self.ours.market.top(), self.ours.market.book());
        let fresh = self.misled || top.recv_ns == self.now || top.update_id > book.version();
        assert!(!live || fresh, "a frame in order left a live book as old as it was: {applied:?}\n{}", sent.bytes);
        self.ours.reached = Some(sent.state);
        self.sent.push(sent);
    }

    fn restart(&mut self) {
        self.ours.market.disconnected();
        assert!(!self.ours.market.is_live(), "live without a connection");
        self.ours.reached = None;
        self.truth.sequence = 0;
        self.truth.told = self.truth.states.len() - 1;
        (self.hidden, self.last_live, self.misled, self.seen) = (None, None, false, None);
        self.sent.clear();
    }

    fn snapshot(&mut self, dice: &mut Dice) {
        let dialect = self.truth.dialect;
        let streams = dialect.venue().snapshots() == Snapshots::Streamed;
        if streams || dialect == Dialect::OkxChecksum || dialect == Dialect::OkxLinked && dice.once_in(3) {
            let sent = self.truth.whole();
            let applied = self.ours.take(&sent, self.now);
            assert!(self.ours.market.is_live(), "a whole book is live: {applied:?}\n{}", sent.bytes);
            self.ours.reached = Some(sent.state);
            return self.sent.push(sent);
        }
        let newest = self.truth.states.len() - 1;
        let back = if dice.once_in(2) { 0 } else { dice.below(12) };
        let body = self.truth.body(newest.saturating_sub(back), false);
        let outcome = self.ours.market.offer_snapshot(body.as_bytes());
        assert!(!matches!(outcome, SnapshotOutcome::Refused(_)), "{outcome:?}: {body}");
    }

    fn fault(&mut self, dice: &mut Dice) {
        self.truth.step(dice);
        let crossing = dice.once_in(4);
        if self.last_live.is_none_or(|state| self.truth.counts_begun(state) > 1) {
            self.hidden = self.truth.new_count().or(self.hidden);
            self.misled |= self.hidden.is_some();
        }
        let sent = self.truth.frame(crossing);
        if crossing {
            let applied = self.ours.market.apply(sent.bytes.as_bytes(), self.now);
            assert!(!matches!(applied, Applied::Depth), "a crossed frame was applied");
            self.ours.reached = None;
            // What was kept of it would cross every snapshot to come.
            self.restart();
            return;
        }
        match dice.below(3) {
            0 => {}
            1 => {
                let cut = dice.below(sent.bytes.len());
                let applied = self.ours.market.apply(&sent.bytes.as_bytes()[..cut], self.now);
                assert!(matches!(applied, Applied::Refused(_)), "{applied:?}");
            }
            _ => {
                self.truth.step(dice);
                let early = self.truth.frame(false);
                self.ours.take(&early, self.now);
                self.ours.take(&sent, self.now);
                self.sent.extend([sent, early]);
            }
        }
        self.ours.reached = None;
    }

    fn audit(&mut self, dice: &mut Dice) {
        if matches!(self.truth.dialect, Dialect::OkxChecksum | Dialect::Coinbase) {
            return;
        }
        let begun = self.ours.market.begin_audit();
        assert_eq!(begun, self.ours.market.is_live());
        for _ in 0..dice.below(4) {
            self.in_order(dice);
        }
        let wrong = dice.once_in(4);
        let newest = self.truth.told;
        let state = if wrong { newest } else { newest.saturating_sub(dice.below(4)) };
        let whole = self.ours.reached == Some(newest);
        let audit = self.ours.market.audit(self.truth.body(state, wrong).as_bytes()).expect("a snapshot");
        assert!(wrong || !matches!(audit, Audit::Diverged { .. }), "two right books differ: {audit:?}");
        if wrong && begun && whole && self.ours.market.is_live() {
            assert!(!matches!(audit, Audit::Agrees { .. }), "a wrong book agrees");
        }
    }

    fn in_order(&mut self, dice: &mut Dice) {
        let before = self.truth.told;
        for _ in 0..1 + dice.below(3) {
            self.truth.step(dice);
            // Only Binance joins ids of several steps in one frame.
            if self.truth.dialect != Dialect::Binance {
                break;
            }
        }
        if self.truth.dialect == Dialect::Coinbase && dice.once_in(4) {
            let bytes = self.truth.numbered("heartbeats", "{}");
            self.ours.market.apply(bytes.as_bytes(), self.now);
        }
        let sent = self.truth.frame(false);
        if dice.once_in(4) {
            self.top(dice); // it overtakes the frame
        }
        self.deliver(sent, before);
    }

    /// The best prices come as they are, ahead of the frame that holds them.
    fn top(&mut self, dice: &mut Dice) {
        self.truth.step(dice);
        if let Some(bytes) = self.truth.top() {
            let applied = self.ours.market.apply(bytes.as_bytes(), self.now);
            assert!(matches!(applied, Applied::Top | Applied::Ignored(_)), "{applied:?}\n{bytes}");
        }
    }

    /// Another connection that has the book whole takes over; what the first had does not matter any more.
    fn take_over(&mut self) {
        let dialect = self.truth.dialect;
        let mut heir = self.ours.market.sibling(published());
        if dialect.venue().snapshots() == Snapshots::Fetched && dialect != Dialect::OkxChecksum {
            return;
        }
        self.truth.sequence = 0;
        let sent = self.truth.whole();
        heir.apply(sent.bytes.as_bytes(), self.now);
        assert!(heir.is_live());
        self.ours.market.take_over(&mut heir);
        self.seen = None;
        (self.ours.shown, self.ours.reached) = (sent.state, Some(sent.state));
        self.sent = vec![sent];
    }

    fn again(&mut self, dice: &mut Dice) {
        if self.sent.is_empty() {
            return;
        }
        let old = dice.pick(&self.sent).clone();
        let live = self.ours.market.is_live();
        let before = self.ours.shown;
        let applied = self.ours.take(&old, self.now);
        if live != self.ours.market.is_live() || before != self.ours.shown || matches!(applied, Applied::Snapshot) {
            self.ours.reached = None;
        }
        if matches!(applied, Applied::Snapshot) {
            self.seen = None;
        }
    }

    /// A live book is the truth at the state that it names.
    fn judge(&mut self, by_id: &mut HashMap<u64, usize>) {
        let (states, market) = (&self.truth.states, &self.ours.market);
        let key = |state: &State| if self.truth.dialect == Dialect::Bybit { state.seq } else { state.id };
        for (index, state) in states.iter().enumerate().skip(by_id.len()) {
            by_id.insert(key(state), index);
        }
        if !market.is_live() {
            assert_eq!((market.book().bids().len(), market.book().asks().len()), (0, 0), "levels without trust");
            self.seen = None;
            return;
        }
        self.lived += 1;
        let named = match self.truth.dialect {
            Dialect::OkxChecksum | Dialect::Coinbase => Some(self.ours.shown),
            Dialect::Bybit => by_id.get(&market.book().version()).copied(),
            _ => by_id.get(&market.book().update_id()).copied(),
        };
        let named = named.expect("a state that the venue had");
        self.last_live = Some(named);
        let state = &states[named];
        let side = |levels: Vec<(i64, i64)>| levels.into_iter().collect::<Side>();
        let level = |level: engine::view::Level| (level.price.0 / 10_000_000, level.quantity.0 / 100_000_000);
        let (bids, asks) =
            (side(market.book().bids().map(level).collect()), side(market.book().asks().map(level).collect()));
        assert_eq!((&bids, &asks), (&state.bids, &state.asks), "the live book differs from the truth at {}", state.id);
        let top = market.top();
        let at = match self.truth.dialect {
            Dialect::OkxChecksum | Dialect::Coinbase => named,
            _ => by_id[&top.update_id],
        };
        self.hidden = self.hidden.filter(|&begins| at < begins);
        if self.hidden.is_some_and(|begins| begins <= named) {
            return;
        }
        assert!(at >= named, "the top is older than its book");
        assert!(self.seen.is_none_or(|seen| seen <= at), "readers of a live book went back: {:?} to {at}", self.seen);
        // Without ids an old frame that changes nothing cannot be told from the next.
        self.seen = (self.truth.dialect != Dialect::OkxChecksum).then_some(at);
        let best = (states[at].bids.last_key_value(), states[at].asks.first_key_value());
        let ((bid, bid_size), (ask, ask_size)) = (level(top.bid), level(top.ask));
        assert_eq!((Some((&bid, &bid_size)), Some((&ask, &ask_size))), best, "the top differs from the truth");
    }

    fn one(&mut self, dice: &mut Dice) {
        self.now += if dice.once_in(9) { 700_000_000 } else { 1_000_000 };
        match dice.below(20) {
            0 | 1 => self.fault(dice),
            2..=5 if !self.ours.market.is_live() => self.snapshot(dice),
            2 => self.again(dice),
            3 => self.audit(dice),
            4 if dice.once_in(3) => self.restart(),
            5 if dice.once_in(3) => self.take_over(),
            6 if dice.once_in(3) => self.snapshot(dice),
            7 | 8 => self.top(dice),
            _ => self.in_order(dice),
        }
    }
}

fn fuzz(dialect: Dialect) {
    let (mut lived, mut steps) = (0, 0);
    dice::run(&format!("{dialect:?}"), USUAL, |seed| {
        let (mut dice, mut world, mut by_id) = (Dice::new(seed), World::new(dialect), HashMap::new());
        let told = format!("{dialect:?}, seed {seed}");
        let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..STEPS {
                world.one(&mut dice);
                world.judge(&mut by_id);
            }
        }));
        assert!(judged.is_ok(), "{told}");
        (lived, steps) = (lived + world.lived, steps + STEPS as u64);
    });
    assert!(lived > steps / 10, "{dialect:?} was live after {lived} of {steps} steps");
}

macro_rules! dialects {
    ($($dialect:ident $name:ident),+ $(,)?) => { $(
        #[test]
        fn $name() {
            fuzz(Dialect::$dialect);
        }
    )+ };
}

dialects! {
    Binance a_live_book_of_overlapping_frames_is_the_truth,
    Usdm a_live_book_of_frames_that_name_the_one_before_is_the_truth,
    OkxLinked a_live_book_whose_ids_may_begin_anew_is_the_truth,
    OkxChecksum a_live_book_with_nothing_but_checksums_is_the_truth,
    Bybit a_live_book_of_streamed_snapshots_is_the_truth,
    Coinbase a_live_book_of_numbered_messages_is_the_truth,
}
