//! What a desk works with, as Python names it. Amounts are integers: `_e8` in units of 10⁻⁸.

use engine::desk::Profile;
use engine::risk::{Assets, Instrument, Limits, Rate};
use engine::units::{E8, Money, Price, Qty};
use pyo3::prelude::*;

/// The limits, filters and names that a desk works with.
#[derive(FromPyObject)]
pub struct Rules {
    #[pyo3(item)]
    execution: String,
    #[pyo3(item)]
    venue: String,
    #[pyo3(item)]
    symbol: String,
    #[pyo3(item)]
    base: String,
    #[pyo3(item)]
    quote: String,
    #[pyo3(item)]
    tick_e8: i64,
    #[pyo3(item)]
    step_e8: i64,
    #[pyo3(item)]
    min_quantity_e8: i64,
    #[pyo3(item)]
    max_quantity_e8: i64,
    #[pyo3(item)]
    min_notional_e8: i64,
    #[pyo3(item)]
    max_order_notional_e8: i64,
    #[pyo3(item)]
    max_position_e8: i64,
    #[pyo3(item)]
    max_orders_per_second: u32,
    #[pyo3(item)]
    max_daily_loss_e8: i64,
    #[pyo3(item)]
    price_band_e8: i64,
    #[pyo3(item)]
    max_attempts_per_second: u32,
    #[pyo3(item)]
    runaway_refusals: u32,
    #[pyo3(item)]
    repeat_window_ms: i64,
    #[pyo3(item)]
    pub(crate) slippage_e8: i64,
    #[pyo3(item)]
    stale_after_ms: i64,
}

impl Rules {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            order_notional: money(self.max_order_notional_e8),
            position: Qty(self.max_position_e8),
            orders_per_second: self.max_orders_per_second,
            daily_loss: money(self.max_daily_loss_e8),
            price_band: Rate(self.price_band_e8),
            attempts_per_second: self.max_attempts_per_second,
            runaway_refusals: self.runaway_refusals,
            repeat_window_ns: ms(self.repeat_window_ms),
            stale_after_ns: self.stale_after_ns(),
        }
    }

    pub(crate) fn instrument(&self) -> Instrument {
        Instrument {
            tick: Price(self.tick_e8),
            step: Qty(self.step_e8),
            min_quantity: Qty(self.min_quantity_e8),
            max_quantity: Qty(self.max_quantity_e8),
            min_notional: money(self.min_notional_e8),
        }
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        self.limits().check()?;
        self.instrument().check()?;
        let sane = (0..E8).contains(&self.slippage_e8);
        if sane { Ok(()) } else { Err("slippage must be in [0, 1)".into()) }
    }

    pub(crate) fn profile(&self) -> Profile {
        let assets = Assets { base: self.base.clone(), quote: self.quote.clone() };
        Profile { execution: self.execution.clone(), venue: self.venue.clone(), symbol: self.symbol.clone(), assets }
    }

    /// Age at which the book is stale.
    pub(crate) fn stale_after_ns(&self) -> i64 {
        ms(self.stale_after_ms)
    }
}

/// Saturates: what is far beyond every cap stays beyond it.
fn ms(ms: i64) -> i64 {
    ms.saturating_mul(1_000_000)
}

fn money(e8: i64) -> Money {
    Money(i128::from(e8) * i128::from(E8))
}
