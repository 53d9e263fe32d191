//! The queue at its bound, with as many open orders as there can be.

mod desks;

use std::time::Duration;

use desks::{at, desk, order};
use engine::desk::{OPEN_MAX, OrderRequest, Outcome, Tif};
use engine::execution::SimulatedVenue;
use engine::risk::Rate;
use engine::simulate::Rules;
use engine::units::{E8, Price, SECOND_NS, Side};
use engine::wake::{CrossWatch, Signal};

#[test]
fn a_halt_finds_room_for_every_cancel_however_far_the_journal_is_behind() {
    let desk = desk(50);
    let resting = OrderRequest { limit: Some(Price(9 * E8)), tif: Tif::Gtc, ..order(Side::Buy, E8 / 1_000) };
    let rules = Rules {
        seed: 1,
        min_delay_ns: 1,
        max_delay_ns: 1,
        slippage: Rate(0),
        taker_fee: Rate(0),
        maker_fee: Rate(0),
        stale_after_ns: i64::MAX,
    };
    let watch = std::sync::Arc::new(CrossWatch::new(std::sync::Arc::new(Signal::default())));
    let venue = SimulatedVenue::new(rules, desk.clone(), watch);
    let mut now = 1;
    for _ in 0..OPEN_MAX {
        now += SECOND_NS;
        let Outcome::Accepted { order } = desk.submit(&resting, at(now)).0 else { panic!("refused") };
        venue.submit(order, resting);
    }
    desk.committed(desk.next_events(10_000, Duration::ZERO).last().expect("events").seq);
    // From here on nobody takes events.
    while !matches!(&desk.submit(&order(Side::Buy, 0), at(now)), (_, 0)) {
        now += SECOND_NS;
    }
    for _ in 0..8 {
        now += SECOND_NS;
        venue.step(at(now));
    }
    desk.halt("OPERATOR", "by hand", at(now));
    assert!(!desk.faulted());
}
