//! Decisions at their edges: first starts, new days, marks, latches and orders that must reduce.

use super::*;

fn kinds(room: &Room, from: usize) -> Vec<&Event> {
    room.journal[from..].iter().map(|stamped| &stamped.event).collect()
}

/// A room whose long position of 1 BTC was bought at 10,001.
fn long() -> Room {
    let mut room = Room::new();
    room.trade(Side::Buy, "1", "10001", 0);
    room
}

fn rests(room: &mut Room, request: OrderRequest) -> u64 {
    let Outcome::Accepted { order } = room.run(Command::Submit(request), 0) else { panic!("refused") };
    room.run(Command::Release { order }, 0);
    room.run(Command::Report(Report::Resting { order }), 0);
    order
}

#[test]
fn a_first_start_changes_no_limits_and_a_later_one_says_which() {
    let mut room = Room::new();
    let changed =
        |room: &Room| kinds(room, 0).iter().filter(|kind| matches!(kind, Event::LimitsChanged { .. })).count();
    let mut fresh = Room::new();
    fresh.desk = Desk::new(Limits { position: btc("1"), ..limits() }, instrument(), Rate(0), Health::default());
    fresh.journal.clear();
    fresh.start(limits(), 0);
    assert_eq!((changed(&fresh), fresh.desk.state.limits), (0, limits()));
    room.start(limits(), 0);
    assert_eq!(changed(&room), 0);
    room.start(Limits { position: btc("1"), ..limits() }, 0);
    assert_eq!((changed(&room), room.desk.state.runs), (1, 3));
}

#[test]
fn a_day_begins_at_the_newest_mark_and_at_cost_where_there_is_none() {
    let mut room = long();
    room.desk.state.ledger.fees = money("3");
    room.desk.state.mark = Some(usdt("10011"));
    let mut begun = |mark: Option<Price>, day: i64| {
        room.desk.state.mark = mark;
        let from = room.journal.len();
        room.run(Command::NewDay, day * DAY_NS);
        match kinds(&room, from)[..] {
            [Event::DayStarted { day, start_equity }] => (*day, start_equity.to_string()),
            ref other => panic!("{other:?}"),
        }
    };
    assert_eq!(begun(Some(usdt("10011")), 1), (1_001, "7".into()));
    assert_eq!(begun(None, 2), (1_002, "-3".into()));
}

#[test]
fn a_loss_at_an_unknown_price_counts_the_position_at_its_cost() {
    let mut room = long();
    room.desk.state.ledger.fees = money("3");
    room.desk.state.day_start = money("10");
    assert_eq!(room.desk.state.day_loss(None), money("13"));
    assert_eq!(room.desk.state.day_loss(Some(usdt("10000"))), money("14"));
}

#[test]
fn an_open_position_is_marked_once_a_minute_to_the_nanosecond() {
    let mut room = long();
    let minute = 60 * SECOND_NS;
    let mut marks = |ns: i64| {
        let from = room.journal.len();
        room.run(Command::Mark, ns);
        kinds(&room, from).iter().filter(|kind| matches!(kind, Event::Marked { .. })).count()
    };
    assert_eq!([SECOND_NS, 2 * SECOND_NS].map(&mut marks), [1, 0], "a fill is followed by a mark at once");
    assert_eq!([SECOND_NS + minute - 1, SECOND_NS + minute, SECOND_NS + minute + 1].map(&mut marks), [0, 1, 0]);
    let mut flat = Room::new();
    flat.run(Command::Mark, minute);
    assert!(!matches!(flat.last(), Event::Marked { .. }));
}

#[test]
fn a_realised_loss_latches_once_and_ends_every_order_of_a_flat_desk() {
    let mut room = Room::new();
    let (buy, sell) =
        (rests(&mut room, limit(Side::Buy, "1", "9900")), rests(&mut room, limit(Side::Sell, "1", "10200")));
    room.desk.state.day_start = money("10000");
    let from = room.journal.len();
    room.run(Command::Mark, 1);
    room.run(Command::Mark, 2);
    let asked = |order| Event::CancelRequested { order, reason: Reason::DailyLoss };
    let latched = Event::LossLatched { day: 1_000, loss: money("10000") };
    assert_eq!(kinds(&room, from), [&latched, &asked(buy), &asked(sell)]);
}

#[test]
fn a_latch_keeps_the_oldest_orders_that_together_at_most_close_the_position() {
    let mut room = long();
    let first = rests(&mut room, limit(Side::Sell, "0.4", "10200"));
    let whole = rests(&mut room, limit(Side::Sell, "0.6", "10200"));
    let beyond = rests(&mut room, limit(Side::Sell, "0.1", "10200"));
    let opens = rests(&mut room, limit(Side::Buy, "0.1", "9900"));
    room.desk.state.day_start = money("10000");
    room.run(Command::Mark, 1);
    let canceling = |order| room.desk.state.orders.get(order).is_some_and(|open| open.cancel.is_some());
    assert_eq!([first, whole, beyond, opens].map(canceling), [false, false, true, true]);
}

#[test]
fn orders_that_must_reduce_are_counted_after_all_others_the_oldest_first() {
    let mut room = long();
    let marked = |quantity: &str| OrderRequest { reduce: true, ..limit(Side::Sell, quantity, "10200") };
    let (first, second) = (rests(&mut room, marked("0.5")), rests(&mut room, marked("0.5")));
    let canceling = |room: &Room| [first, second].map(|order| room.desk.state.orders.get(order).expect("open").cancel);
    rests(&mut room, limit(Side::Buy, "0.5", "9900"));
    assert_eq!(canceling(&room), [None, None], "what opens on the other side takes nothing from them");
    rests(&mut room, limit(Side::Sell, "0.2", "10200"));
    assert_eq!(canceling(&room), [None, Some(Reason::NotReducing)]);
    let from = room.journal.len();
    room.run(Command::EndSuperfluous, 2 * SECOND_NS);
    assert_eq!(kinds(&room, from), [] as [&Event; 0], "who was asked is not asked again");
    room.submit(Side::Sell, "0.6", 2 * SECOND_NS);
    assert_eq!(canceling(&room), [Some(Reason::NotReducing); 2]);
}

#[test]
fn a_release_counts_the_other_orders_but_not_the_order_itself() {
    let mut room = long();
    room.run(Command::Submit(reduce(Side::Sell, "1")), 0);
    assert_eq!(room.run(Command::Release { order: 2 }, 0), Outcome::Released);
    let mut room = long();
    room.run(Command::Submit(reduce(Side::Sell, "0.5")), 0);
    room.run(Command::Submit(order(Side::Sell, "0.6")), 0);
    assert_eq!(room.run(Command::Release { order: 2 }, 0), Outcome::Withheld(Reason::NotReducing));
}

#[test]
fn a_release_under_a_halt_passes_only_what_is_marked_and_reduces() {
    let mut room = long();
    room.run(Command::Submit(reduce(Side::Sell, "0.5")), 0);
    room.run(Command::Submit(order(Side::Sell, "0.2")), 0);
    room.desk.state.halted = Some(Halt::new("OPERATOR", "lunch"));
    assert_eq!(room.run(Command::Release { order: 2 }, 0), Outcome::Released);
    assert_eq!(room.run(Command::Release { order: 3 }, 0), Outcome::Withheld(Reason::Halted));
}

#[test]
fn an_order_is_asked_to_end_once_and_keeps_the_first_reason() {
    let mut room = Room::new();
    let order = rests(&mut room, limit(Side::Buy, "1", "9900"));
    let from = room.journal.len();
    for reason in [Reason::User, Reason::SessionEnd] {
        assert_eq!(room.run(Command::Cancel { order, reason }, 0), Outcome::Done);
        room.run(Command::CancelAll { reason }, 0);
    }
    assert_eq!(kinds(&room, from), [&Event::CancelRequested { order, reason: Reason::User }]);
}

#[test]
fn only_a_halted_desk_resumes() {
    let mut room = Room::new();
    let from = room.journal.len();
    room.run(Command::Resume, 0);
    room.run(Command::Halt(Halt::new("OPERATOR", "lunch")), 0);
    room.run(Command::Halt(Halt::new("THREAD", "clock")), 0);
    room.run(Command::Resume, 0);
    assert_eq!(kinds(&room, from), [&Event::Halted(Halt::new("OPERATOR", "lunch")), &Event::Resumed {}]);
}

#[test]
fn orders_are_counted_by_what_became_of_them() {
    let mut room = long();
    (0..2).for_each(|_| assert!(!accepted(&room.submit(Side::Buy, "100", 0))));
    let order = rests(&mut room, limit(Side::Buy, "1", "9900"));
    room.run(Command::Report(Report::Ended { order, state: End::Canceled, reason: Reason::User }), 0);
    assert_eq!(room.desk.state.counts, Counts { accepted: 2, refused: 2, filled: 1, canceled: 1 });
}
