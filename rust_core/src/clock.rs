//! The clocks, read here and handed to the engine as an argument.

use engine::units::{Now, SECOND_NS};
use rustix::time::{ClockId, clock_gettime};

/// Monotonic and UTC time.
pub(crate) fn now() -> Now {
    Now { mono_ns: mono_ns(), utc_ns: read(ClockId::Realtime) }
}

/// Monotonic nanoseconds (`CLOCK_MONOTONIC`, the clock of Python's `time.monotonic_ns`).
#[inline]
pub(crate) fn mono_ns() -> i64 {
    read(ClockId::Monotonic)
}

#[inline]
fn read(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec * SECOND_NS + time.tv_nsec
}
