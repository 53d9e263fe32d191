//! The bounds of the ring between the desk and its journal, to the slot.

use std::time::Duration;

use super::controls::shared;
use super::*;

/// Writes events that nobody reads until `free` slots are left; ends with trading halted.
fn leave(desk: &SharedDesk, free: usize) {
    let halt = || Command::Halt(Halt::new("OPERATOR", "again"));
    while desk.spare() > free {
        desk.command(&halt(), at(0));
        if desk.spare() > free {
            desk.command(&Command::Resume, at(0));
        }
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
fn a_mark_needs_more_room_than_all_open_orders_might() {
    let desk = shared(limits());
    let (_, seq) = desk.submit(&order(Side::Buy, "1"), at(0));
    desk.committed(seq);
    assert_eq!(desk.release(1, at(0)), Outcome::Released);
    let trade = Trade { price: usdt("10001"), quantity: btc("1"), fee: Money(0) };
    let (bid, ask, level_cost) = (usdt("10000"), usdt("10001"), trade.price.times(trade.quantity));
    let fill = Execution { order: 1, trades: vec![trade], level_cost, bid, ask, maker: false, delay_ns: 0 };
    desk.report(Report::Filled(fill), at(0));
    leave(&desk, OPEN_MAX);
    desk.mark(at(0));
    assert_eq!(desk.spare(), OPEN_MAX);
    desk.next_events(1, Duration::ZERO);
    desk.mark(at(0));
    assert_eq!(desk.spare(), OPEN_MAX);
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
