//! Eight threads that never stop deciding, beside a journal and an executor; every event is judged as it is taken.
//!
//! `DECISIONS` and `SEED` in the environment make it long (`make soak`) or another one.

#![allow(clippy::print_stdout)] // the figure is what the proof records

mod desks;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use desks::{Audit, Clock, Dice, desk_of, fill, limits, order, setting, unopened};
use engine::desk::{
    ClientId, Command, Desk, End, Event, OPEN_MAX, OrderRequest, Outcome, RING, Report, SharedDesk, Tif,
};
use engine::risk::{Limits, Reason};
use engine::units::{E8, Now, Price, Qty, SECOND_NS, Side};

const WORKERS: u64 = 8;
/// Virtual time between two decisions: 1,000 decisions a second, of which 40 are orders.
const STEP_NS: i64 = SECOND_NS / 1_000;
/// Orders that rest before the oldest of them is filled.
const RESTING: usize = 8;
/// How often the journal leaves its events until there is no room for more.
const BEHIND_EVERY: Duration = Duration::from_secs(1);
/// Without one more decision for so long the desk hangs.
const HUNG: Duration = Duration::from_secs(60);

fn rules() -> Limits {
    Limits { repeat_window_ns: SECOND_NS / 1_000, runaway_refusals: 200, ..limits(50) }
}

/// What all threads share: the desk, and a clock that every decision moves on.
struct Floor {
    desk: Arc<SharedDesk>,
    clock: Clock,
    decided: AtomicU64,
    full: AtomicU64,
    done: AtomicBool,
}

impl Floor {
    fn later(&self) -> Now {
        self.decided.fetch_add(1, Ordering::Relaxed);
        self.clock.later(STEP_NS)
    }
}

fn request(dice: &mut Dice) -> OrderRequest {
    let side = if dice.below(2) == 0 { Side::Buy } else { Side::Sell };
    let asked = order(side, 1 + dice.below(E8 as u64 / 50) as i64);
    // Buys below the bid of 10, sells above the ask of 11, so that orders can rest; one in a hundred meets them.
    let behind = dice.below(E8 as u64) as i64 * if dice.below(100) == 0 { -1 } else { 1 };
    let limit = Some(Price(if side == Side::Buy { 10 * E8 - behind } else { 11 * E8 + behind }));
    let client_id = ClientId::new(&format!("id{}", dice.below(1 << 40)));
    match dice.below(1_000) {
        0..500 => asked,
        500..800 => OrderRequest { limit, tif: Tif::Gtc, ..asked },
        800..970 => OrderRequest { limit, ..asked },
        970..998 => OrderRequest { reduce: true, ..asked },
        _ => OrderRequest { client_id, ..asked },
    }
}

fn work(floor: &Floor, mut dice: Dice, decisions: u64) {
    let desk = &floor.desk;
    let mut newest = 0;
    for step in 0..decisions {
        if step % 16 == 0 {
            thread::yield_now(); // journal and executor are two threads of ten, and there are few processors
        }
        let now = floor.later();
        match dice.below(20_000) {
            0..18_800 => drop(desk.check(&request(&mut dice), now)),
            18_800..19_600 => match desk.submit(&request(&mut dice), now) {
                (Outcome::Accepted { order }, _) => newest = order,
                (Outcome::Refused(refused), 0) if refused.breaches[0].code == Reason::QueueFull => {
                    floor.full.fetch_add(1, Ordering::Relaxed);
                }
                _ => {}
            },
            19_600..19_700 => {
                let order = newest.saturating_sub(dice.below(16));
                desk.command(&Command::Cancel { order, reason: Reason::User }, now);
            }
            19_700..19_959 => desk.mark(now),
            19_959 => drop(desk.halt("OPERATOR", "by hand", now)),
            _ => drop(desk.resume(now)),
        }
    }
}

enum Message {
    Order(u64, OrderRequest),
    Cancel(u64, Reason),
}

/// The journal's thread: judges and folds what it takes, says that it is durable, and tells the executor.
fn journal(floor: &Floor, executor: &Sender<Message>) -> (Audit, Desk) {
    let (mut audit, mut twin) = (Audit::new(&rules()), unopened(rules()));
    let mut behind = None;
    loop {
        if behind.is_none_or(|at: Instant| at.elapsed() > BEHIND_EVERY) {
            fall_behind(floor);
            behind = Some(Instant::now());
        }
        let events = floor.desk.next_events(RING / 2, Duration::from_millis(10));
        for stamped in &events {
            audit.read(stamped);
            twin.recover(stamped).expect("the next event");
        }
        let newest = floor.desk.read(|desk, _| desk.state.seq).expect("no panic under the lock");
        audit.commit(newest);
        floor.desk.committed(audit.seq);
        for stamped in events {
            match stamped.event {
                Event::Accepted(row) => executor.send(Message::Order(row.order, row.request)).expect("it runs"),
                Event::CancelRequested { order, reason } => {
                    executor.send(Message::Cancel(order, reason)).expect("it runs");
                }
                _ => {}
            }
        }
        if floor.done.load(Ordering::Acquire) && newest == audit.seq && audit.all_ended() {
            break;
        }
    }
    (audit, twin)
}

/// Leaves events where they are until the desk refuses orders for want of room, or nobody trades any more.
fn fall_behind(floor: &Floor) {
    let refused = floor.full.load(Ordering::Relaxed);
    while floor.full.load(Ordering::Relaxed) == refused && !floor.done.load(Ordering::Acquire) {
        thread::sleep(Duration::from_micros(100));
    }
}

/// The executor's thread: releases, fills at once, in two parts or not at all, or lets rest.
struct Executor<'a> {
    floor: &'a Floor,
    dice: Dice,
    resting: HashMap<u64, (Side, i64)>,
    oldest: VecDeque<u64>,
    reports: u64,
}

impl Executor<'_> {
    fn run(mut self, messages: &Receiver<Message>) -> u64 {
        for message in messages {
            // A halt needs room for a cancel of each open order; an executor leaves it that.
            while self.floor.desk.spare() < OPEN_MAX + 64 && !self.floor.desk.faulted() {
                thread::yield_now();
            }
            match message {
                Message::Order(order, request) => self.take(order, &request),
                Message::Cancel(order, reason) => self.cancel(order, reason),
            }
        }
        self.reports
    }

    fn take(&mut self, order: u64, request: &OrderRequest) {
        if self.floor.desk.release(order, self.floor.clock.now()) != Outcome::Released {
            return;
        }
        let quantity = request.quantity.0;
        if request.tif == Tif::Gtc {
            self.report(Report::Resting { order });
            self.resting.insert(order, (request.side, quantity));
            self.oldest.push_back(order);
            return self.fill_the_oldest();
        }
        let filled = [0, quantity / 2, quantity][self.dice.below(3) as usize];
        if filled > 0 {
            self.fill(order, request.side, filled);
        }
        if filled < quantity {
            self.report(Report::Ended { order, state: End::Canceled, reason: Reason::IocRemainder });
        }
    }

    fn fill_the_oldest(&mut self) {
        while self.oldest.len() > RESTING {
            let order = self.oldest.pop_front().expect("more than one");
            if let Some((side, quantity)) = self.resting.remove(&order) {
                self.fill(order, side, quantity);
            }
        }
    }

    fn cancel(&mut self, order: u64, reason: Reason) {
        if self.resting.remove(&order).is_some() {
            self.report(Report::Ended { order, state: End::Canceled, reason });
        }
    }

    fn fill(&mut self, order: u64, side: Side, quantity: i64) {
        self.report(fill(order, side, Qty(quantity)));
    }

    fn report(&mut self, report: Report) {
        self.reports += 1;
        self.floor.desk.report(report, self.floor.clock.now());
    }
}

/// Waits for `threads`; panics when nothing was decided for a minute.
fn watch<T>(floor: &Floor, threads: &[thread::JoinHandle<T>]) {
    let (mut known, mut since) = (0, Instant::now());
    while !threads.iter().all(thread::JoinHandle::is_finished) {
        thread::sleep(Duration::from_millis(10));
        let progress = floor.desk.read(|desk, _| desk.state.seq).unwrap_or(0) + floor.decided.load(Ordering::Relaxed);
        if progress != known {
            (known, since) = (progress, Instant::now());
        }
        assert!(since.elapsed() < HUNG, "nothing was decided for {HUNG:?}: the desk hangs");
    }
}

#[test]
fn eight_threads_a_journal_and_an_executor_break_no_limit_and_leave_nothing_reserved() {
    let (decisions, seed) = (setting("DECISIONS", 200_000), setting("SEED", 1));
    let floor = Arc::new(Floor {
        desk: desk_of(rules()),
        clock: Clock::new(),
        decided: AtomicU64::new(0),
        full: AtomicU64::new(0),
        done: AtomicBool::new(false),
    });
    let began = Instant::now();
    let (send, receive) = channel();
    let scribe = thread::spawn({
        let floor = Arc::clone(&floor);
        move || journal(&floor, &send)
    });
    let executor = thread::spawn({
        let floor = Arc::clone(&floor);
        let (resting, oldest) = (HashMap::new(), VecDeque::new());
        move || Executor { floor: &floor, dice: Dice::new(seed), resting, oldest, reports: 0 }.run(&receive)
    });
    let workers: Vec<_> = (1..=WORKERS)
        .map(|worker| {
            let (floor, dice) = (Arc::clone(&floor), Dice::new(seed * 100 + worker));
            thread::spawn(move || work(&floor, dice, decisions / WORKERS))
        })
        .collect();
    watch(&floor, &workers);
    workers.into_iter().for_each(|worker| worker.join().expect("no panic"));
    let took = began.elapsed();
    floor.desk.command(&Command::CancelAll { reason: Reason::User }, floor.clock.now());
    floor.done.store(true, Ordering::Release);
    watch(&floor, std::slice::from_ref(&scribe));
    let (audit, twin) = scribe.join().expect("the log breaks no rule");
    let reports = executor.join().expect("no panic");
    audit.finish();
    let left = floor.desk.read(|live, _| {
        assert!(live.state == twin.state, "whoever folds the log does not have the desk");
        let orders = &live.state.orders;
        (orders.count(), orders.reserved(Side::Buy), orders.reserved(Side::Sell))
    });
    assert_eq!(left, Some((0, Qty(0), Qty(0))));
    let full = floor.full.load(Ordering::Relaxed);
    assert!(full > 0, "the queue was never at its bound");
    println!(
        "{decisions} decisions of {WORKERS} threads in {:.0} s: {} events, {} orders accepted, {} left, {reports} reports, \
         {} refused, {full} times no room, {} halts: no limit broken, none lost, nothing reserved",
        took.as_secs_f64(),
        audit.seq,
        audit.accepted,
        audit.released,
        audit.refused,
        audit.halts,
    );
}
