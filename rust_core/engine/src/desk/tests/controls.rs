//! Every control blocks, and its test fails when the control is off. docs/controls.md names these tests.

use std::panic::catch_unwind;
use std::sync::Arc;

use super::*;
use crate::published::Published;
use crate::view::Doubt;
use crate::wake::{CrossWatch, Signal};

const TESTS: &[(Control, fn())] = &[
    (Control::OrderNotional, test_order_notional_passes_at_the_limit_and_blocks_one_lot_more),
    (Control::PositionLong, test_position_long_blocks_one_lot_above_with_open_orders_counted),
    (Control::PositionShort, test_position_short_blocks_one_lot_above_with_open_orders_counted),
    (Control::OrderRate, test_order_rate_blocks_the_sixth_order_of_a_second_to_the_nanosecond),
    (Control::DailyLoss, test_daily_loss_blocks_at_exactly_the_limit),
    (Control::BookUnsynced, test_book_unsynced_blocks_at_the_decision_and_at_release),
    (Control::BookStale, test_book_stale_blocks_from_exactly_its_age_on),
    (Control::BookCrossed, test_book_crossed_blocks),
    (Control::PriceBand, test_price_band_passes_at_its_edge_and_blocks_one_tick_beyond),
    (Control::QuantityBounds, test_quantity_bounds_of_the_venue_block),
    (Control::LotStep, test_lot_step_blocks_parts_of_a_lot),
    (Control::PriceTick, test_price_tick_blocks_parts_of_a_tick),
    (Control::MinNotional, test_minimum_notional_blocks_below_it),
    (Control::DuplicateId, test_duplicate_client_id_blocks_whatever_an_accepted_order_ever_carried),
    (Control::RepeatedOrder, test_repeated_order_blocks_the_same_order_within_its_window),
    (Control::Runaway, test_runaway_halts_at_the_last_refusal_allowed_until_a_person_resumes),
    (Control::Attempts, test_attempts_cap_answers_without_judging_and_only_counts),
    (Control::SelfMatch, test_self_match_blocks_from_the_own_resting_price_on),
    (Control::QueueFull, test_queue_full_blocks_at_the_most_orders_that_may_be_open),
    (Control::Journal, test_journal_not_healthy_blocks_at_the_decision_and_at_release),
    (Control::Executor, test_executor_not_ready_blocks_at_the_decision_and_at_release),
    (Control::KillSwitch, test_kill_switch_blocks_withholds_and_survives_a_restart),
    (Control::LooserLimits, test_looser_limits_need_a_word_and_tighter_ones_do_not),
    (Control::ClockJump, test_clock_jump_halts_and_begins_no_day_until_a_person_resumes),
    (Control::Reducing, test_reducing_is_proved_with_everything_in_flight_counted),
];

#[test]
fn each_control_test_fails_when_its_control_is_off() {
    assert!(TESTS.iter().enumerate().all(|(index, (control, _))| *control as usize == index), "one test a control");
    assert_eq!(TESTS.len(), Control::Reducing as usize + 1, "Reducing is the last control");
    for (control, test) in TESTS {
        test();
        assert!(control.without(|| catch_unwind(test)).is_err(), "nobody misses {control:?}");
    }
}

fn refused_with(room: &mut Room, request: OrderRequest, ns: i64, expected: &[Reason]) {
    let outcome = room.run(Command::Submit(request), ns);
    assert!(matches!(outcome, Outcome::Refused(_)), "{request:?} passed");
    assert_eq!(codes(&outcome), expected, "{request:?}");
}

fn passes(room: &mut Room, request: OrderRequest, ns: i64) -> u64 {
    match room.run(Command::Submit(request), ns) {
        Outcome::Accepted { order } => order,
        other => panic!("{request:?}: {other:?}"),
    }
}

/// Submits, releases and rests a limit order.
fn rests(room: &mut Room, request: OrderRequest, ns: i64) -> u64 {
    let order = passes(room, request, ns);
    assert_eq!(room.run(Command::Release { order }, ns), Outcome::Released);
    room.run(Command::Report(Report::Resting { order }), ns);
    order
}

#[test]
fn test_order_notional_passes_at_the_limit_and_blocks_one_lot_more() {
    for quantity in ["4.99999", "5"] {
        let mut room = Room::with(Limits { position: btc("50"), ..limits() });
        passes(&mut room, limit(Side::Buy, quantity, "10000"), 0);
    }
    let mut room = Room::with(Limits { position: btc("50"), ..limits() });
    refused_with(&mut room, limit(Side::Buy, "5.00001", "10000"), 0, &[Reason::NotionalExceedsMax]);
}

#[test]
fn test_order_notional_blocks_one_unit_of_money_above() {
    for (change, fits) in [(-1, false), (0, true), (1, true)] {
        let notional = Money(usdt("10001").times(btc("1")).0 + change);
        let mut room = Room::with(Limits { order_notional: notional, ..limits() });
        assert_eq!(accepted(&room.submit(Side::Buy, "1", 0)), fits);
    }
}

fn position_holds_to_the_lot(side: Side, code: Reason) {
    for quantity in ["0.49999", "0.5", "0.50001"] {
        let mut room = Room::new();
        room.trade(side, "4", "10000", 0);
        passes(&mut room, order(side, "0.5"), SECOND_NS);
        match quantity {
            "0.50001" => refused_with(&mut room, order(side, quantity), SECOND_NS, &[code]),
            _ => assert!(passes(&mut room, order(side, quantity), SECOND_NS) > 0),
        }
    }
}

#[test]
fn test_position_long_blocks_one_lot_above_with_open_orders_counted() {
    position_holds_to_the_lot(Side::Buy, Reason::PositionLimitLong);
}

#[test]
fn test_position_short_blocks_one_lot_above_with_open_orders_counted() {
    position_holds_to_the_lot(Side::Sell, Reason::PositionLimitShort);
}

#[test]
fn test_order_rate_blocks_the_sixth_order_of_a_second_to_the_nanosecond() {
    let mut room = Room::new();
    for ns in 0..5 {
        passes(&mut room, order(Side::Buy, "0.01"), ns);
    }
    let outcome = room.submit(Side::Buy, "0.01", SECOND_NS - 1);
    let Outcome::Refused(refused) = &outcome else { panic!("{outcome:?}") };
    assert_eq!((codes(&outcome), refused.breaches[0].headroom), (vec![Reason::RateLimit], 1));
    assert!(serde_json::to_string(&refused.breaches).expect("json").contains(r#""retry_after_ms":1"#));
    passes(&mut room, order(Side::Buy, "0.01"), SECOND_NS);
}

#[test]
fn test_daily_loss_blocks_at_exactly_the_limit() {
    for (bid, fits) in [("9000.01", true), ("9000", false)] {
        let mut room = Room::with(Limits { daily_loss: money("1000"), ..limits() });
        room.trade(Side::Buy, "1", "10000", 0);
        room.view = market(bid, "9001", "100", SECOND_NS);
        assert_eq!(accepted(&room.submit(Side::Buy, "0.1", SECOND_NS)), fits, "bid {bid}");
    }
    let mut room = Room::with(Limits { daily_loss: money("1000"), ..limits() });
    room.trade(Side::Buy, "1", "10000", 0);
    room.view = market("9000", "9001", "100", SECOND_NS);
    room.run(Command::Mark, SECOND_NS);
    room.view = market("10000", "10001", "100", SECOND_NS);
    refused_with(&mut room, order(Side::Buy, "0.1"), SECOND_NS, &[Reason::DailyLoss]);
}

/// What `spoil` does to a desk blocks new orders and those that have not left yet.
fn blocks_both(spoil: impl Fn(&mut Room), code: Reason) {
    let mut room = Room::new();
    let order_number = passes(&mut room, order(Side::Buy, "1"), 0);
    spoil(&mut room);
    refused_with(&mut room, order(Side::Buy, "1"), 0, &[code]);
    assert_eq!(room.run(Command::Release { order: order_number }, 0), Outcome::Withheld(code));
}

#[test]
fn test_book_unsynced_blocks_at_the_decision_and_at_release() {
    for sync in [Sync::Empty, Sync::Buffering, Sync::Desynced] {
        blocks_both(|room| room.view.top.sync = sync, Reason::BookUnsynced);
    }
}

#[test]
fn a_refusal_for_the_book_names_what_is_doubted_where_something_is() {
    let said = [(Doubt::None, ""), (Doubt::Gap, " (gap)"), (Doubt::Disconnected, " (disconnected)")];
    for (doubt, words) in said {
        let mut room = Room::new();
        (room.view.top.sync, room.view.top.doubt) = (Sync::Desynced, doubt);
        let Outcome::Refused(refused) = room.run(Command::Submit(order(Side::Buy, "1")), 0) else { panic!() };
        assert_eq!(refused.sentence, format!("Order rejected: The book is not synchronised{words}."));
    }
}

#[test]
fn test_book_stale_blocks_from_exactly_its_age_on() {
    let room = Room::new();
    for (age_ns, fits) in [(2 * SECOND_NS - 1, true), (2 * SECOND_NS, false)] {
        let outcome = room.desk.check(&order(Side::Buy, "1"), at(age_ns), &room.view);
        assert_eq!(accepted(&outcome), fits, "{age_ns} ns: {outcome:?}");
    }
}

#[test]
fn test_book_crossed_blocks() {
    blocks_both(|room| room.view = market("10001", "10001", "100", 0), Reason::BookCrossed);
}

#[test]
fn test_price_band_passes_at_its_edge_and_blocks_one_tick_beyond() {
    // 10,001 × 1.05 = 10,501.05 and 10,000 × 0.95 = 9,500
    for (side, edge, beyond) in [(Side::Buy, "10501.05", "10501.06"), (Side::Sell, "9500", "9499.99")] {
        let mut room = Room::new();
        refused_with(&mut room, limit(side, "1", beyond), 0, &[Reason::PriceBand]);
        passes(&mut room, limit(side, "1", edge), 0);
    }
    passes(&mut Room::new(), limit(Side::Buy, "1", "100"), 0);
    passes(&mut Room::new(), limit(Side::Sell, "0.01", "1000000"), 0);
}

#[test]
fn a_market_order_that_would_walk_out_of_the_band_names_the_size_that_stays_inside() {
    let mut room = Room::with(Limits { price_band: Rate(E8 / 1_000), ..limits() });
    room.view = market("10000", "10001", "0.1", 0);
    // 10,001 × 1.001 = 10,011.001: eleven levels of 0.1 from 10,001 to 10,011 are inside.
    let Outcome::Refused(refused) = room.submit(Side::Buy, "1.10001", 0) else { panic!("passed") };
    assert_eq!((refused.breaches[0].code, refused.largest), (Reason::PriceBand, Some(btc("1.1"))));
    assert_eq!(refused.sentence, "Order rejected: Price 10012 is outside the band that ends at 10011.001.");
    passes(&mut room, order(Side::Buy, "1.1"), 0);
}

#[test]
fn test_quantity_bounds_of_the_venue_block() {
    let mut room = Room::new();
    for quantity in ["0.00000999", "9000.00001"] {
        let outcome = room.submit(Side::Buy, quantity, 0);
        assert!(codes(&outcome).contains(&Reason::BadQuantity), "{outcome:?}");
    }
    for quantity in ["0.00001", "9000"] {
        assert!(!codes(&room.submit(Side::Buy, quantity, 0)).contains(&Reason::BadQuantity));
    }
}

#[test]
fn test_lot_step_blocks_parts_of_a_lot() {
    refused_with(&mut Room::new(), order(Side::Buy, "0.01000001"), 0, &[Reason::BadStep]);
    passes(&mut Room::new(), order(Side::Buy, "0.01001"), 0);
}

#[test]
fn test_price_tick_blocks_parts_of_a_tick() {
    refused_with(&mut Room::new(), limit(Side::Buy, "1", "9999.999"), 0, &[Reason::BadTick]);
    refused_with(&mut Room::new(), limit(Side::Buy, "1", "0"), 0, &[Reason::BadTick, Reason::MinNotional]);
    passes(&mut Room::new(), limit(Side::Buy, "1", "9999.99"), 0);
}

#[test]
fn test_minimum_notional_blocks_below_it() {
    refused_with(&mut Room::new(), order(Side::Buy, "0.00049"), 0, &[Reason::MinNotional]);
    passes(&mut Room::new(), limit(Side::Buy, "0.0005", "10000"), 0);
}

#[test]
fn test_duplicate_client_id_blocks_whatever_an_accepted_order_ever_carried() {
    let mut room = Room::new();
    refused_with(
        &mut room,
        named(order(Side::Buy, "100"), "a1"),
        0,
        &[Reason::NotionalExceedsMax, Reason::PositionLimitLong],
    );
    let first = passes(&mut room, named(order(Side::Buy, "1"), "a1"), 0);
    refused_with(&mut room, named(order(Side::Sell, "0.1"), "a1"), 0, &[Reason::DuplicateId]);
    passes(&mut room, named(order(Side::Buy, "1"), "A1"), 0);
    room.run(Command::Release { order: first }, 0);
    room.fill(first, "1", "10000", 0);
    room.start(limits(), SECOND_NS);
    refused_with(&mut room, named(order(Side::Buy, "1"), "a1"), SECOND_NS, &[Reason::DuplicateId]);
    assert_eq!(room.restarted().text(), room.desk.state.text());
}

#[test]
fn test_repeated_order_blocks_the_same_order_within_its_window() {
    let mut room = Room::with(Limits { repeat_window_ns: SECOND_NS / 2, ..limits() });
    passes(&mut room, order(Side::Buy, "0.1"), 0);
    passes(&mut room, order(Side::Sell, "0.1"), 0);
    passes(&mut room, limit(Side::Buy, "0.1", "10000"), 0);
    let again = named(order(Side::Buy, "0.1"), "another");
    refused_with(&mut room, again, SECOND_NS / 2 - 1, &[Reason::RepeatedOrder]);
    passes(&mut room, again, SECOND_NS / 2);
}

#[test]
fn a_repeated_order_passes_where_the_window_is_off() {
    let mut room = Room::new();
    for _ in 0..5 {
        passes(&mut room, order(Side::Buy, "0.1"), 0);
    }
}

#[test]
fn test_runaway_halts_at_the_last_refusal_allowed_until_a_person_resumes() {
    let mut room = Room::with(Limits { runaway_refusals: 3, ..limits() });
    rests(&mut room, limit(Side::Buy, "1", "9000"), 0);
    for ns in [0, 1, 10 * SECOND_NS] {
        room.submit(Side::Buy, "100", ns);
        assert_eq!(room.desk.state.halted, None, "the first is ten seconds old");
    }
    room.submit(Side::Buy, "100", 10 * SECOND_NS);
    let halt = room.desk.state.halted.as_ref().expect("three refusals in ten seconds");
    assert_eq!((halt.cause.as_str(), halt.detail.as_str()), ("RUNAWAY", "3 refusals in 10 s"));
    assert_eq!(room.last(), &Event::CancelRequested { order: 1, reason: Reason::Halted });
    assert!(room.restarted().halted.is_some());
    room.run(Command::Resume, 10 * SECOND_NS);
    room.submit(Side::Buy, "100", 10 * SECOND_NS);
    assert_eq!(room.desk.state.halted, None, "a resume forgets earlier refusals");
}

/// A shared desk on a live market: 100 at 10,000 and 10,001.
pub fn shared(limits: Limits) -> SharedDesk {
    let published = Arc::new(Published::new(Arc::new(CrossWatch::new(Arc::new(Signal::default())))));
    let view = market("10000", "10001", "100", 0);
    published.write(&view.top, 1, [view.top.bid].into_iter(), [view.top.ask].into_iter());
    let desk = SharedDesk::new(Desk::new(limits, instrument(), Rate(0), Health::default()), published);
    start(&desk, limits, false).expect("a new journal");
    desk
}

pub fn start(desk: &SharedDesk, limits: Limits, loosen: bool) -> Result<Vec<OpenOrder>, String> {
    let assets = Assets { base: "BTC".into(), quote: "USDT".into() };
    let profile = Profile { execution: "simulated".into(), venue: "binance".into(), symbol: "BTCUSDT".into(), assets };
    let started = Started { build: "test".into(), seed: 7, limits, instrument: instrument(), memory: false };
    desk.start(Opened { version: 1, profile }, started, loosen, at(0))
}

#[test]
fn test_attempts_cap_answers_without_judging_and_only_counts() {
    let desk = shared(Limits { attempts_per_second: 3, ..limits() });
    (0..3).for_each(|ns| drop(desk.submit(&order(Side::Buy, "100"), at(ns))));
    let before = desk.read(|desk, _| desk.state.clone()).expect("a state");
    let (outcome, seq) = desk.submit(&order(Side::Buy, "0.1"), at(SECOND_NS - 1));
    assert_eq!((codes(&outcome), seq), (vec![Reason::Attempts], 0));
    assert_eq!(codes(&desk.check(&order(Side::Buy, "0.1"), at(SECOND_NS - 1))), [Reason::Attempts]);
    assert_eq!(desk.read(|desk, _| desk.state.clone()).expect("a state"), before);
    assert_eq!(desk.read(|desk, _| desk.attempts_capped), Some(1));
    assert!(accepted(&desk.submit(&order(Side::Buy, "0.1"), at(SECOND_NS)).0));
}

#[test]
fn test_self_match_blocks_from_the_own_resting_price_on() {
    for (resting, meets, beside) in [
        (limit(Side::Sell, "1", "10050"), limit(Side::Buy, "0.1", "10050"), limit(Side::Buy, "0.1", "10049.99")),
        (limit(Side::Buy, "1", "9950"), limit(Side::Sell, "0.1", "9950"), limit(Side::Sell, "0.1", "9950.01")),
    ] {
        let mut room = Room::new();
        let own = rests(&mut room, resting, 0);
        refused_with(&mut room, meets, 0, &[Reason::SelfMatch]);
        passes(&mut room, beside, 0);
        room.run(Command::Cancel { order: own, reason: Reason::User }, 0);
        refused_with(&mut room, meets, 0, &[Reason::SelfMatch]);
        room.run(Command::Report(Report::Ended { order: own, state: End::Canceled, reason: Reason::User }), 0);
        passes(&mut room, meets, 0);
    }
}

#[test]
fn a_market_order_meets_an_own_order_only_as_deep_as_it_walks() {
    let mut room = Room::new();
    room.view = market("10000", "10001", "0.1", 0);
    rests(&mut room, limit(Side::Sell, "1", "10003"), 0);
    refused_with(&mut room, order(Side::Buy, "0.20001"), 0, &[Reason::SelfMatch]);
    passes(&mut room, order(Side::Buy, "0.2"), 0);
    passes(&mut room, OrderRequest { tif: Tif::Ioc, ..limit(Side::Sell, "0.1", "10000") }, 0);
    passes(&mut room, limit(Side::Buy, "0.1", "10002"), 0);
}

#[test]
fn test_queue_full_blocks_at_the_most_orders_that_may_be_open() {
    let mut room = Room::with(Limits { position: btc("50"), orders_per_second: 1_000, ..limits() });
    for step in 0..OPEN_MAX as i64 {
        passes(&mut room, order(Side::Buy, "0.001"), step * 2_000_000);
    }
    let late = OPEN_MAX as i64 * 2_000_000;
    refused_with(&mut room, order(Side::Buy, "0.001"), late, &[Reason::QueueFull]);
    room.run(Command::Cancel { order: 1, reason: Reason::User }, late);
    room.run(Command::Release { order: 1 }, late);
    passes(&mut room, order(Side::Buy, "0.001"), late);
}

#[test]
fn test_journal_not_healthy_blocks_at_the_decision_and_at_release() {
    blocks_both(|room| room.desk.health.journal = false, Reason::JournalUnhealthy);
}

#[test]
fn test_executor_not_ready_blocks_at_the_decision_and_at_release() {
    blocks_both(|room| room.desk.health.executor = false, Reason::ExecutorNotReady);
}

#[test]
fn test_kill_switch_blocks_withholds_and_survives_a_restart() {
    let mut room = Room::new();
    let resting = rests(&mut room, limit(Side::Buy, "1", "9000"), 0);
    let pending = passes(&mut room, order(Side::Buy, "1"), 0);
    room.run(Command::Halt(Halt::new("OPERATOR", "lunch")), 0);
    let asked = |order| Event::CancelRequested { order, reason: Reason::Halted };
    assert_eq!(
        room.journal.iter().rev().take(2).map(|stamped| &stamped.event).collect::<Vec<_>>(),
        [&asked(pending), &asked(resting)]
    );
    let Outcome::Refused(refused) = room.submit(Side::Buy, "1", 0) else { panic!("accepted") };
    assert_eq!(refused.sentence, "Order rejected: Trading is halted (OPERATOR: lunch); use `flatten` or `reduce`.");
    assert_eq!(room.run(Command::Release { order: pending }, 0), Outcome::Withheld(Reason::Halted));
    assert!(room.restarted().halted.is_some());
    room.run(Command::Resume, 0);
    passes(&mut room, order(Side::Buy, "1"), 0);
}

#[test]
fn test_looser_limits_need_a_word_and_tighter_ones_do_not() {
    let desk = shared(limits());
    let looser = Limits { position: btc("6"), repeat_window_ns: SECOND_NS, ..limits() };
    let refused = start(&desk, looser, false).expect_err("6 is more than 5");
    assert_eq!(refused, "limits allow more than before and are not confirmed: max_position 5 -> 6");
    assert_eq!(desk.read(|desk, _| desk.state.limits), Some(limits()), "nothing was begun");
    start(&desk, looser, true).expect("the word was given");
    let changed = Event::LimitsChanged { old: Box::new(limits()), new: Box::new(looser) };
    assert!(desk.next_events(100, std::time::Duration::ZERO).iter().any(|stamped| stamped.event == changed));
    start(&desk, Limits { position: btc("4"), ..looser }, false).expect("tighter");
}

#[test]
fn test_clock_jump_halts_and_begins_no_day_until_a_person_resumes() {
    let mut room = Room::new();
    let day = room.desk.state.day;
    let jumped = |by_ns: i64| Now { utc_ns: at(0).utc_ns + by_ns, ..at(0) };
    let mut run = |command: Command, now: Now| {
        room.view.top.recv_ns = now.mono_ns;
        room.desk.run(&command, now, &room.view, |stamped| room.journal.push(stamped));
        (room.desk.state.halted.clone(), room.desk.state.day)
    };
    assert_eq!(run(Command::Mark, jumped(2 * SECOND_NS)).0, None, "exactly two seconds pass");
    let (halt, same_day) = run(Command::Mark, jumped(DAY_NS));
    assert_eq!((halt.expect("a day is more").cause, same_day), ("CLOCK".to_owned(), day));
    assert_eq!(run(Command::Resume, jumped(DAY_NS)), (None, day));
    assert_eq!(run(Command::Mark, jumped(DAY_NS)), (None, day.map(|day| day + 1)));
    assert_eq!(run(Command::Mark, jumped(0)).0.expect("back again").cause, "CLOCK");
    assert_eq!(room.restarted().text(), room.desk.state.text());
}

#[test]
fn a_check_says_what_submit_will_say_of_a_clock_that_jumped() {
    let mut room = Room::new();
    let tomorrow = Now { utc_ns: at(DAY_NS).utc_ns, ..at(0) };
    let small = order(Side::Buy, "0.1");
    assert_eq!(codes(&room.desk.check(&small, tomorrow, &room.view)), [Reason::Halted]);
    room.desk.run(&Command::Mark, tomorrow, &room.view, |_| {});
    room.run(Command::Resume, 0);
    assert!(accepted(&room.desk.check(&small, at(0), &room.view)), "back where it was when a person resumed");
}

#[test]
fn a_clock_that_was_set_right_before_a_person_resumed_begins_no_day_that_has_not_come() {
    let mut room = Room::new();
    let tomorrow = Now { utc_ns: at(DAY_NS).utc_ns, ..at(SECOND_NS) };
    room.trade(Side::Buy, "1", "10000", 0);
    room.desk.run(&Command::Mark, tomorrow, &room.view, |stamped| room.journal.push(stamped));
    room.run(Command::Resume, 2 * SECOND_NS);
    room.run(Command::Mark, 62 * SECOND_NS);
    assert_eq!((room.desk.state.day, room.desk.state.halted.clone()), (Some(1_000), None));
    assert_eq!(
        (room.last(), room.desk.state.marked_ns),
        (&Event::Marked { price: usdt("10000") }, at(62 * SECOND_NS).utc_ns)
    );
    assert_eq!(room.restarted().text(), room.desk.state.text());
    let mut later = Desk::new(limits(), instrument(), Rate(0), Health::default());
    room.journal.iter().for_each(|stamped| later.recover(stamped).expect("in order"));
    later.run(&Command::Mark, at(63 * SECOND_NS), &room.view, |stamped| panic!("{stamped:?}"));
    room.run(Command::Mark, DAY_NS);
    assert_eq!(room.desk.state.day, Some(1_001));
}

#[test]
fn only_a_person_who_resumes_after_a_jump_of_the_clock_takes_it_back() {
    let mut room = Room::new();
    let late = |utc_s: i64| Now { utc_ns: at(utc_s * SECOND_NS).utc_ns, ..at(SECOND_NS) };
    let run = |room: &mut Room, command: Command, now: Now| {
        room.desk.run(&command, now, &room.view, |stamped| room.journal.push(stamped));
        room.desk.seen.utc_ns
    };
    room.run(Command::Halt(Halt::new("OPERATOR", "")), 3 * SECOND_NS);
    let highest = at(3 * SECOND_NS).utc_ns;
    assert_eq!(run(&mut room, Command::Resume, late(2)), highest, "nothing was wrong with the clock");
    assert_eq!(run(&mut room, Command::Mark, late(9)), late(9).utc_ns, "a jump");
    assert_eq!(run(&mut room, Command::Mark, late(2)), late(9).utc_ns, "only a person can tell");
    let mut later = Desk::new(limits(), instrument(), Rate(0), Health::default());
    for stamped in &room.journal {
        let before_ns = later.seen.utc_ns;
        later.recover(stamped).expect("in order");
        assert!(later.seen.utc_ns >= before_ns, "{stamped:?}");
    }
    assert_eq!(run(&mut room, Command::Resume, late(2)), late(2).utc_ns);
    later.recover(room.journal.last().expect("the resume")).expect("in order");
    assert_eq!(later.seen.utc_ns, late(2).utc_ns);
}

#[test]
fn a_clock_that_jumps_under_a_halt_is_still_not_trusted() {
    let mut room = Room::new();
    room.run(Command::Halt(Halt::new("OPERATOR", "lunch")), 0);
    let tomorrow = Now { utc_ns: at(DAY_NS).utc_ns, ..at(0) };
    for _ in 0..2 {
        room.desk.run(&Command::Mark, tomorrow, &room.view, |stamped| room.journal.push(stamped));
    }
    assert_eq!(room.last(), &Event::ClockJumped { by_ns: DAY_NS });
    assert_eq!(room.desk.state.day, Some(1_000));
    assert_eq!(room.desk.state.halted.as_ref().expect("halted").cause, "OPERATOR");
}

#[test]
fn test_reducing_is_proved_with_everything_in_flight_counted() {
    let mut room = Room::new();
    refused_with(&mut room, reduce(Side::Sell, "1"), 0, &[Reason::NotReducing]);
    room.trade(Side::Buy, "1", "10000", 0);
    passes(&mut room, reduce(Side::Sell, "0.6"), 0);
    refused_with(&mut room, reduce(Side::Sell, "0.40001"), 0, &[Reason::NotReducing]);
    refused_with(&mut room, reduce(Side::Buy, "0.1"), 0, &[Reason::NotReducing]);
    passes(&mut room, reduce(Side::Sell, "0.4"), 0);
}
