//! The hard limits of the desk, their caps, and what of them was loosened; the venue's filters.

use serde::{Deserialize, Serialize};

use crate::risk::Rate;
use crate::units::{E8, E16, Money, Price, Qty, SECOND_NS, format_decimal};

/// The hard limits of the desk. Those that an older journal does not name count as at their caps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default = "Limits::caps")]
pub struct Limits {
    /// Largest notional of one order, quote.
    pub order_notional: Money,
    /// Largest position either way, base.
    pub position: Qty,
    /// Most accepted orders in any half-open second `(t − 1 s, t]`.
    pub orders_per_second: u32,
    /// The day's loss at which trading latches, quote.
    pub daily_loss: Money,
    /// How much worse than the best opposite price an order may pay.
    pub price_band: Rate,
    /// Most submits in any half-open second that are judged at all.
    pub attempts_per_second: u32,
    /// Refusals within [`RUNAWAY_NS`] that halt trading.
    pub runaway_refusals: u32,
    /// An order equal to one accepted less than this ago is refused; 0 = off.
    pub repeat_window_ns: i64,
    /// Age at which the book is stale.
    pub stale_after_ns: i64,
}

/// Span over which refusals are counted.
pub const RUNAWAY_NS: i64 = 10 * SECOND_NS;
/// Longest window in which a repeated order can be refused.
pub const REPEAT_MAX_NS: i64 = 10 * SECOND_NS;

/// One limit in the words and the unit of its setting.
struct Row {
    name: &'static str,
    value: i128,
    /// Decimal places of `value` in the setting's unit.
    places: usize,
    /// A larger value allows more.
    grows: bool,
}

impl Row {
    fn text(&self) -> String {
        format_decimal(self.value, self.places)
    }

    fn is_looser_than(&self, other: &Row) -> bool {
        if self.grows { self.value > other.value } else { self.value < other.value }
    }
}

/// A limit that allows more than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loosened {
    /// Name of its setting.
    pub name: &'static str,
    /// The value before, in the setting's unit.
    pub old: String,
    /// The value now.
    pub new: String,
}

impl Limits {
    /// What no setting goes beyond: ten times the defaults, compiled in.
    pub const fn caps() -> Limits {
        Limits {
            order_notional: Money(500_000 * E16),
            position: Qty(50 * E8),
            orders_per_second: 50,
            daily_loss: Money(100_000 * E16),
            price_band: Rate(E8 / 2),
            attempts_per_second: 500,
            runaway_refusals: 2_000,
            repeat_window_ns: 0,
            stale_after_ns: 10 * SECOND_NS,
        }
    }

    fn rows(&self) -> [Row; 9] {
        let row = |name, value, places| Row { name, value, places, grows: true };
        [
            row("max_order_notional", self.order_notional.0, 16),
            row("max_position", self.position.0.into(), 8),
            row("max_orders_per_second", self.orders_per_second.into(), 0),
            row("max_daily_loss", self.daily_loss.0, 16),
            row("max_price_band_bps", self.price_band.0.into(), 4),
            row("max_attempts_per_second", self.attempts_per_second.into(), 0),
            row("runaway_refusals", self.runaway_refusals.into(), 0),
            row("stale_after_ms", self.stale_after_ns.into(), 6),
            Row { name: "repeat_window_ms", value: self.repeat_window_ns.into(), places: 6, grows: false },
        ]
    }

    /// Refuses limits beyond their caps, and such as no order could be judged by. The error names limit and range.
    pub fn check(&self) -> Result<(), String> {
        for (row, cap) in self.rows().into_iter().zip(Limits::caps().rows()) {
            let (least, most) = if row.grows { (1, cap.value) } else { (0, REPEAT_MAX_NS.into()) };
            if !(least..=most).contains(&row.value) {
                let range = format!("{} to {}", format_decimal(least, row.places), format_decimal(most, row.places));
                return Err(format!("{} {} is outside its hard cap: {range}", row.name, row.text()));
            }
        }
        Ok(())
    }

    /// The limits that allow more than `before`.
    pub fn loosened(&self, before: &Limits) -> Vec<Loosened> {
        let pairs = before.rows().into_iter().zip(self.rows());
        let looser = pairs.filter(|(old, new)| new.is_looser_than(old));
        looser.map(|(old, new)| Loosened { name: new.name, old: old.text(), new: new.text() }).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_at_their_caps_pass_and_one_unit_beyond_names_the_limit_and_its_range() {
        let caps = Limits::caps();
        assert_eq!(caps.check(), Ok(()));
        let over = Limits { position: Qty(50 * E8 + 1), ..caps }.check();
        assert_eq!(over, Err("max_position 50.00000001 is outside its hard cap: 0.00000001 to 50".into()));
        for limits in [
            Limits { order_notional: Money(500_000 * E16 + 1), ..caps },
            Limits { orders_per_second: 51, ..caps },
            Limits { daily_loss: Money(0), ..caps },
            Limits { price_band: Rate(E8 / 2 + 1), ..caps },
            Limits { attempts_per_second: 0, ..caps },
            Limits { runaway_refusals: 2_001, ..caps },
            Limits { repeat_window_ns: -1, ..caps },
            Limits { repeat_window_ns: REPEAT_MAX_NS + 1, ..caps },
            Limits { stale_after_ns: 10 * SECOND_NS + 1, ..caps },
        ] {
            assert!(limits.check().is_err(), "{limits:?}");
        }
        assert_eq!(Limits { repeat_window_ns: REPEAT_MAX_NS, ..caps }.check(), Ok(()));
    }

    #[test]
    fn what_was_loosened_is_named_in_the_unit_of_its_setting() {
        let before = Limits { price_band: Rate(E8 / 20), repeat_window_ns: SECOND_NS, ..Limits::caps() };
        let now = Limits { price_band: Rate(E8 / 10), repeat_window_ns: 0, daily_loss: Money(E16), ..before };
        let told = |(name, old, new): (&'static str, &str, &str)| Loosened { name, old: old.into(), new: new.into() };
        let expected = [("max_price_band_bps", "500", "1000"), ("repeat_window_ms", "1000", "0")].map(told);
        assert_eq!(now.loosened(&before), expected);
        assert_eq!(before.loosened(&before), []);
    }

    #[test]
    fn a_limit_that_an_older_journal_does_not_name_counts_as_at_its_cap() {
        let old = r#"{"order_notional":"50000","position":"5","orders_per_second":5,"daily_loss":"10000"}"#;
        let limits: Limits = serde_json::from_str(old).expect("limits");
        assert_eq!((limits.position, limits.price_band), (Qty(5 * E8), Limits::caps().price_band));
    }

    #[test]
    fn filters_that_no_order_could_be_judged_by_are_refused() {
        let good = Instrument {
            tick: Price(1),
            step: Qty(1),
            min_quantity: Qty(1),
            max_quantity: Qty(1),
            min_notional: Money(0),
        };
        assert_eq!(good.check(), Ok(()));
        assert_eq!(Instrument { tick: Price(2), step: Qty(2), max_quantity: Qty(2), ..good }.check(), Ok(()));
        for bad in [
            Instrument { tick: Price(0), ..good },
            Instrument { tick: Price(-1), ..good },
            Instrument { step: Qty(0), ..good },
            Instrument { step: Qty(-1), ..good },
            Instrument { min_quantity: Qty(0), ..good },
            Instrument { min_quantity: Qty(-1), ..good },
            Instrument { min_notional: Money(-1), ..good },
            Instrument { min_quantity: Qty(2), ..good },
        ] {
            let error = bad.check().expect_err("no order could be judged");
            assert!(error.starts_with("the venue's filters make no sense"), "{error}");
        }
    }

    #[test]
    fn the_caps_are_ten_times_the_defaults() {
        let caps = Limits::caps().rows().map(|row| format!("{} {}", row.name, row.text()));
        let expected = [
            "max_order_notional 500000",
            "max_position 50",
            "max_orders_per_second 50",
            "max_daily_loss 100000",
            "max_price_band_bps 5000",
            "max_attempts_per_second 500",
            "runaway_refusals 2000",
            "stale_after_ms 10000",
            "repeat_window_ms 0",
        ];
        assert_eq!(caps, expected);
        assert_eq!((REPEAT_MAX_NS, RUNAWAY_NS), (10_000_000_000, 10_000_000_000));
    }
}
