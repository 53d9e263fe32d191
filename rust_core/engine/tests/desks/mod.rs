//! A shared desk on a small, still market, and a dull check of what it wrote.
#![allow(dead_code)] // each test file takes what it needs

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use engine::desk::{
    Accepted, Desk, Event, Execution, Health, Opened, OrderRequest, Profile, Report, SharedDesk, Stamped, Started, Tif,
    Trade,
};
use engine::published::Published;
use engine::risk::{Assets, Instrument, Limits, Rate};
use engine::units::{E8, Money, Now, Price, Qty, SECOND_NS, Side};
use engine::view::{Level, Sync, TopOfBook};
use engine::wake::{CrossWatch, Signal};

/// When the desks begin.
pub const NOW: Now = Now { mono_ns: 1, utc_ns: 1 };

/// The same moment on both clocks.
pub fn at(ns: i64) -> Now {
    Now { mono_ns: ns, utc_ns: ns }
}

/// Virtual time that threads share.
pub struct Clock(AtomicI64);

impl Clock {
    /// A clock that shows [`NOW`].
    pub fn new() -> Clock {
        Clock(AtomicI64::new(NOW.mono_ns))
    }

    /// The time that it shows.
    pub fn now(&self) -> Now {
        at(self.0.load(Ordering::Relaxed))
    }

    /// Moves it on; the time that it shows then.
    pub fn later(&self, by_ns: i64) -> Now {
        at(self.0.fetch_add(by_ns, Ordering::Relaxed) + by_ns)
    }
}

/// Limits of 5 BTC and 50,000 USDT on a book that never becomes stale; the rest is as loose as it goes.
pub fn limits(orders_per_second: u32) -> Limits {
    let usdt = |amount: i128| Money(amount * i128::from(E8) * i128::from(E8));
    let (order_notional, position) = (usdt(50_000), Qty(5 * E8));
    Limits { order_notional, position, orders_per_second, stale_after_ns: i64::MAX, ..Limits::caps() }
}

/// Filters that let anything pass.
pub const INSTRUMENT: Instrument = Instrument {
    tick: Price(1),
    step: Qty(1),
    min_quantity: Qty(1),
    max_quantity: Qty(100 * E8),
    min_notional: Money(1),
};

/// 100 BTC at 10 and at 11, received at the beginning.
pub fn published() -> Arc<Published> {
    let published = Arc::new(Published::new(Arc::new(CrossWatch::new(Arc::new(Signal::default())))));
    let level = |price: i64| Level { price: Price(price * E8), quantity: Qty(100 * E8) };
    let (bid, ask) = (level(10), level(11));
    let top = TopOfBook { bid, ask, update_id: 1, recv_ns: 1, sync: Sync::Live, ..TopOfBook::default() };
    published.write(&top, 1, [bid].into_iter(), [ask].into_iter());
    published
}

/// A desk of these limits that has written nothing yet.
pub fn unopened(limits: Limits) -> Desk {
    Desk::new(limits, INSTRUMENT, Rate(0), Health::default())
}

/// A started desk of these limits.
pub fn desk_of(limits: Limits) -> Arc<SharedDesk> {
    let desk = SharedDesk::new(unopened(limits), published());
    let assets = Assets { base: "BTC".into(), quote: "USDT".into() };
    let profile = Profile { execution: "simulated".into(), venue: "x".into(), symbol: "y".into(), assets };
    let started = Started { build: "test".into(), seed: 1, limits, instrument: INSTRUMENT, memory: false };
    desk.start(Opened { version: 1, profile }, started, false, NOW).expect("a new journal");
    Arc::new(desk)
}

/// A started desk that accepts so many orders a second.
pub fn desk(orders_per_second: u32) -> Arc<SharedDesk> {
    desk_of(limits(orders_per_second))
}

/// A market order.
pub fn order(side: Side, quantity: i64) -> OrderRequest {
    OrderRequest { side, quantity: Qty(quantity), limit: None, tif: Tif::Ioc, reduce: false, client_id: None }
}

/// The report that fills `quantity` of an order at the bid, for sells and buys alike: nobody loses.
pub fn fill(order: u64, side: Side, quantity: Qty) -> Report {
    let (bid, ask) = (Price(10 * E8), Price(11 * E8));
    let price = bid;
    let trades = vec![Trade { price, quantity, fee: Money(0), id: None }];
    let (order, level_cost) = (Some(order), price.times(quantity));
    Report::Filled(Execution { order, side, trades, level_cost, bid, ask, maker: false, delay_ns: 1 })
}

/// A number of the environment, for tests that `make soak` makes longer.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Numbers that look random and are the same for the same seed (SplitMix64).
pub struct Dice(u64);

impl Dice {
    /// Dice of a seed.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// What the log says of an order without an end.
#[derive(Debug)]
struct Open {
    side: Side,
    left: i64,
    reduce: bool,
    /// The newest event when the journal said that the order's intent is durable.
    durable_after: Option<u64>,
    released: bool,
}

/// Reads a log once, in its order, and panics at the first event that breaks a rule. Shares no code with the desk.
#[derive(Debug, Default)]
pub struct Audit {
    /// Number of the newest event read.
    pub seq: u64,
    /// Orders accepted, released, and ended or filled.
    pub accepted: u64,
    pub released: u64,
    pub ended: u64,
    pub refused: u64,
    pub halts: u64,
    position: i64,
    limit: i64,
    per_second: usize,
    newest_ns: i64,
    stamps: VecDeque<i64>,
    open: HashMap<u64, Open>,
    reserved: [i64; 2],
    halted: bool,
}

fn index(side: Side) -> usize {
    usize::from(side == Side::Sell)
}

impl Audit {
    /// An audit of a log from its first event on.
    pub fn new(limits: &Limits) -> Audit {
        Audit { limit: limits.position.0, per_second: limits.orders_per_second as usize, ..Audit::default() }
    }

    /// Reads the next event.
    pub fn read(&mut self, stamped: &Stamped) {
        assert_eq!(stamped.seq, self.seq + 1, "a gap in the log");
        assert!(stamped.now.mono_ns >= self.newest_ns, "event {} is older than the one before", stamped.seq);
        (self.seq, self.newest_ns) = (stamped.seq, stamped.now.mono_ns);
        match &stamped.event {
            Event::Accepted(accepted) => self.accept(accepted),
            Event::Refused(_) => self.refused += 1,
            Event::Released { order } => self.release(*order),
            Event::Filled(filled) => self.fill(filled.order, filled.filled.0, filled.done),
            Event::Ended(ended) => self.end(ended.order),
            Event::Resting(rested) => assert!(self.open[&rested.order].released, "rests without having left"),
            Event::CancelRequested { order, .. } => assert!(self.open.contains_key(order), "cancels what ended"),
            Event::Halted(_) => {
                assert!(!std::mem::replace(&mut self.halted, true), "halted twice");
                self.halts += 1;
            }
            Event::Resumed {} => assert!(std::mem::replace(&mut self.halted, false), "resumed without a halt"),
            _ => {}
        }
        let [buys, sells] = self.reserved;
        assert!(self.position + buys <= self.limit, "event {}: {} long and {buys} open", self.seq, self.position);
        assert!(self.position - sells >= -self.limit, "event {}: {} and {sells} open", self.seq, self.position);
    }

    /// The journal is about to say that all read so far is durable, when the desk's newest event is `newest`.
    pub fn commit(&mut self, newest: u64) {
        let fresh = self.open.values_mut().filter(|open| open.durable_after.is_none());
        fresh.for_each(|open| open.durable_after = Some(newest));
    }

    /// True when no order is open.
    pub fn all_ended(&self) -> bool {
        self.open.is_empty()
    }

    /// Panics unless every order ended and nothing is reserved.
    pub fn finish(&self) {
        assert!(self.open.is_empty() && self.reserved == [0, 0], "left open: {:?} {:?}", self.open, self.reserved);
    }

    fn accept(&mut self, accepted: &Accepted) {
        assert!(!self.halted || accepted.request.reduce, "order {} accepted in a halt", accepted.order);
        self.accepted += 1;
        assert_eq!(accepted.order, self.accepted, "an order's number is not the next");
        while self.stamps.front().is_some_and(|&stamp| stamp <= self.newest_ns - SECOND_NS) {
            self.stamps.pop_front();
        }
        self.stamps.push_back(self.newest_ns);
        assert!(self.stamps.len() <= self.per_second, "{} orders in a second", self.stamps.len());
        let OrderRequest { side, quantity, reduce, .. } = accepted.request;
        self.reserved[index(side)] += quantity.0;
        let open = Open { side, left: quantity.0, reduce, durable_after: None, released: false };
        self.open.insert(accepted.order, open);
    }

    fn release(&mut self, order: u64) {
        self.released += 1;
        let open = self.open.get_mut(&order).unwrap_or_else(|| panic!("order {order} left after its end"));
        assert!(!std::mem::replace(&mut open.released, true), "order {order} left twice");
        let durable_after = open.durable_after.unwrap_or_else(|| panic!("order {order} left before its commit"));
        assert!(self.seq > durable_after, "order {order} left before its commit");
        let closes = self.position * open.side.sign() < 0;
        let reduces = open.reduce && closes && self.reserved[index(open.side)] <= self.position.abs();
        assert!(!self.halted || reduces, "order {order} left in a halt");
    }

    fn fill(&mut self, order: u64, quantity: i64, done: bool) {
        let open = self.open.get_mut(&order).unwrap_or_else(|| panic!("order {order} was filled after its end"));
        assert!(open.released && quantity > 0 && quantity <= open.left, "fill of {quantity}: {open:?}");
        open.left -= quantity;
        self.position += open.side.sign() * quantity;
        self.reserved[index(open.side)] -= quantity;
        assert_eq!(done, open.left == 0);
        if done {
            self.end(order);
        }
    }

    fn end(&mut self, order: u64) {
        let open = self.open.remove(&order).unwrap_or_else(|| panic!("order {order} ended twice"));
        self.reserved[index(open.side)] -= open.left;
        self.ended += 1;
    }
}
