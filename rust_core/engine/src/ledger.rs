//! Position, open cost, cash, realised profit and fees. All money moves in one function, [`Ledger::apply`].
//!
//! Average-cost method: the ledger holds the signed position and its signed open cost. A reduction takes out
//! `cost × closed ÷ position`, truncated toward zero; the remainder stays, and the last unit takes all of it.
//! A fill through zero closes first, then opens. Fees are kept apart from cash and from realised profit.

use serde::Serialize;

use crate::units::{Money, Price, Qty, Side, div_half_even};

/// The book-keeping of one account in one symbol. Starts with nothing: cash 0 is the profit axis, not a balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Ledger {
    /// Signed position: above zero long, below zero short.
    pub position: Qty,
    /// Signed open cost: what the open position was bought (above zero) or sold (below zero) for.
    pub cost: Money,
    /// Quote received minus quote paid, fees not counted.
    pub cash: Money,
    /// Profit of what was closed, fees not counted.
    pub realised: Money,
    /// Fees paid, ≥ 0.
    pub fees: Money,
}

impl Ledger {
    /// Books one fill and returns the realised profit of the part that it closed.
    ///
    /// Panics if `quantity` is not positive, `fee` is negative, or the identity `cash + cost = realised` breaks.
    pub fn apply(&mut self, side: Side, price: Price, quantity: Qty, fee: Money) -> Money {
        assert!(quantity.0 > 0, "fill of {quantity}");
        assert!(fee.0 >= 0, "fee of {fee}");
        self.assert_identity();
        let closed = self.closed_by(side, quantity);
        let realised = self.close(side, price, closed);
        self.open(side, price, Qty(quantity.0 - closed.0));
        self.cash.0 -= i128::from(side.sign()) * price.times(quantity).0;
        self.fees.0 += fee.0;
        self.assert_identity();
        realised
    }

    /// How much of a fill closes the present position; the rest opens.
    fn closed_by(&self, side: Side, quantity: Qty) -> Qty {
        let against = self.position.0.signum() == -side.sign();
        Qty(if against { quantity.0.min(self.position.0.abs()) } else { 0 })
    }

    fn close(&mut self, side: Side, price: Price, closed: Qty) -> Money {
        if closed.0 == 0 {
            return Money(0);
        }
        let removed = self.cost_of(closed);
        let realised = -i128::from(side.sign()) * price.times(closed).0 - removed.0;
        self.cost.0 -= removed.0;
        self.position.0 += side.sign() * closed.0;
        self.realised.0 += realised;
        Money(realised)
    }

    /// `cost × closed ÷ |position|`, truncated toward zero, without a product that could overflow.
    fn cost_of(&self, closed: Qty) -> Money {
        let (closed, position) = (i128::from(closed.0), i128::from(self.position.0.abs()));
        let (whole, rest) = (self.cost.0 / position, self.cost.0 % position);
        Money(whole * closed + rest * closed / position)
    }

    fn open(&mut self, side: Side, price: Price, opened: Qty) {
        self.cost.0 += i128::from(side.sign()) * price.times(opened).0;
        self.position.0 += side.sign() * opened.0;
    }

    fn assert_identity(&self) {
        assert!(self.cash.0 + self.cost.0 == self.realised.0, "ledger identity broken: {self:?}");
        assert!(self.position.0 != 0 || self.cost.0 == 0, "flat with an open cost: {self:?}");
    }

    /// Worth of the open position at `mark` minus its cost.
    pub fn unrealised(&self, mark: Price) -> Money {
        Money(mark.times(self.position).0 - self.cost.0)
    }

    /// Realised − fees + unrealised at `mark`; `None` where a position is open and no mark is known.
    pub fn equity(&self, mark: Option<Price>) -> Option<Money> {
        let open = match (self.position.0, mark) {
            (0, _) => Money(0),
            (_, Some(mark)) => self.unrealised(mark),
            (_, None) => return None,
        };
        Some(Money(self.realised.0 - self.fees.0 + open.0))
    }

    /// Average entry price, half-even at `tick`; `None` when flat. For display: no decision uses it.
    pub fn entry(&self, tick: Price) -> Option<Price> {
        let unit = i128::from(self.position.0.abs()) * i128::from(tick.0);
        let ticks = (self.position.0 != 0).then(|| div_half_even(self.cost.0.abs(), unit))?;
        i64::try_from(ticks * i128::from(tick.0)).ok().map(Price)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::E8;
    use proptest::prelude::*;

    fn btc(text: &str) -> Qty {
        Qty(crate::units::parse_e8(text.as_bytes()).expect("a decimal"))
    }

    fn usdt(text: &str) -> Price {
        Price(crate::units::parse_e8(text.as_bytes()).expect("a decimal"))
    }

    #[test]
    fn a_flip_closes_the_old_position_then_opens_at_the_new_price() {
        let mut ledger = Ledger::default();
        ledger.apply(Side::Buy, usdt("100"), btc("1"), Money(0));
        let realised = ledger.apply(Side::Sell, usdt("110"), btc("3"), Money(0));
        assert_eq!(realised.to_string(), "10");
        assert_eq!((ledger.position, ledger.entry(usdt("0.01"))), (btc("2").neg(), Some(usdt("110"))));
        assert_eq!(ledger.unrealised(usdt("120")).to_string(), "-20");
    }

    #[test]
    fn the_last_unit_closed_takes_the_whole_remaining_cost() {
        let mut ledger = Ledger::default();
        for price in ["100", "100", "101"] {
            ledger.apply(Side::Buy, usdt(price), Qty(1), Money(0));
        }
        for _ in 0..3 {
            ledger.apply(Side::Sell, usdt("100"), Qty(1), Money(0));
        }
        assert_eq!((ledger.position, ledger.cost), (Qty(0), Money(0)));
        assert_eq!(ledger.realised, Money(-i128::from(E8)));
    }

    #[test]
    fn equity_is_unknown_only_with_a_position_and_no_mark() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.equity(None), Some(Money(0)));
        ledger.apply(Side::Sell, usdt("100"), btc("1"), Money(7));
        assert_eq!(ledger.equity(None), None);
        assert_eq!(ledger.equity(Some(usdt("90"))).map(|equity| equity.to_string()), Some("9.9999999999999993".into()));
    }

    #[test]
    #[should_panic(expected = "fill of 0")]
    fn a_fill_of_nothing_is_refused() {
        Ledger::default().apply(Side::Buy, usdt("100"), Qty(0), Money(0));
    }

    #[test]
    #[should_panic(expected = "fee of -0.0000000000000001")]
    fn a_fee_below_zero_is_refused() {
        Ledger::default().apply(Side::Buy, usdt("100"), Qty(1), Money(-1));
    }

    #[test]
    #[should_panic(expected = "ledger identity broken")]
    fn money_that_came_from_nowhere_is_noticed_at_the_next_fill() {
        Ledger { cash: Money(1), ..Ledger::default() }.apply(Side::Buy, usdt("100"), Qty(1), Money(0));
    }

    #[test]
    #[should_panic(expected = "flat with an open cost")]
    fn a_cost_without_a_position_is_noticed_at_the_next_fill() {
        Ledger { cost: Money(1), realised: Money(1), ..Ledger::default() }.apply(
            Side::Buy,
            usdt("100"),
            Qty(1),
            Money(0),
        );
    }

    #[test]
    fn the_entry_is_the_average_cost_half_even_at_the_tick() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.entry(usdt("0.01")), None);
        ledger.apply(Side::Sell, usdt("100.01"), btc("1"), Money(0));
        ledger.apply(Side::Sell, usdt("100.02"), btc("1"), Money(0));
        assert_eq!(ledger.entry(usdt("0.01")), Some(usdt("100.02")));
        assert_eq!(ledger.entry(usdt("0.001")), Some(usdt("100.015")));
        assert_eq!(ledger.entry(usdt("0.5")), Some(usdt("100")));
    }

    proptest! {
        #[test]
        fn every_number_equals_that_of_plain_fractions(
            fills in prop::collection::vec((any::<bool>(), 1..1_000_i64, 1..50_i64, 0..9_i128), 1..40),
            mark in 1..1_000_i64,
        ) {
            let mut ledger = Ledger::default();
            // Position, cost and realised profit; a reduction takes cost × closed ÷ position with it.
            let (mut position, mut cost, mut realised, mut cash, mut fees) = (0_i128, 0_i128, 0_i128, 0_i128, 0_i128);
            for (buys, price, quantity, fee) in fills {
                let sign = if buys { 1 } else { -1 };
                let (worth, signed) = (i128::from(price), sign * i128::from(quantity));
                let closed = if position * sign < 0 { i128::from(quantity).min(position.abs()) } else { 0 };
                let removed = if closed == 0 { 0 } else { cost * closed / position.abs() };
                let profit = -sign * worth * closed - removed;
                (position, realised, cash) = (position + signed, realised + profit, cash - worth * signed);
                (cost, fees) = (cost - removed + sign * worth * (i128::from(quantity) - closed), fees + fee);
                let side = if buys { Side::Buy } else { Side::Sell };
                prop_assert_eq!(ledger.apply(side, Price(price), Qty(quantity), Money(fee)), Money(profit));
                let expected = Ledger {
                    position: Qty(position as i64),
                    cost: Money(cost),
                    cash: Money(cash),
                    realised: Money(realised),
                    fees: Money(fees),
                };
                prop_assert_eq!(ledger, expected);
            }
            let open = position * i128::from(mark) - cost;
            prop_assert_eq!(ledger.unrealised(Price(mark)), Money(open));
            prop_assert_eq!(ledger.equity(Some(Price(mark))), Some(Money(realised - fees + open)));
        }
    }

    impl Qty {
        fn neg(self) -> Qty {
            Qty(-self.0)
        }
    }
}
