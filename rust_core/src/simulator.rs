//! The simulated venue as Python sees it: one thread calls `run_once` again and again.

use std::sync::Arc;
use std::time::Duration;

use engine::desk::OpenOrder;
use engine::execution::SimulatedVenue;
use engine::risk::{Rate, Reason};
use engine::simulate::Rules;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::book::Book;
use crate::clock::now;
use crate::desk::{Desk, at};

/// A day, ms: far above any delay of a venue, and far below where sums of times end.
const DELAY_MAX_MS: i64 = 86_400_000;

/// A simulated venue between a desk and its book. Reaches no network.
#[pyclass(frozen, module = "pytrader._core")]
pub struct Simulator {
    venue: SimulatedVenue,
    desk: Arc<engine::desk::SharedDesk>,
}

#[pymethods]
impl Simulator {
    /// Delays are drawn from (seed, order number) in `[min_delay_ms, max_delay_ms]`; rates are fractions × 10⁻⁸
    /// (1 basis point is 10,000). ValueError if the delays are out of order, above a day, or a rate is negative.
    #[new]
    #[pyo3(signature = (book, desk, *, seed, min_delay_ms=10, max_delay_ms=100, taker_fee_e8=0, maker_fee_e8=0))]
    fn new(
        book: &Book,
        desk: &Desk,
        seed: u64,
        min_delay_ms: i64,
        max_delay_ms: i64,
        taker_fee_e8: i64,
        maker_fee_e8: i64,
    ) -> PyResult<Simulator> {
        let in_order = (0..=max_delay_ms).contains(&min_delay_ms) && max_delay_ms <= DELAY_MAX_MS;
        if !in_order || taker_fee_e8 < 0 || maker_fee_e8 < 0 {
            return Err(PyValueError::new_err(format!(
                "delays from {min_delay_ms} to {max_delay_ms} ms are out of order or above a day, or a fee is negative"
            )));
        }
        let rules = Rules {
            seed,
            min_delay_ns: min_delay_ms * 1_000_000,
            max_delay_ns: max_delay_ms * 1_000_000,
            slippage: Rate(desk.rules.slippage_e8),
            taker_fee: Rate(taker_fee_e8),
            maker_fee: Rate(maker_fee_e8),
            stale_after_ns: desk.rules.stale_after_ns(),
        };
        let venue = SimulatedVenue::new(rules, desk.shared.clone(), book.cross_watch());
        Ok(Simulator { venue, desk: desk.shared.clone() })
    }

    /// Takes an accepted order whose intent is durable. An order that has ended meanwhile is passed over.
    fn submit(&self, order_id: u64) {
        self.open(order_id).into_iter().for_each(|open| self.venue.submit(order_id, open.request));
    }

    /// Takes a request to cancel. An order that has ended meanwhile is passed over.
    fn cancel(&self, order_id: u64) {
        let open = self.open(order_id).into_iter();
        open.for_each(|open| self.venue.cancel(order_id, open.cancel.unwrap_or(Reason::User)));
    }

    /// Puts an order of an earlier run back to rest.
    fn rest(&self, order_id: u64) {
        self.open(order_id).into_iter().for_each(|open| self.venue.rest(open));
    }

    /// Waits without the GIL until something is due, at most `timeout_ms`, then does it; returns the reports made.
    fn run_once(&self, py: Python<'_>, timeout_ms: u64) -> usize {
        py.detach(|| {
            self.venue.wait(now(), Duration::from_millis(timeout_ms));
            self.venue.step(now())
        })
    }

    /// Does what is due at a time of the caller's own; returns the reports made.
    fn step(&self, mono_ns: i64, utc_ns: i64) -> usize {
        self.venue.step(at(Some(mono_ns), Some(utc_ns)))
    }

    /// When the next order or cancel arrives, monotonic ns.
    fn next_due_ns(&self) -> Option<i64> {
        self.venue.next_due()
    }

    /// Ends the wait of `run_once`.
    fn wake(&self) {
        self.venue.wake();
    }
}

impl Simulator {
    fn open(&self, order_id: u64) -> Option<OpenOrder> {
        self.desk.read(|desk, _| desk.state.orders.get(order_id).copied()).flatten()
    }
}
