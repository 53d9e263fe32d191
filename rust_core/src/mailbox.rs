//! Where a snapshot waits for the threads that drive the book, and where the snapshot thread waits for work.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Called after something was left for the thread that drives a connection, to wake it.
pub(crate) type Wake = Box<dyn Fn() + Send>;

/// The slot of a book that no connection drives.
pub(crate) const UNDRIVEN: u64 = 0;

/// What became of a snapshot.
pub(crate) enum Posted {
    /// It lies with everybody who wanted one.
    Taken,
    /// Connections drive the book, or did: none wants one now.
    Unwanted,
    /// No connection ever drove the book.
    Undriven,
}

/// A slot for each connection: its wish for a snapshot, and the snapshot that was left for it.
#[derive(Default)]
pub(crate) struct Mailbox {
    slots: Mutex<Slots>,
    changed: Condvar,
}

/// What was fetched for a connection is nobody's once that is gone: the next one may count its ids anew. So a book that
/// was driven once is never undriven again.
#[derive(Default)]
struct Slots {
    each: Vec<Slot>,
    driven: bool,
}

struct Slot {
    id: u64,
    wake: Option<Wake>,
    wanted: bool,
    /// A snapshot lies here, or is being applied: no other one is wanted meanwhile.
    posted: bool,
    body: Option<Arc<[u8]>>,
}

impl Mailbox {
    /// Gives a connection its slot.
    pub(crate) fn open(&self, id: u64, wake: Wake) {
        let mut slots = self.slots();
        slots.driven = true;
        slots.each.retain(|slot| slot.id != UNDRIVEN);
        slots.each.push(Slot { id, wake: Some(wake), wanted: false, posted: false, body: None });
    }

    /// Takes the slot back, with whatever lies there.
    pub(crate) fn close(&self, id: u64) {
        self.slots().each.retain(|slot| slot.id != id);
    }

    /// States whether the one with this slot wants a snapshot. For changes only: it takes a lock.
    pub(crate) fn set_wanted(&self, id: u64, wanted: bool) {
        let mut slots = self.slots();
        if let Some(slot) = slots.of(id) {
            slot.wanted = wanted;
        } else if id == UNDRIVEN && !slots.driven {
            slots.each.push(Slot { id, wake: None, wanted, posted: false, body: None });
        }
        self.changed.notify_all();
    }

    /// Waits until somebody wants a snapshot and has none, or `timeout` has passed.
    pub(crate) fn wait_wanted(&self, timeout: Duration) -> bool {
        let idle = |slots: &mut Slots| !slots.each.iter().any(Slot::is_due);
        let waited = self.changed.wait_timeout_while(self.slots(), timeout, idle);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Leaves a snapshot for every connection that wants one, and wakes it.
    pub(crate) fn post(&self, body: &[u8]) -> Posted {
        let mut slots = self.slots();
        if !slots.driven {
            return Posted::Undriven;
        }
        let shared: Arc<[u8]> = body.into();
        let mut posted = Posted::Unwanted;
        for slot in slots.each.iter_mut().filter(|slot| slot.is_due()) {
            (slot.posted, slot.body, posted) = (true, Some(Arc::clone(&shared)), Posted::Taken);
            slot.wake();
        }
        posted
    }

    /// Takes the snapshot out and hands it to `offer`, which says whether another one is wanted then.
    pub(crate) fn take(&self, id: u64, offer: impl FnOnce(&[u8]) -> bool) {
        let Some(body) = self.slots().of(id).and_then(|slot| slot.body.take()) else {
            return;
        };
        let wanted = offer(&body);
        if let Some(slot) = self.slots().of(id) {
            (slot.wanted, slot.posted) = (wanted, false);
        }
        self.changed.notify_all();
    }

    /// Wakes the connection with this slot.
    pub(crate) fn wake(&self, id: u64) {
        if let Some(slot) = self.slots().of(id) {
            slot.wake();
        }
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slots {
    fn of(&mut self, id: u64) -> Option<&mut Slot> {
        self.each.iter_mut().find(|slot| slot.id == id)
    }
}

impl Slot {
    fn is_due(&self) -> bool {
        self.wanted && !self.posted
    }

    fn wake(&self) {
        if let Some(wake) = &self.wake {
            wake();
        }
    }
}
