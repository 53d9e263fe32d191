//! Atomics and locks, from the standard library or, under `--cfg loom`, from the model checker.

use std::time::Duration;

#[cfg(loom)]
pub(crate) use loom::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicI64, AtomicU64, Ordering, fence},
};
#[cfg(not(loom))]
pub(crate) use std::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicI64, AtomicU64, Ordering, fence},
};

/// Lets the other side of a spin proceed.
pub(crate) fn relax() {
    #[cfg(loom)]
    loom::thread::yield_now();
    #[cfg(not(loom))]
    std::hint::spin_loop();
}

/// Holds the lock, also after a panic of another holder: for what a panic cannot leave half-written.
pub(crate) fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Waits at `changed` until `pending` is false or `timeout` has passed. The model checker knows no time: there a wait
/// ends only by a notice, and one that is missed is a deadlock, which it reports.
pub(crate) fn wait_while<'a, T>(
    changed: &Condvar,
    guard: MutexGuard<'a, T>,
    timeout: Duration,
    mut pending: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    #[cfg(loom)]
    {
        let _ = timeout;
        let mut guard = guard;
        while pending(&mut guard) {
            guard = changed.wait(guard).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        guard
    }
    #[cfg(not(loom))]
    changed
        .wait_timeout_while(guard, timeout, |inside| pending(inside))
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .0
}
