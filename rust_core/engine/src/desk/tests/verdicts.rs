//! The numbers of each refusal, and what lets an order pass a halt.

use super::*;

/// The breaches of an order that must be refused, as code, value, limit and headroom.
fn refused(outcome: &Outcome) -> Vec<(Reason, i128, i128, i128)> {
    let Outcome::Refused(refused) = outcome else { panic!("{outcome:?}") };
    refused.breaches.iter().map(|breach| (breach.code, breach.value, breach.limit, breach.headroom)).collect()
}

#[test]
fn only_an_order_marked_to_reduce_that_does_so_passes_a_halt() {
    let mut room = Room::new();
    room.trade(Side::Buy, "1", "10001", 0);
    room.run(Command::Halt(Halt::new("OPERATOR", "lunch")), 0);
    let mut check = |request: OrderRequest| codes(&room.run(Command::Submit(request), 0));
    assert_eq!(check(order(Side::Sell, "0.5")), [Reason::Halted]);
    assert_eq!(check(reduce(Side::Sell, "1.5")), [Reason::NotReducing, Reason::Halted]);
    assert_eq!(check(reduce(Side::Sell, "0.5")), []);
}

#[test]
fn a_rate_refusal_names_the_order_that_would_be_too_many_and_the_wait() {
    let mut room = Room::new();
    (0..5).for_each(|ns| assert!(accepted(&room.submit(Side::Buy, "0.01", ns))));
    assert_eq!(refused(&room.submit(Side::Buy, "0.01", 5)), [(Reason::RateLimit, 6, 5, 1_000)]);
    assert_eq!(refused(&room.submit(Side::Buy, "0.01", 1_000_000)), [(Reason::RateLimit, 6, 5, 999)]);
    assert_eq!(refused(&room.submit(Side::Buy, "0.01", 1_000_001)), [(Reason::RateLimit, 6, 5, 999)]);
    assert_eq!(refused(&room.submit(Side::Buy, "0.01", SECOND_NS - 1)), [(Reason::RateLimit, 6, 5, 1)]);
}

#[test]
fn a_repeated_order_is_told_its_age_the_window_and_the_wait() {
    let mut room = Room::with(Limits { repeat_window_ns: 3 * SECOND_NS, ..limits() });
    assert!(accepted(&room.submit(Side::Buy, "0.01", SECOND_NS)));
    let outcome = room.submit(Side::Buy, "0.01", 9 * SECOND_NS / 4);
    assert_eq!(refused(&outcome), [(Reason::RepeatedOrder, 1_250, 3_000, 1_750)]);
}

#[test]
fn the_book_is_told_its_age_in_whole_milliseconds() {
    let mut room = Room::new();
    room.view.top.recv_ns = 0;
    let late = room.desk.check(&order(Side::Buy, "0.01"), at(2_345_678_901), &room.view);
    assert_eq!(refused(&late), [(Reason::BookStale, 2_345, 2_000, 0)]);
}

#[test]
fn limits_of_notional_and_position_are_told_with_what_is_left() {
    let mut room = Room::new();
    let small = money("0.5");
    room.desk.state.instrument.min_notional = money("200");
    assert_eq!(
        refused(&room.run(Command::Submit(limit(Side::Buy, "0.01", "10000")), 0)),
        [(Reason::MinNotional, money("100").0, money("200").0, 0)]
    );
    room.desk.state.instrument.min_notional = small;
    assert_eq!(
        refused(&room.run(Command::Submit(limit(Side::Buy, "5", "10001")), 0)),
        [(Reason::NotionalExceedsMax, money("50005").0, money("50000").0, money("50000").0)]
    );
    room.trade(Side::Sell, "3", "10000", 0);
    assert_eq!(
        refused(&room.submit(Side::Sell, "2.5", 0)),
        [(Reason::PositionLimitShort, -i128::from(btc("5.5").0), i128::from(btc("5").0), i128::from(btc("2").0))]
    );
}

#[test]
fn the_open_orders_at_their_bound_are_counted_in_the_refusal() {
    let mut room = Room::with(Limits { orders_per_second: 50, ..limits() });
    let mut ns = 0;
    for _ in 0..OPEN_MAX {
        ns += SECOND_NS / 50;
        assert!(accepted(&room.run(Command::Submit(limit(Side::Buy, "0.001", "9600")), ns)));
    }
    let full = OPEN_MAX as i128;
    assert_eq!(refused(&room.submit(Side::Buy, "0.001", ns + SECOND_NS)), [(Reason::QueueFull, full, full, 0)]);
}

#[test]
fn the_largest_limit_order_is_what_the_notional_buys_at_its_price_in_whole_lots() {
    let mut room = Room::new();
    let mut largest = |request: OrderRequest| match room.run(Command::Submit(request), 0) {
        Outcome::Refused(refused) => refused.largest.map(|size| size.to_string()),
        other => panic!("{other:?}"),
    };
    assert_eq!(largest(limit(Side::Buy, "7", "10333")), Some("4.83886".into()));
    assert_eq!(largest(limit(Side::Sell, "7", "10333")), Some("4.83886".into()));
    assert_eq!(largest(limit(Side::Sell, "7", "9900")), Some("5".into()), "the bid is better than the limit");
    assert_eq!(largest(limit(Side::Buy, "7", "10600")), None, "outside the band no size passes");
    room.desk.state.instrument.max_quantity = btc("2");
    let outcome = room.submit(Side::Buy, "5.00000001", 0);
    assert_eq!(codes(&outcome)[..2], [Reason::BadQuantity, Reason::BadStep]);
    let Outcome::Refused(lots) = room.submit(Side::Buy, "1.00000001", 0) else { panic!("accepted") };
    assert_eq!(lots.largest, Some(btc("2")));
}

#[test]
fn an_order_reduces_only_what_is_open_against_it_and_nothing_reduces_a_flat_position() {
    let reduces = |position: i64, reserved: i64, side: Side, quantity: i64| {
        permit::reduces(Qty(position), Qty(reserved), side, Qty(quantity))
    };
    assert!(reduces(5, 0, Side::Sell, 5) && reduces(5, 2, Side::Sell, 3) && reduces(-5, 0, Side::Buy, 5));
    assert!(!reduces(5, 0, Side::Sell, 6) && !reduces(5, 3, Side::Sell, 3) && !reduces(5, 0, Side::Buy, 1));
    assert!(!reduces(0, 0, Side::Sell, 0) && !reduces(0, 0, Side::Buy, 1));
}

#[test]
fn over_a_lost_connection_a_market_order_is_told_of_the_book_alone() {
    let mut room = Room::new();
    room.view.reset(TopOfBook { sync: Sync::Desynced, update_id: 0, ..room.view.top });
    assert_eq!(codes(&room.submit(Side::Buy, "0.01", 0)), [Reason::BookUnsynced]);
}
