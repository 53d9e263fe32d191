//! The count of a connection's frames, where the venue numbers them: what a number says about those before it.

/// How a frame's number stands to the count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It is the next.
    Next,
    /// The last frame came again.
    Again,
    /// Behind the count by more than that: an old frame, or the count was led astray by a number far too high.
    Behind {
        /// The number that was to come.
        expected: u64,
    },
    /// Frames are missing before it.
    Ahead {
        /// The number that was to come.
        expected: u64,
    },
}

/// The numbers of one connection's frames.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sequence {
    /// The number that the next frame must have; `None` before the first.
    pub next: Option<u64>,
    /// The number behind one that lay behind the count. A frame that has it shows that the count goes on there.
    behind: Option<u64>,
}

impl Sequence {
    /// Goes on from a count of an earlier market.
    pub fn at(next: Option<u64>) -> Sequence {
        Sequence { next, behind: None }
    }

    /// Takes the number of a frame.
    #[inline]
    pub fn take(&mut self, received: u64) -> Place {
        let expected = self.next.unwrap_or(received);
        if received == expected || self.behind == Some(received) {
            *self = Sequence::at(Some(received + 1));
            return Place::Next;
        }
        if received + 1 == expected {
            return Place::Again;
        }
        if received < expected {
            self.behind = Some(received + 1);
            return Place::Behind { expected };
        }
        *self = Sequence::at(Some(received + 1));
        Place::Ahead { expected }
    }
}
