//! What the venue refused of what was asked of it, in its own words, for whoever tells a person.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Most refusals that wait to be read; a connection asks for three streams.
const KEPT: usize = 8;

/// The last refusals, counted from the first.
#[derive(Debug, Default)]
pub(crate) struct Denials {
    last: Mutex<(u64, VecDeque<String>)>,
}

impl Denials {
    /// Takes note of one.
    pub(crate) fn note(&self, words: String) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, kept) = &mut *last;
        *count += 1;
        kept.truncate(KEPT - 1);
        kept.push_front(words);
    }

    /// How many there were, and those behind the first `known`, as far as they are kept, oldest first.
    pub(crate) fn since(&self, known: u64) -> (u64, Vec<String>) {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, kept) = &*last;
        let new = usize::try_from(count.saturating_sub(known)).unwrap_or(KEPT);
        (*count, kept.iter().take(new).rev().cloned().collect())
    }
}
