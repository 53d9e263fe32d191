//! What an order would cost and how bad its worst price is. Knows nothing of how orders are executed.
//!
//! Exactly at a limit passes, except the day's loss: a loss equal to the limit trips.

use serde::{Deserialize, Serialize};

pub use crate::breach::{Assets, Breach, Breaches, Clause, Reason};
pub use crate::limits::{Instrument, Limits, Loosened};
use crate::units::{E8, Money, Price, Qty, Side};
use crate::view::{Level, View};

/// A fraction × 10⁻⁸: 1 basis point is 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Rate(pub i64);

impl Rate {
    /// `price` moved against an order of `side` by this fraction, rounded against it to 10⁻⁸.
    pub fn against(self, side: Side, price: Price) -> Price {
        // Products of real prices fit i64, whose division by a constant is a multiplication; i128's is a call.
        let step = match price.0.checked_mul(self.0) {
            Some(exact) => i128::from(exact.div_euclid(E8)) + i128::from(exact.rem_euclid(E8) > 0),
            None => Rate::ceiling(i128::from(price.0) * i128::from(self.0)),
        };
        let moved = i128::from(price.0) + i128::from(side.sign()) * step;
        Price(i64::try_from(moved).unwrap_or(i64::MAX))
    }

    /// This fraction of `amount`, rounded up to 10⁻¹⁶ (fees never round in the payer's favour).
    pub fn of(self, amount: Money) -> Money {
        Money(Rate::ceiling(amount.0 * i128::from(self.0)))
    }

    /// A product with a rate in units of 1 again, rounded up.
    fn ceiling(product: i128) -> i128 {
        product.div_euclid(i128::from(E8)) + i128::from(product.rem_euclid(i128::from(E8)) > 0)
    }
}

/// What an order would pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quote {
    /// Sum of price × quantity, slippage included.
    pub cost: Money,
    /// The worst price that it could pay; `None` for a market order that takes no level.
    pub worst: Option<Price>,
}

/// What the order would pay: a market order by walking the view; a limit order at its limit, a limit sell at the
/// better of its limit and the bid.
pub fn quote(view: &View, side: Side, quantity: Qty, limit: Option<Price>, slippage: Rate) -> Quote {
    match (limit, side) {
        (None, _) => walk(view.takes(side), side, quantity, slippage),
        (Some(limit), Side::Buy) => Quote { cost: limit.times(quantity), worst: Some(limit) },
        (Some(limit), Side::Sell) => Quote { cost: limit.max(view.top.bid.price).times(quantity), worst: Some(limit) },
    }
}

/// Walks `levels`, best first, at prices moved against `side` by `slippage`. What lies beyond the last level is
/// priced at it, so that a huge order still names its notional.
fn walk(levels: &[Level], side: Side, quantity: Qty, slippage: Rate) -> Quote {
    let (mut cost, mut rest, mut last) = (Money(0), quantity, Price(0));
    for level in levels {
        if rest.0 == 0 {
            break;
        }
        last = slippage.against(side, level.price);
        let taken = Qty(level.quantity.0.min(rest.0));
        cost.0 += last.times(taken).0;
        rest.0 -= taken.0;
    }
    cost.0 += last.times(rest).0;
    Quote { cost, worst: (quantity.0 > 0 && !levels.is_empty()).then_some(last) }
}

/// How far an order's worst price may be from the best price that it would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Band {
    side: Side,
    /// Best price × 10⁸ moved by the band, exact.
    edge_e16: i128,
}

impl Band {
    /// The band of orders of `side`: `width` beyond the best opposite price.
    pub fn new(view: &View, side: Side, width: Rate) -> Band {
        let best = if side == Side::Buy { view.top.ask.price } else { view.top.bid.price };
        let moved = i128::from(E8) + i128::from(side.sign() * width.0);
        Band { side, edge_e16: i128::from(best.0) * moved }
    }

    /// True where an order would pay more (receive less) than at the band's edge. The safe side is never outside.
    pub fn excludes(&self, worst: Price) -> bool {
        (i128::from(worst.0) * i128::from(E8) - self.edge_e16) * i128::from(self.side.sign()) > 0
    }

    /// The last price of 10⁻⁸ that is inside.
    pub fn edge(&self) -> i128 {
        let sign = i128::from(self.side.sign());
        sign * (sign * self.edge_e16).div_euclid(i128::from(E8))
    }
}

/// The largest market order, not cut to a lot, whose walk costs at most `budget` and stays inside `band`. Beyond the
/// last level it is priced at it. Bounded by what i64 holds.
pub fn affordable(levels: &[Level], budget: Money, slippage: Rate, band: &Band) -> Qty {
    let (mut left, mut total, mut last) = (budget.0, 0_i128, 0_i128);
    for level in levels {
        let price = slippage.against(band.side, level.price);
        let fits = if price.0 > 0 && !band.excludes(price) { left / i128::from(price.0) } else { 0 };
        last = i128::from(price.0);
        let taken = i128::from(level.quantity.0).min(fits);
        total += taken;
        left -= taken * last;
        if taken < i128::from(level.quantity.0) {
            return Qty(i64::try_from(total).unwrap_or(i64::MAX));
        }
    }
    Qty(i64::try_from(total + if last > 0 { left / last } else { 0 }).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
