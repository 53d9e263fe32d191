//! Frames that wait for a snapshot: contiguous, bounded; when full, the oldest go first.

use std::collections::VecDeque;

use crate::view::Level;
use crate::wire::Span;

/// Most frames kept (25 minutes at ten a second).
const MAX_FRAMES: usize = 15_000;
/// Most levels kept over all frames (16 bytes each).
const MAX_KEPT_LEVELS: usize = 1_000_000;
/// Frames for which a snapshot should have been fetched by now (five seconds at ten a second).
const LONG: usize = 50;

/// One depth frame.
#[derive(Debug)]
pub(super) struct Frame {
    pub span: Span,
    pub bids: Box<[Level]>,
    pub asks: Box<[Level]>,
}

impl Frame {
    fn levels(&self) -> usize {
        self.bids.len() + self.asks.len()
    }
}

/// Frames whose ids follow each other.
#[derive(Debug, Default)]
pub(super) struct Pending {
    frames: VecDeque<Frame>,
    levels: usize,
}

impl Pending {
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Whether no snapshot has met them for long.
    pub fn is_long(&self) -> bool {
        self.frames.len() >= LONG
    }

    pub fn first_id(&self) -> Option<u64> {
        self.frames.front().map(|frame| frame.span.first_id)
    }

    /// Where the frames lead to.
    pub fn last_id(&self) -> Option<u64> {
        self.frames.back().map(|frame| frame.span.last_id)
    }

    /// Appends a frame that joins. Losing the oldest is safe: a snapshot older than the rest is then too old.
    pub fn push(&mut self, span: &Span, bids: &[Level], asks: &[Level]) {
        let frame = Frame { span: *span, bids: bids.into(), asks: asks.into() };
        self.levels += frame.levels();
        self.frames.push_back(frame);
        while self.frames.len() > MAX_FRAMES || self.levels > MAX_KEPT_LEVELS {
            self.drop_first();
        }
    }

    /// Drops the frames that a snapshot of this update id already holds; returns how many.
    pub fn drop_until(&mut self, update_id: u64) -> usize {
        let before = self.frames.len();
        while self.frames.front().is_some_and(|frame| frame.span.last_id <= update_id) {
            self.drop_first();
        }
        before - self.frames.len()
    }

    pub fn take(&mut self) -> VecDeque<Frame> {
        self.levels = 0;
        std::mem::take(&mut self.frames)
    }

    pub fn clear(&mut self) {
        self.take();
    }

    fn drop_first(&mut self) {
        if let Some(frame) = self.frames.pop_front() {
            self.levels -= frame.levels();
        }
    }
}
