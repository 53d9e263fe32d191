//! Every interleaving of the desk's parts that share something, explored by loom.
//!
//! Run: `RUSTFLAGS="--cfg loom" cargo test -p engine --test loom --release`
#![cfg(loom)]

mod desks;

use std::sync::Arc;
use std::time::Duration;

use desks::{Audit, NOW, desk, fill, limits, order, unopened};
use engine::desk::{Command, Desk, OrderRequest, Outcome, Phase, SharedDesk};
use engine::queue::Queue;
use engine::record::{Kind, Record};
use engine::ring::Ring;
use engine::risk::Reason;
use engine::seqlock::SeqLock;
use engine::tape::Tape;
use engine::units::{E8, Side};
use engine::wake::Signal;
use loom::sync::Mutex;
use loom::thread;

/// Three preemptions find every known fault of a seqlock and keep the search short.
fn explore(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.max_branches = 20_000;
    let explored = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let count = Arc::clone(&explored);
    builder.check(move || {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        check();
    });
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    println!("{name}: {} interleavings", explored.load(std::sync::atomic::Ordering::Relaxed));
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

#[test]
fn what_two_threads_push_is_taken_once_each_and_in_order_and_never_beyond_the_bound() {
    explore(|| {
        let (queue, mut taken) = Queue::new(2);
        let queue = Arc::new(Mutex::new((queue, 0)));
        let pushers = [1, 2].map(|pushes| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                for _ in 0..pushes {
                    let (queue, newest) = &mut *queue.lock().expect("no panic");
                    if queue.spare() > 0 {
                        *newest += 1;
                        queue.push(*newest);
                    }
                }
            })
        });
        let mut log = Vec::new();
        let mut take = |most| {
            let handed = queue.lock().expect("no panic").0.hand_over(&mut taken, most);
            log.extend(taken.drain(..handed));
        };
        take(1);
        take(2);
        pushers.into_iter().for_each(|pusher| pusher.join().expect("a pusher ends"));
        (0..3).for_each(|_| take(2));
        let (queue, newest) = &*queue.lock().expect("no panic");
        assert!(log.iter().copied().eq(1..=*newest) && *newest >= 2, "{log:?} of {newest}");
        assert_eq!(queue.spare(), 2);
    });
}

#[test]
fn a_signal_raised_before_or_while_it_is_waited_for_is_never_missed() {
    explore(|| {
        let signal = Arc::new(Signal::default());
        let raisers = [(), ()].map(|()| {
            let signal = Arc::clone(&signal);
            thread::spawn(move || signal.raise())
        });
        assert!(signal.wait(Duration::ZERO));
        raisers.into_iter().for_each(|raiser| raiser.join().expect("it ends"));
    });
}

/// The journal's side of a desk: takes, reads and commits, and folds what it took.
struct Journal {
    audit: Audit,
    twin: Desk,
}

impl Journal {
    fn new() -> Journal {
        Journal { audit: Audit::new(&limits(2)), twin: unopened(limits(2)) }
    }

    fn round(&mut self, desk: &SharedDesk) {
        let events = desk.next_events(64, Duration::ZERO);
        for stamped in &events {
            self.audit.read(stamped);
            self.twin.recover(stamped).expect("the next event");
        }
        if let Some(last) = events.last() {
            self.audit.commit(newest(desk));
            desk.committed(last.seq);
        }
    }

    /// Nothing is missing, and whoever folds the log has the desk.
    fn finish(mut self, desk: &SharedDesk) -> Audit {
        self.round(desk);
        let same = desk.read(|live, _| live.state == self.twin.state && live.state.seq == self.audit.seq);
        assert_eq!(same, Some(true), "the log is not the state");
        assert!(!desk.faulted() && desk.spare() == engine::desk::RING);
        self.audit
    }
}

fn newest(desk: &SharedDesk) -> u64 {
    desk.read(|desk, _| desk.state.seq).expect("no panic")
}

/// The executor's side: releases each order whose intent is durable and fills half of it, ends the rest.
fn execute(desk: &SharedDesk) {
    let durable = |desk: &Desk| {
        let pending = desk.state.orders.iter().filter(|open| open.state == Phase::Pending);
        pending.filter(|open| open.intent <= desk.committed).map(|open| (open.order, open.request)).collect()
    };
    let orders: Vec<(u64, OrderRequest)> = desk.read(|desk, _| durable(desk)).expect("no panic");
    for (number, request) in orders {
        if desk.release(number, NOW) == Outcome::Released {
            desk.report(fill(number, request.side, request.quantity), NOW);
        }
    }
}

fn spawn(desk: &Arc<SharedDesk>, act: impl FnOnce(&SharedDesk) + 'static) -> thread::JoinHandle<()> {
    let desk = Arc::clone(desk);
    thread::spawn(move || act(&desk))
}

/// A desk with one order, a buy whose intent is durable.
fn accepted() -> (Arc<SharedDesk>, Journal) {
    let (desk, mut journal) = (desk(2), Journal::new());
    desk.submit(&order(Side::Buy, E8), NOW);
    journal.round(&desk);
    (desk, journal)
}

fn submit(quantity: i64) -> impl FnOnce(&SharedDesk) {
    move |desk| {
        desk.submit(&order(Side::Buy, quantity * E8), NOW);
        desk.submit(&order(Side::Sell, quantity * E8), NOW);
    }
}

#[test]
fn orders_of_two_threads_beside_journal_and_executor_keep_every_limit() {
    explore(|| {
        let desk = desk(2);
        let traders = [3, 4].map(|quantity| spawn(&desk, submit(quantity)));
        let mut journal = Journal::new();
        journal.round(&desk);
        execute(&desk);
        traders.into_iter().for_each(|trader| trader.join().expect("no panic"));
        journal.round(&desk);
        execute(&desk);
        let audit = journal.finish(&desk);
        // Two orders a second: of four, two are accepted, whichever they are.
        assert_eq!((audit.accepted, audit.refused, audit.ended), (2, 2, 2));
        audit.finish();
    });
}

#[test]
fn a_journal_that_waits_is_woken_by_the_next_event_and_by_nothing_older() {
    explore(|| {
        let desk = desk(2);
        let traders = [3, 4].map(|quantity| spawn(&desk, submit(quantity)));
        let mut seq = 0;
        while seq < 3 + 4 {
            let events = desk.next_events(2, Duration::from_secs(1));
            assert!(!events.is_empty() && events[0].seq == seq + 1);
            seq += events.len() as u64;
        }
        traders.into_iter().for_each(|trader| trader.join().expect("no panic"));
    });
}

#[test]
fn nothing_leaves_after_a_halt_whoever_releases() {
    explore(|| {
        let (desk, mut journal) = accepted();
        let executor = spawn(&desk, execute);
        let switch = spawn(&desk, |desk| {
            desk.halt("OPERATOR", "by hand", NOW);
        });
        desk.submit(&order(Side::Sell, E8), NOW);
        journal.round(&desk);
        [executor, switch].into_iter().for_each(|thread| thread.join().expect("no panic"));
        execute(&desk);
        journal.round(&desk);
        execute(&desk);
        journal.finish(&desk).finish();
    });
}

#[test]
fn a_fill_beside_a_cancel_and_a_resume_ends_the_order_once() {
    explore(|| {
        let (desk, mut journal) = accepted();
        let executor = spawn(&desk, execute);
        let person = spawn(&desk, |desk| {
            desk.command(&Command::Cancel { order: 1, reason: Reason::User }, NOW);
            desk.halt("OPERATOR", "by hand", NOW);
            desk.resume(NOW);
        });
        journal.round(&desk);
        [executor, person].into_iter().for_each(|thread| thread.join().expect("no panic"));
        let audit = journal.finish(&desk);
        assert_eq!((audit.ended, audit.halts), (1, 1));
        audit.finish();
    });
}

#[test]
fn a_tape_read_beside_its_writer_gives_whole_records_in_order_and_a_mark_for_what_is_missing() {
    explore(|| {
        let tape = Arc::new(Tape::new(0)); // 32 words, of which frames leave 8 free
        let writer = {
            let tape = Arc::clone(&tape);
            thread::spawn(move || {
                for recv_ns in 1..=3 {
                    let payload = &[recv_ns as u8; 64];
                    tape.append(&Record { kind: Kind::Frame, recv_ns, connection: 1, payload });
                }
            })
        };
        let mut out = Vec::new();
        tape.take(&mut out, usize::MAX);
        writer.join().expect("the writer ends");
        tape.finish();
        tape.take(&mut out, usize::MAX);
        let (mut rest, mut next) = (&out[..], 1);
        while let Ok(Some((record, length))) = Record::read(rest) {
            assert_eq!(record.recv_ns, next);
            if record.kind == Kind::Lost {
                next = 4;
            } else {
                assert_eq!(record.payload, &[next as u8; 64]);
                next += 1;
            }
            rest = &rest[length..];
        }
        assert!(rest.is_empty() && next == 4, "{rest:?} {next}");
    });
}
