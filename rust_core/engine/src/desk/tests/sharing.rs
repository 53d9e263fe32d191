//! The bounds of the ring between the desk and its journal, to the slot.

use std::time::Duration;

use super::controls::{shared, start};
use super::*;

/// Writes events that nobody reads until `free` slots are left; ends with trading halted.
fn leave(desk: &SharedDesk, free: usize) {
    let halt = || Command::Halt(Halt::new("OPERATOR", "again"));
    for turn in 0..desk.spare() - free {
        desk.command(&if turn % 2 == 0 { halt() } else { Command::Resume }, at(0));
    }
    if desk.read(|desk, _| desk.state.halted.is_none()) == Some(true) {
        desk.next_events(1, Duration::ZERO);
        desk.command(&halt(), at(0));
    }
    assert_eq!(desk.spare(), free);
}

#[test]
fn orders_are_refused_from_the_slot_on_that_is_kept_for_what_already_left() {
    let desk = shared(limits());
    leave(&desk, RING / 4 + OPEN_MAX);
    assert_eq!(codes(&desk.submit(&order(Side::Buy, "0.1"), at(0)).0), [Reason::Halted]);
    let (outcome, seq) = desk.submit(&order(Side::Buy, "0.1"), at(0));
    let Outcome::Refused(refused) = outcome else { panic!("accepted") };
    let full = &refused.breaches[0];
    let used = (RING - desk.spare()) as i128;
    assert_eq!((full.code, full.value, full.limit, seq), (Reason::QueueFull, used, used - 1, 0));
    assert_eq!(refused.sentence, "Order rejected: The engine is at its capacity (5120).");
}

#[test]
fn a_resume_needs_half_of_the_ring() {
    let desk = shared(limits());
    leave(&desk, RING / 2 - 1);
    assert_eq!(desk.resume(at(0)), (Outcome::Withheld(Reason::QueueFull), 0));
    desk.next_events(1, Duration::ZERO);
    let (outcome, seq) = desk.resume(at(0));
    assert_eq!((outcome, Some(seq)), (Outcome::Done, desk.read(|desk, _| desk.state.seq)));
    assert_eq!(desk.read(|desk, _| desk.state.halted.clone()), Some(None));
}

#[test]
fn a_mark_needs_more_room_than_all_open_orders_and_a_halt_might() {
    let desk = shared(limits());
    let (_, seq) = desk.submit(&order(Side::Buy, "1"), at(0));
    desk.committed(seq);
    assert_eq!(desk.release(1, at(0)), Outcome::Released);
    let trade = Trade { price: usdt("10001"), quantity: btc("1"), fee: Money(0), id: None };
    let whole = Room::execution(Some(1), Side::Buy, trade.quantity, "");
    let fill = Execution { level_cost: trade.price.times(trade.quantity), trades: vec![trade], ..whole };
    desk.report(Report::Filled(fill), at(0));
    let bound = OPEN_MAX + RING / 8;
    leave(&desk, bound);
    desk.mark(at(0));
    assert_eq!(desk.spare(), bound);
    desk.next_events(1, Duration::ZERO);
    desk.mark(at(0));
    assert_eq!(desk.spare(), bound);
    assert_eq!(desk.read(|desk, _| desk.state.mark), Some(Some(usdt("10000"))));
}

#[test]
fn events_are_taken_in_order_and_as_many_as_asked_for() {
    let desk = shared(limits());
    let seqs = |events: Vec<Stamped>| events.iter().map(|stamped| stamped.seq).collect::<Vec<_>>();
    assert_eq!(seqs(desk.next_events(1, Duration::from_millis(1))), [1]);
    assert_eq!(seqs(desk.next_events(2, Duration::ZERO)), [2, 3]);
    assert_eq!(seqs(desk.next_events(9, Duration::ZERO)), [] as [u64; 0]);
}

#[test]
fn a_halt_names_the_event_with_which_it_is_done() {
    let desk = shared(limits());
    assert!(accepted(&desk.submit(&order(Side::Buy, "0.1"), at(0)).0));
    let seq = desk.halt("OPERATOR", "enough", at(0));
    let events = desk.next_events(99, Duration::ZERO);
    let last = events.last().expect("events");
    assert_eq!((last.seq, &last.event), (seq, &Event::CancelRequested { order: 1, reason: Reason::Halted }));
}

#[test]
fn health_that_was_lost_and_found_lets_orders_pass_again() {
    let desk = shared(limits());
    let asked = || codes(&desk.check(&order(Side::Buy, "0.1"), at(0)));
    desk.set_journal(false);
    desk.set_executor(false);
    assert_eq!(asked(), [Reason::JournalUnhealthy, Reason::ExecutorNotReady]);
    desk.set_journal(true);
    assert_eq!(asked(), [Reason::ExecutorNotReady]);
    desk.set_executor(true);
    assert!(accepted(&desk.check(&order(Side::Buy, "0.1"), at(0))) && !desk.faulted());
}

#[test]
fn a_journal_of_another_venue_is_not_taken_up() {
    let desk = shared(limits());
    let assets = Assets { base: "BTC".into(), quote: "USDT".into() };
    let profile = Profile { execution: "testnet".into(), venue: "bybit".into(), symbol: "BTCUSDT".into(), assets };
    let started = Started { build: "test".into(), seed: 7, limits: limits(), instrument: instrument(), memory: false };
    let refused = desk.start(Opened { version: 1, profile }, started, false, at(0)).expect_err("another venue");
    assert_eq!(refused, "the journal belongs to simulated binance BTCUSDT, not to testnet bybit BTCUSDT");
    assert_eq!(desk.read(|desk, _| desk.state.runs), Some(1));
}

#[test]
fn a_start_returns_the_orders_that_rest_again_and_no_others() {
    let desk = shared(limits());
    for (order, price) in [(1, "9000"), (2, "9100")] {
        let (_, seq) = desk.submit(&limit(Side::Buy, "0.5", price), at(0));
        desk.committed(seq);
        assert_eq!(desk.release(order, at(0)), Outcome::Released);
    }
    desk.report(Report::Resting { order: 2 }, at(0));
    let resting = start(&desk, limits(), false).expect("the same limits");
    assert_eq!(resting.iter().map(|open| open.order).collect::<Vec<_>>(), [2]);
    assert_eq!(desk.read(|desk, _| (desk.state.runs, desk.state.profile.is_some())), Some((2, true)));
}

#[test]
fn before_the_first_run_no_limit_counts_as_loosened() {
    let published = shared(limits()).published().clone();
    let desk = SharedDesk::new(Desk::new(limits(), instrument(), Rate(0), Health::default()), published);
    let looser = Limits { position: btc("6"), ..limits() };
    assert_eq!(desk.loosened(&looser), []);
    start(&desk, limits(), false).expect("a new journal");
    assert_eq!(desk.loosened(&looser).iter().map(|limit| limit.name).collect::<Vec<_>>(), ["max_position"]);
    let both = Limits { daily_loss: money("20000"), ..looser };
    let refused = start(&desk, both, false).expect_err("two are looser");
    assert!(refused.ends_with(": max_position 5 -> 6, max_daily_loss 10000 -> 20000"), "{refused}");
}

#[test]
fn a_shared_journal_is_folded_in_order_only() {
    let desk = shared(limits());
    let events = desk.next_events(99, Duration::ZERO);
    let fresh =
        SharedDesk::new(Desk::new(limits(), instrument(), Rate(0), Health::default()), desk.published().clone());
    assert_eq!(fresh.recover(&events[1]), Err("event 2 follows event 0".into()));
    events.iter().for_each(|stamped| fresh.recover(stamped).expect("in order"));
    assert_eq!(fresh.read(|desk, _| desk.state.clone()), desk.read(|desk, _| desk.state.clone()));
    assert_eq!(fresh.read(|desk, _| desk.committed), Some(events.len() as u64));
}

#[test]
fn the_market_that_is_shared_is_the_one_that_was_given() {
    let desk = shared(limits());
    let other =
        SharedDesk::new(Desk::new(limits(), instrument(), Rate(0), Health::default()), desk.published().clone());
    assert!(std::sync::Arc::ptr_eq(desk.published(), other.published()));
}

#[test]
fn the_attempts_cap_names_the_attempt_the_limit_and_the_wait() {
    let mut room = Room::with(Limits { attempts_per_second: 1, ..limits() });
    assert_eq!(room.desk.attempt(at(0)), Ok(()));
    let capped = Breach { code: Reason::Attempts, value: 2, limit: 1, headroom: 999 };
    assert_eq!(room.desk.attempt_left(at(1_000_001)), Err(capped));
    assert_eq!((room.desk.attempt(at(1_000_001)), room.desk.attempts_capped), (Err(capped), 1));
    assert_eq!((room.desk.attempt(at(2_000_000)).is_err(), room.desk.attempts_capped), (true, 2));
    assert_eq!(room.desk.attempt(at(SECOND_NS)), Ok(()));
}

#[test]
fn the_room_of_a_side_counts_position_and_open_orders() {
    let mut room = Room::new();
    let sides = |room: &Room| [room.desk.room(Side::Buy), room.desk.room(Side::Sell)].map(|room| room.to_string());
    assert_eq!(sides(&room), ["5", "5"]);
    room.trade(Side::Buy, "2", "10000", 0);
    assert_eq!(sides(&room), ["3", "7"]);
    room.run(Command::Submit(limit(Side::Buy, "1.5", "9000")), 0);
    room.run(Command::Submit(limit(Side::Sell, "1", "11000")), 0);
    assert_eq!(sides(&room), ["1.5", "6"]);
    room.desk.state.limits.position = btc("1");
    assert_eq!(sides(&room), ["0", "2"]);
}
