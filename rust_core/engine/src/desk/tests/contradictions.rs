//! An event that contradicts the state is our own fault, and stops at once instead of being booked.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

/// The words of the panic with which the state refuses the event; `None` where it takes it.
fn refused(room: &Room, event: Event) -> Option<String> {
    let mut state = room.desk.state.clone();
    let panicked = catch_unwind(AssertUnwindSafe(|| evolve(&mut state, &event, at(0)))).err()?;
    Some(panicked.downcast::<String>().map_or_else(|other| format!("{other:?}"), |text| *text))
}

fn holds(room: &Room, event: Event) {
    assert_eq!(refused(room, event), None);
}

fn breaks(room: &Room, event: Event, words: &str) {
    let said = refused(room, event.clone()).unwrap_or_else(|| panic!("{event:?} was taken"));
    assert!(said.starts_with(words), "{said}");
}

/// Order 1 is pending, order 2 has left, order 3 rests, order 4 is unknown, order 5 has ended.
fn room() -> Room {
    let mut room = Room::with(Limits { orders_per_second: 50, ..limits() });
    for _ in 1..=5 {
        room.run(Command::Submit(limit(Side::Buy, "0.5", "10000")), 0);
    }
    for order in 2..=5 {
        room.run(Command::Release { order }, 0);
    }
    room.run(Command::Report(Report::Resting { order: 3 }), 0);
    room.run(Command::Report(Report::Unknown { order: 4 }), 0);
    room.run(Command::Report(Report::Ended { order: 5, state: End::Canceled, reason: Reason::User }), 0);
    room
}

/// The event of a fill of order 2 that would be right.
fn fill_of(room: &Room, id: &str) -> Filled {
    let mut desk = room.desk.clone();
    let mut event = None;
    let report = Command::Report(Report::Filled(Room::execution(Some(2), Side::Buy, btc("0.2"), id)));
    desk.run(&report, at(0), &room.view, |stamped| event = Some(stamped.event));
    match event {
        Some(Event::Filled(filled)) => *filled,
        other => panic!("{other:?}"),
    }
}

fn stray(order: Option<u64>, side: Side, cause: StrayCause) -> Stray {
    let Execution { trades, .. } = Room::execution(order, side, btc("0.2"), "stray");
    let (cost, average, fee) = (money("2000"), usdt("10000"), trades[0].fee);
    Stray { order, side, quantity: btc("0.2"), trades, cost, average, realised: Money(0), fee, cause }
}

#[test]
fn an_order_leaves_rests_and_is_lost_sight_of_only_in_its_turn() {
    let room = room();
    let released = |order| Event::Released { order };
    let rested =
        |order| Event::Resting(Rested { order, side: Side::Buy, quantity: btc("0.5"), limit: Some(usdt("10000")) });
    let unknown = |order| Event::Unknown(Unanswered { order, side: Side::Buy, quantity: btc("0.5") });
    holds(&room, released(1));
    (2..=4).for_each(|order| breaks(&room, released(order), "order"));
    [2, 4].into_iter().for_each(|order| holds(&room, rested(order)));
    [1, 3].into_iter().for_each(|order| breaks(&room, rested(order), "order"));
    [2, 3].into_iter().for_each(|order| holds(&room, unknown(order)));
    [1, 4].into_iter().for_each(|order| breaks(&room, unknown(order), "order"));
    breaks(&room, released(5), "order 5 is not open");
}

#[test]
fn a_pending_order_can_be_lost_sight_of_only_by_a_later_run() {
    let mut room = room();
    let unknown = |order| Event::Unknown(Unanswered { order, side: Side::Buy, quantity: btc("0.5") });
    room.desk.state.run_began = room.desk.state.seq + 1;
    holds(&room, unknown(1));
    breaks(&room, unknown(4), "order 4 is out of sight");
}

#[test]
fn a_fill_says_what_its_trades_and_its_order_say() {
    let room = room();
    let filled = fill_of(&room, "a");
    let event = |filled: Filled| Event::Filled(Box::new(filled));
    holds(&room, event(filled.clone()));
    breaks(&room, event(Filled { realised: Money(1), ..filled.clone() }), "order 2 booked");
    breaks(&room, event(Filled { filled: btc("0.3"), ..filled.clone() }), "order 2 booked");
    breaks(&room, event(Filled { done: true, ..filled.clone() }), "order 2 done true");
    breaks(&room, event(Filled { side: Side::Sell, ..filled.clone() }), "order 2 filled");
    breaks(&room, event(Filled { order: 1, ..filled.clone() }), "order 1 filled");
    breaks(&room, event(Filled { order: 5, ..filled.clone() }), "order 5 is not open");
    let twice = vec![filled.trades[0]; 2];
    breaks(&room, event(Filled { trades: twice, ..filled }), "trade \"a\" counted twice");
}

#[test]
fn an_end_says_how_much_was_filled_before() {
    let room = room();
    let ended = |filled: &str| {
        let (order, side, quantity, filled) = (2, Side::Buy, btc("0.5"), btc(filled));
        Event::Ended(Ended { order, side, quantity, filled, state: End::Canceled, reason: Reason::User })
    };
    holds(&room, ended("0"));
    breaks(&room, ended("0.1"), "order 2 ended with 0 filled");
}

#[test]
fn a_stray_has_a_cause_that_its_order_bears_out() {
    let room = room();
    let cases = [
        (StrayCause::ForeignFill, Side::Buy, vec![None, Some(0), Some(6)]),
        (StrayCause::FillAfterEnd, Side::Buy, vec![Some(5)]),
        (StrayCause::Overfill, Side::Buy, vec![Some(5)]),
        (StrayCause::FillBeforeRelease, Side::Buy, vec![Some(1)]),
        (StrayCause::WrongSide, Side::Buy, vec![]),
        (StrayCause::WrongSide, Side::Sell, vec![Some(2), Some(3), Some(4)]),
    ];
    for (cause, side, borne_out) in cases {
        for order in [None, Some(0), Some(1), Some(2), Some(3), Some(4), Some(5), Some(6)] {
            let event = Event::Stray(Box::new(stray(order, side, cause)));
            let told = refused(&room, event);
            assert_eq!(told.is_none(), borne_out.contains(&order), "{cause:?} of {order:?}: {told:?}");
        }
    }
}

#[test]
fn a_stray_says_what_its_trades_say_and_counts_them_once() {
    let mut room = room();
    let foreign = stray(None, Side::Buy, StrayCause::ForeignFill);
    let event = |stray: Stray| Event::Stray(Box::new(stray));
    breaks(&room, event(Stray { quantity: btc("0.1"), ..foreign.clone() }), "stray of order None booked");
    breaks(&room, event(Stray { realised: Money(1), ..foreign.clone() }), "stray of order None booked");
    evolve(&mut room.desk.state, &event(foreign.clone()), at(0));
    breaks(&room, event(foreign), "trade \"stray\" counted twice");
    let shared = Stray {
        trades: stray(None, Side::Buy, StrayCause::Overfill).trades,
        order: Some(5),
        ..stray(Some(5), Side::Buy, StrayCause::Overfill)
    };
    holds(&room, event(shared.clone()));
    let after_end = Stray { cause: StrayCause::FillAfterEnd, ..shared.clone() };
    breaks(&room, event(after_end), "trade \"stray\" counted twice");
    let (mut other, mut nameless) = (shared.trades[0], shared.trades[0]);
    other.id = TradeId::new("other");
    nameless.id = None;
    let of = |trades: Vec<Trade>| event(Stray { quantity: btc("0.4"), cost: money("4000"), trades, ..shared.clone() });
    holds(&room, of(vec![shared.trades[0], other]));
    holds(&room, of(vec![nameless, other]));
    breaks(&room, of(vec![other, shared.trades[0]]), "trade \"stray\" counted twice");
    let beyond = |cause| event(Stray { trades: vec![other], cause, ..shared.clone() });
    evolve(&mut room.desk.state, &beyond(StrayCause::Overfill), at(0));
    breaks(&room, beyond(StrayCause::FillAfterEnd), "trade \"other\" counted twice");
}

#[test]
fn a_day_goes_on_only_and_changed_limits_are_those_in_force() {
    let room = room();
    let day = |day| Event::DayStarted { day, start_equity: Money(0) };
    holds(&room, day(1_001));
    breaks(&room, day(1_000), "day 1000 after Some(1000)");
    let now = room.desk.state.limits;
    let changed = |new: Limits| Event::LimitsChanged { old: Box::new(now), new: Box::new(new) };
    holds(&room, changed(now));
    assert!(refused(&room, changed(Limits { position: btc("1"), ..now })).is_some());
}
