//! The one clock of the link.

use rustix::time::{ClockId, clock_gettime};

/// Monotonic time, ns: the same clock as Python's `time.monotonic_ns()` on Linux.
pub fn now_ns() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}
