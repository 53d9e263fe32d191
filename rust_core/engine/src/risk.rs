//! The limits, what an order would cost, and what it breaks. Knows nothing of how orders are executed.
//!
//! Exactly at a limit passes, except the day's loss: a loss equal to the limit trips.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::units::{E8, Money, Now, Price, Qty, SECOND_NS, Side, format_decimal};
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

/// Why an order was refused or ended. The text form is stable: scripts match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)] // each name says what it means; docs/codes.md has a sentence for each
pub enum Reason {
    BadQuantity,
    BadStep,
    BadTick,
    MinNotional,
    EngineFault,
    JournalUnhealthy,
    ExecutorNotReady,
    QueueFull,
    Halted,
    DailyLoss,
    NotReducing,
    BookUnsynced,
    BookStale,
    BookCrossed,
    RateLimit,
    NotionalExceedsMax,
    PositionLimitLong,
    PositionLimitShort,
    User,
    IocRemainder,
    NoLiquidity,
    Restart,
    SessionEnd,
}

impl Reason {
    /// The stable text form, `NOTIONAL_EXCEEDS_MAX` and the like.
    pub fn code(self) -> String {
        serde_json::to_value(self).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Decimal places of the figures of a breach with this reason.
    fn places(self) -> usize {
        match self {
            Reason::NotionalExceedsMax | Reason::MinNotional | Reason::DailyLoss => 16,
            Reason::RateLimit | Reason::QueueFull | Reason::BookStale => 0,
            _ => 8,
        }
    }

    /// True where a smaller order could pass.
    fn is_about_size(self) -> bool {
        matches!(
            self,
            Reason::NotionalExceedsMax | Reason::PositionLimitLong | Reason::PositionLimitShort | Reason::BadStep
        )
    }
}

/// One broken rule with its numbers, in the unit of the rule (money, base, orders, milliseconds).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "BreachText", try_from = "BreachText")]
pub struct Breach {
    /// The rule.
    pub code: Reason,
    /// What the order would make of it.
    pub value: i128,
    /// The limit.
    pub limit: i128,
    /// What is left before the limit, never negative. For `RATE_LIMIT` the wait in ms until an order passes.
    pub headroom: i128,
}

#[derive(Serialize, Deserialize)]
struct BreachText {
    code: Reason,
    value: String,
    limit: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    headroom: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    retry_after_ms: Option<i64>,
}

impl From<Breach> for BreachText {
    fn from(breach: Breach) -> BreachText {
        let text = |value| format_decimal(value, breach.code.places());
        let wait = (breach.code == Reason::RateLimit).then(|| i64::try_from(breach.headroom).unwrap_or(i64::MAX));
        BreachText {
            code: breach.code,
            value: text(breach.value),
            limit: text(breach.limit),
            headroom: wait.is_none().then(|| text(breach.headroom)),
            retry_after_ms: wait,
        }
    }
}

impl TryFrom<BreachText> for Breach {
    type Error = crate::units::DecimalError;

    fn try_from(text: BreachText) -> Result<Breach, Self::Error> {
        let value = |field: &str| crate::units::parse_decimal(field, text.code.places());
        let headroom = match (text.retry_after_ms, &text.headroom) {
            (Some(wait), _) => i128::from(wait),
            (None, Some(room)) => value(room)?,
            (None, None) => 0,
        };
        Ok(Breach { code: text.code, value: value(&text.value)?, limit: value(&text.limit)?, headroom })
    }
}

/// Every rule that an order broke, in the fixed order of the checks. Empty, as it mostly is, it costs nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Breaches(Vec<Breach>);

impl Breaches {
    /// Adds a breach with its numbers.
    #[cold]
    pub fn add(&mut self, code: Reason, value: i128, limit: i128, headroom: i128) {
        self.0.push(Breach { code, value, limit, headroom: headroom.max(0) });
    }

    /// Adds a breach that has no numbers.
    pub fn flag(&mut self, code: Reason) {
        self.add(code, 0, 0, 0);
    }

    /// The breaches found, in order.
    pub fn rows(&self) -> &[Breach] {
        &self.0
    }

    /// True if nothing was broken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if a smaller order could pass: every breach is about size.
    pub fn only_about_size(&self) -> bool {
        self.rows().iter().all(|breach| breach.code.is_about_size())
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

/// Names of the base and quote asset for sentences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assets {
    /// Base asset, `BTC`.
    pub base: String,
    /// Quote asset, `USDT`.
    pub quote: String,
}

/// `$50,000`, with decimals only where there are any.
fn dollars(amount: i128) -> String {
    let text = format_decimal(amount, 16);
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(whole, rest)| (whole, Some(rest)));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 && digit.is_ascii_digit() && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    fraction.map_or_else(|| format!("${grouped}"), |cents| format!("${grouped}.{cents}"))
}

/// A breach as a clause of the refusal sentence.
pub struct Clause<'a>(pub &'a Breach, pub &'a Assets);

impl fmt::Display for Clause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Clause(breach, assets) = self;
        let (value, limit) =
            (format_decimal(breach.value, breach.code.places()), format_decimal(breach.limit, breach.code.places()));
        let base = &assets.base;
        match breach.code {
            Reason::NotionalExceedsMax => write!(f, "notional exceeds {} limit", dollars(breach.limit)),
            Reason::PositionLimitLong | Reason::PositionLimitShort => {
                write!(f, "position would be {value} {base}, limit {limit} {base}")
            }
            Reason::RateLimit => write!(f, "more than {limit} orders in a second, retry in {} ms", breach.headroom),
            Reason::DailyLoss => {
                write!(f, "daily loss of {} reached the {} limit", dollars(breach.value), dollars(breach.limit))
            }
            Reason::MinNotional => {
                write!(f, "notional {} is below the venue's minimum {}", dollars(breach.value), dollars(breach.limit))
            }
            Reason::BadQuantity => write!(f, "quantity {value} {base} is outside the venue's bounds ({limit} {base})"),
            Reason::BadStep => write!(f, "quantity {value} {base} is not a multiple of the lot {limit} {base}"),
            Reason::BadTick => write!(f, "price {value} is not a multiple of the tick {limit}"),
            Reason::BookStale => write!(f, "the book is {value} ms old, limit {limit} ms"),
            Reason::BookUnsynced => f.write_str("the book is not synchronised"),
            Reason::BookCrossed => f.write_str("the book is crossed or one-sided"),
            Reason::Halted => f.write_str("trading is halted"),
            Reason::NotReducing => f.write_str("the order would not reduce the position"),
            Reason::JournalUnhealthy => f.write_str("the journal cannot be written"),
            Reason::ExecutorNotReady => f.write_str("the executor is not ready"),
            Reason::QueueFull => write!(f, "the engine is at its capacity ({limit})"),
            other => f.write_str(&other.code().to_lowercase()),
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
