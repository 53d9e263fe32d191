//! The rules of the desk, one behaviour per test.

mod contradictions;
mod controls;
mod decisions;
mod figures;
mod lives;
mod lives_twin;
mod loss;
mod overflow;
mod random;
mod receipts;
mod sharing;
mod venue;
mod verdicts;

use super::*;
use crate::risk::Reason;
use crate::units::{DAY_NS, E8, E16, SECOND_NS, Side, parse_e8};
use crate::view::{Level, Sync};

const TICK: Price = Price(E8 / 100);

fn btc(text: &str) -> Qty {
    Qty(parse_e8(text.as_bytes()).expect("a decimal"))
}

fn usdt(text: &str) -> Price {
    Price(parse_e8(text.as_bytes()).expect("a decimal"))
}

fn money(text: &str) -> Money {
    Money(crate::units::parse_decimal(text, 16).expect("a decimal"))
}

fn at(ns: i64) -> Now {
    Now { mono_ns: ns, utc_ns: 1_000 * DAY_NS + ns }
}

fn limits() -> Limits {
    Limits {
        order_notional: money("50000"),
        position: btc("5"),
        orders_per_second: 5,
        daily_loss: money("10000"),
        price_band: Rate(E8 / 20),
        attempts_per_second: 50,
        runaway_refusals: 200,
        repeat_window_ns: 0,
        stale_after_ns: 2 * SECOND_NS,
    }
}

fn instrument() -> Instrument {
    let min_notional = money("5");
    Instrument { tick: TICK, step: Qty(1_000), min_quantity: Qty(1_000), max_quantity: btc("9000"), min_notional }
}

/// A fresh, synchronised book with `size` on each level, at 1-USDT steps from `bid` and `ask`.
fn market(bid: &str, ask: &str, size: &str, recv_ns: i64) -> View {
    let (bid, ask) = (Level { price: usdt(bid), quantity: btc(size) }, Level { price: usdt(ask), quantity: btc(size) });
    let mut view = View::default();
    view.reset(TopOfBook { bid, ask, update_id: 1, recv_ns, sync: Sync::Live, ..TopOfBook::default() });
    for step in 0..20 {
        view.push(Side::Buy, Level { price: Price(ask.price.0 + step * E8), quantity: ask.quantity });
        view.push(Side::Sell, Level { price: Price(bid.price.0 - step * E8), quantity: bid.quantity });
    }
    view
}

/// A desk with its journal in a vector.
struct Room {
    desk: Desk,
    journal: Vec<Stamped>,
    view: View,
}

impl Room {
    fn new() -> Room {
        Room::with(limits())
    }

    fn with(limits: Limits) -> Room {
        let desk = Desk::new(limits, instrument(), Rate(0), Health::default());
        let mut room = Room { desk, journal: Vec::new(), view: market("10000", "10001", "100", 0) };
        let assets = Assets { base: "BTC".into(), quote: "USDT".into() };
        let profile =
            Profile { execution: "simulated".into(), venue: "binance".into(), symbol: "BTCUSDT".into(), assets };
        room.run(Command::Open(Opened { version: 1, profile }), 0);
        room.start(limits, 0);
        room
    }

    fn start(&mut self, limits: Limits, ns: i64) {
        let started = Started { build: "test".into(), seed: 7, limits, instrument: instrument(), memory: false };
        self.run(Command::Start(Box::new(started)), ns);
    }

    fn run(&mut self, command: Command, ns: i64) -> Outcome {
        self.view.top.recv_ns = self.view.top.recv_ns.max(ns);
        self.desk.run(&command, at(ns), &self.view, |stamped| self.journal.push(stamped))
    }

    fn submit(&mut self, side: Side, quantity: &str, ns: i64) -> Outcome {
        self.run(Command::Submit(order(side, quantity)), ns)
    }

    /// Submits a market order, releases it and fills it whole at `price`.
    fn trade(&mut self, side: Side, quantity: &str, price: &str, ns: i64) {
        let Outcome::Accepted { order } = self.submit(side, quantity, ns) else { panic!("refused") };
        self.run(Command::Release { order }, ns);
        self.fill(order, quantity, price, ns);
    }

    fn fill(&mut self, order: u64, quantity: &str, price: &str, ns: i64) {
        let trade = Trade { price: usdt(price), quantity: btc(quantity), fee: Money(0), id: None };
        let (bid, ask) = (self.view.top.bid.price, self.view.top.ask.price);
        let level_cost = trade.price.times(trade.quantity);
        let side = self.desk.state.orders.get(order).map_or(Side::Buy, |open| open.request.side);
        let (order, trades, maker, delay_ns) = (Some(order), vec![trade], false, 0);
        let execution = Execution { order, side, trades, level_cost, bid, ask, maker, delay_ns };
        self.run(Command::Report(Report::Filled(execution)), ns);
    }

    fn last(&self) -> &Event {
        &self.journal.last().expect("an event").event
    }

    fn position(&self) -> String {
        self.desk.state.ledger.position.to_string()
    }

    /// What a new process knows after reading the journal.
    fn restarted(&self) -> State {
        let mut desk = Desk::new(limits(), instrument(), Rate(0), Health::default());
        for stamped in &self.journal {
            let body = stamped.event.body();
            let event = Event::parse(body.as_bytes()).expect("a body reads back");
            desk.recover(&Stamped { event, ..stamped.clone() }).expect("the journal is in order");
        }
        desk.state
    }
}

fn order(side: Side, quantity: &str) -> OrderRequest {
    OrderRequest { side, quantity: btc(quantity), limit: None, tif: Tif::Ioc, reduce: false, client_id: None }
}

fn reduce(side: Side, quantity: &str) -> OrderRequest {
    OrderRequest { reduce: true, ..order(side, quantity) }
}

fn limit(side: Side, quantity: &str, price: &str) -> OrderRequest {
    OrderRequest { limit: Some(usdt(price)), tif: Tif::Gtc, ..order(side, quantity) }
}

fn named(request: OrderRequest, id: &str) -> OrderRequest {
    OrderRequest { client_id: ClientId::new(id), ..request }
}

fn codes(outcome: &Outcome) -> Vec<Reason> {
    match outcome {
        Outcome::Refused(refused) => refused.breaches.iter().map(|breach| breach.code).collect(),
        _ => Vec::new(),
    }
}

fn accepted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Accepted { .. })
}

#[test]
fn orders_in_flight_and_resting_count_toward_the_position_limit() {
    let mut room = Room::new();
    assert!(accepted(&room.submit(Side::Buy, "3", 0)));
    assert!(accepted(&room.run(Command::Submit(limit(Side::Buy, "1.5", "9000")), 0)));
    assert_eq!(codes(&room.submit(Side::Buy, "0.50001", 0)), [Reason::PositionLimitLong]);
    assert!(accepted(&room.submit(Side::Sell, "4.9", 0)), "the other side is reserved apart");
    assert!(accepted(&room.submit(Side::Buy, "0.5", 0)));
}

#[test]
fn refused_orders_take_no_slot_of_the_rate_window() {
    let mut room = Room::new();
    for _ in 0..20 {
        assert!(!accepted(&room.submit(Side::Buy, "100", 0)));
    }
    assert!(accepted(&room.submit(Side::Buy, "0.01", 0)));
}

#[test]
fn a_reduce_order_that_no_longer_reduces_is_withheld_or_asked_to_end() {
    let mut room = Room::new();
    room.trade(Side::Buy, "1", "10000", 0);
    let resting = OrderRequest { reduce: true, ..limit(Side::Sell, "1", "11000") };
    room.run(Command::Submit(resting), 0);
    room.run(Command::Release { order: 2 }, 0);
    room.run(Command::Report(Report::Resting { order: 2 }), 0);
    room.submit(Side::Sell, "0.5", 0);
    let asked = Event::CancelRequested { order: 2, reason: Reason::NotReducing };
    assert_eq!(room.last(), &asked);
    let mut room = Room::new();
    room.trade(Side::Buy, "1", "10000", 0);
    room.run(Command::Submit(reduce(Side::Sell, "1")), 0);
    room.submit(Side::Sell, "0.5", 0);
    assert_eq!(room.run(Command::Release { order: 2 }, 0), Outcome::Withheld(Reason::NotReducing));
}

#[test]
fn no_largest_size_is_named_that_the_venue_would_refuse() {
    let mut room = Room::new();
    room.trade(Side::Buy, "4.9", "10000", 0);
    room.trade(Side::Buy, "0.0999", "10000", 0);
    let Outcome::Refused(refused) = room.submit(Side::Buy, "1", SECOND_NS) else { panic!("accepted") };
    assert_eq!(refused.largest, None, "0.0001 is 1 USDT, below the venue's 5");
}

#[test]
fn an_order_of_an_earlier_run_is_timed_by_utc() {
    let mut room = Room::new();
    room.run(Command::Submit(limit(Side::Buy, "0.5", "9000")), 5 * SECOND_NS);
    room.run(Command::Release { order: 1 }, 5 * SECOND_NS);
    room.run(Command::Report(Report::Resting { order: 1 }), 5 * SECOND_NS);
    let mut later = Desk::new(limits(), instrument(), Rate(0), Health::default());
    room.journal.iter().for_each(|stamped| later.recover(stamped).expect("in order"));
    let reboot = |mono_ns: i64| Now { mono_ns, utc_ns: at(60 * SECOND_NS).utc_ns };
    let started = Started { build: "test".into(), seed: 7, limits: limits(), instrument: instrument(), memory: false };
    later.run(&Command::Start(Box::new(started)), reboot(1), &room.view, |_| {});
    let trade = Trade { price: usdt("9000"), quantity: btc("0.5"), fee: Money(0), id: None };
    let level_cost = trade.price.times(trade.quantity);
    let (bid, ask) = (usdt("8999"), usdt("9000"));
    let (order, side, trades) = (Some(1), Side::Buy, vec![trade]);
    let execution = Execution { order, side, trades, level_cost, bid, ask, maker: true, delay_ns: 0 };
    let mut elapsed = None;
    later.run(&Command::Report(Report::Filled(execution)), reboot(2), &room.view, |stamped| {
        if let Event::Filled(filled) = stamped.event {
            elapsed = Some(filled.elapsed_ns);
        }
    });
    assert_eq!(elapsed, Some(55 * SECOND_NS));
}

#[test]
fn every_breach_is_named_in_one_sentence_with_the_largest_size_that_passes() {
    let mut room = Room::new();
    let outcome = room.submit(Side::Buy, "10", 0);
    let Outcome::Refused(refused) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(
        refused.sentence,
        "Order rejected: Notional exceeds $50,000 limit; position would be 10 BTC, limit 5 BTC."
    );
    let largest = refused.largest.expect("a smaller order passes");
    assert_eq!(largest.to_string(), "4.9995");
    assert!(accepted(&room.submit(Side::Buy, &largest.to_string(), 0)));
}

#[test]
fn a_check_changes_nothing() {
    let mut room = Room::new();
    let before = room.desk.state.clone();
    assert!(accepted(&room.desk.check(&order(Side::Buy, "1"), at(0), &room.view)));
    assert!(!accepted(&room.desk.check(&order(Side::Buy, "100"), at(0), &room.view)));
    assert_eq!(room.desk.state, before);
    assert!(accepted(&room.submit(Side::Buy, "1", 0)));
}

#[test]
fn an_order_whose_book_went_stale_before_it_left_ends_with_that_reason() {
    let mut room = Room::new();
    room.submit(Side::Buy, "1", 0);
    let late = at(3 * SECOND_NS);
    let outcome = room.desk.run(&Command::Release { order: 1 }, late, &room.view, |_| {});
    assert_eq!(outcome, Outcome::Withheld(Reason::BookStale));
    assert_eq!((room.desk.state.orders.count(), room.desk.state.orders.buys), (0, Qty(0)));
}

#[test]
fn a_cancel_before_the_order_left_ends_it_without_sending() {
    let mut room = Room::new();
    room.submit(Side::Buy, "1", 0);
    room.run(Command::Cancel { order: 1, reason: Reason::User }, 0);
    assert_eq!(room.run(Command::Release { order: 1 }, 0), Outcome::Withheld(Reason::User));
    assert_eq!(room.run(Command::Cancel { order: 1, reason: Reason::User }, 0), Outcome::NotOpen { order: 1 });
}

#[test]
fn after_a_restart_immediate_orders_end_and_resting_orders_stay() {
    let mut room = Room::new();
    room.submit(Side::Buy, "1", 0);
    room.run(Command::Submit(limit(Side::Buy, "0.5", "9000")), 0);
    room.run(Command::Release { order: 2 }, 0);
    room.run(Command::Report(Report::Resting { order: 2 }), 0);
    room.start(limits(), SECOND_NS);
    let open: Vec<u64> = room.desk.state.orders.iter().map(|open| open.order).collect();
    assert_eq!(open, [2]);
    assert!(matches!(room.last(), Event::Ended(ended) if ended.reason == Reason::Restart && ended.order == 1));
    assert_eq!(room.restarted(), room.desk.state);
}

#[test]
fn a_restart_within_a_second_opens_no_extra_slots() {
    let mut room = Room::new();
    (0..5).for_each(|_| drop(room.submit(Side::Buy, "0.01", 0)));
    let mut desk = Desk::new(limits(), instrument(), Rate(0), Health::default());
    room.journal.iter().for_each(|stamped| desk.recover(stamped).expect("in order"));
    let new_clock = |ns: i64| Now { mono_ns: 77 + ns, utc_ns: at(ns).utc_ns };
    let started = Started { build: "test".into(), seed: 7, limits: limits(), instrument: instrument(), memory: false };
    desk.run(&Command::Start(Box::new(started)), new_clock(SECOND_NS / 2), &room.view, |_| {});
    room.view.top.recv_ns = 77 + SECOND_NS;
    let check = |ns: i64| accepted(&desk.check(&order(Side::Buy, "0.01"), new_clock(ns), &room.view));
    assert!(!check(SECOND_NS - 1));
    assert!(check(SECOND_NS));
}

#[test]
fn the_parts_of_the_slippage_add_up_to_its_total() {
    let mut room = Room::new();
    room.submit(Side::Sell, "1", 0);
    room.run(Command::Release { order: 1 }, 0);
    let trade =
        |price: &str, quantity: &str| Trade { price: usdt(price), quantity: btc(quantity), fee: Money(0), id: None };
    let trades = vec![trade("9989.9", "0.4"), trade("9987.11", "0.6")];
    let level_cost = Money(usdt("9990").times(btc("0.4")).0 + usdt("9988").times(btc("0.6")).0);
    let (bid, ask) = (usdt("9990"), usdt("9993"));
    let (order, side) = (Some(1), Side::Sell);
    let execution = Execution { order, side, trades, level_cost, bid, ask, maker: false, delay_ns: 5 };
    room.run(Command::Report(Report::Filled(execution)), 9);
    let Event::Filled(filled) = room.last() else { panic!("{:?}", room.last()) };
    let parts = &filled.slippage;
    assert_eq!(parts.total.0, parts.spread.0 + parts.depth.0 + parts.delay.0 + parts.model.0);
    let text = [parts.total, parts.spread, parts.depth, parts.delay, parts.model].map(|part| part.to_string());
    assert_eq!(text, ["12.274", "1.5", "1.2", "9", "0.574"]);
    assert!(filled.done);
}

#[test]
fn a_fill_that_drifts_over_the_notional_limit_says_so() {
    let mut room = Room::new();
    room.submit(Side::Buy, "4.9", 0);
    room.run(Command::Release { order: 1 }, 0);
    room.fill(1, "4.9", "10500", 1);
    assert!(matches!(room.last(), Event::Filled(filled) if filled.drift == Some(Reason::NotionalExceedsMax)));
}

#[test]
fn a_journal_with_a_missing_event_is_not_folded() {
    let room = Room::new();
    let mut desk = Desk::new(limits(), instrument(), Rate(0), Health::default());
    assert_eq!(desk.recover(&room.journal[1]), Err("event 2 follows event 0".into()));
}

#[test]
fn a_flip_books_both_halves_exactly() {
    let mut room = Room::new();
    room.trade(Side::Buy, "2", "10000", 0);
    room.trade(Side::Sell, "3", "10100", 1);
    assert_eq!((room.position(), room.desk.state.ledger.realised.to_string()), ("-1".into(), "200".into()));
    assert_eq!(room.restarted(), room.desk.state);
}

#[test]
fn money_has_sixteen_places() {
    assert_eq!(money("1").0, E16);
}
