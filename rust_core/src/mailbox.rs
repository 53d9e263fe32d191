//! Where a snapshot waits for the thread that drives the book, and where the snapshot thread waits for work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Called after a snapshot was posted, to wake the thread that drives the book.
pub(crate) type Wake = Box<dyn Fn() + Send>;

/// One snapshot at most, the wish for one, and the hook of whoever drives the book.
#[derive(Default)]
pub(crate) struct Mailbox {
    /// Mirrors `Inside::wanted`, so that a frame that changes nothing takes no lock.
    wanted: AtomicBool,
    inside: Mutex<Inside>,
    changed: Condvar,
    wake: Mutex<Option<Wake>>,
}

#[derive(Default)]
struct Inside {
    wanted: bool,
    /// A snapshot lies here, or is being applied: no other one is wanted meanwhile.
    posted: bool,
    body: Option<Vec<u8>>,
}

impl Mailbox {
    /// States whether the book wants a snapshot.
    #[inline]
    pub(crate) fn set_wanted(&self, wanted: bool) {
        if self.wanted.load(Ordering::Relaxed) != wanted {
            self.wanted.store(wanted, Ordering::Relaxed);
            self.inside().wanted = wanted;
            self.changed.notify_all();
        }
    }

    /// Waits until a snapshot is wanted and none lies here, or `timeout` has passed.
    pub(crate) fn wait_wanted(&self, timeout: Duration) -> bool {
        let idle = |inside: &mut Inside| !inside.wanted || inside.posted;
        let waited = self.changed.wait_timeout_while(self.inside(), timeout, idle);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Sets or removes the hook. A snapshot that still lies here is dropped: it belonged to the last driver.
    pub(crate) fn set_wake(&self, wake: Option<Wake>) {
        let mut hook = self.hook();
        *hook = wake;
        let mut inside = self.inside();
        (inside.posted, inside.body) = (false, None);
    }

    /// Leaves a snapshot for the thread that drives the book and wakes it; false if no thread does.
    pub(crate) fn post(&self, body: &[u8]) -> bool {
        let hook = self.hook();
        let Some(wake) = hook.as_ref() else { return false };
        let mut inside = self.inside();
        (inside.posted, inside.body) = (true, Some(body.to_vec()));
        drop(inside);
        wake();
        true
    }

    /// Takes the snapshot out and hands it to `offer`, which says whether another one is wanted then.
    pub(crate) fn take(&self, offer: impl FnOnce(Vec<u8>) -> bool) {
        let Some(body) = self.inside().body.take() else { return };
        let wanted = offer(body);
        self.wanted.store(wanted, Ordering::Relaxed);
        let mut inside = self.inside();
        (inside.wanted, inside.posted) = (wanted, inside.body.is_some());
        self.changed.notify_all();
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hook(&self) -> MutexGuard<'_, Option<Wake>> {
        self.wake.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
