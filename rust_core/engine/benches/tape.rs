//! What it costs the thread that drives a book to append a frame to the tape of a recording.
//!
//! Run: `cargo bench -p engine --bench tape`. A frame of 146 bytes is the usual one (a bookTicker), 1,800 bytes a depth
//! frame of 20 levels a side. The tape is emptied between the timed rounds: the reader is another thread's cost.

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use engine::record::{Kind, Record};
use engine::tape::Tape;

/// Appends of one round: less than the tape holds of either frame.
const ROUND: u64 = 5_000;

fn append(criterion: &mut Criterion, length: usize) {
    let (tape, frame) = (Tape::new(16 << 20), vec![b'7'; length]);
    let mut out = Vec::new();
    criterion.bench_function(&format!("tape: append a frame of {length} bytes"), |bencher| {
        bencher.iter_custom(|times| {
            let (mut spent, mut left) = (Duration::ZERO, times);
            while left > 0 {
                let round = left.min(ROUND);
                let start = Instant::now();
                for recv_ns in 0..round as i64 {
                    tape.append(&Record { kind: Kind::Frame, recv_ns, connection: 1, payload: &frame });
                }
                spent += start.elapsed();
                out.clear();
                tape.take(&mut out, usize::MAX);
                left -= round;
            }
            spent
        });
    });
    assert_eq!(tape.lost(), (0, 0));
}

fn full(criterion: &mut Criterion) {
    let (tape, frame) = (Tape::new(1 << 16), vec![b'7'; 146]);
    criterion.bench_function("tape: a frame that finds no room", |bencher| {
        bencher.iter(|| tape.append(&Record { kind: Kind::Frame, recv_ns: 1, connection: 1, payload: &frame }));
    });
}

fn lengths(criterion: &mut Criterion) {
    [146, 1_800].into_iter().for_each(|length| append(criterion, length));
}

criterion_group!(benches, lengths, full);
criterion_main!(benches);
