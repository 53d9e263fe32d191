//! What a fill's event says, and what the page of the desk shows.

use serde_json::json;

use super::*;

fn filled(room: &Room) -> &Filled {
    match room.last() {
        Event::Filled(filled) => filled,
        other => panic!("{other:?}"),
    }
}

/// A room with one market order that was released at 5 ns.
fn released(side: Side, quantity: &str) -> Room {
    let mut room = Room::new();
    assert!(accepted(&room.submit(side, quantity, 2)));
    room.run(Command::Release { order: 1 }, 5);
    room
}

#[test]
fn a_receipt_says_how_long_it_took_and_what_was_paid_on_average() {
    let mut room = released(Side::Buy, "0.3");
    room.view = market("10010", "10015", "100", 9);
    room.fill(1, "0.1", "10016", 9);
    let first = filled(&room);
    assert_eq!((first.elapsed_ns, first.done, first.filled, first.quantity), (7, false, btc("0.1"), btc("0.3")));
    assert_eq!((first.decision_mid, first.arrival_mid), (usdt("10000.5"), usdt("10012.5")));
    assert_eq!((first.average, first.cost), (usdt("10016"), money("1001.6")));
    let slippage = first.slippage;
    let text = [slippage.total, slippage.spread, slippage.depth, slippage.delay, slippage.model];
    assert_eq!(text.map(|part| part.to_string()), ["1.55", "0.25", "0.1", "1.2", "0"]);
    room.fill(1, "0.2", "10016", 12);
    assert_eq!((filled(&room).elapsed_ns, filled(&room).done, room.desk.state.counts.filled), (10, true, 1));
    let summary = |histogram: &Histogram| (histogram.summary().count, histogram.summary().max);
    assert_eq!(summary(&room.desk.state.execution), (2, 7));
    assert_eq!(summary(&room.desk.state.total), (2, 10));
}

#[test]
fn slippage_is_counted_in_thousandths_of_a_basis_point() {
    let mut room = released(Side::Buy, "0.5");
    room.fill(1, "0.5", "10010.5", 9);
    // 10 beyond a mid of 10,000.5 are 9.9995 basis points.
    assert_eq!(room.desk.state.slippage.summary().max, 9_999);
}

#[test]
fn a_cost_of_exactly_the_notional_limit_is_no_drift_and_fills_before_it_count() {
    let mut room = released(Side::Buy, "4.9");
    room.fill(1, "2.4", "10000", 9);
    assert_eq!(filled(&room).drift, None);
    room.fill(1, "2.5", "10400", 9);
    assert_eq!(filled(&room).drift, None, "24,000 and 26,000 are exactly the limit");
    let mut room = released(Side::Buy, "4.9");
    room.fill(1, "2.4", "10000", 9);
    room.fill(1, "2.5", "10400.01", 9);
    assert_eq!(filled(&room).drift, Some(Reason::NotionalExceedsMax));
}

#[test]
fn the_order_right_after_a_start_belongs_to_that_run() {
    let mut room = Room::new();
    let seq = room.desk.state.seq;
    assert_eq!(room.desk.state.run_began, seq);
    assert!(accepted(&room.submit(Side::Buy, "0.1", 2)));
    assert_eq!(room.desk.state.orders.get(1).map(|open| open.intent), Some(seq + 1));
    assert_eq!((room.desk.state.intent_of(1), room.desk.state.intent_of(2)), (seq + 1, 0));
}

#[test]
fn a_maker_pays_no_slippage_and_has_no_latency() {
    let mut room = Room::new();
    let quiet = [room.desk.state.execution.summary().count, room.desk.state.slippage.summary().count];
    room.run(Command::Submit(limit(Side::Buy, "1", "9000")), 0);
    room.run(Command::Release { order: 1 }, 0);
    room.run(Command::Report(Report::Resting { order: 1 }), 0);
    let trade = Trade { price: usdt("9000"), quantity: btc("1"), fee: money("9"), id: None };
    let (bid, ask, level_cost) = (usdt("8999"), usdt("9001"), money("9000"));
    let whole = Room::execution(Some(1), Side::Buy, trade.quantity, "");
    let execution = Execution { trades: vec![trade], level_cost, bid, ask, maker: true, ..whole };
    room.run(Command::Report(Report::Filled(execution)), 7);
    assert_eq!([room.desk.state.execution.summary().count, room.desk.state.slippage.summary().count], quiet);
    assert_eq!((filled(&room).fee, room.desk.state.ledger.fees), (money("9"), money("9")));
}

#[test]
fn the_page_shows_position_profit_room_and_open_orders() {
    let mut room = released(Side::Buy, "1");
    room.fill(1, "1", "10001", 9);
    room.run(Command::Submit(named(limit(Side::Sell, "0.4", "11000"), "a1")), 10);
    let page = status(&room.desk, at(11), &room.view.top);
    assert_eq!([&page["position"], &page["entry"], &page["unrealised"], &page["equity"]], ["1", "10001", "-1", "-1"]);
    assert_eq!(page["day"], json!({"number": 1_000, "start_equity": "0", "pnl": "-1"}));
    assert_eq!(page["room"], json!({"buy": "4", "sell": "5.6", "orders_now": 3, "daily_loss": "9999"}));
    assert_eq!(page["counts"], json!({"accepted": 2, "refused": 0, "filled": 1, "canceled": 0, "open": 1}));
    assert_eq!(
        page["open_orders"],
        json!([{
            "order": 2, "side": "sell", "quantity": "0.4", "filled": "0", "limit": "11000", "tif": "gtc",
            "reduce": false, "client_id": "a1", "state": "pending", "canceling": null,
        }])
    );
    assert_eq!(page["permit"], json!({"journal": true, "executor": true, "book": "live"}));
    let latency = &page["latency"]["total"];
    assert_eq!([&latency["p50_ns"], &latency["max_ns"], &latency["count"]], [7, 7, 1]);
    assert_eq!([&page["slippage_bps"]["max"], &page["slippage_bps"]["count"]], [&json!("0.499"), &json!(1)]);
}

#[test]
fn the_page_of_a_flat_desk_needs_no_price_and_that_of_a_latched_one_has_no_loss_left() {
    let mut room = Room::new();
    let flat = status(&room.desk, at(0), &TopOfBook::default());
    assert_eq!([&flat["unrealised"], &flat["room"]["daily_loss"]], ["0", "10000"]);
    room.desk.state.ledger.apply(Side::Buy, usdt("10000"), btc("1"), Money(0));
    let unknown = status(&room.desk, at(0), &TopOfBook::default());
    assert_eq!([&unknown["unrealised"], &unknown["equity"]], [&serde_json::Value::Null; 2]);
    room.desk.state.loss_latched = true;
    assert_eq!(status(&room.desk, at(0), &room.view.top)["room"]["daily_loss"], "0");
}

#[test]
fn an_order_of_this_run_is_timed_by_the_monotonic_clock_whatever_the_wall_clock_does() {
    let mut room = released(Side::Buy, "1");
    let later = Now { mono_ns: 9, utc_ns: at(SECOND_NS).utc_ns };
    let report = Command::Report(Report::Filled(Room::execution(Some(1), Side::Buy, btc("1"), "x")));
    room.desk.run(&report, later, &room.view, |stamped| room.journal.push(stamped));
    assert_eq!((filled(&room).elapsed_ns, room.desk.state.execution.summary().max), (7, 4));
}

#[test]
fn a_book_that_is_unsynced_or_crossed_prices_a_position_at_its_newest_mark() {
    let mut room = released(Side::Buy, "1");
    room.fill(1, "1", "10001", 9);
    let top = room.view.top;
    let closing = |top: TopOfBook| room.desk.state.closing_price(&top);
    assert_eq!(closing(top), Some(usdt("10000")));
    assert_eq!(closing(TopOfBook { sync: Sync::Desynced, ..top }), Some(usdt("10001")));
    assert_eq!(closing(TopOfBook { bid: top.ask, ..top }), Some(usdt("10001")));
}

#[test]
fn the_text_of_a_state_is_that_state_and_no_other() {
    let mut room = Room::new();
    let before = room.desk.state.text();
    let read: serde_json::Value = serde_json::from_str(&before).expect("a state is JSON");
    assert_eq!((&read["seq"], &read["runs"], &read["ledger"]["position"]), (&json!(3), &json!(1), &json!("0")));
    room.submit(Side::Buy, "1", 0);
    assert_ne!(room.desk.state.text(), before);
}
