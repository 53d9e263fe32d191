//! The desk as Python sees it. Amounts are integers: `_e8` in units of 10⁻⁸.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::desk::{
    CLIENT_ID_MAX, ClientId, Command, Desk as Core, Event, Health, Opened, OrderRequest, Outcome, Refused, SharedDesk,
    Stamped, Started, Tif, quantiles, status,
};
use engine::latency::Histogram;
use engine::risk::{Rate, Reason};
use engine::units::{Now, Price, Qty, Side};
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::book::Book;
use crate::clock::{mono_ns as mono_ns_now, now};
use crate::rules::Rules;

pyo3::create_exception!(
    pytrader._core,
    EngineFault,
    PyException,
    "The engine cannot do what was asked: it has failed, or its journal is behind."
);

/// `pytrader.__version__`, journaled with every start.
const BUILD: &str = env!("CARGO_PKG_VERSION");

/// An order command's answer, at once; what follows is told only after the journal's commit.
#[pyclass(frozen, get_all, freelist = 16, module = "pytrader._core")]
pub struct Verdict {
    /// The order passed every check.
    accepted: bool,
    /// Its number; `None` when refused.
    order_id: Option<u64>,
    /// The refusal in one sentence; `None` when accepted.
    reason: Option<String>,
    /// Codes of every broken rule, in the order of the checks.
    codes: Vec<String>,
    /// The refusal with its numbers as JSON; `None` when accepted.
    detail: Option<String>,
    /// Number of the newest event when the verdict was given: once it is durable, so is the verdict.
    seq: u64,
}

impl Verdict {
    fn new(outcome: Outcome, seq: u64) -> Verdict {
        match outcome {
            Outcome::Refused(refused) => Verdict::refused(&refused, seq),
            Outcome::Accepted { order } => {
                Verdict { accepted: true, order_id: Some(order), reason: None, codes: Vec::new(), detail: None, seq }
            }
            other => panic!("a submit answers {other:?}"),
        }
    }

    fn refused(refused: &Refused, seq: u64) -> Verdict {
        Verdict {
            accepted: false,
            order_id: None,
            reason: Some(refused.sentence.clone()),
            codes: refused.breaches.iter().map(|breach| breach.code.code()).collect(),
            detail: serde_json::to_string(refused).ok(),
            seq,
        }
    }
}

#[derive(Default)]
struct Stages {
    decision: Histogram,
    journal: Histogram,
    handed_out: VecDeque<(u64, i64)>,
}

/// Decides orders, keeps position and money, numbers every event. Any thread may call it.
#[pyclass(frozen, module = "pytrader._core")]
pub struct Desk {
    pub(crate) shared: Arc<SharedDesk>,
    pub(crate) rules: Rules,
    stages: Mutex<Stages>,
}

#[pymethods]
impl Desk {
    /// A desk that prices on `book`. `rules` is a mapping with the keys of `pytrader.paper.RULES`; ValueError for limits
    /// or filters that no order could be judged by.
    #[new]
    fn new(book: &Book, rules: Rules) -> PyResult<Desk> {
        rules.check().map_err(PyValueError::new_err)?;
        let core = Core::new(rules.limits(), rules.instrument(), Rate(rules.slippage_e8), Health::default());
        Ok(Desk { shared: Arc::new(SharedDesk::new(core, book.published())), rules, stages: Mutex::default() })
    }

    /// Folds events of the journal, `(seq, mono_ns, utc_ns, body)`, before `start`. ValueError names the event that
    /// cannot be read or does not follow.
    fn recover(&self, py: Python<'_>, events: Vec<(u64, i64, i64, PyBackedBytes)>) -> PyResult<()> {
        py.detach(|| events.iter().try_for_each(|row| self.recover_one(row))).map_err(PyValueError::new_err)
    }

    /// The limits, each with its value before and now, that allow more than in the run before. Ask after `recover`.
    fn loosened(&self) -> Vec<(&'static str, String, String)> {
        let looser = self.shared.loosened(&self.rules.limits()).into_iter();
        looser.map(|limit| (limit.name, limit.old, limit.new)).collect()
    }

    /// Begins the journal or takes it up; returns the numbers of the orders that rest again. ValueError if the
    /// journal belongs to another execution, venue or symbol, or limits are `loosened` and `loosen` does not say so.
    #[pyo3(signature = (seed, loosen=false, mono_ns=None, utc_ns=None))]
    fn start(&self, seed: u64, loosen: bool, mono_ns: Option<i64>, utc_ns: Option<i64>) -> PyResult<Vec<u64>> {
        let opened = Opened { version: 1, profile: self.rules.profile() };
        let (limits, instrument) = (self.rules.limits(), self.rules.instrument());
        let started = Started { build: BUILD.into(), seed, limits, instrument, memory: false };
        let begun = self.shared.start(opened, started, loosen, at(mono_ns, utc_ns));
        let resting = begun.map_err(PyValueError::new_err)?;
        Ok(resting.iter().map(|open| open.order).collect())
    }

    /// Decides an order. `limit_e8` None is a market order; `tif` is "ioc" or "gtc" (default gtc with a limit).
    #[pyo3(signature = (side, quantity_e8, limit_e8=None, tif=None, reduce_only=false, client_id=None, mono_ns=None, utc_ns=None))]
    #[allow(clippy::too_many_arguments)] // keyword arguments of one Python call
    fn submit(
        &self,
        side: &str,
        quantity_e8: i64,
        limit_e8: Option<i64>,
        tif: Option<&str>,
        reduce_only: bool,
        client_id: Option<&str>,
        mono_ns: Option<i64>,
        utc_ns: Option<i64>,
    ) -> PyResult<Verdict> {
        let request = request(side, quantity_e8, limit_e8, tif, reduce_only, client_id)?;
        let asked = at(mono_ns, utc_ns);
        let (outcome, seq) = self.shared.submit(&request, asked);
        let answered_ns = mono_ns.or(utc_ns).unwrap_or_else(mono_ns_now);
        self.stages().decision.record(u64::try_from(answered_ns - asked.mono_ns).unwrap_or(0));
        Ok(Verdict::new(outcome, seq))
    }

    /// The verdict that `submit` would give, changing nothing.
    #[pyo3(signature = (side, quantity_e8, limit_e8=None, tif=None, reduce_only=false, client_id=None, mono_ns=None, utc_ns=None))]
    #[allow(clippy::too_many_arguments)] // keyword arguments of one Python call
    fn check(
        &self,
        side: &str,
        quantity_e8: i64,
        limit_e8: Option<i64>,
        tif: Option<&str>,
        reduce_only: bool,
        client_id: Option<&str>,
        mono_ns: Option<i64>,
        utc_ns: Option<i64>,
    ) -> PyResult<Verdict> {
        let request = request(side, quantity_e8, limit_e8, tif, reduce_only, client_id)?;
        Ok(Verdict::new(self.shared.check(&request, at(mono_ns, utc_ns)), 0))
    }

    /// Asks for the end of an open order; returns the number of the newest event then, None if it is not open.
    #[pyo3(signature = (order_id, mono_ns=None, utc_ns=None))]
    fn cancel(&self, order_id: u64, mono_ns: Option<i64>, utc_ns: Option<i64>) -> Option<u64> {
        let command = Command::Cancel { order: order_id, reason: Reason::User };
        let (outcome, seq) = self.shared.command_at(&command, at(mono_ns, utc_ns));
        (outcome == Outcome::Done).then_some(seq)
    }

    /// Asks for the end of every open order; returns the number of the newest event then. `session_end` names the reason SESSION_END instead of USER.
    #[pyo3(signature = (session_end=false, mono_ns=None, utc_ns=None))]
    fn cancel_all(&self, session_end: bool, mono_ns: Option<i64>, utc_ns: Option<i64>) -> u64 {
        let reason = if session_end { Reason::SessionEnd } else { Reason::User };
        self.shared.command_at(&Command::CancelAll { reason }, at(mono_ns, utc_ns)).1
    }

    /// Stops trading at once, until `resume`: no new order leaves, open orders are asked to end. Returns the number of
    /// the newest event then: once it is durable, so is the halt.
    #[pyo3(signature = (cause, detail, mono_ns=None, utc_ns=None))]
    fn halt(&self, cause: &str, detail: &str, mono_ns: Option<i64>, utc_ns: Option<i64>) -> u64 {
        self.shared.halt(cause, detail, at(mono_ns, utc_ns))
    }

    /// Lets trading go on after a halt; returns the number of the newest event then. A loss latch stays until the next
    /// UTC day. EngineFault while the journal cannot keep up, or after the engine failed.
    #[pyo3(signature = (mono_ns=None, utc_ns=None))]
    fn resume(&self, mono_ns: Option<i64>, utc_ns: Option<i64>) -> PyResult<u64> {
        match self.shared.resume(at(mono_ns, utc_ns)) {
            (Outcome::Withheld(reason), _) => Err(EngineFault::new_err(format!("not resumed: {}", reason.code()))),
            (_, seq) => Ok(seq),
        }
    }

    /// Values the position at its closing side; alone it can trip the loss latch.
    #[pyo3(signature = (mono_ns=None, utc_ns=None))]
    fn mark(&self, mono_ns: Option<i64>, utc_ns: Option<i64>) {
        self.shared.mark(at(mono_ns, utc_ns));
    }

    /// Waits up to `timeout_ms` without the GIL and takes up to `most` events `(seq, mono_ns, utc_ns, body)`.
    fn next_events<'py>(
        &self,
        py: Python<'py>,
        most: usize,
        timeout_ms: u64,
    ) -> Vec<(u64, i64, i64, Bound<'py, PyBytes>)> {
        let rows = py.detach(|| self.take_events(most, Duration::from_millis(timeout_ms)));
        rows.into_iter()
            .map(|(seq, now, body)| (seq, now.mono_ns, now.utc_ns, PyBytes::new(py, body.as_bytes())))
            .collect()
    }

    /// Everything up to event `seq` is durable: orders may leave, people may be told.
    #[pyo3(signature = (seq, mono_ns=None))]
    fn committed(&self, seq: u64, mono_ns: Option<i64>) {
        self.shared.committed(seq);
        self.stages().note_commit(seq, at(mono_ns, None));
    }

    /// Says whether the journal can be written. Orders are refused while it cannot.
    fn set_journal(&self, healthy: bool) {
        self.shared.set_journal(healthy);
    }

    /// Says whether the executor takes orders. Orders are refused while it does not.
    fn set_executor(&self, ready: bool) {
        self.shared.set_executor(ready);
    }

    /// The desk on one page as JSON; decimals are text.
    #[pyo3(signature = (mono_ns=None, utc_ns=None))]
    fn status<'py>(&self, py: Python<'py>, mono_ns: Option<i64>, utc_ns: Option<i64>) -> PyResult<Bound<'py, PyBytes>> {
        let page = py.detach(|| self.page(at(mono_ns, utc_ns))).ok_or_else(failed)?;
        Ok(PyBytes::new(py, page.as_bytes()))
    }

    /// The canonical text of the journaled state: equal text, equal state.
    fn state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let text = py.detach(|| self.shared.read(|desk, _| desk.state.text())).ok_or_else(failed)?;
        Ok(PyBytes::new(py, text.as_bytes()))
    }

    /// A panic broke the engine: every order is refused, and nothing more is known of the state.
    fn faulted(&self) -> bool {
        self.shared.faulted()
    }

    /// Signed position, 10⁻⁸ base.
    fn position_e8(&self) -> PyResult<i64> {
        self.shared.read(|desk, _| desk.state.ledger.position.0).ok_or_else(failed)
    }

    /// Number of orders without an end.
    fn open_orders(&self) -> PyResult<usize> {
        self.shared.read(|desk, _| desk.state.orders.count()).ok_or_else(failed)
    }
}

impl Desk {
    fn stages(&self) -> MutexGuard<'_, Stages> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recover_one(&self, (seq, mono_ns, utc_ns, body): &(u64, i64, i64, PyBackedBytes)) -> Result<(), String> {
        let event = Event::parse(body).map_err(|error| format!("event {seq} cannot be read: {error}"))?;
        self.shared.recover(&Stamped { seq: *seq, now: Now { mono_ns: *mono_ns, utc_ns: *utc_ns }, event })
    }

    fn take_events(&self, most: usize, timeout: Duration) -> Vec<(u64, Now, String)> {
        let events = self.shared.next_events(most, timeout);
        let stamps = events.iter().map(|stamped| (stamped.seq, stamped.now.mono_ns));
        self.stages().handed_out.extend(stamps);
        events.into_iter().map(|stamped| (stamped.seq, stamped.now, stamped.event.body())).collect()
    }

    fn page(&self, now: Now) -> Option<String> {
        let mut page = self.shared.read(|desk, top| status(desk, now, top))?;
        let stages = self.stages();
        page["latency"]["decision"] = quantiles(&stages.decision);
        page["latency"]["journal"] = quantiles(&stages.journal);
        Some(page.to_string())
    }
}

impl Stages {
    fn note_commit(&mut self, seq: u64, now: Now) {
        while self.handed_out.front().is_some_and(|(handed, _)| *handed <= seq) {
            let stamp = self.handed_out.pop_front().map_or(now.mono_ns, |(_, mono_ns)| mono_ns);
            self.journal.record(u64::try_from(now.mono_ns - stamp).unwrap_or(0));
        }
    }
}

/// The time of a call: the clock's, unless the caller runs on its own.
pub(crate) fn at(mono_ns: Option<i64>, utc_ns: Option<i64>) -> Now {
    match (mono_ns, utc_ns) {
        (None, None) => now(),
        (mono_ns, utc_ns) => Now { mono_ns: mono_ns.or(utc_ns).unwrap_or(0), utc_ns: utc_ns.or(mono_ns).unwrap_or(0) },
    }
}

fn request(
    side: &str,
    quantity_e8: i64,
    limit_e8: Option<i64>,
    tif: Option<&str>,
    reduce: bool,
    client_id: Option<&str>,
) -> PyResult<OrderRequest> {
    let side = match side {
        "buy" => Side::Buy,
        "sell" => Side::Sell,
        _ => return Err(PyValueError::new_err(format!("side is \"buy\" or \"sell\", not {side:?}"))),
    };
    let tif = match (tif, limit_e8) {
        (None, None) | (Some("ioc"), _) => Tif::Ioc,
        (None | Some("gtc"), Some(_)) => Tif::Gtc,
        (Some("gtc"), None) => return Err(PyValueError::new_err("a market order cannot be gtc: give a limit price")),
        (Some(other), _) => return Err(PyValueError::new_err(format!("tif is \"ioc\" or \"gtc\", not {other:?}"))),
    };
    let named = client_id.map(|id| {
        let wrong = || PyValueError::new_err(format!("a client id is 1 to {CLIENT_ID_MAX} of A-Z a-z 0-9, not {id:?}"));
        ClientId::new(id).ok_or_else(wrong)
    });
    let client_id = named.transpose()?;
    Ok(OrderRequest { side, quantity: Qty(quantity_e8), limit: limit_e8.map(Price), tif, reduce, client_id })
}

fn failed() -> PyErr {
    EngineFault::new_err("the engine has failed; restart pytrader: the journal holds everything up to the failure")
}
