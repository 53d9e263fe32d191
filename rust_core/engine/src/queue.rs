//! The way from the desk to the journal: two buffers of which the full one is swapped out for the empty one.
//!
//! Who pushes holds the lock that guards the [`Queue`]. Who takes holds it for the swap of two pointers, and moves events
//! out of its own buffer after that. Nothing is copied under the lock, and nothing is allocated after the start.

use std::collections::VecDeque;

/// The side that is pushed to, and the count of everything that nobody has taken yet.
#[derive(Debug)]
pub struct Queue<T> {
    filling: VecDeque<T>,
    /// Entries in the other buffer that were not taken yet.
    left: usize,
    bound: usize,
}

impl<T> Queue<T> {
    /// An empty queue for at most `bound` entries, and the buffer for [`Queue::hand_over`].
    pub fn new(bound: usize) -> (Queue<T>, VecDeque<T>) {
        let filling = VecDeque::with_capacity(bound);
        (Queue { filling, left: 0, bound }, VecDeque::with_capacity(bound))
    }

    /// How many more entries there is room for.
    #[inline]
    pub fn spare(&self) -> usize {
        self.bound - self.left - self.filling.len()
    }

    /// Appends an entry. Panics if there is no room: whoever may push has made sure that there is.
    #[inline]
    pub fn push(&mut self, entry: T) {
        assert!(self.spare() > 0, "the queue to the journal is full");
        self.filling.push_back(entry);
    }

    /// Swaps the filled buffer for `taken` if that is empty, and says how many entries of `taken` (at most `most`) now
    /// belong to the caller, oldest first. The caller removes exactly those before its next call.
    pub fn hand_over(&mut self, taken: &mut VecDeque<T>, most: usize) -> usize {
        debug_assert_eq!(taken.len(), self.left, "entries were taken that were not handed over");
        if taken.is_empty() {
            std::mem::swap(&mut self.filling, taken);
        }
        let handed = taken.len().min(most);
        self.left = taken.len() - handed;
        handed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(queue: &mut Queue<u64>, taken: &mut VecDeque<u64>, most: usize) -> Vec<u64> {
        let handed = queue.hand_over(taken, most);
        taken.drain(..handed).collect()
    }

    #[test]
    fn entries_come_out_in_their_order_whatever_was_taken_before() {
        let (mut queue, mut taken) = Queue::new(4);
        (1..=3).for_each(|entry| queue.push(entry));
        assert_eq!(take(&mut queue, &mut taken, 2), [1, 2]);
        queue.push(4);
        assert_eq!(take(&mut queue, &mut taken, 9), [3]);
        assert_eq!(take(&mut queue, &mut taken, 9), [4]);
        assert!(take(&mut queue, &mut taken, 9).is_empty());
    }

    #[test]
    fn the_bound_counts_what_was_swapped_out_and_not_taken() {
        let (mut queue, mut taken) = Queue::new(4);
        (1..=4).for_each(|entry| queue.push(entry));
        assert_eq!((queue.spare(), take(&mut queue, &mut taken, 1), queue.spare()), (0, vec![1], 1));
        queue.push(5);
        let more = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| queue.push(6)));
        assert!(more.is_err());
        assert_eq!((queue.spare(), take(&mut queue, &mut taken, 9), queue.spare()), (0, vec![2, 3, 4], 3));
    }

    #[test]
    fn neither_buffer_ever_grows() {
        let (mut queue, mut taken) = Queue::new(8);
        let room = (queue.filling.capacity(), taken.capacity());
        for entry in 0..100 {
            queue.push(entry);
            if queue.spare() == 0 {
                take(&mut queue, &mut taken, 3);
            }
        }
        assert_eq!((queue.filling.capacity(), taken.capacity()), room);
    }
}
