//! The switch under load: traders on every side, an executor that sends what it can, and a person who halts.
//!
//! `HALTS` in the environment makes it long, and then the times must hold (`make soak`).
#![allow(clippy::print_stdout)] // the figure is what the proof records

mod desks;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use desks::{Audit, Clock, Dice, desk, fill, limits, order, setting};
use engine::desk::{Event, OrderRequest, Outcome, RING, SharedDesk};
use engine::units::{E8, SECOND_NS, Side};

const TRADERS: u64 = 8;
/// Virtual time between two orders: fewer than 50 a second.
const STEP_NS: i64 = SECOND_NS / 40;
/// From calling `halt` to its return, and to the last order that left.
const GOAL: Duration = Duration::from_millis(1);
/// Without an order that leaves for so long something hangs.
const HUNG: Duration = Duration::from_secs(60);

struct Floor {
    desk: Arc<SharedDesk>,
    clock: Clock,
    began: Instant,
    /// Orders that left, and when the newest did: ns since `began`, read after `release` returned.
    left: AtomicU64,
    left_ns: AtomicU64,
    done: AtomicBool,
}

impl Floor {
    fn done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }
}

fn trade(floor: &Floor, mut dice: Dice) {
    while !floor.done() {
        let now = floor.clock.later(STEP_NS);
        let side = if dice.below(2) == 0 { Side::Buy } else { Side::Sell };
        floor.desk.submit(&order(side, 1 + dice.below(E8 as u64 / 100) as i64), now);
        thread::sleep(Duration::from_micros(20));
    }
}

/// The journal's thread. An order that left in a halt, or before its commit, ends the audit with a panic.
fn journal(floor: &Floor, executor: &Sender<(u64, OrderRequest)>) -> Audit {
    let mut audit = Audit::new(&limits(50));
    while !(floor.done() && audit.all_ended()) {
        let events = floor.desk.next_events(RING, Duration::from_millis(1));
        events.iter().for_each(|stamped| audit.read(stamped));
        audit.commit(floor.desk.read(|desk, _| desk.state.seq).expect("no panic under the lock"));
        floor.desk.committed(audit.seq);
        for stamped in events {
            if let Event::Accepted(row) = stamped.event {
                executor.send((row.order, row.request)).expect("it runs");
            }
        }
    }
    audit
}

fn execute(floor: &Floor, orders: &Receiver<(u64, OrderRequest)>) {
    for (order, request) in orders {
        if floor.desk.release(order, floor.clock.now()) == Outcome::Released {
            floor.left_ns.store(floor.began.elapsed().as_nanos() as u64, Ordering::Release);
            floor.left.fetch_add(1, Ordering::Release);
            floor.desk.report(fill(order, request.side, request.quantity), floor.clock.now());
        }
    }
}

/// Halts while orders leave; returns how long the call took, and how long after its beginning the last order left.
fn halt(floor: &Floor) -> (Duration, Duration) {
    let (before, since) = (floor.left.load(Ordering::Acquire), Instant::now());
    while floor.left.load(Ordering::Acquire) < before + 2 {
        assert!(since.elapsed() < HUNG, "no order left for {HUNG:?}: the desk hangs");
        thread::sleep(Duration::from_micros(50));
    }
    let called = floor.began.elapsed();
    floor.desk.halt("OPERATOR", "by hand", floor.clock.now());
    let took = floor.began.elapsed() - called;
    thread::sleep(Duration::from_micros(200));
    let last = Duration::from_nanos(floor.left_ns.load(Ordering::Acquire));
    assert_eq!(floor.desk.resume(floor.clock.now()).0, Outcome::Done);
    (took, last.saturating_sub(called))
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

#[test]
fn after_a_halt_returns_no_order_leaves_however_many_threads_trade() {
    let halts = setting("HALTS", 100);
    let floor = Arc::new(Floor {
        desk: desk(50),
        clock: Clock::new(),
        began: Instant::now(),
        left: AtomicU64::new(0),
        left_ns: AtomicU64::new(0),
        done: AtomicBool::new(false),
    });
    let (send, receive) = channel();
    let spawn = |act: Box<dyn FnOnce(&Floor) + Send>| {
        let floor = Arc::clone(&floor);
        thread::spawn(move || act(&floor))
    };
    let scribe = thread::spawn({
        let floor = Arc::clone(&floor);
        move || journal(&floor, &send)
    });
    let mut others = vec![spawn(Box::new(move |floor| execute(floor, &receive)))];
    others.extend((1..=TRADERS).map(|seed| spawn(Box::new(move |floor| trade(floor, Dice::new(seed))))));
    let (took, last): (Vec<_>, Vec<_>) = (0..halts).map(|_| halt(&floor)).unzip();
    floor.done.store(true, Ordering::Release);
    let audit = scribe.join().expect("no order leaves in a halt");
    others.into_iter().for_each(|thread| thread.join().expect("no panic"));
    let (took, last) = (p99(took), p99(last));
    println!(
        "{halts} halts, {} orders left before them and none after; p99 from the call to its return {took:?}, to the last \
         order that left {last:?}",
        audit.released
    );
    assert_eq!(audit.halts, halts);
    assert!(std::env::var("HALTS").is_err() || (took <= GOAL && last <= GOAL), "later than {GOAL:?}");
}
