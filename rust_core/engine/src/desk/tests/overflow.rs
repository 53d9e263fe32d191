//! Near the ends of the integers the desk refuses; it never wraps and never panics.

use proptest::prelude::*;

use super::*;

/// Small numbers, numbers of real markets, and both ends of i64.
fn extreme() -> impl Strategy<Value = i64> {
    prop_oneof![
        -3..4_i64,
        Just(i64::MIN),
        Just(i64::MAX),
        (i64::MAX - 1_000..=i64::MAX),
        (i64::MIN..=i64::MIN + 1_000),
        1..100_000 * E8,
        any::<i64>(),
    ]
}

fn positive() -> impl Strategy<Value = i64> {
    prop_oneof![Just(1), Just(i64::MAX), 1..=i64::MAX, 1..100_000 * E8]
}

/// A live, uncrossed book with levels of any price and size that a frame can hold.
fn any_book() -> impl Strategy<Value = View> {
    (1..i64::MAX, 0..i64::MAX, proptest::collection::vec(positive(), 1..9)).prop_map(|(bid, spread, sizes)| {
        let ask = bid.saturating_add(spread.max(1));
        let level = |price: i64, size: i64| Level { price: Price(price), quantity: Qty(size) };
        let mut view = View::default();
        let (best_bid, best_ask) = (level(bid, sizes[0]), level(ask, sizes[0]));
        view.reset(TopOfBook {
            bid: best_bid,
            ask: best_ask,
            update_id: 1,
            recv_ns: 0,
            sync: Sync::Live,
            ..TopOfBook::default()
        });
        for (step, &size) in (0..).zip(&sizes) {
            view.push(Side::Buy, level(ask.saturating_add(step * E8), size));
            view.push(Side::Sell, level((bid - step * E8).max(1), size));
        }
        view
    })
}

fn any_order() -> impl Strategy<Value = OrderRequest> {
    let limit = proptest::option::of(extreme());
    (any::<bool>(), extreme(), limit, any::<bool>()).prop_map(|(buy, quantity, limit, reduce)| {
        let side = if buy { Side::Buy } else { Side::Sell };
        let tif = if limit.is_some() { Tif::Gtc } else { Tif::Ioc };
        OrderRequest { side, quantity: Qty(quantity), limit: limit.map(Price), tif, reduce, client_id: None }
    })
}

/// The least that the order can cost, in whole units of 10⁻¹⁶; the floor of what is exact.
fn cost_floor(order: &OrderRequest, view: &View) -> i128 {
    let best = view.takes(order.side).first().map_or(0, |level| level.price.0);
    let worst = view.takes(order.side).last().map_or(0, |level| level.price.0);
    let price = order.limit.map_or(best.min(worst), |limit| limit.0);
    i128::from(price) * i128::from(order.quantity.0)
}

proptest! {
    #[test]
    fn whatever_the_numbers_an_order_is_judged_and_only_a_small_one_passes(
        view in any_book(),
        orders in proptest::collection::vec(any_order(), 1..6),
        slippage in prop_oneof![Just(0), 0..E8],
        limits in prop_oneof![Just(limits()), Just(Limits::caps())],
    ) {
        let mut room = Room::with(limits);
        room.desk.slippage = Rate(slippage);
        room.view = view;
        for order in &orders {
            if accepted(&room.run(Command::Submit(*order), 0)) {
                prop_assert!(order.quantity.0 > 0 && order.quantity <= limits.position, "{order:?}");
                if order.side == Side::Buy {
                    prop_assert!(cost_floor(order, &room.view) <= limits.order_notional.0, "{order:?}");
                }
            }
        }
        prop_assert_eq!(room.restarted().text(), room.desk.state.text());
    }

    #[test]
    fn a_position_is_valued_at_any_price_without_wrapping(bid in 1..i64::MAX, lots in 50..500_000_i64) {
        let mut room = Room::with(Limits { order_notional: Limits::caps().order_notional, ..limits() });
        room.trade(Side::Buy, &Qty(lots * 1_000).to_string(), "10000", 0);
        let top = |price| Level { price: Price(price), quantity: Qty(1) };
        room.view = View::default();
        room.view.reset(TopOfBook { bid: top(bid), ask: top(bid + 1), update_id: 2, recv_ns: 0, sync: Sync::Live, ..TopOfBook::default() });
        room.run(Command::Mark, SECOND_NS);
        let state = &room.desk.state;
        let exact = i128::from(bid - 10_000 * E8) * i128::from(lots * 1_000);
        prop_assert_eq!(state.ledger.unrealised(Price(bid)).0, exact);
        prop_assert_eq!(state.loss_latched, -exact >= state.limits.daily_loss.0);
    }
}
