//! A true market whose frames reach ours through a bad connection: lost, doubled, late, cut, crossed, with snapshots from
//! any moment, new connections, ids that begin anew, audits and hand-overs, for every way in which frames join.
//!
//! The twin is the truth itself, two maps and the state at every step: a live book equals one of its states, the one
//! its ids name, and its top that of this state or of a later one. A book that got every frame in order must be live. `SEED=n FUZZ=1` repeats an input.

#[path = "fuzz/dice.rs"]
mod dice;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use dice::Dice;
use engine::market::{Applied, Audit, Market, SnapshotOutcome};
use engine::view::Published;
use engine::wake::{CrossWatch, Signal};
use engine::wire::{Snapshots, Venue};

const USUAL: u64 = 400;
const STEPS: usize = 60;
/// Bids end below this tick, asks begin at it; a tick is 0.1.
const MIDDLE: i64 = 1_013;

type Side = BTreeMap<i64, i64>;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Dialect {
    Binance,
    Usdm,
    OkxLinked,
    OkxChecksum,
    Bybit,
    Coinbase,
}

impl Dialect {
    fn venue(self) -> Venue {
        match self {
            Dialect::Binance => Venue::Binance,
            Dialect::Usdm => Venue::BinanceUsdm,
            Dialect::OkxLinked | Dialect::OkxChecksum => Venue::Okx,
            Dialect::Bybit => Venue::Bybit,
            Dialect::Coinbase => Venue::Coinbase,
        }
    }
}

#[derive(Debug, Clone, Default)]
struct State {
    id: u64,
    seq: u64,
    bids: Side,
    asks: Side,
}

/// One frame as sent; `state` is where it leads.
#[derive(Debug, Clone)]
struct Sent {
    bytes: String,
    state: usize,
}

/// The venue: every state so far, and the numbers of its connection.
struct Truth {
    dialect: Dialect,
    states: Vec<State>,
    /// The state that the next frame follows.
    told: usize,
    sequence: u64,
    /// Where ids begin when they begin anew: never twice the same.
    anew: u64,
}

fn published() -> Arc<Published> {
    Arc::new(Published::new(Arc::new(CrossWatch::new(Arc::new(Signal::default())))))
}

/// CRC32 (IEEE), bit by bit.
fn crc32(text: &str) -> i32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    !text.bytes().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(byte), step)) as i32
}

fn price(ticks: i64) -> String {
    if ticks % 10 == 0 { (ticks / 10).to_string() } else { format!("{}.{}", ticks / 10, ticks % 10) }
}

fn rows<'a>(levels: impl Iterator<Item = (&'a i64, &'a i64)>, rest: &str) -> String {
    let rows: Vec<String> = levels.map(|(&ticks, size)| format!("[\"{}\",\"{size}\"{rest}]", price(ticks))).collect();
    format!("[{}]", rows.join(","))
}

impl State {
    fn checksum(&self) -> i32 {
        let (mut bids, mut asks) = (self.bids.iter().rev(), self.asks.iter());
        let mut words = Vec::new();
        for _ in 0..25 {
            let pair = [bids.next(), asks.next()];
            words.extend(pair.into_iter().flatten().map(|(&ticks, size)| format!("{}:{size}", price(ticks))));
        }
        crc32(&words.join(":"))
    }
}

/// What must be sent to come from one side to the other: absolute sizes, 0 removes.
fn changes(from: &Side, to: &Side) -> Side {
    let gone = from.keys().filter(|ticks| !to.contains_key(ticks)).map(|&ticks| (ticks, 0));
    let new = to.iter().filter(|(ticks, size)| from.get(ticks) != Some(size)).map(|(&ticks, &size)| (ticks, size));
    gone.chain(new).collect()
}

impl Truth {
    fn new(dialect: Dialect) -> Truth {
        let first = State { id: 5_000_000, seq: 1, bids: Side::from([(1_000, 1)]), asks: Side::from([(1_025, 1)]) };
        Truth { dialect, states: vec![first], told: 0, sequence: 0, anew: 4_000_000 }
    }

    fn last(&self) -> &State {
        self.states.last().expect("a first state")
    }

    /// The market moves: one id of the venue.
    fn step(&mut self, dice: &mut Dice) {
        let mut next = self.last().clone();
        for _ in 0..dice.below(4) {
            let ticks = 1_001 + dice.below(24) as i64;
            let side = if ticks < MIDDLE { &mut next.bids } else { &mut next.asks };
            match dice.below(3) {
                0 => drop(side.remove(&ticks)),
                _ => drop(side.insert(ticks, 1 + dice.below(9) as i64)),
            }
        }
        next.seq += 1 + dice.below(3) as u64;
        next.id += match self.dialect {
            Dialect::Binance | Dialect::Bybit => 1,
            _ => 1 + dice.below(9) as u64,
        };
        if self.dialect == Dialect::OkxLinked && dice.once_in(60) {
            self.anew -= 100_000;
            next.id = self.anew;
        }
        self.states.push(next);
    }

    /// The frame from what was told last to now; `crossing` adds a bid above every ask.
    fn frame(&mut self, crossing: bool) -> Sent {
        let (from, to) = (self.states[self.told].clone(), self.last().clone());
        let (mut bids, mut asks) = (Side::new(), Side::new());
        // A level that changed and changed back is in the frame too.
        for pair in self.states[self.told..].windows(2) {
            bids.extend(changes(&pair[0].bids, &pair[1].bids));
            asks.extend(changes(&pair[0].asks, &pair[1].asks));
        }
        if crossing {
            bids.insert(1_030, 1);
        }
        self.told = self.states.len() - 1;
        let bytes = self.render(&from, &to, (&bids, &asks), false);
        Sent { bytes, state: self.told }
    }

    /// A snapshot on the stream.
    fn whole(&mut self) -> Sent {
        let now = self.last().clone();
        self.told = self.states.len() - 1;
        let bytes = self.render(&now, &now, (&now.bids, &now.asks), true);
        Sent { bytes, state: self.told }
    }

    fn render(&mut self, from: &State, to: &State, (bids, asks): (&Side, &Side), whole: bool) -> String {
        let okx = self.dialect.venue() == Venue::Okx;
        let rest = if okx { ",\"0\",\"1\"" } else { "" };
        let (b, a) = (rows(bids.iter().rev(), rest), rows(asks.iter(), rest));
        match self.dialect {
            Dialect::Binance | Dialect::Usdm => {
                let first = from.id + 1;
                let ids = format!(r#""U":{first},"u":{},"pu":{}"#, to.id, from.id);
                format!(r#"{{"e":"depthUpdate","E":1,"s":"BTCUSDT",{ids},"b":{b},"a":{a}}}"#)
            }
            Dialect::OkxLinked | Dialect::OkxChecksum => {
                let previous = if whole { "-1".to_owned() } else { from.id.to_string() };
                let ids = match self.dialect {
                    Dialect::OkxLinked => format!(r#""prevSeqId":{previous},"seqId":{}"#, to.id),
                    _ => format!(r#""checksum":{}"#, to.checksum()),
                };
                let action = if whole { "snapshot" } else { "update" };
                let arg = r#"{"channel":"books","instId":"BTC-USDT"}"#;
                format!(r#"{{"arg":{arg},"action":"{action}","data":[{{"asks":{a},"bids":{b},"ts":"1",{ids}}}]}}"#)
            }
            Dialect::Bybit => {
                self.sequence += 1;
                let kind = if whole { "snapshot" } else { "delta" };
                let ids = format!(r#""u":{},"seq":{}"#, self.sequence + 1, to.seq);
                let data = format!(r#"{{"s":"BTCUSDT","b":{b},"a":{a},{ids}}}"#);
                format!(r#"{{"topic":"orderbook.200.BTCUSDT","ts":1,"type":"{kind}","data":{data},"cts":1}}"#)
            }
            Dialect::Coinbase => self.coinbase(bids, asks, whole),
        }
    }

    fn coinbase(&mut self, bids: &Side, asks: &Side, whole: bool) -> String {
        let row = |side: &str, (&ticks, size): (&i64, &i64)| {
            format!(r#"{{"side":"{side}","price_level":"{}","new_quantity":"{size}"}}"#, price(ticks))
        };
        let bids = bids.iter().map(|level| row("bid", level));
        let updates: Vec<String> = bids.chain(asks.iter().map(|level| row("offer", level))).collect();
        let kind = if whole { "snapshot" } else { "update" };
        let event = format!(r#"{{"type":"{kind}","product_id":"BTC-USD","updates":[{}]}}"#, updates.join(","));
        self.numbered("l2_data", &event)
    }

    /// A message of Coinbase with the connection's next number.
    fn numbered(&mut self, channel: &str, event: &str) -> String {
        self.sequence += 1;
        format!(r#"{{"channel":"{channel}","sequence_num":{},"events":[{event}]}}"#, self.sequence - 1)
    }

    /// The best prices now, where the venue has a stream of them with ids.
    fn top(&self) -> Option<String> {
        let State { id, seq, bids, asks } = self.last();
        let best = |side: Option<(&i64, &i64)>| side.map(|(&ticks, size)| (price(ticks), *size)).expect("never empty");
        let ((bid, bid_size), (ask, ask_size)) = (best(bids.last_key_value()), best(asks.first_key_value()));
        let row =
            |rest: &str| (format!(r#"[["{bid}","{bid_size}"{rest}]]"#), format!(r#"[["{ask}","{ask_size}"{rest}]]"#));
        match self.dialect {
            Dialect::OkxChecksum | Dialect::Coinbase => None,
            Dialect::Binance | Dialect::Usdm => {
                let sides = format!(r#""b":"{bid}","B":"{bid_size}","a":"{ask}","A":"{ask_size}""#);
                Some(format!(r#"{{"e":"bookTicker","u":{id},"s":"BTCUSDT",{sides},"T":1,"E":1}}"#))
            }
            Dialect::OkxLinked => {
                let (arg, (b, a)) = (r#"{"channel":"bbo-tbt","instId":"BTC-USDT"}"#, row(r#","0","1""#));
                Some(format!(r#"{{"arg":{arg},"data":[{{"asks":{a},"bids":{b},"ts":"1","seqId":{id}}}]}}"#))
            }
            Dialect::Bybit => {
                let (b, a) = row("");
                let data = format!(r#"{{"s":"BTCUSDT","b":{b},"a":{a},"u":{seq},"seq":{seq}}}"#);
                Some(format!(r#"{{"topic":"orderbook.1.BTCUSDT","ts":1,"type":"snapshot","data":{data},"cts":1}}"#))
            }
        }
    }

    /// The fetched book at a state; `wrong` changes its best bid.
    fn body(&self, state: usize, wrong: bool) -> String {
        let mut state = self.states[state].clone();
        if wrong && let Some(mut best) = state.bids.last_entry() {
            *best.get_mut() += 1;
        }
        let (b, a) = (rows(state.bids.iter().rev(), ""), rows(state.asks.iter(), ""));
        match self.dialect.venue() {
            Venue::Okx => format!(r#"{{"code":"0","data":[{{"asks":{a},"bids":{b},"seqId":{}}}]}}"#, state.id),
            Venue::Bybit => format!(r#"{{"retCode":0,"result":{{"b":{b},"a":{a},"u":1,"seq":{}}}}}"#, state.seq),
            _ => format!(r#"{{"lastUpdateId":{},"bids":{b},"asks":{a}}}"#, state.id),
        }
    }
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
    /// The frame that told of a new count was lost: until a top of that came, an old one may look newer.
    hidden: bool,
    /// How often the book was live at the end of a step.
    lived: u64,
}

impl World {
    fn new(dialect: Dialect) -> World {
        World { truth: Truth::new(dialect), ours: Ours::new(dialect), sent: vec![], now: 0, hidden: false, lived: 0 }
    }

    /// A frame in order: a live book that had everything before it must stay live.
    fn deliver(&mut self, sent: Sent, before: usize) {
        let live = self.ours.market.is_live() && self.ours.reached == Some(before);
        let applied = self.ours.take(&sent, self.now);
        assert!(!live || self.ours.market.is_live(), "a frame in order ended a live book: {applied:?}\n{}", sent.bytes);
        self.ours.reached = Some(sent.state);
        self.sent.push(sent);
    }

    fn restart(&mut self) {
        self.ours.market.disconnected();
        assert!(!self.ours.market.is_live(), "live without a connection");
        self.ours.reached = None;
        self.truth.sequence = 0;
        self.truth.told = self.truth.states.len() - 1;
        self.hidden = false;
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
        self.hidden |= self.truth.states[self.truth.told..].windows(2).any(|pair| pair[1].id < pair[0].id);
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
            return;
        }
        self.lived += 1;
        let named = match self.truth.dialect {
            Dialect::OkxChecksum | Dialect::Coinbase => Some(self.ours.shown),
            Dialect::Bybit => by_id.get(&market.book().version()).copied(),
            _ => by_id.get(&market.book().update_id()).copied(),
        };
        let named = named.expect("a state that the venue had");
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
        if self.hidden && at < named {
            return;
        }
        self.hidden = false;
        assert!(at >= named, "the top is older than its book");
        let best = (states[at].bids.last_key_value(), states[at].asks.first_key_value());
        let ((bid, bid_size), (ask, ask_size)) = (level(top.bid), level(top.ask));
        assert_eq!((Some((&bid, &bid_size)), Some((&ask, &ask_size))), best, "the top differs from the truth");
    }

    fn one(&mut self, dice: &mut Dice) {
        self.now += 1_000_000;
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
