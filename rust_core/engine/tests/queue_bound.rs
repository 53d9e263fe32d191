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

/// Opens every order that can be open, lets the journal stop, and halts once the venue has done what it may. The queue
/// has `spare` slots then, or as few as orders may leave; `late` orders reach the venue after its first step; each
/// travels for `delay_ns`.
fn halt_at_the_bound(spare: usize, late: usize, delay_ns: i64) {
    let desk = desk(50);
    let resting = OrderRequest { limit: Some(Price(9 * E8)), tif: Tif::Gtc, ..order(Side::Buy, E8 / 1_000) };
    let free = Rate(0);
    let (slippage, taker_fee, maker_fee, stale_after_ns) = (free, free, free, i64::MAX);
    let (min_delay_ns, max_delay_ns) = (delay_ns, delay_ns);
    let rules = Rules { seed: 1, min_delay_ns, max_delay_ns, slippage, taker_fee, maker_fee, stale_after_ns };
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
    while desk.spare() > spare && desk.submit(&order(Side::Buy, 0), later()).1 > 0 {}
    let behind = orders.split_off(OPEN_MAX - late);
    for inbox in [orders, behind] {
        inbox.into_iter().for_each(|order| venue.submit(order, resting));
        venue.step(later());
    }
    (0..8).for_each(|_| assert!(venue.step(later()) <= OPEN_MAX));
    desk.halt("OPERATOR", "by hand", later());
    assert!(!desk.faulted());
}

/// With a delay and without one, by which an order leaves and arrives in one step; with as few slots as orders may
/// leave, and with the fewest at which the venue still works.
fn at_every_edge(late: usize) {
    for delay_ns in [0, 1] {
        [0, 3_327, 3_328, 3_329].into_iter().for_each(|spare| halt_at_the_bound(spare, late, delay_ns));
    }
}

#[test]
fn a_halt_finds_room_for_every_cancel_however_far_the_journal_is_behind() {
    at_every_edge(0);
}

#[test]
fn a_halt_finds_room_for_every_cancel_after_orders_that_came_late() {
    [1, 8, 64].into_iter().for_each(at_every_edge);
}
