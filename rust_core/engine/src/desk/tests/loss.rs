//! The day's loss, its latch, and the day itself.

use super::*;

#[test]
fn a_loss_of_exactly_the_limit_trips_and_one_unit_less_does_not() {
    for (bid, latched) in [("8000.01", false), ("8000", true), ("7999.99", true)] {
        let mut room = Room::new();
        room.trade(Side::Buy, "4", "10000", 0);
        room.trade(Side::Buy, "1", "10000", 0);
        room.view = market(bid, "11000", "100", SECOND_NS);
        room.run(Command::Mark, SECOND_NS);
        assert_eq!(room.desk.state.loss_latched, latched, "bid {bid}");
    }
}

#[test]
fn the_latch_refuses_what_opens_lets_pass_what_reduces_and_ends_with_the_day() {
    let mut room = Room::new();
    room.trade(Side::Buy, "4", "10000", 0);
    room.run(Command::Submit(limit(Side::Buy, "0.5", "6000")), 0);
    room.view = market("7000", "7001", "100", 0);
    room.run(Command::Mark, SECOND_NS);
    let canceled = Event::CancelRequested { order: 2, reason: Reason::DailyLoss };
    assert!(room.journal.iter().any(|stamped| stamped.event == canceled));
    let outcome = room.submit(Side::Buy, "0.1", SECOND_NS);
    assert_eq!(codes(&outcome), [Reason::DailyLoss]);
    let Outcome::Refused(refused) = outcome else { unreachable!() };
    assert!(refused.sentence.ends_with("use `flatten` or `reduce`."), "{}", refused.sentence);
    assert!(accepted(&room.run(Command::Submit(reduce(Side::Sell, "4")), SECOND_NS)));
    assert!(room.restarted().loss_latched);
    room.run(Command::Mark, DAY_NS);
    assert!(!room.desk.state.loss_latched);
}

#[test]
fn the_latch_also_ends_resting_orders_that_would_turn_the_position_over() {
    let mut room = Room::new();
    room.trade(Side::Buy, "4", "10000", 0);
    for quantity in ["1", "2.5", "0.6"] {
        let outcome = room.run(Command::Submit(limit(Side::Sell, quantity, "11000")), 0);
        assert!(accepted(&outcome), "{outcome:?}");
    }
    room.view = market("7000", "7001", "100", 0);
    room.run(Command::Mark, SECOND_NS);
    let ended: Vec<u64> =
        room.desk.state.orders.iter().filter(|open| open.cancel.is_some()).map(|open| open.order).collect();
    assert_eq!(ended, [4], "1 + 2.5 close 4, 0.6 more would not");
}

#[test]
fn a_book_that_cannot_be_trusted_trips_no_latch() {
    for spoil in [0, 1, 2] {
        let mut room = Room::new();
        room.trade(Side::Buy, "4", "10000", 0);
        room.view = market("7000", "7001", "100", 0);
        match spoil {
            0 => room.view.top.sync = Sync::Desynced,
            1 => room.view.top.ask.price = usdt("6999"),
            _ => {}
        }
        let stale = at(3 * SECOND_NS);
        let now = if spoil == 2 { stale } else { at(SECOND_NS) };
        room.desk.run(&Command::Mark, now, &room.view, |_| {});
        assert!(!room.desk.state.loss_latched, "case {spoil}");
    }
}

#[test]
fn a_loss_that_is_realised_needs_no_book_to_latch() {
    let mut room = Room::new();
    room.trade(Side::Buy, "4", "10000", 0);
    room.trade(Side::Sell, "4", "7000", 1);
    room.view.top.sync = Sync::Desynced;
    room.run(Command::Mark, 2);
    assert!(room.desk.state.loss_latched);
}

#[test]
fn a_check_over_midnight_says_what_submit_will_say() {
    let mut room = Room::new();
    room.trade(Side::Buy, "4", "10000", 0);
    room.trade(Side::Sell, "4", "7000", 1);
    room.run(Command::Mark, 2);
    room.view = market("10000", "10001", "100", DAY_NS);
    assert!(accepted(&room.desk.check(&order(Side::Buy, "1"), at(DAY_NS), &room.view)));
    assert!(accepted(&room.submit(Side::Buy, "1", DAY_NS)));
}

#[test]
fn a_fill_is_the_newest_mark_until_the_clock_marks() {
    let mut room = Room::new();
    room.trade(Side::Buy, "4", "10000", DAY_NS - 5);
    room.run(Command::NewDay, DAY_NS);
    assert_eq!(room.desk.state.day_start, Money(0), "valued at its own price, not at a price of hours ago");
}

#[test]
fn a_clock_that_jumps_back_reopens_no_day() {
    let mut room = Room::new();
    room.run(Command::Mark, DAY_NS);
    let day = room.desk.state.day;
    room.run(Command::Mark, 0);
    assert_eq!(room.desk.state.day, day);
}

#[test]
fn a_loss_while_the_program_is_down_counts_in_the_new_day() {
    let mut room = Room::new();
    room.trade(Side::Buy, "4", "10000", 0);
    room.run(Command::Mark, 60 * SECOND_NS);
    assert!(matches!(room.last(), Event::Marked { .. }));
    room.view = market("7400", "7401", "100", DAY_NS);
    room.run(Command::Mark, DAY_NS);
    assert_eq!(room.desk.state.day_start, Money(0));
    assert!(room.desk.state.loss_latched, "10,400 lost since the last mark of the old day");
}
