//! How long a top may be ahead of the depth book and still count as news of it.

use crate::book::Change;

/// How long tops keep a book fresh while its depth is behind them, ns: depth that fell silent, or never reaches a top, is
/// as untrue as a market that did.
const DEPTH_LAG_NS: i64 = 1_000_000_000;

/// Tops and the depth that they run ahead of.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ahead {
    /// When the depth last had what it was waited for; `None` before the first frame.
    pub reached_ns: Option<i64>,
    /// The version that the depth must reach. Later tops do not change it, or a busy market would never be waited for.
    pub version: u64,
    /// When the newest top that was ahead came.
    pub top_ns: i64,
}

impl Ahead {
    /// There is nothing that the depth must reach since `recv_ns`. A newer top is as old as it was.
    pub fn reach(&mut self, recv_ns: i64) {
        (self.reached_ns, self.version) = (Some(recv_ns), 0);
    }

    /// No top is ahead any more. The depth is as silent as it was.
    pub fn drop_top(&mut self) {
        (self.version, self.top_ns) = (0, 0);
    }

    /// A top of `version`, while the depth book is at `depth` (0 unless live). True if it makes the book fresh.
    ///
    /// Behind a silence it does not: whether the depth goes on where it was, only its next frame can say.
    #[inline]
    pub fn on_top(&mut self, version: u64, depth: u64, recv_ns: i64) -> bool {
        if version <= depth {
            self.reached_ns = Some(recv_ns); // nothing has happened since that frame
            return true;
        }
        self.top_ns = recv_ns;
        if self.version <= depth || version < self.version {
            self.version = version;
        }
        self.in_time(recv_ns)
    }

    /// A depth frame did `change`; the depth book is at `depth` then, the top at `top`. True if it makes the book fresh.
    #[inline]
    pub fn on_depth(&mut self, change: Change, depth: u64, top: u64, recv_ns: i64) -> bool {
        match change {
            Change::Applied if depth < self.version => {}
            Change::Applied => (self.reached_ns, self.version) = (Some(recv_ns), top),
            // Without a live book there is nothing to reach: the stream is there.
            Change::Buffered | Change::Awaiting => self.reach(recv_ns),
            _ => return false,
        }
        change != Change::Awaiting && self.in_time(recv_ns)
    }

    /// Whether the newest top that was ahead is too old to be truer than the depth: a late one of a count that the venue
    /// ended is never reached.
    #[inline]
    pub fn is_outdated(&self, recv_ns: i64) -> bool {
        recv_ns.saturating_sub(self.top_ns) >= DEPTH_LAG_NS
    }

    fn in_time(&mut self, recv_ns: i64) -> bool {
        recv_ns.saturating_sub(*self.reached_ns.get_or_insert(recv_ns)) < DEPTH_LAG_NS
    }
}
