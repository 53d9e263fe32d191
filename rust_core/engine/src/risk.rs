//! The limits, what an order would cost, and what it breaks. Knows nothing of how orders are executed.
//!
//! Exactly at a limit passes, except the day's loss: a loss equal to the limit trips.

use serde::{Deserialize, Serialize};

pub use crate::breach::{Assets, Breach, Breaches, Clause, Reason};
use crate::units::{E8, Money, Now, Price, Qty, SECOND_NS, Side};
use crate::view::{Level, View};

/// Most stamps that the rate window can hold, and so the highest rate limit that can be set.
pub const RATE_MAX: usize = 1_000;

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

/// The hard limits of the desk. An absent limit does not exist: every field must be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Largest notional of one order, quote.
    pub order_notional: Money,
    /// Largest position either way, base.
    pub position: Qty,
    /// Most accepted orders in any half-open second `(t − 1 s, t]`; in [1, [`RATE_MAX`]].
    pub orders_per_second: u32,
    /// The day's loss at which trading latches, quote.
    pub daily_loss: Money,
}

impl Limits {
    /// Refuses limits that no order could be judged by. The error names the limit and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        let rate = self.orders_per_second as usize;
        match () {
            () if self.order_notional.0 <= 0 => Err("the order notional limit must be above 0".into()),
            () if self.position.0 <= 0 => Err("the position limit must be above 0".into()),
            () if self.daily_loss.0 <= 0 => Err("the daily loss limit must be above 0".into()),
            () if !(1..=RATE_MAX).contains(&rate) => Err(format!("{rate} orders a second are outside [1, {RATE_MAX}]")),
            () => Ok(()),
        }
    }
}

/// The venue's filters for the symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instrument {
    /// Prices are multiples of this.
    pub tick: Price,
    /// Quantities are multiples of this.
    pub step: Qty,
    /// Smallest quantity of one order.
    pub min_quantity: Qty,
    /// Largest quantity of one order.
    pub max_quantity: Qty,
    /// Smallest notional of one order.
    pub min_notional: Money,
}

impl Instrument {
    /// Refuses filters that no order could be judged by.
    pub fn check(&self) -> Result<(), String> {
        let sound = self.tick.0 > 0 && self.step.0 > 0 && self.min_quantity.0 > 0 && self.min_notional.0 >= 0;
        let ordered = self.min_quantity <= self.max_quantity;
        if sound && ordered { Ok(()) } else { Err(format!("the venue's filters make no sense: {self:?}")) }
    }
}

/// What taking `quantity` from the levels would give. `rest` is what they do not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Walk {
    /// Sum of price × quantity, slippage included.
    pub cost: Money,
    /// Quantity beyond the last level.
    pub rest: Qty,
}

/// Walks `levels`, best first, at prices moved against `side` by `slippage`. What lies beyond the last level is
/// priced at it, so that a huge order still names its notional.
pub fn walk(levels: &[Level], side: Side, quantity: Qty, slippage: Rate) -> Walk {
    let mut walk = Walk { cost: Money(0), rest: quantity };
    let mut last = Price(0);
    for level in levels {
        if walk.rest.0 == 0 {
            break;
        }
        last = slippage.against(side, level.price);
        let taken = level.quantity.0.min(walk.rest.0);
        walk.cost.0 += last.times(Qty(taken)).0;
        walk.rest.0 -= taken;
    }
    walk.cost.0 += last.times(walk.rest).0;
    walk
}

/// The largest quantity whose walk costs at most `budget`, not cut to a lot. Bounded by what i64 holds.
pub fn affordable(levels: &[Level], side: Side, budget: Money, slippage: Rate) -> Qty {
    let (mut left, mut total, mut last) = (budget.0, 0_i128, 0_i128);
    for level in levels {
        last = i128::from(slippage.against(side, level.price).0);
        let taken = i128::from(level.quantity.0).min(if last > 0 { left / last } else { 0 });
        total += taken;
        left -= taken * last;
        if taken < i128::from(level.quantity.0) {
            return Qty(i64::try_from(total).unwrap_or(i64::MAX));
        }
    }
    Qty(i64::try_from(total + if last > 0 { left / last } else { 0 }).unwrap_or(i64::MAX))
}

/// What the order would cost: a market order by walking the view; a limit order at its limit, a limit sell at the
/// better of its limit and the bid.
pub fn notional(view: &View, side: Side, quantity: Qty, limit: Option<Price>, slippage: Rate) -> Money {
    match (limit, side) {
        (None, _) => walk(view.takes(side), side, quantity, slippage).cost,
        (Some(limit), Side::Buy) => limit.times(quantity),
        (Some(limit), Side::Sell) => limit.max(view.top.bid.price).times(quantity),
    }
}

/// The exact sliding window of accepted orders. Holds only the newest stamps that the limit can ask about.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RateWindow {
    stamps: std::collections::VecDeque<Now>,
    accepted: u64,
}

impl RateWindow {
    /// A window that never allocates again.
    pub fn new() -> RateWindow {
        RateWindow { stamps: std::collections::VecDeque::with_capacity(RATE_MAX + 1), accepted: 0 }
    }

    /// Accepted orders with a stamp in `(now − 1 s, now]`.
    pub fn count(&self, now: Now) -> usize {
        self.stamps.iter().rev().take_while(|stamp| stamp.mono_ns > now.mono_ns - SECOND_NS).count()
    }

    /// Nanoseconds until one more order passes a limit of `limit` orders a second; 0 if it passes now.
    pub fn wait_ns(&self, now: Now, limit: u32) -> i64 {
        let Some(index) = self.stamps.len().checked_sub(limit as usize) else { return 0 };
        (self.stamps[index].mono_ns + SECOND_NS - now.mono_ns).max(0)
    }

    /// Takes a slot at `now`.
    pub fn accept(&mut self, now: Now) {
        if self.stamps.len() == RATE_MAX {
            self.stamps.pop_front();
        }
        self.stamps.push_back(now);
        self.accepted += 1;
    }

    /// Carries the stamps into a new run, whose monotonic clock started anew, by their UTC age.
    pub fn rebase(&mut self, now: Now) {
        for stamp in &mut self.stamps {
            let age = (now.utc_ns - stamp.utc_ns).clamp(0, 2 * SECOND_NS);
            stamp.mono_ns = now.mono_ns - age;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
}
