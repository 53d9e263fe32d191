//! May anything leave now? One predicate, asked at the decision and again right before sending.

use serde::Serialize;

use crate::control::Control;
use crate::desk::State;
use crate::risk::{Breaches, Reason};
use crate::units::{Money, Now, Qty, Side};
use crate::view::{Sync, TopOfBook};

/// What the desk knows of the parts around it. Not journaled: each run finds out anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// The journal can be written.
    pub journal: bool,
    /// The executor takes orders.
    pub executor: bool,
}

impl Default for Health {
    fn default() -> Health {
        Health { journal: true, executor: true }
    }
}

/// Whether the book can be priced on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BookTrust {
    /// Synchronised, fresh, uncrossed.
    Live,
    /// Not synchronised.
    Unsynced,
    /// The newest book frame is too old.
    Stale,
    /// Bid at or above ask, or a side is empty.
    Crossed,
}

impl BookTrust {
    /// The reason that a refusal names; `None` for a live book.
    pub fn reason(self) -> Option<Reason> {
        match self {
            BookTrust::Live => None,
            BookTrust::Unsynced => Some(Reason::BookUnsynced),
            BookTrust::Stale => Some(Reason::BookStale),
            BookTrust::Crossed => Some(Reason::BookCrossed),
        }
    }
}

/// Judges the book at `now`: a book exactly as old as the limit is stale.
pub fn trust(top: &TopOfBook, now: Now, stale_after_ns: i64) -> BookTrust {
    if top.sync != Sync::Live {
        BookTrust::Unsynced
    } else if top.age_ns(now.mono_ns) >= stale_after_ns {
        BookTrust::Stale
    } else if !top.uncrossed() {
        BookTrust::Crossed
    } else {
        BookTrust::Live
    }
}

/// With all open and in-flight orders counted, |position| falls and never changes sign. `reserved` is what is
/// already open on `side`.
pub fn reduces(position: Qty, reserved: Qty, side: Side, quantity: Qty) -> bool {
    let closable = i128::from(position.0) * -i128::from(side.sign());
    closable > 0 && i128::from(reserved.0) + i128::from(quantity.0) <= closable
}

/// Adds every reason why an order may not leave now. `reducing` orders pass a halt and a loss latch.
pub fn check(state: &State, health: &Health, now: Now, top: &TopOfBook, reducing: bool, breaches: &mut Breaches) {
    if !health.journal && Control::Journal.on() {
        breaches.flag(Reason::JournalUnhealthy);
    }
    if !health.executor && Control::Executor.on() {
        breaches.flag(Reason::ExecutorNotReady);
    }
    if state.halted.is_some() && !reducing && Control::KillSwitch.on() {
        breaches.flag(Reason::Halted);
    }
    let stale_after_ns = state.limits.stale_after_ns;
    let trust = trust(top, now, stale_after_ns);
    let ms = |ns: i64| i128::from(ns / 1_000_000);
    match trust {
        BookTrust::Unsynced if Control::BookUnsynced.on() => breaches.flag(Reason::BookUnsynced),
        BookTrust::Crossed if Control::BookCrossed.on() => breaches.flag(Reason::BookCrossed),
        BookTrust::Stale if Control::BookStale.on() => {
            breaches.add(Reason::BookStale, ms(top.age_ns(now.mono_ns)), ms(stale_after_ns), 0);
        }
        _ => {}
    }
    if !reducing {
        loss(state, trust, top, breaches);
    }
}

/// The day's loss at this moment; `None` where a position is open and the book cannot be trusted to value it.
pub fn loss_now(state: &State, trust: BookTrust, top: &TopOfBook) -> Option<Money> {
    let known = state.ledger.position.0 == 0 || trust == BookTrust::Live;
    known.then(|| state.day_loss(state.closing_price(top)))
}

/// The latch, and the loss of this moment.
fn loss(state: &State, trust: BookTrust, top: &TopOfBook, breaches: &mut Breaches) {
    let limit = state.limits.daily_loss;
    let now = loss_now(state, trust, top);
    let reached = state.loss_latched || now.is_some_and(|loss| loss >= limit);
    if reached && Control::DailyLoss.on() {
        let worst = now.map_or(state.latched_loss, |loss| loss.max(state.latched_loss));
        breaches.add(Reason::DailyLoss, worst.0, limit.0, 0);
    }
}
