//! The simulated venue against the real desk: whatever the market does, no report contradicts the desk.

use std::sync::Arc;

use engine::desk::{Command, Desk, Event, Health, Opened, OrderRequest, Outcome, Profile, SharedDesk, Started, Tif};
use engine::execution::SimulatedVenue;
use engine::risk::{Assets, Instrument, Limits, Rate, Reason};
use engine::simulate::Rules;
use engine::units::{E8, Money, Now, Price, Qty, SECOND_NS, Side};
use engine::view::{Level, Published, Sync, TopOfBook, Trade};
use engine::wake::{CrossWatch, Signal};
use proptest::prelude::*;

const CENT: i64 = E8 / 100;

struct Floor {
    desk: Arc<SharedDesk>,
    venue: SimulatedVenue,
    published: Arc<Published>,
    update_id: u64,
    events: Vec<Event>,
}

#[derive(Debug, Clone)]
enum Step {
    Order { buy: bool, lots: i64, limit: Option<i64>, gtc: bool, reduce: bool },
    Cancel(u64),
    Top { bid: i64, spread: i64, size: i64 },
    Print { price: i64, size: i64 },
    Mark,
}

fn step() -> impl Strategy<Value = Step> {
    let price = 9_950..10_050_i64;
    let order =
        (any::<bool>(), 1..200_i64, proptest::option::of(price.clone()), any::<bool>(), proptest::bool::weighted(0.2));
    prop_oneof![
        5 => order.prop_map(|(buy, lots, limit, gtc, reduce)| Step::Order { buy, lots, limit, gtc, reduce }),
        1 => (1..40_u64).prop_map(Step::Cancel),
        4 => (price.clone(), 1..4_i64, 1..100_i64).prop_map(|(bid, spread, size)| Step::Top { bid, spread, size }),
        3 => (price, 1..100_i64).prop_map(|(price, size)| Step::Print { price, size }),
        1 => Just(Step::Mark),
    ]
}

fn at(ns: i64) -> Now {
    Now { mono_ns: ns, utc_ns: ns }
}

impl Floor {
    fn new(slippage: i64) -> Floor {
        let watch = Arc::new(CrossWatch::new(Arc::new(Signal::default())));
        let published = Arc::new(Published::new(watch.clone()));
        let usdt = |amount: i128| Money(amount * i128::from(E8) * i128::from(E8));
        let limits = Limits {
            order_notional: usdt(50_000),
            position: Qty(5 * E8),
            orders_per_second: 50,
            daily_loss: usdt(50),
            ..Limits::caps()
        };
        let (tick, step) = (Price(CENT), Qty(E8 / 1_000));
        let instrument =
            Instrument { tick, step, min_quantity: step, max_quantity: Qty(90 * E8), min_notional: Money(1) };
        let desk = Arc::new(SharedDesk::new(
            Desk::new(limits, instrument, Rate(slippage), Health::default()),
            published.clone(),
        ));
        let assets = Assets { base: "BTC".into(), quote: "USDT".into() };
        let profile = Profile { execution: "simulated".into(), venue: "x".into(), symbol: "y".into(), assets };
        let started = Started { build: "test".into(), seed: 1, limits, instrument, memory: false };
        desk.start(Opened { version: 1, profile }, started, false, at(1)).expect("a new journal");
        let rules = Rules {
            seed: 3,
            min_delay_ns: 10_000_000,
            max_delay_ns: 100_000_000,
            slippage: Rate(slippage),
            taker_fee: Rate(75_000),
            maker_fee: Rate(10_000),
            stale_after_ns: 2 * SECOND_NS,
        };
        let venue = SimulatedVenue::new(rules, desk.clone(), watch);
        Floor { desk, venue, published, update_id: 0, events: Vec::new() }
    }

    fn act(&mut self, step: &Step, now: Now) {
        match *step {
            Step::Order { buy, lots, limit, gtc, reduce } => {
                let side = if buy { Side::Buy } else { Side::Sell };
                let tif = if gtc && limit.is_some() { Tif::Gtc } else { Tif::Ioc };
                let quantity = Qty(lots * E8 / 100);
                let request = OrderRequest {
                    side,
                    quantity,
                    limit: limit.map(|cents| Price(cents * CENT)),
                    tif,
                    reduce,
                    client_id: None,
                };
                self.desk.submit(&request, now);
            }
            Step::Cancel(order) => drop(self.desk.command(&Command::Cancel { order, reason: Reason::User }, now)),
            Step::Top { bid, spread, size } => self.top(bid, spread, size, now),
            Step::Print { price, size } => {
                let (price, quantity) = (Price(price * CENT), Qty(size * E8 / 100));
                self.published.push_trade(&Trade { price, quantity, buyer_is_maker: true, recv_ns: now.mono_ns });
            }
            Step::Mark => self.desk.mark(now),
        }
        self.settle(now);
    }

    fn top(&mut self, bid: i64, spread: i64, size: i64, now: Now) {
        self.update_id += 1;
        let level = |cents: i64| Level { price: Price(cents * CENT), quantity: Qty(size * E8 / 100) };
        let side = |start: i64, step: i64| (0..5).map(move |index| level(start + step * index));
        let (recv_ns, sync) = (now.mono_ns, Sync::Live);
        let (best_bid, best_ask, update_id) = (level(bid), level(bid + spread), self.update_id);
        let top = TopOfBook { bid: best_bid, ask: best_ask, update_id, recv_ns, sync, ..TopOfBook::default() };
        self.published.write(&top, self.update_id, side(bid, -1), side(bid + spread, 1));
    }

    /// Does what the journal thread and the executor do, until nothing more follows.
    fn settle(&mut self, now: Now) {
        loop {
            let stamped = self.desk.next_events(10_000, std::time::Duration::ZERO);
            if let Some(last) = stamped.last() {
                self.desk.committed(last.seq);
            }
            let idle = stamped.is_empty();
            stamped.into_iter().for_each(|stamped| self.route(stamped.event));
            if self.venue.step(now) == 0 && idle {
                return;
            }
        }
    }

    fn route(&mut self, event: Event) {
        match &event {
            Event::Accepted(accepted) => self.venue.submit(accepted.order, accepted.request),
            Event::CancelRequested { order, reason } => self.venue.cancel(*order, *reason),
            _ => {}
        }
        self.events.push(event);
    }
}

proptest! {
    #[test]
    fn every_order_ends_once_and_no_reservation_is_left(
        steps in proptest::collection::vec((step(), 0..150_000_000_i64), 1..80), slippage in 0..200_000_i64,
    ) {
        let mut floor = Floor::new(slippage);
        let mut ns = 1;
        floor.top(10_000, 1, 50, at(ns));
        for (step, pause_ns) in &steps {
            ns += pause_ns;
            floor.act(step, at(ns));
        }
        floor.desk.command(&Command::CancelAll { reason: Reason::SessionEnd }, at(ns));
        floor.settle(at(ns));
        floor.settle(at(ns + SECOND_NS));
        prop_assert!(!floor.desk.faulted());
        let contradicted = |event: &Event| match event {
            Event::Halted(halt) => halt.cause == "EXECUTOR",
            other => matches!(other, Event::Stray(_) | Event::Unknown(_)),
        };
        prop_assert!(!floor.events.iter().any(contradicted));
        prop_assert_eq!(floor.desk.read(|desk, _| desk.duplicates), Some(0));
        let (open, reserved) = floor.desk.read(|desk, _| {
            (desk.state.orders.count(), desk.state.orders.buys.0 + desk.state.orders.sells.0)
        }).expect("no fault");
        prop_assert_eq!((open, reserved), (0, 0));
        let accepted = floor.events.iter().filter(|event| matches!(event, Event::Accepted(_))).count();
        let over = floor.events.iter().filter(|event| match event {
            Event::Filled(filled) => filled.done,
            other => matches!(other, Event::Ended(_)),
        });
        prop_assert_eq!(over.count(), accepted);
    }
}

#[test]
fn a_reduce_order_waits_for_nobody_and_flips_nothing_when_it_is_alone() {
    let mut floor = Floor::new(0);
    floor.top(10_000, 1, 500, at(1));
    let buy =
        OrderRequest { side: Side::Buy, quantity: Qty(E8), limit: None, tif: Tif::Ioc, reduce: false, client_id: None };
    assert!(matches!(floor.desk.submit(&buy, at(1)).0, Outcome::Accepted { .. }));
    floor.settle(at(1));
    floor.settle(at(SECOND_NS));
    let sell = OrderRequest { side: Side::Sell, reduce: true, ..buy };
    assert!(matches!(floor.desk.submit(&sell, at(SECOND_NS)).0, Outcome::Accepted { .. }));
    floor.settle(at(SECOND_NS));
    floor.settle(at(2 * SECOND_NS));
    assert_eq!(floor.desk.read(|desk, _| desk.state.ledger.position), Some(Qty(0)));
}
