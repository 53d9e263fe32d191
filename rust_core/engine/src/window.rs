//! Exact sliding windows: how often something happened in `(t − span, t]`.

use std::collections::VecDeque;

use serde::Serialize;

use crate::units::Now;

/// One happening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stamp<T> {
    /// When.
    pub at: Now,
    /// What.
    pub what: T,
}

/// The newest happenings, oldest first. Never holds more than `most` of them, nor any older than `keep_ns`; within
/// that every count is exact, and nothing is allocated after [`Window::new`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Window<T> {
    #[serde(skip)]
    most: usize,
    #[serde(skip)]
    keep_ns: i64,
    stamps: VecDeque<Stamp<T>>,
}

impl<T> Window<T> {
    /// An empty window.
    pub fn new(most: usize, keep_ns: i64) -> Window<T> {
        Window { most, keep_ns, stamps: VecDeque::with_capacity(most) }
    }

    /// What happened in `(now − span_ns, now]`, newest first; `span_ns` is at most what the window keeps.
    pub fn within(&self, now: Now, span_ns: i64) -> impl Iterator<Item = &Stamp<T>> {
        self.stamps.iter().rev().take_while(move |stamp| stamp.at.mono_ns > now.mono_ns - span_ns)
    }

    /// Nanoseconds until fewer than `limit` happenings lie in the last `span_ns`; 0 if that is so now.
    pub fn wait_ns(&self, now: Now, span_ns: i64, limit: u32) -> i64 {
        let Some(index) = self.stamps.len().checked_sub(limit as usize) else { return 0 };
        (self.stamps[index].at.mono_ns + span_ns - now.mono_ns).max(0)
    }

    /// Takes in a happening at `now`, which is never before the newest one.
    pub fn add(&mut self, now: Now, what: T) {
        let oldest_kept = now.mono_ns - self.keep_ns;
        while self.stamps.front().is_some_and(|first| first.at.mono_ns <= oldest_kept) || self.stamps.len() == self.most
        {
            self.stamps.pop_front();
        }
        self.stamps.push_back(Stamp { at: now, what });
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.stamps.clear();
    }

    /// Carries the stamps into a new run, whose monotonic clock started anew, by their UTC age; none is younger than one
    /// that came after it, though the wall clock was set back between them.
    pub fn rebase(&mut self, now: Now) {
        let mut next_ns = now.mono_ns;
        for stamp in self.stamps.iter_mut().rev() {
            let age = (now.utc_ns - stamp.at.utc_ns).clamp(0, 2 * self.keep_ns);
            next_ns = next_ns.min(now.mono_ns - age);
            stamp.at.mono_ns = next_ns;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::SECOND_NS;
    use proptest::prelude::*;

    fn at(ns: i64) -> Now {
        Now { mono_ns: ns, utc_ns: ns }
    }

    #[test]
    fn what_is_older_than_the_window_keeps_is_dropped_and_so_is_what_does_not_fit() {
        let mut window = Window::new(3, 10);
        (0..5).for_each(|ns| window.add(at(ns), ns));
        assert_eq!(window.within(at(4), 10).map(|stamp| stamp.what).collect::<Vec<_>>(), [4, 3, 2]);
        window.add(at(13), 13);
        assert_eq!(window.stamps.iter().map(|stamp| stamp.what).collect::<Vec<_>>(), [4, 13]);
    }

    #[test]
    fn stamps_of_an_earlier_run_keep_their_age_and_none_comes_from_the_future() {
        let mut window = Window::new(3, 10);
        window.add(Now { mono_ns: 1, utc_ns: 100 }, ());
        window.add(Now { mono_ns: 2, utc_ns: 107 }, ());
        window.rebase(Now { mono_ns: 50, utc_ns: 105 });
        assert_eq!(window.stamps.iter().map(|stamp| stamp.at.mono_ns).collect::<Vec<_>>(), [45, 50]);
    }

    #[test]
    fn a_stamp_of_long_ago_is_as_old_as_twice_what_the_window_keeps() {
        let mut window = Window::new(3, 10);
        window.add(Now { mono_ns: 1, utc_ns: 100 }, ());
        window.rebase(Now { mono_ns: 50, utc_ns: 1_000 });
        assert_eq!(window.stamps[0].at.mono_ns, 30);
    }

    #[test]
    fn stamps_keep_their_order_where_the_wall_clock_was_set_back_between_them() {
        let mut window = Window::new(3, 10);
        window.add(Now { mono_ns: 1, utc_ns: 200 }, ());
        window.add(Now { mono_ns: 2, utc_ns: 101 }, ());
        window.add(Now { mono_ns: 3, utc_ns: 103 }, ());
        window.rebase(Now { mono_ns: 50, utc_ns: 105 });
        assert_eq!(window.stamps.iter().map(|stamp| stamp.at.mono_ns).collect::<Vec<_>>(), [46, 46, 48]);
    }

    proptest! {
        #[test]
        fn a_window_equals_brute_force_at_every_nanosecond_around_its_edges(
            gaps in proptest::collection::vec(prop_oneof![0..4_i64, SECOND_NS - 2..SECOND_NS + 3, 0..SECOND_NS], 1..40),
            limit in 1..7_u32,
        ) {
            let (mut window, mut stamps, mut ns) = (Window::new(7, 3 * SECOND_NS), Vec::<i64>::new(), 0);
            for gap in gaps {
                ns += gap;
                for edge in -1..=1 {
                    let now = at(ns + edge);
                    let brute = stamps.iter().filter(|&&stamp| stamp > now.mono_ns - SECOND_NS).count();
                    prop_assert_eq!(window.within(now, SECOND_NS).count(), brute);
                    prop_assert_eq!(window.wait_ns(now, SECOND_NS, limit) == 0, brute < limit as usize);
                }
                if window.wait_ns(at(ns), SECOND_NS, limit) == 0 {
                    window.add(at(ns), ());
                    stamps.push(ns);
                }
            }
        }
    }
}
