//! `Replay`: recorded frames through the live path, in bulk and without the GIL.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::replay::Replay as Recording;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::book::{Top, levels_of, venue_named};
use crate::clock;

struct Session {
    recording: Recording,
    spent_ns: i64,
}

/// Feeds recorded frames to a market of its own.
///
/// With `tops`, one CSV line is kept per applied depth frame. Raises ValueError for an unknown venue.
#[pyclass(frozen, module = "pytrader._core")]
pub(crate) struct Replay {
    session: Mutex<Session>,
}

impl Replay {
    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn feed(&mut self, lines: &[u8], recv_ns: &[i64]) -> usize {
        let start_ns = clock::mono_ns();
        let count = self.recording.feed(lines, recv_ns);
        self.spent_ns += clock::mono_ns() - start_ns;
        count
    }

    fn play(&mut self, records: &[u8]) -> PyResult<usize> {
        let start_ns = clock::mono_ns();
        let played = self.recording.play(records);
        self.spent_ns += clock::mono_ns() - start_ns;
        played.map_err(|error| PyValueError::new_err(error.to_string()))
    }
}

#[pymethods]
impl Replay {
    #[new]
    #[pyo3(signature = (venue = "binance", symbol = "BTCUSDT", *, tops = false))]
    fn new(venue: &str, symbol: &str, tops: bool) -> PyResult<Replay> {
        let recording = Recording::new(venue_named(venue)?, symbol, tops);
        Ok(Replay { session: Mutex::new(Session { recording, spent_ns: 0 }) })
    }

    /// Takes the body of a snapshot request, to be offered right before the first frame that it can bridge.
    ///
    /// Raises ValueError if it is no snapshot.
    fn give_snapshot(&self, body: &[u8]) -> PyResult<()> {
        let given = self.session().recording.give_snapshot(body);
        given.map_err(|error| PyValueError::new_err(format!("snapshot: {error}")))
    }

    /// Feeds whole lines, one frame each; returns how many frames that were. Blank lines are no frames.
    ///
    /// `recv_ns` holds a receive time for each frame; where it ends, the frame's index stands for it.
    #[pyo3(signature = (lines, recv_ns = Vec::new()))]
    fn feed(&self, py: Python<'_>, lines: &[u8], recv_ns: Vec<i64>) -> usize {
        py.detach(|| self.session().feed(lines, &recv_ns))
    }

    /// Takes the whole records of a recording at the start of `records`, without the GIL, and returns their length.
    ///
    /// Raises ValueError for bytes that are no record; those before them were taken.
    fn play(&self, py: Python<'_>, records: &[u8]) -> PyResult<usize> {
        py.detach(|| self.session().play(records))
    }

    /// Records are missing here: the book is unsynced, and no connection is known.
    fn disconnect(&self) {
        self.session().recording.disconnect();
    }

    /// The live book as the payload of a record, with the connection that feeds it; None while the book is not live.
    fn checkpoint(&self, py: Python<'_>) -> Option<(u32, Vec<u8>)> {
        py.detach(|| self.session().recording.checkpoint())
    }

    /// The CSV lines since the last call: frame index, update id, bid, bid size, ask, ask size of the depth book.
    fn take_tops(&self) -> String {
        self.session().recording.take_tops()
    }

    /// As `Book.counters`, and `spent_ns`: the time that `feed` took, ns.
    fn counters(&self) -> BTreeMap<&'static str, u64> {
        let session = self.session();
        let rows = session.recording.market().counters().rows();
        rows.into_iter().chain([("spent_ns", session.spent_ns.max(0) as u64)]).collect()
    }

    /// The best prices after the last frame.
    fn top(&self) -> Top {
        Top::new(self.session().recording.market().top(), 0)
    }

    /// As `Book.levels`, after the last frame.
    #[pyo3(signature = (side, count = 10))]
    fn levels(&self, side: &str, count: usize) -> PyResult<Vec<(i64, i64)>> {
        levels_of(self.session().recording.published(), side, count)
    }
}
