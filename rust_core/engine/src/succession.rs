//! Who writes a market: one connection leads; another one may feed a market of its own until it can take over.
//!
//! Readers see one book without a break: the heir takes over when its own is live and has reached the lead's, or at once
//! when the lead leaves. The market's lock decides who leads, so no frame of a replaced connection is taken any more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::market::Market;
use crate::published::Published;
use crate::wake::{CrossWatch, Signal};

/// A market, and the connections that feed it or want to.
#[derive(Debug)]
pub struct Succession {
    led: Mutex<Led>,
}

#[derive(Debug)]
struct Led {
    market: Market,
    lead: Option<u64>,
    /// The lead will end soon.
    wants_successor: bool,
    heirs: Vec<Heir>,
    last_id: u64,
}

#[derive(Debug)]
struct Heir {
    id: u64,
    market: Arc<Mutex<Option<Market>>>,
    wants_successor: bool,
}

/// A connection's place; its one thread holds it. Given back by [`Succession::leave`].
#[derive(Debug)]
pub struct Seat {
    id: u64,
    /// The market of an heir, until it has become the lead.
    own: Arc<Mutex<Option<Market>>>,
    own_published: Option<Arc<Published>>,
}

impl Seat {
    /// Which connection this is; never used twice.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What an heir publishes for nobody but itself; `None` once it leads.
    pub fn own_published(&self) -> Option<&Published> {
        self.own_published.as_deref()
    }
}

impl Succession {
    /// `market` without a connection.
    pub fn new(market: Market) -> Succession {
        let led = Led { market, lead: None, wants_successor: false, heirs: Vec::new(), last_id: 0 };
        Succession { led: Mutex::new(led) }
    }

    /// Gives a connection its place: it leads if none does, otherwise it is an heir with a market of its own. `note` is
    /// told its id before any connection writes on.
    pub fn enter(&self, note: impl FnOnce(u64)) -> Seat {
        let mut led = self.led();
        led.last_id += 1;
        let id = led.last_id;
        note(id);
        if led.lead.is_none() {
            led.lead = Some(id);
            return Seat { id, own: Arc::default(), own_published: None };
        }
        let published = Arc::new(Published::new(Arc::new(CrossWatch::new(Arc::new(Signal::default())))));
        let own = Arc::new(Mutex::new(Some(led.market.sibling(Arc::clone(&published)))));
        led.heirs.push(Heir { id, market: Arc::clone(&own), wants_successor: false });
        Seat { id, own, own_published: Some(published) }
    }

    /// Writes the market that this connection feeds; `None` when it was replaced and feeds none.
    #[inline]
    pub fn write<T>(&self, seat: &mut Seat, step: impl FnOnce(&mut Market) -> T) -> Option<T> {
        if seat.own_published.is_some() {
            if let Some(market) = hold(&seat.own).as_mut() {
                return Some(step(market));
            }
            // Somebody who left has made it the lead since.
            seat.own_published = None;
        }
        let mut led = self.led();
        (led.lead == Some(seat.id)).then(|| step(&mut led.market))
    }

    /// Writes the market itself: for who feeds it without a connection, or looks after it.
    #[inline]
    pub fn with_market<T>(&self, step: impl FnOnce(&mut Market) -> T) -> T {
        step(&mut self.led().market)
    }

    /// Tells that this connection will end soon. An heir's wish holds once it leads.
    pub fn want_successor(&self, seat: &Seat) {
        let mut led = self.led();
        if led.lead == Some(seat.id) {
            led.wants_successor = true;
        } else if let Some(heir) = led.heirs.iter_mut().find(|heir| heir.id == seat.id) {
            heir.wants_successor = true;
        }
    }

    /// Whether the lead wants a successor.
    pub fn wants_successor(&self) -> bool {
        self.led().wants_successor
    }

    /// Makes an heir the lead if the lead wants one, or has lost its book, and the heir's book is as far as the lead's.
    /// Returns the connection that was replaced.
    pub fn succeed(&self, seat: &mut Seat) -> Option<u64> {
        let is_live = |market: &mut Option<Market>| market.as_ref().is_some_and(Market::is_live);
        if seat.own_published.is_none() || !is_live(&mut hold(&seat.own)) {
            return None;
        }
        let mut led = self.led();
        if !led.wants_successor && led.market.is_live() {
            return None;
        }
        if !hold(&seat.own).as_ref().is_some_and(|own| own.has_reached(&led.market)) {
            return None;
        }
        let replaced = led.lead;
        led.promote(seat.id);
        seat.own_published = None;
        replaced
    }

    /// The connection ended. If it led, an heir takes over at once, live or not; without one the book is unsynced.
    /// Returns the connection that leads instead, and tells it to `note` before that one writes on.
    pub fn leave(&self, seat: &Seat, note: impl FnOnce(Option<u64>)) -> Option<u64> {
        let mut led = self.led();
        led.heirs.retain(|heir| heir.id != seat.id);
        if led.lead != Some(seat.id) {
            note(None);
            return None;
        }
        (led.lead, led.wants_successor) = (None, false);
        let is_live = |heir: &&Heir| hold(&heir.market).as_ref().is_some_and(Market::is_live);
        let next = led.heirs.iter().find(is_live).or(led.heirs.first()).map(|heir| heir.id);
        match next {
            Some(id) => led.promote(id),
            None => led.market.disconnected(),
        }
        note(next);
        next
    }

    /// The market; if a panic left it half changed, its book is thrown away first.
    #[inline]
    fn led(&self) -> MutexGuard<'_, Led> {
        self.led.lock().unwrap_or_else(|poison| {
            let mut led = poison.into_inner();
            led.market.disconnected();
            self.led.clear_poison();
            led
        })
    }
}

impl Led {
    fn promote(&mut self, id: u64) {
        let Some(at) = self.heirs.iter().position(|heir| heir.id == id) else { return };
        let heir = self.heirs.swap_remove(at);
        // A panic in the middle of a frame: what is left of its book cannot be trusted.
        let half_changed = heir.market.is_poisoned();
        if let Some(mut own) = hold(&heir.market).take() {
            self.market.take_over(&mut own);
        }
        if half_changed {
            self.market.disconnected();
        }
        (self.lead, self.wants_successor) = (Some(id), heir.wants_successor);
    }
}

/// An heir's market, also after a panic of its thread: `Led::promote` looks at that.
fn hold(own: &Mutex<Option<Market>>) -> MutexGuard<'_, Option<Market>> {
    own.lock().unwrap_or_else(PoisonError::into_inner)
}
