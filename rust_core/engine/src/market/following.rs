//! How a market follows another one of its kind, when a connection replaces the one before.

use std::sync::Arc;

use super::Market;
use crate::published::Published;
use crate::view::{Doubt, Sync};

impl Market {
    /// An empty market of the same venue and symbol, for another connection.
    pub fn sibling(&self, published: Arc<Published>) -> Market {
        let symbol = self.symbol.clone();
        Market { symbol, ..Market::new(self.venue, "", published) }
    }

    /// Whether its book can be trusted.
    pub fn is_live(&self) -> bool {
        self.book.sync() == Sync::Live
    }

    /// Whether readers who go on with this market after `lead` see nothing older than what they saw.
    ///
    /// A venue that counts the frames of each connection gives versions that hold on that connection alone; there a live
    /// book is all that can be asked for.
    pub fn has_reached(&self, lead: &Market) -> bool {
        let by_connection = self.sequence.next.is_some();
        let reached = self.book.version() >= lead.book.version() && self.top.update_id >= lead.top.update_id;
        self.is_live() && (reached || by_connection || !lead.is_live())
    }

    /// Goes on with the book of `heir`, a market of the same venue and symbol that another connection fed. Readers see
    /// one change, from the old book to the new one; `heir` is left with the old book.
    pub fn take_over(&mut self, heir: &mut Market) {
        assert!(self.venue == heir.venue && self.symbol == heir.symbol, "a market is taken over by its like");
        std::mem::swap(&mut self.book, &mut heir.book);
        (self.top, self.ahead, self.sequence) = (heir.top, heir.ahead, heir.sequence);
        (self.live_version, self.whole) = (heir.live_version, heir.whole);
        self.recall_doubt(heir.book.doubt());
        self.counters.add_frames(&heir.counters);
        self.counters.takeovers.add(1);
        self.publish();
    }

    /// Says why readers did not, or do not, see a live book, where the new one has not been in doubt itself; `before` is
    /// what they were told last.
    fn recall_doubt(&mut self, before: Doubt) {
        if self.book.doubt() == Doubt::None {
            self.book.recall(if self.is_live() { before } else { Doubt::Disconnected });
        }
    }
}
