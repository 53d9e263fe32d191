//! The controls by name, each with a switch that only tests can throw: a control that nobody misses does not exist.

/// One control of the desk. docs/controls.md has a row for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // each name says what it means; the row in docs/controls.md says the rest
pub enum Control {
    OrderNotional,
    PositionLong,
    PositionShort,
    OrderRate,
    DailyLoss,
    BookUnsynced,
    BookStale,
    BookCrossed,
    PriceBand,
    QuantityBounds,
    LotStep,
    PriceTick,
    MinNotional,
    DuplicateId,
    RepeatedOrder,
    Runaway,
    Attempts,
    SelfMatch,
    QueueFull,
    Journal,
    Executor,
    KillSwitch,
    LooserLimits,
    ClockJump,
    Reducing,
}

#[cfg(not(test))]
impl Control {
    /// True: outside the crate's own tests no control can be turned off.
    #[inline(always)]
    pub const fn on(self) -> bool {
        true
    }
}

#[cfg(test)]
thread_local! {
    static OFF: std::cell::Cell<Option<Control>> = const { std::cell::Cell::new(None) };
}

#[cfg(test)]
impl Control {
    /// False within [`Control::without`].
    pub fn on(self) -> bool {
        OFF.get() != Some(self)
    }

    /// Runs `check` on this thread with the control turned off.
    pub fn without<T>(self, check: impl FnOnce() -> T) -> T {
        OFF.set(Some(self));
        let result = check();
        OFF.set(None);
        result
    }
}
