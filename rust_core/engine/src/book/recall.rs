//! What a book's levels do not tell: for one that goes on from a checkpoint.

use super::Book;
use crate::units::Price;
use crate::view::Doubt;

impl Book {
    /// Says why the book was not live before.
    pub(crate) fn recall(&mut self, doubt: Doubt) {
        self.doubt = doubt;
    }

    /// The best bid and ask price at which levels may be missing; `None` for a side that is whole.
    pub(crate) fn edges(&self) -> (Option<Price>, Option<Price>) {
        (self.sides.bids.edge(), self.sides.asks.edge())
    }

    /// Where the count before this one ended, if the venue ever counted anew.
    pub(crate) fn old_end(&self) -> Option<u64> {
        self.old_end
    }

    /// Says where the count before this one ended.
    pub(crate) fn recall_old_end(&mut self, old_end: Option<u64>) {
        self.old_end = self.old_end.max(old_end);
    }

    /// Says what is missing from the book.
    pub(crate) fn recall_edges(&mut self, (bid, ask): (Option<Price>, Option<Price>)) {
        self.sides.bids.recall_edge(bid);
        self.sides.asks.recall_edge(ask);
    }
}
