//! Which figures of a fill are believed, to the unit.

use super::*;

/// Ten million coins.
const MOST: i64 = 10_000_000 * E8;
/// The largest sum of money that is believed.
const MOST_MONEY: i128 = i64::MAX as i128 * MOST as i128;

fn trade(price: i64, quantity: i64, fee: i128) -> Trade {
    Trade { price: Price(price), quantity: Qty(quantity), fee: Money(fee), id: None }
}

fn plain(trades: Vec<Trade>) -> Execution {
    let level_cost = Money(1);
    let (bid, ask) = (Price(1), Price(2));
    Execution { order: None, side: Side::Buy, trades, level_cost, bid, ask, maker: false, delay_ns: 0 }
}

/// Whether a fill of nobody's order is booked, with `held` in the ledger before; else it is a fault.
fn believed_with(held: i64, execution: Execution) -> bool {
    let mut room = Room::new();
    if held != 0 {
        let side = if held > 0 { Side::Buy } else { Side::Sell };
        room.desk.state.ledger.apply(side, Price(1), Qty(held.abs()), Money(0));
    }
    room.run(Command::Report(Report::Filled(execution)), 0);
    let halt = room.desk.state.halted.clone().expect("a stray halts, and so does a fault");
    match halt.cause.as_str() {
        "FOREIGN_FILL" => true,
        "EXECUTOR" => {
            assert_eq!(halt.detail, "no order is reported filled, but with impossible figures");
            assert_eq!(room.desk.state.ledger.position.0, held, "a fault moves nothing");
            false
        }
        other => panic!("{other}"),
    }
}

fn believed(execution: Execution) -> bool {
    believed_with(0, execution)
}

#[test]
fn a_trade_needs_a_price_a_quantity_and_a_fee_that_markets_have() {
    for (price, quantity, fee, expected) in [
        (1, 1, 0, true),
        (0, 1, 0, false),
        (-1, 1, 0, false),
        (2, 1, 0, true),
        (1, 0, 0, false),
        (1, -1, 0, false),
        (1, MOST, 0, true),
        (1, MOST + 1, 0, false),
        (1, 1, -1, false),
        (1, 1, MOST_MONEY, true),
        (1, 1, MOST_MONEY + 1, false),
    ] {
        assert_eq!(believed(plain(vec![trade(price, quantity, fee)])), expected, "{price} {quantity} {fee}");
    }
}

#[test]
fn every_trade_of_a_fill_is_judged_and_so_is_their_sum() {
    assert!(!believed(plain(vec![trade(1, 1, 0), trade(0, 1, 0)])));
    assert!(believed(plain(vec![trade(1, MOST - 1, 0), trade(1, 1, 0)])));
    assert!(!believed(plain(vec![trade(1, MOST, 0), trade(1, 1, 0)])));
}

#[test]
fn what_surrounds_the_trades_is_judged_too() {
    let fill = || plain(vec![trade(1, 1, 0)]);
    let cost = |amount: i128| believed(Execution { level_cost: Money(amount), ..fill() });
    assert_eq!([-1, 0, MOST_MONEY, MOST_MONEY + 1].map(cost), [false, true, true, false]);
    let top = |bid: i64, ask: i64| believed(Execution { bid: Price(bid), ask: Price(ask), ..fill() });
    assert!(top(0, 0) && !top(-1, 1) && !top(1, -1));
}

#[test]
fn a_position_of_a_hundred_such_fills_is_the_most_that_is_believed() {
    let bound = 100 * MOST;
    let fill = |side: Side| Execution { side, ..plain(vec![trade(1, 2, 0)]) };
    assert!(believed_with(bound - 2, fill(Side::Buy)) && !believed_with(bound - 1, fill(Side::Buy)));
    assert!(believed_with(2 - bound, fill(Side::Sell)) && !believed_with(1 - bound, fill(Side::Sell)));
    assert!(believed_with(bound, fill(Side::Sell)) && believed_with(-bound, fill(Side::Buy)));
}
