//! The window of received bytes that are not yet taken: read into at the end, taken from the start.

use crate::frame::{HEAD_MAX, MESSAGE_MAX};
use std::ops::Range;

/// Bytes held while nothing large is under way: four reads of a busy socket.
const USUAL: usize = 64 << 10;
/// A read is always offered at least this much room.
const READ_MIN: usize = 16 << 10;
/// What the window can grow to: one largest message, its head, and room to read.
const LIMIT: usize = MESSAGE_MAX + HEAD_MAX + READ_MIN;

/// Bytes `start..end` of `bytes` are received and not yet taken. Grows only as bytes arrive, never by announcement.
#[derive(Debug)]
pub struct Inbox {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Inbox {
    /// A window that already holds `received`.
    pub fn new(received: &[u8]) -> Inbox {
        let mut bytes = vec![0; USUAL.max(received.len())];
        bytes[..received.len()].copy_from_slice(received);
        Inbox { bytes, start: 0, end: received.len() }
    }

    /// Room to read into, at least 16 KiB. Every range handed out before is void.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            self.rewind();
        } else if self.bytes.len() - self.end < READ_MIN {
            self.compact();
        }
        &mut self.bytes[self.end..]
    }

    /// `count` bytes of the room are now received.
    pub fn filled(&mut self, count: usize) {
        self.end += count;
        assert!(self.end <= self.bytes.len(), "filled beyond the room offered");
    }

    /// All bytes not yet taken.
    #[inline]
    pub fn waiting(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Takes `count` bytes and says where they stand until the next call of [`Inbox::space`].
    #[inline]
    pub fn take(&mut self, count: usize) -> Range<usize> {
        let taken = self.start..self.start + count;
        assert!(taken.end <= self.end, "took more than was received");
        self.start = taken.end;
        taken
    }

    /// The bytes of a range that [`Inbox::take`] gave.
    #[inline]
    pub fn slice(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    fn rewind(&mut self) {
        (self.start, self.end) = (0, 0);
        if self.bytes.len() > USUAL {
            self.bytes = vec![0; USUAL]; // a large message is over: give its memory back
        }
    }

    fn compact(&mut self) {
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.bytes.len() - self.end < READ_MIN {
            let larger = (self.bytes.len() * 2).min(LIMIT).max(self.end + READ_MIN);
            self.bytes.resize(larger, 0);
        }
    }
}
