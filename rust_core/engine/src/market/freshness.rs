//! How long a top may be ahead of the depth book and still count as news of it.

use crate::book::Change;

/// How long tops keep a book fresh while its depth is behind them, ns: depth that fell silent, or never reaches a top, is
/// as untrue as a market that did.
const DEPTH_LAG_NS: i64 = 1_000_000_000;

/// A top that the depth has not reached yet.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ahead {
    /// Since when the depth is waited for; `None` where no top is ahead of it.
    pub since_ns: Option<i64>,
    /// The version that the depth must reach. Later tops do not change it, or a busy market would never be waited for.
    pub version: u64,
    /// When the newest top that was ahead came.
    pub top_ns: i64,
}

impl Ahead {
    /// A top of `version`, while the depth book is at `depth` (0 unless live). True if it makes the book fresh.
    #[inline]
    pub fn on_top(&mut self, version: u64, depth: u64, recv_ns: i64) -> bool {
        if version <= depth {
            return true;
        }
        self.top_ns = recv_ns;
        if self.since_ns.is_none() || version < self.version {
            self.version = version;
        }
        self.since_ns.get_or_insert(recv_ns);
        self.in_time(recv_ns)
    }

    /// A depth frame did `change`; the depth book is at `depth` then, the top at `top`. True if it makes the book fresh.
    #[inline]
    pub fn on_depth(&mut self, change: Change, depth: u64, top: u64, recv_ns: i64) -> bool {
        match change {
            Change::Applied if depth < self.version => {
                self.since_ns.get_or_insert(recv_ns);
            }
            Change::Applied => (self.since_ns, self.version) = ((top > depth).then_some(recv_ns), top),
            // Without a live book there is nothing to reach: the stream is there.
            Change::Buffered | Change::Awaiting => *self = Ahead::default(),
            _ => return false,
        }
        change != Change::Awaiting && self.in_time(recv_ns)
    }

    /// Whether the newest top that was ahead is too old to be truer than the depth: a late one of a count that the venue
    /// ended is never reached.
    #[inline]
    pub fn is_outdated(&self, recv_ns: i64) -> bool {
        recv_ns - self.top_ns >= DEPTH_LAG_NS
    }

    fn in_time(&self, recv_ns: i64) -> bool {
        self.since_ns.is_none_or(|since_ns| recv_ns - since_ns < DEPTH_LAG_NS)
    }
}
