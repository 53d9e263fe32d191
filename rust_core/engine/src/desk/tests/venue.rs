//! A scripted venue with a memory plays what real venues do to orders: lost answers, news out of order, news twice.

use std::collections::BTreeMap;

use super::lives::identity_holds;
use super::*;

/// How the sending of an order went.
enum Answer {
    Acknowledged,
    /// The venue has the order, and nobody was told.
    Lost,
    /// It never arrived, and nobody was told.
    NeverArrived,
}

/// An order as the venue has it.
struct Known {
    side: Side,
    quantity: Qty,
    trades: Vec<Trade>,
    end: Option<End>,
}

struct Session {
    room: Room,
    venue: BTreeMap<u64, Known>,
    ns: i64,
}

impl Session {
    fn new() -> Session {
        Session { room: Room::new(), venue: BTreeMap::new(), ns: 0 }
    }

    /// A day's order of one coin at its limit, on its way.
    fn buys(answer: Answer) -> (Session, u64) {
        let mut session = Session::new();
        let order = session.submit(limit(Side::Buy, "1", "10000"));
        session.send(order, answer);
        (session, order)
    }

    fn submit(&mut self, request: OrderRequest) -> u64 {
        match self.room.run(Command::Submit(request), self.ns) {
            Outcome::Accepted { order } => order,
            other => panic!("{other:?}"),
        }
    }

    fn send(&mut self, order: u64, answer: Answer) {
        assert_eq!(self.room.run(Command::Release { order }, self.ns), Outcome::Released);
        let request = self.state().orders.get(order).expect("it is open").request;
        if !matches!(answer, Answer::NeverArrived) {
            let (side, quantity) = (request.side, request.quantity);
            self.venue.insert(order, Known { side, quantity, trades: Vec::new(), end: None });
        }
        let report = match answer {
            Answer::Acknowledged => Report::Resting { order },
            Answer::Lost | Answer::NeverArrived => Report::Unknown { order },
        };
        self.report(report);
    }

    fn report(&mut self, report: Report) -> Outcome {
        let outcome = self.room.run(Command::Report(report), self.ns);
        identity_holds(&self.room.desk.state);
        assert_eq!(self.room.restarted().text(), self.room.desk.state.text());
        outcome
    }

    /// The venue fills `quantity`; nobody is told yet.
    fn trades(&mut self, order: u64, quantity: &str) -> Trade {
        let known = self.venue.get_mut(&order).expect("the venue has it");
        let id = TradeId::new(&format!("{order}-{}", known.trades.len()));
        let trade = Trade { price: usdt("10000"), quantity: btc(quantity), fee: money("0.5"), id };
        known.trades.push(trade);
        let filled: i64 = known.trades.iter().map(|trade| trade.quantity.0).sum();
        assert!(filled <= known.quantity.0, "the venue keeps its own rules");
        trade
    }

    fn fill_of(&self, order: u64, trades: Vec<Trade>) -> Report {
        let level_cost = Money(trades.iter().map(|trade| trade.price.times(trade.quantity).0).sum());
        let (side, bid, ask) = (self.venue[&order].side, usdt("10000"), usdt("10001"));
        let (order, maker, delay_ns) = (Some(order), false, 0);
        Report::Filled(Execution { order, side, trades, level_cost, bid, ask, maker, delay_ns })
    }

    /// The venue pushes trades of its order.
    fn push(&mut self, order: u64, trades: &[Trade]) -> Outcome {
        let report = self.fill_of(order, trades.to_vec());
        self.report(report)
    }

    /// Asks for the order and reports the whole record. "Not found" reports nothing: it is no record.
    fn query(&mut self, order: u64) {
        let Some(known) = self.venue.get(&order) else { return };
        let (trades, end) = (known.trades.clone(), known.end);
        let filled: i64 = trades.iter().map(|trade| trade.quantity.0).sum();
        let open = filled < known.quantity.0;
        self.push(order, &trades);
        match end {
            Some(state) => drop(self.report(Report::Ended { order, state, reason: Reason::User })),
            None if open => drop(self.report(Report::Resting { order })),
            None => {}
        }
    }

    fn state(&self) -> &State {
        &self.room.desk.state
    }

    fn phase(&self, order: u64) -> Option<Phase> {
        self.state().orders.get(order).map(|open| open.state)
    }

    /// Open buys and the position.
    fn exposure(&self) -> (String, String) {
        (self.state().orders.buys.to_string(), self.room.position())
    }

    fn halt(&self) -> (&str, &str) {
        self.state().halted.as_ref().map_or(("", ""), |halt| (&halt.cause, &halt.detail))
    }

    fn strays(&self) -> Vec<Stray> {
        let stray = |stamped: &Stamped| match &stamped.event {
            Event::Stray(stray) => Some((**stray).clone()),
            _ => None,
        };
        self.room.journal.iter().filter_map(stray).collect()
    }
}

fn pair(reserved: &str, position: &str) -> (String, String) {
    (reserved.into(), position.into())
}

#[test]
fn o1_an_order_whose_acknowledgement_is_lost_stays_reserved_until_the_venue_says_that_it_rests() {
    let (mut session, order) = Session::buys(Answer::Lost);
    assert_eq!((session.phase(order), session.exposure()), (Some(Phase::Unknown), pair("1", "0")));
    session.query(order);
    assert_eq!((session.phase(order), session.exposure()), (Some(Phase::Resting), pair("1", "0")));
    let trade = session.trades(order, "1");
    session.push(order, &[trade]);
    assert_eq!((session.phase(order), session.exposure()), (None, pair("0", "1")));
    assert_eq!((session.state().counts.filled, session.halt()), (1, ("", "")));
}

#[test]
fn o1_an_unknown_order_counts_against_the_position_limit_and_can_be_asked_to_end() {
    let mut session = Session::new();
    let order = session.submit(limit(Side::Buy, "4.9", "10000"));
    session.send(order, Answer::NeverArrived);
    assert_eq!(codes(&session.room.submit(Side::Buy, "0.2", 0)), [Reason::PositionLimitLong]);
    assert!(accepted(&session.room.submit(Side::Buy, "0.1", 0)));
    assert_eq!(session.room.run(Command::Cancel { order, reason: Reason::User }, 0), Outcome::Done);
    assert!(matches!(session.room.last(), Event::CancelRequested { .. }));
    assert_eq!(session.phase(order), Some(Phase::Unknown), "asking is no answer");
}

#[test]
fn o2_a_fill_before_the_acknowledgement_and_one_after_it_lead_to_the_same_end() {
    let mut session = Session::new();
    let order = session.submit(limit(Side::Buy, "1", "10000"));
    session.room.run(Command::Release { order }, 0);
    session.venue.insert(order, Known { side: Side::Buy, quantity: btc("1"), trades: Vec::new(), end: None });
    let (first, second) = (session.trades(order, "0.4"), session.trades(order, "0.6"));
    session.push(order, &[first]);
    assert_eq!((session.phase(order), session.exposure()), (Some(Phase::Sent), pair("0.6", "0.4")));
    session.report(Report::Resting { order });
    assert_eq!(session.phase(order), Some(Phase::Resting));
    session.push(order, &[second]);
    assert_eq!(session.report(Report::Resting { order }), Outcome::Duplicate, "an acknowledgement after the last fill");
    assert_eq!((session.exposure(), session.halt()), (pair("0", "1"), ("", "")));
}

#[test]
fn o2_a_fill_after_the_end_was_confirmed_moves_the_position_and_halts() {
    let (mut session, order) = Session::buys(Answer::Acknowledged);
    let trade = session.trades(order, "0.25");
    session.report(Report::Ended { order, state: End::Canceled, reason: Reason::User });
    session.push(order, &[trade]);
    assert_eq!(session.exposure(), pair("0", "0.25"));
    assert_eq!(session.halt(), ("FILL_AFTER_END", "buy of 0.25 BTC of order 1, which had ended"));
    assert_eq!((session.state().counts.filled, session.state().counts.canceled), (0, 1));
}

#[test]
fn o3_a_timeout_and_a_late_fill_end_the_order_once() {
    let (mut session, order) = Session::buys(Answer::Lost);
    session.ns = 60 * SECOND_NS;
    let trade = session.trades(order, "1");
    session.push(order, &[trade]);
    session.query(order);
    assert_eq!((session.exposure(), session.state().counts.filled), (pair("0", "1"), 1));
    assert_eq!(session.halt(), ("", ""));
}

#[test]
fn o4_a_fill_that_push_and_query_both_report_counts_once() {
    let (mut session, order) = Session::buys(Answer::Acknowledged);
    let first = session.trades(order, "0.4");
    assert_eq!(session.push(order, &[first]), Outcome::Done);
    assert_eq!(session.push(order, &[first]), Outcome::Duplicate);
    session.trades(order, "0.3");
    session.query(order);
    assert_eq!((session.exposure(), session.state().ledger.fees.to_string()), (pair("0.3", "0.7"), "1".into()));
    let Event::Filled(filled) = session.room.last() else { panic!("its rest is old news: {:?}", session.room.last()) };
    assert_eq!((filled.filled, filled.cost), (btc("0.3"), usdt("10000").times(btc("0.3"))));
    assert_eq!(filled.slippage.model, Money(0), "of a part, the levels' cost is its own");
    assert_eq!(session.room.desk.duplicates, 2);
}

#[test]
fn o4_a_trade_twice_in_one_report_and_a_trade_known_before_a_restart_count_once() {
    let (mut session, order) = Session::buys(Answer::Acknowledged);
    let first = session.trades(order, "0.4");
    session.push(order, &[first, first]);
    assert_eq!(session.exposure(), pair("0.6", "0.4"));
    session.room.desk.state = session.room.restarted();
    assert_eq!(session.push(order, &[first]), Outcome::Duplicate);
}

#[test]
fn o4_trades_without_an_id_always_count() {
    let (mut session, order) = Session::buys(Answer::Acknowledged);
    let trade = Trade { id: None, ..session.trades(order, "0.4") };
    session.push(order, &[trade, trade]);
    assert_eq!(session.exposure(), pair("0.2", "0.8"));
}

#[test]
fn o5_fills_down_to_the_last_unit_end_the_order_with_the_last_unit() {
    let (mut session, order) = Session::buys(Answer::Acknowledged);
    for quantity in ["0.5", "0.49999999"] {
        let trade = session.trades(order, quantity);
        session.push(order, &[trade]);
    }
    assert_eq!((session.phase(order), session.exposure()), (Some(Phase::Resting), pair("0.00000001", "0.99999999")));
    let dust = session.trades(order, "0.00000001");
    session.push(order, &[dust]);
    assert_eq!((session.phase(order), session.exposure()), (None, pair("0", "1")));
}

#[test]
fn o5_what_is_filled_beyond_the_order_is_booked_apart_and_halts() {
    let (mut session, order) = Session::buys(Answer::Acknowledged);
    let id = |text| TradeId::new(text);
    let trade = |quantity, id| Trade { price: usdt("10000"), quantity: btc(quantity), fee: money("0.5"), id };
    session.push(order, &[trade("0.7", id("a")), trade("0.5", id("b")), trade("0.1", id("c"))]);
    let [stray] = &session.strays()[..] else { panic!("one stray") };
    assert_eq!((stray.order, stray.quantity, stray.cause), (Some(order), btc("0.3"), StrayCause::Overfill));
    assert_eq!(stray.trades, [Trade { fee: Money(0), ..trade("0.2", id("b")) }, trade("0.1", id("c"))]);
    assert_eq!((stray.fee, session.state().ledger.fees), (money("0.5"), money("1.5")));
    assert_eq!((session.exposure(), session.state().counts.filled), (pair("0", "1.3"), 1));
    assert_eq!(session.halt(), ("OVERFILL", "buy of 0.3 BTC of order 1, beyond what was open"));
    assert_eq!(session.push(order, &[trade("0.5", id("b"))]), Outcome::Duplicate, "both parts of it were counted");
}

#[test]
fn o5_an_overfill_through_zero_realises_on_the_position_that_the_order_left() {
    let mut session = Session::new();
    session.room.trade(Side::Buy, "1", "9000", 0);
    let order = session.submit(limit(Side::Sell, "1", "10001"));
    session.send(order, Answer::Acknowledged);
    let trade = Trade { price: usdt("10001"), quantity: btc("1.5"), fee: Money(0), id: None };
    session.push(order, &[trade]);
    assert_eq!((session.room.position(), session.state().ledger.realised.to_string()), ("-0.5".into(), "1001".into()));
    assert_eq!(session.strays()[0].realised, Money(0));
}

#[test]
fn o6_a_fill_of_nobodys_order_is_booked_and_halts() {
    for (order, detail) in [
        (None, "sell of 0.5 BTC, which names no order"),
        (Some(0), "sell of 0.5 BTC of order 0, which this desk never gave"),
        (Some(9), "sell of 0.5 BTC of order 9, which this desk never gave"),
    ] {
        let (mut session, own) = Session::buys(Answer::Acknowledged);
        session.report(Report::Filled(Room::execution(order, Side::Sell, btc("0.5"), "x")));
        assert_eq!((session.exposure(), session.halt()), (pair("1", "-0.5"), ("FOREIGN_FILL", detail)));
        assert_eq!(session.state().mark, Some(usdt("10000")));
        let kinds = session.room.journal.iter().rev().take(3).map(|stamped| &stamped.event).collect::<Vec<_>>();
        let [Event::CancelRequested { order: asked, reason: Reason::Halted }, Event::Halted(_), Event::Stray(_)] =
            kinds[..]
        else {
            panic!("{kinds:?}")
        };
        assert_eq!(*asked, own);
        assert_eq!(codes(&session.room.submit(Side::Buy, "1", 0)), [Reason::Halted]);
    }
}

#[test]
fn o6_news_of_an_order_that_was_never_given_halts_and_moves_nothing() {
    let (mut session, _) = Session::buys(Answer::Acknowledged);
    session.report(Report::Resting { order: 9 });
    assert_eq!((session.exposure(), session.halt().0), (pair("1", "0"), "EXECUTOR"));
    assert_eq!(session.halt().1, "order 9 is reported resting, but was never given");
}

#[test]
fn o6_a_fill_on_the_other_side_than_the_order_s_is_no_fill_of_it() {
    let (mut session, order) = Session::buys(Answer::Acknowledged);
    session.report(Report::Filled(Room::execution(Some(order), Side::Sell, btc("0.5"), "x")));
    assert_eq!((session.exposure(), session.phase(order)), (pair("1", "-0.5"), Some(Phase::Resting)));
    assert_eq!(session.halt(), ("WRONG_SIDE", "sell of 0.5 BTC of order 1, which is on the other side"));
}

#[test]
fn o8_an_order_that_is_not_found_for_forty_minutes_keeps_its_reservation_and_the_rest_is_traded() {
    let (mut session, order) = Session::buys(Answer::Lost);
    let hidden = session.venue.remove(&order).expect("the venue has it");
    for minute in 1..=40 {
        session.ns = minute * 60 * SECOND_NS;
        session.query(order);
        assert_eq!(session.report(Report::Unknown { order }), Outcome::Duplicate);
        assert_eq!((session.phase(order), session.exposure().0), (Some(Phase::Unknown), "1".into()));
    }
    assert_eq!(session.room.desk.room(Side::Buy), btc("4"));
    let other = session.submit(limit(Side::Buy, "4", "10000"));
    session.venue.insert(order, hidden);
    session.query(order);
    assert_eq!((session.phase(order), session.phase(other)), (Some(Phase::Resting), Some(Phase::Pending)));
}

#[test]
fn o9_a_cancel_that_fails_leaves_the_order_at_rest_and_one_that_crosses_a_fill_loses_to_it() {
    let (mut session, order) = Session::buys(Answer::Acknowledged);
    session.room.run(Command::Cancel { order, reason: Reason::User }, 0);
    session.query(order);
    assert_eq!((session.phase(order), session.exposure()), (Some(Phase::Resting), pair("1", "0")));
    session.report(Report::Unknown { order });
    assert_eq!(session.phase(order), Some(Phase::Unknown), "the cancel had no answer");
    let trade = session.trades(order, "1");
    session.push(order, &[trade]);
    let late = Report::Ended { order, state: End::Canceled, reason: Reason::User };
    assert_eq!(session.report(late), Outcome::Duplicate);
    assert_eq!((session.exposure(), session.state().counts.canceled), (pair("0", "1"), 0));
}

#[test]
fn o10_a_client_id_is_not_used_again_after_its_order_ended_and_after_a_restart() {
    let mut session = Session::new();
    let named = OrderRequest { client_id: ClientId::new("run1x7"), ..limit(Side::Buy, "1", "10000") };
    let order = session.submit(named);
    session.send(order, Answer::Acknowledged);
    let trade = session.trades(order, "1");
    session.push(order, &[trade]);
    for _ in 0..2 {
        assert_eq!(codes(&session.room.run(Command::Submit(named), 0)), [Reason::DuplicateId]);
        session.room.desk.state = session.room.restarted();
    }
}

#[test]
fn o11_an_execution_six_seconds_after_the_timeout_is_reconciled_with_its_true_age() {
    let (mut session, order) = Session::buys(Answer::Lost);
    session.ns = 6 * SECOND_NS;
    session.trades(order, "1");
    session.query(order);
    assert_eq!(session.exposure(), pair("0", "1"));
    assert!(matches!(session.room.last(), Event::Filled(filled) if filled.elapsed_ns == 6 * SECOND_NS && filled.done));
}

#[test]
fn a_venue_with_a_memory_is_asked_about_whatever_may_have_left_before_a_restart() {
    let mut session = Session::new();
    let orders: Vec<u64> = (0..4).map(|_| session.submit(limit(Side::Buy, "1", "10000"))).collect();
    let [pending, sent, unknown, resting] = orders[..] else { unreachable!() };
    session.room.run(Command::Release { order: sent }, 0);
    session.send(unknown, Answer::Lost);
    session.send(resting, Answer::Acknowledged);
    session.room.run(Command::CancelAll { reason: Reason::User }, 0);
    let started = Started { build: "test".into(), seed: 7, limits: limits(), instrument: instrument(), memory: true };
    session.room.run(Command::Start(Box::new(started)), SECOND_NS);
    assert_eq!([pending, sent, unknown].map(|order| session.phase(order)), [Some(Phase::Unknown); 3]);
    assert_eq!((session.phase(resting), session.exposure()), (Some(Phase::Resting), pair("4", "0")));
    assert_eq!(session.room.restarted().text(), session.state().text());
    session.ns = SECOND_NS;
    session.report(Report::Filled(Room::execution(Some(pending), Side::Buy, btc("1"), "x")));
    assert_eq!((session.exposure(), session.halt()), (pair("3", "1"), ("", "")), "it had left after all");
    assert!(matches!(session.room.last(), Event::Filled(filled) if filled.elapsed_ns == SECOND_NS));
}

#[test]
fn figures_that_no_market_has_halt_and_book_nothing() {
    let sane = Room::execution(Some(1), Side::Buy, btc("0.5"), "x");
    let with = |change: fn(&mut Execution)| {
        let mut execution = sane.clone();
        change(&mut execution);
        execution
    };
    for execution in [
        with(|execution| execution.trades[0].quantity = Qty(0)),
        with(|execution| execution.trades[0].quantity = Qty(i64::MAX)),
        with(|execution| execution.trades[0].price = Price(-1)),
        with(|execution| execution.trades[0].fee = Money(-1)),
        with(|execution| {
            execution.trades = vec![Trade { quantity: Qty(6_000_000 * E8), id: None, ..execution.trades[0] }; 2]
        }),
        with(|execution| execution.level_cost = Money(i128::MAX)),
        with(|execution| execution.bid = Price(i64::MIN)),
    ] {
        let (mut session, _) = Session::buys(Answer::Acknowledged);
        session.report(Report::Filled(execution.clone()));
        assert_eq!((session.exposure(), session.halt().0), (pair("1", "0"), "EXECUTOR"), "{execution:?}");
        assert_eq!(session.halt().1, "order 1 is reported filled, but with impossible figures");
    }
    let (mut session, _) = Session::buys(Answer::Acknowledged);
    assert_eq!(session.report(Report::Filled(Execution { trades: Vec::new(), ..sane })), Outcome::Duplicate);
}

#[test]
fn an_order_that_may_not_rest_is_not_put_to_rest() {
    let mut session = Session::new();
    session.room.submit(Side::Buy, "1", 0);
    session.room.run(Command::Release { order: 1 }, 0);
    session.report(Report::Resting { order: 1 });
    assert_eq!(
        (session.phase(1), session.halt()),
        (Some(Phase::Sent), ("EXECUTOR", "order 1 is reported resting, but may not rest"))
    );
}

#[test]
fn a_second_stray_is_booked_under_the_first_halt() {
    let (mut session, _) = Session::buys(Answer::Acknowledged);
    session.report(Report::Filled(Room::execution(None, Side::Buy, btc("0.5"), "x")));
    let before = session.room.journal.len();
    session.report(Report::Filled(Room::execution(Some(9), Side::Buy, btc("0.25"), "y")));
    assert_eq!((session.room.journal.len() - before, session.exposure()), (1, pair("1", "0.75")));
    assert_eq!(session.halt().1, "buy of 0.5 BTC, which names no order");
}

#[test]
fn what_has_no_trade_id_and_no_memory_is_written_as_ever() {
    let (trade, id) = (Trade { price: usdt("1"), quantity: btc("2"), fee: money("3"), id: None }, TradeId::new("t-1"));
    let text = |value: &Trade| serde_json::to_string(value).expect("a body");
    assert_eq!(text(&trade), r#"{"price":"1","quantity":"2","fee":"3"}"#);
    assert_eq!(text(&Trade { id, ..trade }), r#"{"price":"1","quantity":"2","fee":"3","id":"t-1"}"#);
    let room = Room::new();
    assert!(room.journal.iter().all(|stamped| !stamped.event.body().contains("memory")));
}

#[test]
fn a_start_under_a_halt_asks_for_the_end_of_what_an_engine_that_failed_could_not_ask() {
    let mut room = Room::new();
    room.run(Command::Submit(limit(Side::Buy, "1", "9000")), 0);
    room.run(Command::Release { order: 1 }, 0);
    room.run(Command::Report(Report::Resting { order: 1 }), 0);
    // What the journal writes down when the engine has failed: the halt alone.
    let event = Event::Halted(Halt::new("ENGINE_FAULT", "the engine failed"));
    let stamped = Stamped { seq: room.desk.state.seq + 1, now: at(0), event };
    room.desk.recover(&stamped).expect("the next event");
    room.journal.push(stamped);
    room.start(limits(), SECOND_NS);
    assert_eq!(room.last(), &Event::CancelRequested { order: 1, reason: Reason::Halted });
    assert_eq!(room.restarted().text(), room.desk.state.text());
}

#[test]
fn a_start_under_a_halt_leaves_an_order_at_rest_that_must_reduce() {
    let mut room = Room::new();
    room.trade(Side::Buy, "1", "10000", 0);
    room.run(Command::Halt(Halt::new("OPERATOR", "")), SECOND_NS);
    let closing = OrderRequest { reduce: true, ..limit(Side::Sell, "1", "11000") };
    room.run(Command::Submit(closing), SECOND_NS);
    let order = room.desk.state.orders.iter().next().expect("one is open").order;
    room.run(Command::Release { order }, SECOND_NS);
    room.run(Command::Report(Report::Resting { order }), SECOND_NS);
    room.start(limits(), 2 * SECOND_NS);
    assert!(!room.journal.iter().any(|stamped| matches!(stamped.event, Event::CancelRequested { .. })));
}

#[test]
fn a_jump_of_the_clock_whose_halt_was_not_saved_halts_the_next_run() {
    let mut room = Room::new();
    let event = Event::ClockJumped { by_ns: DAY_NS };
    let stamped = Stamped { seq: room.desk.state.seq + 1, now: at(0), event };
    room.desk.recover(&stamped).expect("the next event");
    room.journal.push(stamped);
    room.start(limits(), SECOND_NS);
    assert_eq!(room.desk.state.halted.as_ref().map(|halt| halt.cause.as_str()), Some("CLOCK"));
    room.run(Command::Resume, SECOND_NS);
    assert!(!room.desk.state.clock_suspect);
}
