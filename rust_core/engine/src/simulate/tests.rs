//! The simulated exchange, one behaviour per test.

use super::*;
use crate::units::{E8, SECOND_NS, parse_e8};
use crate::view::{Sync, TopOfBook};

fn e8(text: &str) -> i64 {
    parse_e8(text.as_bytes()).expect("a decimal")
}

fn rules() -> Rules {
    let (min_delay_ns, max_delay_ns) = (10_000_000, 100_000_000);
    let (slippage, taker_fee, maker_fee) = (Rate(0), Rate(0), Rate(0));
    Rules { seed: 7, min_delay_ns, max_delay_ns, slippage, taker_fee, maker_fee, stale_after_ns: 2 * SECOND_NS }
}

fn at(ns: i64) -> Now {
    Now { mono_ns: ns, utc_ns: ns }
}

fn levels(view: &mut View, taker: Side, rows: &[(&str, &str)]) {
    for (price, quantity) in rows {
        view.push(taker, Level { price: Price(e8(price)), quantity: Qty(e8(quantity)) });
    }
}

fn market(update_id: u64, bids: &[(&str, &str)], asks: &[(&str, &str)], recv_ns: i64) -> View {
    let best = |rows: &[(&str, &str)]| Level { price: Price(e8(rows[0].0)), quantity: Qty(e8(rows[0].1)) };
    let mut view = View::default();
    view.reset(TopOfBook {
        bid: best(bids),
        ask: best(asks),
        update_id,
        recv_ns,
        sync: Sync::Live,
        ..TopOfBook::default()
    });
    levels(&mut view, Side::Sell, bids);
    levels(&mut view, Side::Buy, asks);
    view
}

fn order(side: Side, quantity: &str, limit: Option<&str>, tif: Tif) -> OrderRequest {
    let (quantity, limit) = (Qty(e8(quantity)), limit.map(|price| Price(e8(price))));
    OrderRequest { side, quantity, limit, tif, reduce: false, client_id: None }
}

/// Sends order 1 and lets it arrive on `view`.
fn arrive(simulator: &mut Simulator, number: u64, request: &OrderRequest, view: &View) -> Vec<Report> {
    let due = simulator.accept(number, request, at(0));
    due_at(simulator, due, view, &[])
}

fn due_at(simulator: &mut Simulator, ns: i64, view: &View, prints: &[Print]) -> Vec<Report> {
    let mut reports = Vec::new();
    simulator.due(at(ns), view, prints, &mut reports);
    reports
}

fn fills(reports: &[Report]) -> Vec<(String, String)> {
    let trades = reports.iter().filter_map(|report| match report {
        Report::Filled(execution) => Some(execution.trades.clone()),
        _ => None,
    });
    trades.flatten().map(|trade| (trade.price.to_string(), trade.quantity.to_string())).collect()
}

fn pairs(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter().map(|(price, quantity)| (price.to_string(), quantity.to_string())).collect()
}

const ASKS: [(&str, &str); 3] = [("101", "1"), ("102", "2"), ("103", "4")];
const BIDS: [(&str, &str); 3] = [("100", "1"), ("99", "2"), ("98", "4")];

#[test]
fn delays_lie_between_the_bounds_and_depend_on_seed_and_number_alone() {
    let delays: Vec<i64> = (1..2_000).map(|number| delay_ns(&rules(), number)).collect();
    assert!(delays.iter().all(|delay| (10_000_000..=100_000_000).contains(delay)));
    assert!(delays.iter().any(|&delay| delay < 12_000_000) && delays.iter().any(|&delay| delay > 98_000_000));
    assert_eq!(delays[5], delay_ns(&rules(), 6));
    assert_ne!(delays[5], delay_ns(&Rules { seed: 8, ..rules() }, 6));
}

#[test]
fn nothing_happens_before_the_order_arrives() {
    let mut simulator = Simulator::new(rules());
    let due = simulator.accept(1, &order(Side::Buy, "1", None, Tif::Ioc), at(0));
    let view = market(1, &BIDS, &ASKS, 0);
    assert!(due_at(&mut simulator, due - 1, &view, &[]).is_empty());
    assert_eq!(simulator.next_due(), Some(due));
    assert_eq!(fills(&due_at(&mut simulator, due, &view, &[])), pairs(&[("101", "1")]));
}

#[test]
fn a_market_order_walks_the_depth_at_arrival_and_its_rest_is_cancelled() {
    let mut simulator = Simulator::new(rules());
    let reports = arrive(&mut simulator, 1, &order(Side::Buy, "8", None, Tif::Ioc), &market(1, &BIDS, &ASKS, 0));
    assert_eq!(fills(&reports), pairs(&ASKS));
    assert_eq!(reports[1], Report::Ended { order: 1, state: End::Canceled, reason: Reason::NoLiquidity });
}

#[test]
fn size_taken_stays_taken_over_a_lost_book_that_comes_back_with_the_same_size() {
    let mut simulator = Simulator::new(rules());
    let buy = |quantity| order(Side::Buy, quantity, None, Tif::Ioc);
    let asks = [("101", "1"), ("102", "1")];
    let shown = |update_id| market(update_id, &[("100", "1")], &asks, 0);
    assert_eq!(fills(&arrive(&mut simulator, 1, &buy("0.2"), &shown(5))), [("101".into(), "0.2".into())]);
    assert_eq!(fills(&arrive(&mut simulator, 2, &buy("0.3"), &shown(6))), [("101".into(), "0.3".into())]);
    let mut lost = View::default();
    lost.reset(TopOfBook { sync: Sync::Desynced, ..shown(6).top });
    assert_eq!(due_at(&mut simulator, SECOND_NS, &lost, &[]), []);
    let again = fills(&arrive(&mut simulator, 3, &buy("0.6"), &shown(7)));
    assert_eq!(again, [("101".into(), "0.5".into()), ("102".into(), "0.1".into())]);
}

#[test]
fn a_size_counts_as_newer_than_the_last_book_it_was_taken_of() {
    let mut simulator = Simulator::new(rules());
    let buy = |quantity| order(Side::Buy, quantity, None, Tif::Ioc);
    let shown = |update_id, size| market(update_id, &[("100", "1")], &[("101", size), ("102", "1")], 0);
    arrive(&mut simulator, 1, &buy("0.2"), &shown(5, "1"));
    arrive(&mut simulator, 2, &buy("0.3"), &shown(6, "1"));
    let same_book = fills(&arrive(&mut simulator, 3, &buy("0.6"), &shown(6, "0.9")));
    assert_eq!(same_book, [("101".into(), "0.4".into()), ("102".into(), "0.2".into())]);
}

#[test]
fn size_taken_is_forgotten_where_a_venue_that_counts_anew_shows_another_size() {
    let mut simulator = Simulator::new(rules());
    let buy = |quantity| order(Side::Buy, quantity, None, Tif::Ioc);
    let shown = |update_id, size| market(update_id, &[("100", "1")], &[("101", size), ("102", "1")], 0);
    arrive(&mut simulator, 1, &buy("0.8"), &shown(1_000, "1"));
    assert_eq!(due_at(&mut simulator, SECOND_NS, &shown(7, "1"), &[]), []);
    let anew = fills(&arrive(&mut simulator, 2, &buy("0.6"), &shown(9, "0.7")));
    assert_eq!(anew, [("101".into(), "0.6".into())]);
}

#[test]
fn size_taken_stays_taken_until_a_newer_book_shows_another_size() {
    let mut simulator = Simulator::new(rules());
    let view = market(1, &BIDS, &ASKS, 0);
    let buy = order(Side::Buy, "1.5", Some("101"), Tif::Ioc);
    assert_eq!(fills(&arrive(&mut simulator, 1, &buy, &view)), pairs(&[("101", "1")]));
    assert_eq!(fills(&arrive(&mut simulator, 2, &buy, &view)), pairs(&[]));
    assert_eq!(fills(&arrive(&mut simulator, 3, &buy, &market(2, &BIDS, &ASKS, 0))), pairs(&[]));
    let refreshed = market(3, &BIDS, &[("101", "0.7"), ("102", "2")], 0);
    assert_eq!(fills(&arrive(&mut simulator, 4, &buy, &refreshed)), pairs(&[("101", "0.7")]));
}

#[test]
fn slippage_moves_every_price_against_the_order_but_never_beyond_its_limit() {
    let mut simulator = Simulator::new(Rules { slippage: Rate(1_000_000), ..rules() });
    let view = market(1, &BIDS, &ASKS, 0);
    assert_eq!(
        fills(&arrive(&mut simulator, 1, &order(Side::Buy, "1", None, Tif::Ioc), &view)),
        pairs(&[("102.01", "1")])
    );
    let sell = order(Side::Sell, "1", Some("99.5"), Tif::Ioc);
    assert_eq!(fills(&arrive(&mut simulator, 2, &sell, &view)), pairs(&[("99.5", "1")]));
}

#[test]
fn fees_are_a_fraction_of_the_cost_rounded_up() {
    assert_eq!(Rate(75_000).of(Money(1)), Money(1));
    let mut simulator = Simulator::new(Rules { taker_fee: Rate(100_000), ..rules() });
    let reports = arrive(&mut simulator, 1, &order(Side::Buy, "1", None, Tif::Ioc), &market(1, &BIDS, &ASKS, 0));
    let Report::Filled(execution) = &reports[0] else { panic!("{reports:?}") };
    assert_eq!(execution.trades[0].fee.to_string(), "0.101");
}

#[test]
fn an_order_that_arrives_on_a_book_it_cannot_trust_ends_with_the_reason() {
    let mut simulator = Simulator::new(rules());
    let mut view = market(1, &BIDS, &ASKS, 0);
    view.top.sync = Sync::Desynced;
    let reports = arrive(&mut simulator, 1, &order(Side::Buy, "1", None, Tif::Ioc), &view);
    assert_eq!(reports, [Report::Ended { order: 1, state: End::Canceled, reason: Reason::BookUnsynced }]);
    let stale = market(1, &BIDS, &ASKS, -2 * SECOND_NS);
    let reports = arrive(&mut simulator, 2, &order(Side::Buy, "1", None, Tif::Ioc), &stale);
    assert_eq!(reports, [Report::Ended { order: 2, state: End::Canceled, reason: Reason::BookStale }]);
}

#[test]
fn a_resting_order_fills_when_the_opposite_top_reaches_it_or_a_trade_goes_through() {
    let mut simulator = Simulator::new(rules());
    let view = market(1, &BIDS, &ASKS, 0);
    let reports = arrive(&mut simulator, 1, &order(Side::Buy, "2", Some("100.5"), Tif::Gtc), &view);
    assert_eq!(reports, [Report::Resting { order: 1 }]);
    assert_eq!(simulator.resting_bounds(), (Some(Price(e8("100.5"))), None));
    let at_limit = Print { price: Price(e8("100.5")), quantity: Qty(E8), buyer_is_maker: true, recv_ns: SECOND_NS };
    assert!(due_at(&mut simulator, SECOND_NS, &view, &[at_limit]).is_empty(), "others may stand before us");
    let through = Print { price: Price(e8("100.4")), ..at_limit };
    assert_eq!(fills(&due_at(&mut simulator, SECOND_NS, &view, &[through])), pairs(&[("100.5", "1")]));
    let crossed = market(2, &BIDS, &[("100.5", "5")], SECOND_NS);
    assert_eq!(fills(&due_at(&mut simulator, SECOND_NS, &crossed, &[])), pairs(&[("100.5", "1")]));
    assert_eq!(simulator.resting_bounds(), (None, None));
}

#[test]
fn one_trade_never_fills_more_than_its_own_size() {
    let mut simulator = Simulator::new(rules());
    let view = market(1, &BIDS, &ASKS, 0);
    for number in 1..=2 {
        arrive(&mut simulator, number, &order(Side::Sell, "1", Some("100.8"), Tif::Gtc), &view);
    }
    let print =
        Print { price: Price(e8("100.9")), quantity: Qty(e8("1.5")), buyer_is_maker: false, recv_ns: SECOND_NS };
    let reports = due_at(&mut simulator, SECOND_NS, &view, &[print]);
    assert_eq!(fills(&reports), pairs(&[("100.8", "1"), ("100.8", "0.5")]));
}

#[test]
fn the_top_and_a_trade_of_one_step_together_fill_no_more_than_is_open() {
    let mut simulator = Simulator::new(rules());
    arrive(&mut simulator, 1, &order(Side::Buy, "1", Some("100.5"), Tif::Gtc), &market(1, &BIDS, &ASKS, 0));
    let through = Print { price: Price(e8("100.4")), quantity: Qty(E8), buyer_is_maker: true, recv_ns: SECOND_NS };
    let crossed = market(2, &BIDS, &[("100.5", "5")], SECOND_NS);
    let reports = due_at(&mut simulator, SECOND_NS, &crossed, &[through]);
    assert_eq!(fills(&reports), pairs(&[("100.5", "1")]));
}

#[test]
fn a_cancel_that_arrives_before_its_order_ends_it_also_when_both_are_due_in_one_step() {
    for number in 1..50 {
        let mut simulator = Simulator::new(rules());
        let sent = simulator.accept(number, &order(Side::Buy, "1", Some("90"), Tif::Gtc), at(0));
        let canceled = simulator.cancel(number, Reason::User, at(1));
        let reports = due_at(&mut simulator, sent.max(canceled), &market(1, &BIDS, &ASKS, 0), &[]);
        let end = Report::Ended { order: number, state: End::Canceled, reason: Reason::User };
        assert_eq!(reports.last(), Some(&end), "order due {sent}, cancel due {canceled}");
    }
}

#[test]
fn a_cancel_travels_and_can_lose_to_the_fill() {
    let mut simulator = Simulator::new(rules());
    let view = market(1, &BIDS, &ASKS, 0);
    arrive(&mut simulator, 1, &order(Side::Buy, "1", Some("100.5"), Tif::Gtc), &view);
    let due = simulator.cancel(1, Reason::User, at(SECOND_NS));
    let crossed = market(2, &BIDS, &[("100.5", "5")], SECOND_NS);
    assert_eq!(fills(&due_at(&mut simulator, due - 1, &crossed, &[])), pairs(&[("100.5", "1")]));
    assert!(due_at(&mut simulator, due, &crossed, &[]).is_empty());
}

#[test]
fn a_cancel_of_a_resting_order_ends_it() {
    let mut simulator = Simulator::new(rules());
    let view = market(1, &BIDS, &ASKS, 0);
    arrive(&mut simulator, 1, &order(Side::Buy, "1", Some("100.5"), Tif::Gtc), &view);
    let due = simulator.cancel(1, Reason::User, at(0));
    let reports = due_at(&mut simulator, due, &view, &[]);
    assert_eq!(reports, [Report::Ended { order: 1, state: End::Canceled, reason: Reason::User }]);
}
