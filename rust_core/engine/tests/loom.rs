//! Every interleaving of one writer and its readers, explored by loom.
//!
//! Run: `RUSTFLAGS="--cfg loom" cargo test -p engine --test loom --release`
#![cfg(loom)]

use std::sync::Arc;

use engine::ring::Ring;
use engine::seqlock::SeqLock;
use loom::thread;

/// Three preemptions find every known fault of a seqlock and keep the search short.
fn explore(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(check);
}

#[test]
fn a_reader_of_the_seqlock_sees_all_of_a_write_or_nothing() {
    explore(|| {
        let lock = Arc::new(SeqLock::<2>::default());
        let writer = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                for value in 1..=2 {
                    lock.write(|words| {
                        words.set(0, value);
                        words.set(1, value);
                    });
                }
            })
        };
        let pair = || lock.read(|words| (words.get(0), words.get(1)));
        let (first, second) = (pair(), pair());
        assert_eq!((first.0, second.0), (first.1, second.1));
        assert!(first.0 <= second.0, "time ran backward: {first:?} then {second:?}");
        writer.join().expect("the writer ends");
        assert_eq!(pair(), (2, 2));
    });
}

#[test]
fn a_reader_of_the_ring_sees_whole_entries_or_none() {
    explore(|| {
        let ring = Arc::new(Ring::<2>::new(1));
        let writer = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || (0..3).for_each(|value| ring.push([value, value])))
        };
        for index in 0..2 {
            if let Some(entry) = ring.get(index) {
                assert_eq!(entry, [index, index]);
            }
        }
        writer.join().expect("the writer ends");
        assert_eq!((ring.get(1), ring.get(2)), (None, Some([2, 2])));
    });
}
