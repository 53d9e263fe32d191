//! What a decision allocates: nothing, once the desk is warm.

mod desks;

use allocation_counter::measure;
use desks::{at, desk_of, limits, order};
use engine::desk::{ClientId, OrderRequest, Outcome, RING, SharedDesk, Tif};
use engine::risk::Limits;
use engine::units::{E8, Now, Price, SECOND_NS, Side};

/// Later than the step before by enough that neither the rate nor a repeat is in the way.
fn later(step: i64) -> Now {
    at(1 + step * SECOND_NS)
}

fn asked() -> [OrderRequest; 2] {
    let market = order(Side::Buy, E8 / 1_000);
    [market, OrderRequest { limit: Some(Price(9 * E8)), tif: Tif::Gtc, ..market }]
}

/// A desk that has taken orders in, with every control on and orders of its own that rest.
fn warm() -> std::sync::Arc<SharedDesk> {
    let desk = desk_of(Limits { repeat_window_ns: SECOND_NS / 2, ..limits(5) });
    for (step, request) in (1..).zip(asked().into_iter().cycle().take(10)) {
        assert!(matches!(desk.submit(&request, later(step)).0, Outcome::Accepted { .. }));
    }
    desk
}

#[test]
fn a_verdict_on_an_order_that_passes_allocates_nothing() {
    let desk = warm();
    let named = OrderRequest { client_id: ClientId::new("named1"), ..order(Side::Buy, E8 / 1_000) };
    for request in asked().into_iter().chain([named]) {
        let counted = measure(|| assert!(matches!(desk.check(&request, later(11)), Outcome::Accepted { .. })));
        assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
    }
}

#[test]
fn taking_an_order_in_allocates_nothing_until_the_queue_has_no_room() {
    let desk = warm();
    let counted = measure(|| {
        for (step, request) in (11..1_000).zip(asked().into_iter().cycle()) {
            assert!(matches!(desk.submit(&request, later(step)).0, Outcome::Accepted { .. }));
        }
    });
    assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
    assert!(desk.spare() < RING - 989);
}

#[test]
fn the_counter_counts_what_a_refusal_allocates_for_its_sentence() {
    let desk = warm();
    let counted = measure(|| assert!(matches!(desk.check(&order(Side::Buy, 0), later(11)), Outcome::Refused(_))));
    assert!(counted.count_total > 0);
}
