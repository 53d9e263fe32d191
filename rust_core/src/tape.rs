//! `Tape`: what a book is fed, on its way to a recording.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
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

/// A book's tape, once it has one. Called under the lock of the market that is fed, so that the order on the tape is that
/// in which the market was fed; what changes who feeds it comes under a lock of its own, see `in_order`. A connection is
/// named by the number of its seat; 0 stands for none.
#[derive(Default)]
pub(crate) struct Recorded {
    tape: OnceLock<Arc<engine::tape::Tape>>,
    order: Mutex<()>,
}

impl Recorded {
    /// Raises ValueError if there is a tape already.
    pub(crate) fn set(&self, tape: &Tape) -> PyResult<()> {
        let set = self.tape.set(Arc::clone(&tape.inner));
        set.map_err(|_| PyValueError::new_err("the book has a tape already"))
    }

    /// Held while a connection takes over, leaves, or its book is judged by another one, until that is on the tape: a
    /// replaced connection that ended there before its successor took over would have ended the book of a replay.
    pub(crate) fn in_order(&self) -> MutexGuard<'_, ()> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    pub(crate) fn frame(&self, connection: u64, payload: &[u8], recv_ns: i64) {
        self.append(Kind::Frame, connection, payload, || recv_ns);
    }

    pub(crate) fn snapshot(&self, connection: u64, payload: &[u8]) {
        self.append(Kind::Snapshot, connection, payload, clock::mono_ns);
    }

    pub(crate) fn begin(&self, connection: u64) {
        self.append(Kind::Begin, connection, b"", clock::mono_ns);
    }

    pub(crate) fn takeover(&self, connection: u64) {
        self.append(Kind::Takeover, connection, b"", clock::mono_ns);
    }

    pub(crate) fn end(&self, connection: u64) {
        self.append(Kind::End, connection, b"", clock::mono_ns);
    }

    pub(crate) fn diverged(&self) {
        self.append(Kind::Diverged, 0, b"", clock::mono_ns);
    }

    #[inline]
    fn append(&self, kind: Kind, connection: u64, payload: &[u8], now_ns: impl FnOnce() -> i64) {
        if let Some(tape) = self.tape.get() {
            tape.append(&Record { kind, recv_ns: now_ns(), connection: connection as u32, payload });
        }
    }
}
