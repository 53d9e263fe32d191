//! `Tape`: what a book is fed, on its way to a recording.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use engine::record::{Kind, Record};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::clock;

/// A wait ends early when this many bytes are there.
const ENOUGH: usize = 256 << 10;
/// A call hands out about this many bytes.
const MOST: usize = 1 << 20;

/// A bounded way from the thread that drives a book to the one that writes a recording: see `Book.set_tape`.
///
/// It holds `capacity_mb` MiB (1 to 1,024, rounded up to a power of two). What finds no room is dropped and counted, and
/// a record "lost" stands in its place. Raises ValueError for another capacity.
#[pyclass(frozen, module = "pytrader._core")]
pub(crate) struct Tape {
    inner: Arc<engine::tape::Tape>,
}

#[pymethods]
impl Tape {
    #[new]
    #[pyo3(signature = (capacity_mb = 16))]
    fn new(py: Python<'_>, capacity_mb: usize) -> PyResult<Tape> {
        if !(1..=1_024).contains(&capacity_mb) {
            return Err(PyValueError::new_err(format!("{capacity_mb} MiB: say 1 to 1024")));
        }
        Ok(Tape { inner: py.detach(|| Arc::new(engine::tape::Tape::new(capacity_mb << 20))) })
    }

    /// Waits, without the GIL, for up to `timeout_ms`, and returns whole records and how many those are; nothing if
    /// none came. Does not wait once the tape is finished.
    fn take<'py>(&self, py: Python<'py>, timeout_ms: u64) -> (Bound<'py, PyBytes>, usize) {
        let (records, count) = py.detach(|| {
            self.inner.wait(ENOUGH, Duration::from_millis(timeout_ms));
            let mut records = Vec::new();
            let count = self.inner.take(&mut records, MOST);
            (records, count)
        });
        (PyBytes::new(py, &records), count)
    }

    /// Nothing more will be appended: the mark of what was lost last is put, and waits end. From any thread.
    fn finish(&self) {
        self.inner.finish();
    }

    /// Records that found no room, and their bytes.
    fn lost(&self) -> (u64, u64) {
        self.inner.lost()
    }
}

/// A book's tape, once it has one, and the connection that feeds the book. Called with the market's lock held, so that
/// the order on the tape is that in which the market was fed.
#[derive(Default)]
pub(crate) struct Recorded {
    tape: OnceLock<Arc<engine::tape::Tape>>,
    connection: AtomicU32,
}

impl Recorded {
    /// Raises ValueError if there is a tape already.
    pub(crate) fn set(&self, tape: &Tape) -> PyResult<()> {
        let set = self.tape.set(Arc::clone(&tape.inner));
        set.map_err(|_| PyValueError::new_err("the book has a tape already"))
    }

    #[inline]
    pub(crate) fn frame(&self, payload: &[u8], recv_ns: i64) {
        if let Some(tape) = self.tape.get() {
            tape.append(&self.record(Kind::Frame, recv_ns, payload));
        }
    }

    pub(crate) fn snapshot(&self, payload: &[u8]) {
        if let Some(tape) = self.tape.get() {
            tape.append(&self.record(Kind::Snapshot, clock::mono_ns(), payload));
        }
    }

    pub(crate) fn begin(&self) {
        if let Some(tape) = self.tape.get() {
            self.connection.store(tape.begin(clock::mono_ns()), Ordering::Relaxed);
        }
    }

    pub(crate) fn end(&self) {
        if let Some(tape) = self.tape.get() {
            tape.append(&self.record(Kind::End, clock::mono_ns(), b""));
            self.connection.store(0, Ordering::Relaxed);
        }
    }

    #[inline]
    fn record<'a>(&self, kind: Kind, recv_ns: i64, payload: &'a [u8]) -> Record<'a> {
        Record { kind, recv_ns, connection: self.connection.load(Ordering::Relaxed), payload }
    }
}
