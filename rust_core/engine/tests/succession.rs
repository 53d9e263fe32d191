//! Connections that follow each other on one market: who may write, and what readers see meanwhile.

use std::sync::Arc;

use engine::market::{Applied, Market, SnapshotOutcome};
use engine::succession::{Seat, Succession};
use engine::view::{Doubt, Published, Sync};
use engine::wake::{CrossWatch, Signal};
use engine::wire::Venue;
use proptest::prelude::*;

fn market() -> (Succession, Arc<Published>) {
    let published = Arc::new(Published::new(Arc::new(CrossWatch::new(Arc::new(Signal::default())))));
    (Succession::new(Market::new(Venue::Binance, "BTCUSDT", Arc::clone(&published))), published)
}

fn depth(id: u64) -> Vec<u8> {
    let data =
        format!(r#"{{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":{id},"u":{id},"b":[["99","{id}"]],"a":[["101","1"]]}}"#);
    format!(r#"{{"stream":"btcusdt@depth@100ms","data":{data}}}"#).into_bytes()
}

fn snapshot(id: u64) -> Vec<u8> {
    format!(r#"{{"lastUpdateId":{id},"bids":[["99","{id}"]],"asks":[["101","1"]]}}"#).into_bytes()
}

fn send(succession: &Succession, seat: &mut Seat, id: u64) -> Option<Applied> {
    succession.write(seat, |market| market.apply(&depth(id), 1))
}

fn bridge(succession: &Succession, seat: &mut Seat, id: u64) {
    send(succession, seat, id + 1);
    let outcome = succession.write(seat, |market| market.offer_snapshot(&snapshot(id)));
    assert_eq!(outcome, Some(SnapshotOutcome::Bridged));
}

fn takeovers(succession: &Succession) -> u64 {
    succession.with_market(|market| market.counters().takeovers.get())
}

#[test]
fn an_heir_takes_over_when_it_is_live_and_as_far_as_the_lead_and_the_old_one_writes_no_more() {
    let (succession, published) = market();
    let (mut lead, mut heir) = (succession.enter(|_| {}), succession.enter(|_| {}));
    bridge(&succession, &mut lead, 10);
    send(&succession, &mut lead, 12);
    succession.want_successor(&lead);
    assert_eq!(succession.succeed(&mut heir), None);
    bridge(&succession, &mut heir, 10);
    assert_eq!((succession.succeed(&mut heir), published.top().update_id), (None, 12));
    send(&succession, &mut heir, 12);
    assert_eq!(succession.succeed(&mut heir), Some(lead.id()));
    assert_eq!((published.top().sync, published.top().update_id, takeovers(&succession)), (Sync::Live, 12, 1));
    assert_eq!(send(&succession, &mut lead, 13), None);
    assert_eq!(send(&succession, &mut heir, 13), Some(Applied::Depth));
    assert_eq!((succession.leave(&lead, |_| {}), published.top().sync), (None, Sync::Live));
    assert_eq!((succession.leave(&heir, |_| {}), published.top().sync), (None, Sync::Desynced));
}

#[test]
fn a_lead_that_wants_no_successor_keeps_its_place_until_its_book_is_lost() {
    let (succession, published) = market();
    let (mut lead, mut heir) = (succession.enter(|_| {}), succession.enter(|_| {}));
    bridge(&succession, &mut lead, 10);
    bridge(&succession, &mut heir, 20);
    assert_eq!(succession.succeed(&mut heir), None);
    assert!(matches!(send(&succession, &mut lead, 30), Some(Applied::Gap { .. })));
    assert_eq!(succession.succeed(&mut heir), Some(lead.id()));
    assert_eq!((published.top().sync, published.top().update_id), (Sync::Live, 21));
}

#[test]
fn an_heir_inherits_at_once_when_the_lead_dies_live_or_not_and_its_wish_comes_with_it() {
    for live in [false, true] {
        let (succession, published) = market();
        let (mut lead, mut heir) = (succession.enter(|_| {}), succession.enter(|_| {}));
        bridge(&succession, &mut lead, 10);
        if live {
            bridge(&succession, &mut heir, 5);
        }
        succession.want_successor(&heir);
        assert!(!succession.wants_successor());
        assert_eq!(succession.leave(&lead, |_| {}), Some(heir.id()));
        assert_eq!((published.top().sync == Sync::Live, succession.wants_successor()), (live, true));
        assert!(send(&succession, &mut heir, 7).is_some());
        assert!(heir.own_published().is_none());
        bridge_again_unless(live, &succession, &mut heir);
        assert_eq!((published.top().sync, published.top().update_id), (Sync::Live, 7));
    }
}

fn bridge_again_unless(live: bool, succession: &Succession, seat: &mut Seat) {
    if !live {
        succession.write(seat, |market| market.offer_snapshot(&snapshot(6)));
    }
}

#[test]
fn of_two_heirs_the_live_one_inherits() {
    let (succession, published) = market();
    let (mut lead, idle, mut live) = (succession.enter(|_| {}), succession.enter(|_| {}), succession.enter(|_| {}));
    bridge(&succession, &mut lead, 10);
    bridge(&succession, &mut live, 10);
    assert_eq!((succession.leave(&lead, |_| {}), published.top().sync), (Some(live.id()), Sync::Live));
    assert_eq!(succession.leave(&live, |_| {}), Some(idle.id()));
}

#[test]
fn readers_are_told_why_a_book_is_not_live_after_a_change_of_the_lead() {
    let (succession, published) = market();
    let (mut lead, mut heir) = (succession.enter(|_| {}), succession.enter(|_| {}));
    bridge(&succession, &mut lead, 10);
    assert_eq!(succession.leave(&lead, |_| {}), Some(heir.id()));
    assert_eq!((published.top().sync, published.top().doubt), (Sync::Empty, Doubt::Disconnected));
    bridge(&succession, &mut heir, 10);
    assert_eq!((published.top().sync, published.top().doubt), (Sync::Live, Doubt::Disconnected));
    let mut next = succession.enter(|_| {});
    bridge(&succession, &mut next, 20);
    assert!(matches!(send(&succession, &mut heir, 30), Some(Applied::Gap { .. })));
    assert_eq!(succession.succeed(&mut next), Some(heir.id()));
    assert_eq!((published.top().sync, published.top().doubt), (Sync::Live, Doubt::Gap), "why it was not, last");
}

#[test]
fn the_frames_of_a_connection_that_takes_over_count_from_its_beginning() {
    let (succession, _published) = market();
    let (mut lead, mut heir) = (succession.enter(|_| {}), succession.enter(|_| {}));
    bridge(&succession, &mut lead, 10);
    assert!(matches!(send(&succession, &mut heir, 5), Some(Applied::Buffered)));
    assert!(matches!(send(&succession, &mut heir, 8), Some(Applied::Gap { .. })));
    bridge(&succession, &mut heir, 8);
    succession.want_successor(&lead);
    send(&succession, &mut heir, 10);
    send(&succession, &mut heir, 11);
    assert_eq!(succession.succeed(&mut heir), Some(lead.id()));
    send(&succession, &mut heir, 12);
    succession.with_market(|market| {
        let counters = market.counters();
        let counted = [&counters.frames, &counters.applied, &counters.gaps, &counters.snapshots, &counters.resyncs];
        assert_eq!(counted.map(|counter| counter.get()), [7, 5, 1, 1, 0]);
    });
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Enter,
    Send(usize),
    Bridge(usize),
    Want(usize),
    Succeed(usize),
    Leave(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let seat = 0..3_usize;
    let step = prop_oneof![
        2 => Just(Step::Enter),
        6 => seat.clone().prop_map(Step::Send),
        3 => seat.clone().prop_map(Step::Bridge),
        2 => seat.clone().prop_map(Step::Want),
        4 => seat.clone().prop_map(Step::Succeed),
        1 => seat.prop_map(Step::Leave),
    ];
    prop::collection::vec(step, 1..120)
}

/// A connection of the model: its seat, and the last id that it was sent (0: nothing yet).
type Connection = (Seat, u64);

/// Each connection is sent the venue's frames in order; the market moves on by one id with every send of the foremost.
fn play(step: Step, succession: &Succession, open: &mut Vec<Connection>, now: &mut u64) {
    match step {
        Step::Enter if open.len() < 3 => open.push((succession.enter(|_| {}), *now)),
        Step::Send(at) if at < open.len() => {
            let (seat, last) = &mut open[at];
            *last += 1;
            *now = (*now).max(*last);
            send(succession, seat, *last);
        }
        Step::Bridge(at) if at < open.len() => {
            let (seat, last) = &mut open[at];
            succession.write(seat, |market| market.offer_snapshot(&snapshot(last.saturating_sub(1))));
        }
        Step::Want(at) if at < open.len() => succession.want_successor(&open[at].0),
        Step::Succeed(at) if at < open.len() => {
            if let Some(replaced) = succession.succeed(&mut open[at].0) {
                assert!(open.iter().any(|(seat, _)| seat.id() == replaced));
            }
        }
        Step::Leave(at) if at < open.len() => {
            let (seat, _) = open.remove(at);
            succession.leave(&seat, |_| {});
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_synced_reader_sees_a_break_only_when_the_lead_leaves_without_a_live_heir(steps in steps()) {
        let (succession, published) = market();
        let (mut open, mut now) = (Vec::<Connection>::new(), 100);
        for step in steps {
            let before = published.top();
            let others_live = |except: usize| {
                open.iter().enumerate().any(|(at, (seat, _))| {
                    at != except && seat.own_published().is_some_and(|own| own.top().sync == Sync::Live)
                })
            };
            let heir_at_hand = match step { Step::Leave(at) => others_live(at), _ => true };
            play(step, &succession, &mut open, &mut now);
            let after = published.top();
            if before.sync == Sync::Live && heir_at_hand {
                prop_assert_eq!(after.sync, Sync::Live, "{:?}", step);
                prop_assert!(after.update_id >= before.update_id || matches!(step, Step::Leave(_)), "{:?}", step);
            }
            // One writer at most, besides those who write books of their own.
            let mut writers = 0;
            for (seat, _) in &mut open {
                let wrote = succession.write(seat, |_| ()).is_some();
                writers += usize::from(wrote && seat.own_published().is_none());
            }
            prop_assert!(writers <= 1);
            prop_assert!(open.is_empty() || writers == 1 || open.iter().all(|(seat, _)| seat.own_published().is_none()));
        }
    }
}

#[test]
fn a_reader_in_a_tight_loop_sees_no_break_over_ten_thousand_changes_of_the_lead() {
    let (succession, published) = market();
    let mut lead = succession.enter(|_| {});
    bridge(&succession, &mut lead, 10);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut reads, mut last) = (0_u64, 0);
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let top = published.top();
                assert!(top.sync == Sync::Live && top.update_id >= last, "{top:?} after {last}");
                (reads, last) = (reads + 1, top.update_id);
            }
            reads
        });
        for id in 11..10_011 {
            let mut heir = succession.enter(|_| {});
            bridge(&succession, &mut heir, id - 1);
            succession.want_successor(&lead);
            assert_eq!(succession.succeed(&mut heir), Some(lead.id()));
            assert_eq!(send(&succession, &mut lead, id + 1), None);
            succession.leave(&lead, |_| {});
            lead = heir;
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(reader.join().expect("no panic") > 0);
    });
    assert_eq!(takeovers(&succession), 10_000);
}
