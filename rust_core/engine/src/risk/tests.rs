//! What orders would cost, how bad their worst price is, and the largest that is affordable.

use super::*;
use proptest::prelude::*;

fn level(price: i64, quantity: i64) -> Level {
    Level { price: Price(price), quantity: Qty(quantity) }
}

/// A view with these levels for a buy (and for a sell), best first.
fn view(asks: &[Level], bids: &[Level]) -> View {
    let mut view = View::default();
    view.top.ask = asks.first().copied().unwrap_or_default();
    view.top.bid = bids.first().copied().unwrap_or_default();
    asks.iter().for_each(|&level| view.push(Side::Buy, level));
    bids.iter().for_each(|&level| view.push(Side::Sell, level));
    view
}

fn market(view: &View, side: Side, quantity: i64) -> (i128, Option<i64>) {
    let quote = quote(view, side, Qty(quantity), None, Rate(0));
    (quote.cost.0, quote.worst.map(|price| price.0))
}

#[test]
fn a_market_order_pays_level_by_level_and_the_last_level_for_what_is_beyond() {
    let view = view(&[level(100, 2), level(110, 3)], &[level(90, 2), level(80, 3)]);
    assert_eq!(market(&view, Side::Buy, 2), (200, Some(100)));
    assert_eq!(market(&view, Side::Buy, 4), (200 + 220, Some(110)));
    assert_eq!(market(&view, Side::Buy, 7), (200 + 330 + 220, Some(110)));
    assert_eq!(market(&view, Side::Sell, 6), (180 + 240 + 80, Some(80)));
}

#[test]
fn a_market_order_that_takes_nothing_has_no_worst_price() {
    let full = view(&[level(100, 2)], &[]);
    assert_eq!((market(&full, Side::Buy, 0), market(&full, Side::Buy, -1).1), ((0, None), None));
    assert_eq!(market(&view(&[], &[]), Side::Buy, 1), (0, None));
}

#[test]
fn a_limit_order_costs_its_limit_and_a_sell_the_better_of_limit_and_bid() {
    let view = view(&[level(100, 2)], &[level(90, 2)]);
    let cost = |side, limit| {
        let quote = quote(&view, side, Qty(3), Some(Price(limit)), Rate(E8));
        (quote.cost.0, quote.worst)
    };
    assert_eq!(cost(Side::Buy, 105), (315, Some(Price(105))));
    assert_eq!(cost(Side::Sell, 95), (285, Some(Price(95))));
    assert_eq!(cost(Side::Sell, 85), (270, Some(Price(85))));
}

#[test]
fn a_fee_is_rounded_up_and_a_price_beyond_i64_saturates() {
    assert_eq!([0, 1, E8.into(), i128::from(E8) + 1].map(|amount| Rate(1).of(Money(amount)).0), [0, 1, 1, 2]);
    assert_eq!(Rate(E8 / 1_000).of(Money(10_000)).0, 10);
    assert_eq!(Rate(E8).against(Side::Buy, Price(i64::MAX)), Price(i64::MAX));
    // A product beyond i64 takes the other way to the same result.
    let far = Price(1_000_000_000 * E8 + 1);
    assert_eq!(Rate(E8 / 2).against(Side::Buy, far), Price(1_500_000_000 * E8 + 2));
    assert_eq!(Rate(E8 / 2).against(Side::Sell, far), Price(500_000_000 * E8));
}

#[test]
fn a_price_exactly_at_the_bands_edge_is_inside_and_one_unit_more_is_not() {
    let view = view(&[level(1_000, 1)], &[level(990, 1)]);
    let (buy, sell) = (Band::new(&view, Side::Buy, Rate(E8 / 20)), Band::new(&view, Side::Sell, Rate(E8 / 20)));
    assert_eq!([1, 1_050, 1_051].map(|price| buy.excludes(Price(price))), [false, false, true]);
    // 940.5 is not a price of whole units: the last one inside is 941.
    assert_eq!([2_000, 941, 940].map(|price| sell.excludes(Price(price))), [false, false, true]);
    assert_eq!((buy.edge(), sell.edge()), (1_050, 941));
    let narrow = Band::new(&view, Side::Buy, Rate(E8 / 10_000));
    assert_eq!((narrow.edge(), narrow.excludes(Price(1_001))), (1_000, true));
}

/// A band that no price leaves.
fn no_band(side: Side) -> Band {
    Band { side, edge_e16: i128::MAX / 2 * i128::from(side.sign()) }
}

fn largest(levels: &[Level], budget: i128) -> i64 {
    affordable(levels, Money(budget), Rate(0), &no_band(Side::Buy)).0
}

#[test]
fn the_affordable_quantity_costs_at_most_the_budget_and_one_more_costs_more() {
    let levels = [level(100, 2), level(110, 3)];
    for budget in 0..1_200 {
        let size = largest(&levels, budget);
        let cost = |quantity| walk(&levels, Side::Buy, Qty(quantity), Rate(0)).cost.0;
        assert!(cost(size) <= budget && budget < cost(size + 1), "{size} for {budget}");
    }
}

#[test]
fn nothing_is_affordable_without_levels_or_at_a_price_of_nothing() {
    assert_eq!(largest(&[], 1_000), 0);
    assert_eq!(largest(&[level(0, 5), level(100, 5)], 1_000), 0);
}

#[test]
fn what_is_affordable_ends_at_the_first_level_outside_the_band() {
    let (asks, bids) = ([level(100, 2), level(105, 3), level(106, 9)], [level(100, 2), level(95, 3), level(94, 9)]);
    let view = view(&asks, &bids);
    for (side, levels) in [(Side::Buy, &asks), (Side::Sell, &bids)] {
        let band = Band::new(&view, side, Rate(E8 / 20));
        let most = |slippage| affordable(levels, Money(1 << 40), Rate(slippage), &band).0;
        assert_eq!((most(0), most(E8 / 100), most(E8 / 10)), (5, 2, 0), "{side:?}");
    }
}

#[test]
fn slippage_counts_in_what_is_affordable() {
    let levels = [level(100, 50)];
    let most = |side| affordable(&levels, Money(1_000), Rate(E8 / 10), &no_band(side)).0;
    assert_eq!((most(Side::Buy), most(Side::Sell)), (9, 11));
}

#[test]
fn a_budget_beyond_what_i64_holds_is_bounded() {
    assert_eq!(affordable(&[level(1, 1)], Money(i128::MAX), Rate(0), &no_band(Side::Buy)), Qty(i64::MAX));
}

proptest! {
    #[test]
    fn a_price_moves_against_the_order_by_the_exact_fraction_rounded_against_it(
        price in prop_oneof![1..10_000_000 * E8, 0..=i64::MAX / 2],
        rate in prop_oneof![Just(0), 0..=E8 / 10],
    ) {
        let exact = |sign: i128| i128::from(price) * (i128::from(E8) + sign * i128::from(rate));
        let up = (exact(1) + i128::from(E8) - 1) / i128::from(E8);
        let down = exact(-1) / i128::from(E8);
        prop_assert_eq!(i128::from(Rate(rate).against(Side::Buy, Price(price)).0), up);
        prop_assert_eq!(i128::from(Rate(rate).against(Side::Sell, Price(price)).0), down);
    }
}

#[test]
fn the_band_ends_exactly_at_its_edge_and_never_on_the_safe_side() {
    let level = |price| Level { price: Price(price), quantity: Qty(1) };
    let mut view = View::default();
    view.top.bid = level(99);
    view.top.ask = level(101);
    let (buy, sell) = (Band::new(&view, Side::Buy, Rate(E8 / 20)), Band::new(&view, Side::Sell, Rate(E8 / 20)));
    // 101 × 1.05 = 106.05 and 99 × 0.95 = 94.05
    assert_eq!([105, 106, 107].map(|price| buy.excludes(Price(price))), [false, false, true]);
    assert_eq!([95, 94].map(|price| sell.excludes(Price(price))), [false, true]);
    assert!(!buy.excludes(Price(1)) && !sell.excludes(Price(i64::MAX)));
    assert_eq!((buy.edge(), sell.edge()), (106, 95));
}
