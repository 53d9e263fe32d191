//! `Link`: one connection that Rust owns. Python opens it through a socket-like face, then `run` drives a book with it.

use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::wire::denial::shown;
use link::opening::Opening;
use link::run::{Plan, Reason, run};
use link::socket::Endpoint;
use link::watch::Patience;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::book::Book;
use crate::driver::Driver;

const SECOND_NS: f64 = 1e9;

/// Ends every wait of the links that were made with it, from any thread and for good.
#[pyclass(frozen, module = "pytrader._core")]
pub(crate) struct Waker {
    inner: Arc<link::wake::Waker>,
}

#[pymethods]
impl Waker {
    /// Raises OSError when the process is out of file descriptors.
    #[new]
    fn new() -> PyResult<Waker> {
        Ok(Waker { inner: Arc::new(link::wake::Waker::new()?) })
    }

    /// Ends waits now and later: connect, recv and send raise InterruptedError, run returns "stopped".
    fn stop(&self) {
        self.inner.stop();
    }

    /// Whether `stop` was called.
    #[getter]
    fn stopped(&self) -> bool {
        self.inner.stopped()
    }
}

/// Why a connection ended.
#[pyclass(frozen, get_all, module = "pytrader._core")]
pub(crate) struct Ended {
    /// "stopped", "closed", "quiet", "no_pong", "unsynced", "replaced", "deadline", "too_large", "protocol" or "io".
    reason: &'static str,
    /// The numbers or words behind it, also what the venue refused of this connection's requests; may be empty.
    detail: String,
    /// Nothing was lost by it: another connection drives the book.
    planned: bool,
}

#[pymethods]
impl Ended {
    fn __repr__(&self) -> String {
        format!("Ended(reason={:?}, detail={:?}, planned={})", self.reason, self.detail, self.planned)
    }
}

/// A TCP or TLS connection with a socket's methods, for the time of the HTTP upgrade, and `run` for its life after it.
///
/// Certificates and host names are always checked; without TLS only loopback addresses are connected to.
#[pyclass(frozen, module = "pytrader._core")]
pub(crate) struct Link {
    waker: Arc<link::wake::Waker>,
    opening: Mutex<Option<Opening>>,
}

impl Link {
    fn held(&self) -> MutexGuard<'_, Option<Opening>> {
        self.opening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Opening) -> io::Result<T>) -> io::Result<T> {
        let gone = || io::Error::new(io::ErrorKind::NotConnected, "the link is closed");
        self.held().as_mut().ok_or_else(gone).and_then(act)
    }
}

#[pymethods]
impl Link {
    /// Connects. Connect, TLS handshake and HTTP upgrade together may take `timeout_s` seconds (name resolution keeps the
    /// system's own limit) and receive `receive_max` bytes. `ca_file` is a PEM file with roots trusted beside the system's.
    /// `waker` ends its waits from outside; without one the link has its own, see `stop`.
    ///
    /// Raises TimeoutError, InterruptedError (stopped), PermissionError (no TLS beyond loopback), ConnectionError and
    /// OSError (TLS or certificate refused, no roots).
    #[staticmethod]
    #[allow(clippy::too_many_arguments, reason = "keywords of a Python call")]
    #[pyo3(signature = (host, port, *, tls, ca_file = None, timeout_s = 5.0, waker = None, receive_max = 65_536))]
    #[allow(clippy::too_many_arguments)] // keyword arguments of one Python call
    fn connect(
        py: Python<'_>,
        host: &str,
        port: u16,
        tls: bool,
        ca_file: Option<PathBuf>,
        timeout_s: f64,
        waker: Option<&Bound<'_, Waker>>,
        receive_max: usize,
    ) -> PyResult<Link> {
        let timeout_ns = nanoseconds(timeout_s)?;
        let waker = match waker {
            Some(shared) => Arc::clone(&shared.get().inner),
            None => Arc::new(link::wake::Waker::new()?),
        };
        let endpoint = Endpoint { host, port, tls, ca_file: ca_file.as_deref() };
        let opening = py.detach(|| Opening::connect(&endpoint, Arc::clone(&waker), timeout_ns, receive_max))?;
        Ok(Link { waker, opening: Mutex::new(Some(opening)) })
    }

    /// At least one and at most `bufsize` bytes; none at the end of the stream.
    fn recv(&self, py: Python<'_>, bufsize: usize) -> PyResult<Vec<u8>> {
        Ok(py.detach(|| self.with(|opening| opening.recv(bufsize)))?)
    }

    /// Writes all of `data`.
    fn send(&self, py: Python<'_>, data: &[u8]) -> PyResult<usize> {
        Ok(py.detach(|| self.with(|opening| opening.send(data)))?)
    }

    /// Seconds given to the opening.
    fn gettimeout(&self, py: Python<'_>) -> PyResult<f64> {
        Ok(py.detach(|| self.with(|opening| Ok(opening.timeout_ns() as f64 / SECOND_NS)))?)
    }

    /// Gives the rest of the opening `value` seconds from now; None changes nothing.
    #[pyo3(signature = (value))]
    fn settimeout(&self, py: Python<'_>, value: Option<f64>) -> PyResult<()> {
        let Some(seconds) = value else { return Ok(()) };
        let timeout_ns = nanoseconds(seconds)?;
        Ok(py.detach(|| {
            self.with(|opening| {
                opening.set_timeout(timeout_ns);
                Ok(())
            })
        })?)
    }

    /// The socket's number.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        Ok(py.detach(|| self.with(|opening| Ok(opening.stream().tcp().as_raw_fd())))?)
    }

    /// Ends the connection before its run; a socket's `how` has no meaning here.
    fn shutdown(&self, py: Python<'_>, how: i32) {
        let _both_ways = how;
        self.close(py);
    }

    /// Ends the connection before its run. Closing twice, or during a run, does nothing: see `stop`.
    fn close(&self, py: Python<'_>) {
        py.detach(|| {
            if let Some(opening) = self.held().take() {
                opening.close()
            }
        });
    }

    /// Drives `book` until the connection ends; the GIL is given up for all of that time.
    ///
    /// While another link drives it this one is its heir: it feeds a book of its own, and takes over once that is live
    /// and as far, if the other one wants a successor, or at once when the other one ends. A link wants one when the
    /// venue announces its shutdown and at an age of `life_s`; it goes on until it is "replaced". When a link ends and no
    /// other one drives the book, the book is unsynced. While it is not live, tops are no book data.
    ///
    /// `opening` is sent first. `resubscribe` is sent when the server answers pings but no book data came for 3 s, and
    /// when only a subscription can make the book live, not twice within 5 s; three in vain end the connection. A
    /// `keep_alive` (text, seconds) is sent when nothing was sent for so long. Messages above `message_max` bytes, and
    /// `quiet_reconnect_ms` without book data, end the connection. `watchdog_divisor` shortens every silence that is waited
    /// for, this one too.
    /// Raises OSError when the link is closed or was run before, ValueError for seconds beyond 0 to 1e9.
    #[allow(clippy::too_many_arguments, reason = "keywords of a Python call")]
    #[pyo3(signature = (
        book, *, opening = vec![], resubscribe = vec![], keep_alive = None, message_max = 1 << 20,
        quiet_reconnect_ms = 10_000, watchdog_divisor = 1, life_s = 86_100.0
    ))]
    fn run(
        &self,
        py: Python<'_>,
        book: &Bound<'_, Book>,
        opening: Vec<String>,
        resubscribe: Vec<String>,
        keep_alive: Option<(String, f64)>,
        message_max: usize,
        quiet_reconnect_ms: u32,
        watchdog_divisor: u32,
        life_s: f64,
    ) -> PyResult<Ended> {
        let quiet_ns = i64::from(quiet_reconnect_ms) * 1_000_000;
        let patience = Patience { quiet_ns, ..Patience::default() }.divided(watchdog_divisor);
        let keep_alive = keep_alive.map(|(text, every_s)| Ok::<_, PyErr>((text, nanoseconds(every_s)?))).transpose()?;
        let life_ns = nanoseconds(life_s)?;
        let plan = Plan { opening, resubscribe, keep_alive, message_max, patience, life_ns };
        let book = book.get();
        Ok(py.detach(|| self.drive(book, &plan))?)
    }

    /// Ends the run, or the wait that is under way, from any thread.
    fn stop(&self) {
        self.waker.stop();
    }
}

impl Link {
    fn drive(&self, book: &Book, plan: &Plan) -> io::Result<Ended> {
        let gone = || io::Error::new(io::ErrorKind::NotConnected, "the link is closed");
        let (mut stream, received) = self.held().take().ok_or_else(gone)?.into_parts();
        let mut driver = Driver::new(book, &self.waker);
        let ended = run(&mut stream, &received, &self.waker, plan, &mut driver);
        let planned = ended.reason.planned();
        // A server's own words, which may say back what it was sent.
        let detail = if ended.reason == Reason::Closed { shown(&ended.detail) } else { ended.detail };
        let refused = driver.denied().filter(|_| !planned).map(|words| format!("the venue refused: {words}"));
        let details = [Some(detail), refused].into_iter().flatten().filter(|part| !part.is_empty());
        let detail = details.collect::<Vec<_>>().join("; ");
        Ok(Ended { reason: ended.reason.word(), detail, planned })
    }
}

fn nanoseconds(seconds: f64) -> PyResult<i64> {
    if (0.0..=1e9).contains(&seconds) {
        return Ok((seconds * SECOND_NS) as i64);
    }
    Err(PyValueError::new_err(format!("{seconds} s: say 0 to 1e9 seconds")))
}
