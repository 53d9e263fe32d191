//! Readers of the published market beside a writer that never rests: nothing torn, nothing older than before.
//!
//! `READS` in the environment makes it long (`make soak`).
#![allow(clippy::print_stdout)] // the figure is what the proof records

mod desks;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use desks::{published, setting};
use engine::published::Published;
use engine::units::{Price, Qty, Side};
use engine::view::{Level, Sync, TopOfBook, View};

/// Tops between two writes of the whole book.
const TOPS: u64 = 64;
/// Reads of the top between two of the view.
const VIEWS: u64 = 1_024;
/// Of so many reads at least one sees a version that the one before did not.
const VERSIONS: u64 = 10_000;
/// Levels a side that are written.
const LEVELS: i64 = 20;
/// Without one more read for so long the readers starve.
const STARVED: Duration = Duration::from_secs(60);

/// A top of which every field follows from `version`.
fn top(version: u64) -> TopOfBook {
    let mark = version as i64;
    let level = |price| Level { price: Price(price), quantity: Qty(mark + 3) };
    let (bid, ask, recv_ns) = (level(mark + 1), level(mark + 2), mark + 4);
    TopOfBook { bid, ask, update_id: version, recv_ns, sync: Sync::Live, ..TopOfBook::default() }
}

/// Writes one version: the top, and each [`TOPS`] versions the whole book.
fn put(market: &Published, version: u64) {
    let mark = version as i64;
    if version % TOPS == 0 {
        let side = |sign: i64| {
            (0..LEVELS).map(move |step| Level { price: Price(mark + sign * step), quantity: Qty(mark + 3) })
        };
        market.write(&top(version), version, side(-1), side(1));
    } else {
        market.write_top(&top(version));
    }
}

fn write(market: &Published, done: &AtomicBool) -> u64 {
    let mut version = TOPS;
    while !done.load(Ordering::Relaxed) {
        version += 1;
        put(market, version);
    }
    version
}

/// Reads tops, and now and then the levels, and panics at the first that are of two writes.
fn read(market: &Published, reads: u64, progress: &AtomicU64) -> u64 {
    let (mut newest, mut versions, mut view) = (0, 0, View::default());
    let mut done = 0;
    // Reads of a book that stands still, because its writer has no processor, prove little: some must see new versions.
    while done < reads || versions < reads / VERSIONS {
        let seen = market.top();
        assert!(seen == top(seen.update_id), "torn: {seen:?}");
        assert!(seen.update_id >= newest, "version {} after {newest}", seen.update_id);
        versions += u64::from(seen.update_id > newest);
        newest = seen.update_id;
        if done % VIEWS == 0 {
            levels(market, &mut view);
            progress.fetch_add(1, Ordering::Relaxed);
        }
        done += 1;
    }
    versions
}

/// Levels and top come from the same moment: where the depth is not older than the top, all bear its version.
fn levels(market: &Published, view: &mut View) {
    market.view_for(Side::Buy, Qty(i64::MAX), view);
    let seen = view.top;
    assert!(seen == top(seen.update_id), "torn: {seen:?}");
    let depth = seen.update_id / TOPS * TOPS;
    for (step, level) in view.takes(Side::Buy).iter().enumerate().skip(1) {
        assert!(level.quantity.0 == depth as i64 + 3, "level {step} is not of write {depth}: {level:?}");
    }
}

#[test]
fn no_read_is_torn_or_goes_back_beside_a_writer_that_never_rests() {
    let reads = setting("READS", 500_000);
    // The writer keeps a processor for itself: readers that push it aside would read a book that stands still.
    let processors = thread::available_parallelism().map_or(2, usize::from) as u64;
    let count = (processors - 1).clamp(1, 8);
    let (market, done) = (published(), Arc::new(AtomicBool::new(false)));
    put(&market, TOPS); // a whole book of ours: a reader can be there before the writer
    let writer = thread::spawn({
        let (market, done) = (Arc::clone(&market), Arc::clone(&done));
        move || write(&market, &done)
    });
    let (began, progress) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let readers: Vec<_> = (0..count)
        .map(|_| {
            let (market, progress) = (Arc::clone(&market), Arc::clone(&progress));
            thread::spawn(move || read(&market, reads / count, &progress))
        })
        .collect();
    let (mut known, mut since) = (0, Instant::now());
    while !readers.iter().all(thread::JoinHandle::is_finished) {
        thread::sleep(Duration::from_millis(10));
        if progress.load(Ordering::Relaxed) != known {
            (known, since) = (progress.load(Ordering::Relaxed), Instant::now());
        }
        assert!(since.elapsed() < STARVED, "no read succeeded for {STARVED:?}");
    }
    let versions: u64 = readers.into_iter().map(|reader| reader.join().expect("no read is torn")).sum();
    let took = began.elapsed().as_secs_f64();
    done.store(true, Ordering::Relaxed);
    let writes = writer.join().expect("no panic");
    println!(
        "{reads} reads by {count} thread(s) beside {writes} writes in {took:.0} s, {versions} versions seen: none torn, none older"
    );
}
