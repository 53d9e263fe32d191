//! The live book held against one that was fetched beside the stream.

use super::Market;
pub use crate::book::Audit;
use crate::wire::WireError;

impl Market {
    /// Begins to keep what an audit needs; false if the book is not live. The fetched book is asked for after this.
    pub fn begin_audit(&mut self) -> bool {
        self.book.begin_audit()
    }

    /// Compares the body of a request for the book, whose id is the version of the market that it shows. One that differs
    /// desyncs the book.
    ///
    /// # Errors
    /// The body is no snapshot of this venue; the audit is still under way.
    pub fn audit(&mut self, body: &[u8]) -> Result<Audit, WireError> {
        let version = self.venue.decode_snapshot(body, &mut self.scratch)?;
        let audit = self.book.audit(version, &self.scratch.bids, &self.scratch.asks);
        match audit {
            Audit::Agrees { .. } => self.counters.audits.add(1),
            Audit::Diverged { .. } => {
                self.counters.audits.add(1);
                self.counters.divergences.add(1);
                self.publish();
            }
            Audit::TooOld | Audit::Waiting | Audit::Unsynced => {}
        }
        Ok(audit)
    }
}

impl Audit {
    /// One word, as Python sees it.
    pub fn word(&self) -> &'static str {
        match self {
            Audit::Agrees { .. } => "agrees",
            Audit::Diverged { .. } => "diverged",
            Audit::TooOld => "too_old",
            Audit::Waiting => "waiting",
            Audit::Unsynced => "unsynced",
        }
    }
}
