//! The desk shared by threads: races for the last room, and the order of durable, told and sent.

mod desks;

use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use desks::{Audit, NOW, at, desk, limits, order};
use engine::desk::{Command, Outcome, SharedDesk};
use engine::units::{E8, Now, Side};

/// So far apart that the attempts cap never speaks, however many threads use the same steps.
fn later(step: i64) -> Now {
    at(NOW.mono_ns + step * 100_000_000)
}

#[test]
fn of_two_threads_that_race_for_the_last_room_exactly_one_is_accepted() {
    for _ in 0..500 {
        let (desk, start) = (desk(100), Arc::new(Barrier::new(2)));
        let racers: Vec<_> = (0..2)
            .map(|_| {
                let (desk, start) = (desk.clone(), start.clone());
                std::thread::spawn(move || {
                    start.wait();
                    matches!(desk.submit(&order(Side::Buy, 499 * E8 / 100), NOW).0, Outcome::Accepted { .. })
                })
            })
            .collect();
        let accepted = racers.into_iter().map(|racer| racer.join().expect("no panic"));
        assert_eq!(accepted.filter(|&accepted| accepted).count(), 1);
    }
}

#[test]
fn eight_threads_never_break_a_limit_and_lose_no_event() {
    let desk = desk(1_000);
    let workers: Vec<_> = (0..8_i64)
        .map(|worker| {
            let desk = desk.clone();
            std::thread::spawn(move || {
                let side = if worker % 2 == 0 { Side::Buy } else { Side::Sell };
                (0..100_i64).for_each(|step| {
                    desk.submit(&order(side, (worker + step) % 7 * E8 / 10 + 1), later(step));
                });
            })
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().expect("no panic"));
    let events = desk.next_events(10_000, Duration::ZERO);
    let mut audit = Audit::new(&limits(1_000));
    events.iter().for_each(|stamped| audit.read(stamped));
    let buys = desk.read(|desk, _| desk.state.orders.reserved(Side::Buy).0).expect("no panic");
    assert!(5 * E8 - buys < 7 * E8 / 10, "room was left: {buys}");
}

#[test]
fn nothing_leaves_before_its_intent_is_durable() {
    let desk = desk(5);
    let (outcome, seq) = desk.submit(&order(Side::Buy, E8), NOW);
    assert_eq!(outcome, Outcome::Accepted { order: 1 });
    let early = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| desk.release(1, NOW)));
    assert!(early.is_err());
    assert!(seq > 0);
}

#[test]
fn after_a_panic_inside_every_order_is_refused_as_an_engine_fault() {
    let desk = desk(5);
    desk.submit(&order(Side::Buy, E8), NOW);
    let early = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| desk.release(1, NOW)));
    assert!(early.is_err() && desk.submit(&order(Side::Buy, E8), NOW).1 == 0);
    let Outcome::Refused(refused) = desk.submit(&order(Side::Buy, E8), NOW).0 else { panic!("accepted") };
    assert_eq!(refused.breaches[0].code.code(), "ENGINE_FAULT");
    assert!(desk.faulted());
}

#[test]
fn a_durable_intent_may_leave() {
    let desk = desk(5);
    let (_, seq) = desk.submit(&order(Side::Buy, E8), NOW);
    desk.committed(seq);
    assert_eq!(desk.release(1, NOW), Outcome::Released);
}

#[test]
fn a_full_ring_refuses_orders_and_keeps_room_for_what_already_left() {
    let desk = desk(1_000);
    let refusals: Vec<Outcome> =
        (0..10_000).map(|step| desk.submit(&order(Side::Buy, 50 * E8), later(step)).0).collect();
    let Outcome::Refused(last) = refusals.last().expect("refusals") else { panic!("accepted") };
    assert_eq!(last.breaches[0].code.code(), "QUEUE_FULL");
    assert!(desk.spare() >= engine::desk::RING / 4);
    assert_eq!(desk.command(&Command::Resume, NOW), Outcome::Done);
}

#[test]
fn halting_and_resuming_without_end_leaves_room_for_what_already_left() {
    let desk = desk(5);
    for _ in 0..10_000 {
        desk.halt("OPERATOR", "again", NOW);
        desk.resume(NOW);
    }
    assert!(desk.spare() >= engine::desk::RING / 4);
    desk.set_journal(false);
    assert_eq!(desk.resume(NOW).0, Outcome::Withheld(engine::risk::Reason::JournalUnhealthy));
}

#[test]
fn a_waiting_journal_is_woken_by_an_order_and_by_any_other_command_that_writes() {
    let acts: [fn(&SharedDesk) -> u64; 2] =
        [|desk| desk.submit(&order(Side::Buy, E8), NOW).1, |desk| desk.halt("OPERATOR", "lunch", NOW)];
    for act in acts {
        let (desk, waits) = (desk(5), Arc::new(Barrier::new(2)));
        desk.next_events(100, Duration::ZERO);
        // Clears the wake-up that was meant for the events just taken.
        assert!(desk.next_events(100, Duration::from_nanos(1)).is_empty());
        let waiter = {
            let (desk, waits) = (desk.clone(), waits.clone());
            std::thread::spawn(move || {
                waits.wait();
                let began = Instant::now();
                (desk.next_events(100, Duration::from_secs(10)).len(), began.elapsed())
            })
        };
        waits.wait();
        // By now it most likely waits; if not, it finds the events without being woken.
        std::thread::sleep(Duration::from_millis(50));
        assert!(act(&desk) > 0);
        let (events, waited) = waiter.join().expect("no panic");
        assert!(events >= 1 && waited < Duration::from_secs(9), "{events} events after {waited:?}");
    }
}
