//! The queue at its bound, with as many open orders as there can be.

mod desks;

use std::sync::Arc;
use std::time::Duration;

use desks::{at, desk, order};
use engine::desk::{OPEN_MAX, OrderRequest, Outcome, Tif};
use engine::execution::SimulatedVenue;
use engine::risk::Rate;
use engine::simulate::Rules;
use engine::units::{E8, Price, SECOND_NS, Side};
use engine::wake::{CrossWatch, Signal};

/// Opens every order that can be open, lets the journal stop, and halts once the venue has done what it may; `late`
/// orders reach the venue after its first step.
fn halt_at_the_bound(late: usize) {
    let desk = desk(50);
    let resting = OrderRequest { limit: Some(Price(9 * E8)), tif: Tif::Gtc, ..order(Side::Buy, E8 / 1_000) };
    let free = Rate(0);
    let (slippage, taker_fee, maker_fee, stale_after_ns) = (free, free, free, i64::MAX);
    let rules = Rules { seed: 1, min_delay_ns: 1, max_delay_ns: 1, slippage, taker_fee, maker_fee, stale_after_ns };
    let venue = SimulatedVenue::new(rules, desk.clone(), Arc::new(CrossWatch::new(Arc::new(Signal::default()))));
    let mut now = 1;
    let mut later = || {
        now += SECOND_NS;
        at(now)
    };
    let mut taken_in = || match desk.submit(&resting, later()).0 {
        Outcome::Accepted { order } => order,
        refused => panic!("{refused:?}"),
    };
    let mut orders: Vec<u64> = (0..OPEN_MAX).map(|_| taken_in()).collect();
    desk.committed(desk.next_events(10_000, Duration::ZERO).last().expect("events").seq);
    // From here on nobody takes events.
    while desk.submit(&order(Side::Buy, 0), later()).1 > 0 {}
    let behind = orders.split_off(OPEN_MAX - late);
    for inbox in [orders, behind] {
        inbox.into_iter().for_each(|order| venue.submit(order, resting));
        venue.step(later());
    }
    (0..8).for_each(|_| assert!(venue.step(later()) <= OPEN_MAX));
    desk.halt("OPERATOR", "by hand", later());
    assert!(!desk.faulted());
}

#[test]
fn a_halt_finds_room_for_every_cancel_however_far_the_journal_is_behind() {
    halt_at_the_bound(0);
}

#[test]
fn a_halt_finds_room_for_every_cancel_after_orders_that_came_late() {
    [1, 8, 64].into_iter().for_each(halt_at_the_bound);
}
