//! What a frame or a fetched snapshot did to a market, and its word in Python.

use crate::wire::WireError;

/// What a frame did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// A newer best bid and ask is published.
    Top,
    /// The live book holds the frame, and it is published.
    Depth,
    /// The frame is the whole book, and it is published.
    Snapshot,
    /// Trades are published.
    Trade,
    /// A depth frame is kept until a snapshot bridges it.
    Buffered,
    /// Valid, but it changed nothing; the text says why.
    Ignored(&'static str),
    /// Not what its kind must be. The book is desynced unless the frame was certainly no depth frame.
    Refused(WireError),
    /// A depth update was missed: the book is desynced.
    Gap {
        /// The first update id that would have joined; the book's version where it is the version that does not fit.
        expected: u64,
        /// The frame's first update id, or its version.
        received: u64,
    },
    /// The frame crossed the book: it is desynced.
    Crossed,
    /// The levels did not give the frame's checksum: the book is desynced.
    Checksum,
    /// Levels may be missing among the best, too few of those known are left: the book is desynced.
    Shallow,
    /// The venue's answer to a request.
    Control {
        /// Whether the venue did what was asked.
        accepted: bool,
    },
    /// The venue is about to close the connection.
    Shutdown,
}

impl Applied {
    /// One word, as Python sees it.
    pub fn word(&self) -> &'static str {
        match self {
            Applied::Top => "top",
            Applied::Depth => "depth",
            Applied::Snapshot => "snapshot",
            Applied::Trade => "trade",
            Applied::Buffered => "buffered",
            Applied::Ignored(_) => "ignored",
            Applied::Refused(_) => "refused",
            Applied::Gap { .. } => "gap",
            Applied::Crossed => "crossed",
            Applied::Checksum => "checksum",
            Applied::Shallow => "shallow",
            Applied::Control { .. } => "control",
            Applied::Shutdown => "shutdown",
        }
    }
}

/// What a snapshot did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotOutcome {
    /// The book is live.
    Bridged,
    /// Older than the first frame kept, of a count that the venue has ended since, or of a market far away: fetch again.
    TooOld,
    /// Kept until a frame joins it.
    Waiting,
    /// Crossed, by itself or with the frames kept: fetch again.
    Crossed,
    /// The book was live already; the snapshot was dropped.
    Unwanted,
    /// Not a snapshot of this venue.
    Refused(WireError),
}

impl SnapshotOutcome {
    /// One word, as Python sees it.
    pub fn word(&self) -> &'static str {
        match self {
            SnapshotOutcome::Bridged => "bridged",
            SnapshotOutcome::TooOld => "too_old",
            SnapshotOutcome::Waiting => "waiting",
            SnapshotOutcome::Crossed => "crossed",
            SnapshotOutcome::Unwanted => "unwanted",
            SnapshotOutcome::Refused(_) => "refused",
        }
    }
}
