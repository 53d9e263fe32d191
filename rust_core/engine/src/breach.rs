//! Why an order was refused: the rule, its numbers, and the words for it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::units::format_decimal;

/// Why an order was refused or ended. The text form is stable: scripts match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)] // each name says what it means; docs/codes.md has a sentence for each
pub enum Reason {
    BadQuantity,
    BadStep,
    BadTick,
    DuplicateId,
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
    RepeatedOrder,
    Attempts,
    NotionalExceedsMax,
    PositionLimitLong,
    PositionLimitShort,
    PriceBand,
    SelfMatch,
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
            Reason::RateLimit | Reason::Attempts | Reason::QueueFull | Reason::BookStale | Reason::RepeatedOrder => 0,
            _ => 8,
        }
    }

    /// True where time alone lets the order pass: its headroom is the wait in ms.
    fn waits(self) -> bool {
        matches!(self, Reason::RateLimit | Reason::Attempts | Reason::RepeatedOrder)
    }

    /// True where a smaller order could pass.
    fn is_about_size(self) -> bool {
        matches!(
            self,
            Reason::NotionalExceedsMax
                | Reason::PositionLimitLong
                | Reason::PositionLimitShort
                | Reason::PriceBand
                | Reason::BadStep
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
    /// What is left before the limit, never negative. For `RATE_LIMIT`, `ATTEMPTS` and `REPEATED_ORDER` the wait
    /// in ms until an order passes.
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
        let wait = breach.code.waits().then(|| i64::try_from(breach.headroom).unwrap_or(i64::MAX));
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
            Reason::RepeatedOrder => {
                let wait = breach.headroom;
                write!(f, "the same order was accepted {value} ms ago, window {limit} ms, retry in {wait} ms")
            }
            Reason::Attempts => {
                let wait = breach.headroom;
                write!(f, "more than {limit} attempts in a second, only counted, retry in {wait} ms")
            }
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
            Reason::DuplicateId => f.write_str("the client id was used before"),
            Reason::PriceBand => write!(f, "price {value} is outside the band that ends at {limit}"),
            Reason::SelfMatch => write!(f, "price {value} would meet the own order at {limit}"),
            Reason::BookUnsynced => f.write_str("the book is not synchronised"),
            Reason::BookCrossed => f.write_str("the book is crossed or one-sided"),
            Reason::Halted => f.write_str("trading is halted"),
            Reason::NotReducing => f.write_str("the order would not reduce the position"),
            Reason::JournalUnhealthy => f.write_str("the journal cannot be written"),
            Reason::EngineFault => {
                f.write_str("the engine has failed: restart pytrader, the journal holds what was done")
            }
            Reason::ExecutorNotReady => f.write_str("the executor is not ready"),
            Reason::QueueFull => write!(f, "the engine is at its capacity ({limit})"),
            other => f.write_str(&other.code().to_lowercase()),
        }
    }
}

#[cfg(test)]
mod tests;
