//! The book beside a dull twin: two `BTreeMap`s and the venue's rules written down a second time.

use std::collections::BTreeMap;

use engine::book::{Book, Bridge, Change};
use engine::units::{Price, Qty};
use engine::view::{Doubt, Level, Sync};
use engine::wire::{MAX_LEVELS, Snapshots, Span};
use proptest::prelude::*;

/// Bids and asks as `(price, quantity)`, best first.
type Rows = (Vec<(i64, i64)>, Vec<(i64, i64)>);

#[derive(Debug, Default)]
struct Twin {
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
    id: u64,
    live: bool,
}

#[derive(Debug, Clone)]
struct Frame {
    first: u64,
    last: u64,
    bids: Vec<Level>,
    asks: Vec<Level>,
}

impl Twin {
    fn set(side: &mut BTreeMap<i64, i64>, levels: &[Level]) {
        for level in levels {
            side.insert(level.price.0, level.quantity.0);
        }
        side.retain(|_, quantity| *quantity > 0);
    }

    fn trim(&mut self) {
        while self.bids.len() > MAX_LEVELS {
            self.bids.pop_first();
        }
        while self.asks.len() > MAX_LEVELS {
            self.asks.pop_last();
        }
    }

    /// "applied", "old", "gap" or "crossed".
    fn apply(&mut self, frame: &Frame) -> &'static str {
        if frame.last <= self.id {
            return "old";
        }
        if frame.first > self.id + 1 {
            *self = Twin::default();
            return "gap";
        }
        Twin::set(&mut self.bids, &frame.bids);
        Twin::set(&mut self.asks, &frame.asks);
        self.trim();
        self.id = frame.last;
        let crossed =
            matches!((self.bids.last_key_value(), self.asks.first_key_value()), (Some(b), Some(a)) if b.0 >= a.0);
        if crossed {
            *self = Twin::default();
            return "crossed";
        }
        "applied"
    }

    fn start(&mut self, id: u64, bids: &[Level], asks: &[Level]) {
        *self = Twin { id, live: true, ..Twin::default() };
        Twin::set(&mut self.bids, bids);
        Twin::set(&mut self.asks, asks);
        self.trim();
    }

    fn sides(&self) -> Rows {
        let bids = self.bids.iter().rev().map(|(&price, &quantity)| (price, quantity)).collect();
        (bids, self.asks.iter().map(|(&price, &quantity)| (price, quantity)).collect())
    }
}

/// A book of a venue whose snapshots are fetched.
fn fetched() -> Book {
    Book::new(Snapshots::Fetched)
}

fn sides(book: &Book) -> Rows {
    let pair = |level: Level| (level.price.0, level.quantity.0);
    (book.bids().map(pair).collect(), book.asks().map(pair).collect())
}

fn word(change: Change) -> &'static str {
    match change {
        Change::Applied => "applied",
        Change::Buffered => "buffered",
        Change::Old => "old",
        Change::Gap { .. } => "gap",
        Change::Crossed => "crossed",
        Change::Awaiting | Change::Checksum | Change::Shallow => unreachable!("of other venues"),
    }
}

fn levels(prices: std::ops::Range<i64>, most: usize) -> impl Strategy<Value = Vec<Level>> {
    let quantity = prop_oneof![2 => Just(0_i64), 3 => 1..50_i64];
    let level = (prices, quantity).prop_map(|(price, quantity)| Level { price: Price(price), quantity: Qty(quantity) });
    prop::collection::vec(level, 0..most)
}

/// Bids end at 1,010 and asks start at 1,000: a frame may hold one price on both sides and may cross the book.
fn frames(most: usize) -> impl Strategy<Value = Vec<Frame>> {
    let step = prop_oneof![8 => Just(0_i64), 1 => -6..0_i64, 1 => 1..4_i64];
    let frame = (step, 1..5_u64, levels(900..1_003, 20), levels(999..1_100, 20));
    prop::collection::vec(frame, 1..most).prop_map(|rows| {
        let mut next = 101_i64;
        let number = |(step, length, bids, asks): (i64, u64, Vec<Level>, Vec<Level>)| {
            let first = (next + step).max(1) as u64;
            let last = first + length - 1;
            next = next.max(last as i64 + 1);
            Frame { first, last, bids, asks }
        };
        rows.into_iter().map(number).collect()
    })
}

/// Frames as a venue orders them: best price first.
fn sorted(mut frame: Frame) -> Frame {
    frame.bids.sort_by_key(|level| -level.price.0);
    frame.asks.sort_by_key(|level| level.price.0);
    frame
}

proptest! {
    #[test]
    fn a_live_book_equals_its_twin_after_every_frame(
        start in (levels(800..1_000, 200), levels(1_001..1_200, 200)),
        frames in frames(60),
        in_order in any::<bool>(),
    ) {
        let (mut book, mut twin) = (fetched(), Twin::default());
        for frame in frames.into_iter().map(|frame| if in_order { sorted(frame) } else { frame }) {
            if !twin.live {
                // A fresh snapshot that reaches up to right before this frame.
                book.desync(Doubt::Gap);
                let id = frame.first - 1;
                prop_assert_eq!(book.offer(id, &start.0, &start.1), Bridge::Waiting);
                twin.start(id, &start.0, &start.1);
            }
            let change = word(book.apply(&Span::overlapping(frame.first, frame.last), &frame.bids, &frame.asks));
            prop_assert_eq!(change, twin.apply(&frame));
            prop_assert_eq!(book.sync() == Sync::Live, twin.live);
            prop_assert_eq!((sides(&book), book.update_id()), (twin.sides(), twin.id));
        }
    }

    #[test]
    fn a_snapshot_bridges_the_frames_kept_as_if_it_had_come_before_them(
        frames in frames(30),
        start in (levels(800..1_000, 50), levels(1_001..1_200, 50)),
        id in 95..160_u64,
    ) {
        let (mut book, mut twin) = (fetched(), Twin::default());
        let mut kept: Vec<&Frame> = Vec::new();
        for frame in &frames {
            match word(book.apply(&Span::overlapping(frame.first, frame.last), &frame.bids, &frame.asks)) {
                "buffered" => kept.push(frame),
                "gap" => kept = vec![frame],
                other => prop_assert_eq!(other, "old"),
            }
        }
        prop_assert!(book.wants_snapshot());
        twin.start(id, &start.0, &start.1);
        let rest: Vec<&&Frame> = kept.iter().filter(|frame| frame.last > id).collect();
        let told: Vec<&str> = rest.iter().map_while(|frame| twin.live.then(|| twin.apply(frame))).collect();
        let expected = match rest.first() {
            None => Bridge::Waiting,
            Some(first) if first.first > id + 1 => Bridge::TooOld,
            Some(_) if told.contains(&"crossed") => Bridge::Crossed,
            Some(_) => Bridge::Bridged { applied: rest.len(), old: kept.len() - rest.len() },
        };
        prop_assert_eq!(book.offer(id, &start.0, &start.1), expected);
        if matches!(expected, Bridge::Bridged { .. }) {
            prop_assert_eq!(sides(&book), twin.sides());
        }
        prop_assert_eq!(book.sync() == Sync::Live, matches!(expected, Bridge::Bridged { .. }));
    }
}

fn at(price: i64, quantity: i64) -> Level {
    Level { price: Price(price), quantity: Qty(quantity) }
}

#[test]
fn the_bound_drops_the_worst_levels_of_each_side() {
    let mut book = fetched();
    let bids: Vec<Level> = (0..5_000).map(|step| at(10_000 - step, 1)).collect();
    let asks: Vec<Level> = (0..5_000).map(|step| at(10_010 + step, 1)).collect();
    assert_eq!(book.offer(1, &bids, &asks), Bridge::Waiting);
    assert_eq!(
        book.apply(&Span::overlapping(2, 2), &[at(10_001, 1)], &[at(10_009, 1), at(20_000, 1)]),
        Change::Applied
    );
    assert_eq!((book.bids().len(), book.asks().len()), (5_000, 5_000));
    assert_eq!((book.bids().next(), book.bids().last()), (Some(at(10_001, 1)), Some(at(5_002, 1))));
    assert_eq!(book.asks().last(), Some(at(15_008, 1)));
}

#[test]
fn a_fetched_snapshot_that_fills_a_side_was_cut_there_and_a_newer_one_is_fetched_in_time() {
    let deep: Vec<Level> = (1..=9_000).rev().map(|price| at(price, 1)).collect();
    let gone = |prices: std::ops::RangeInclusive<i64>| prices.rev().map(|price| at(price, 0)).collect::<Vec<_>>();
    let mut book = fetched();
    assert_eq!(book.offer(1, &deep[..5_000], &[at(10_000, 1)]), Bridge::Waiting);
    assert_eq!(book.apply(&Span::overlapping(2, 2), &gone(4_102..=9_000), &[]), Change::Applied);
    assert_eq!(book.apply(&Span::overlapping(3, 3), &gone(4_101..=4_101), &[]), Change::Shallow);
    assert_eq!((book.sync(), book.doubt(), book.wants_snapshot()), (Sync::Desynced, Doubt::Shallow, false));
    assert_eq!(book.apply(&Span::overlapping(4, 4), &[], &[]), Change::Buffered);
    assert!(book.wants_snapshot());
    assert_eq!(book.offer(3, &deep[4_900..], &[at(10_000, 1)]), Bridge::Bridged { applied: 1, old: 0 });
}

#[test]
fn a_snapshot_from_which_the_frames_kept_lead_far_away_is_too_old() {
    let mut book = fetched();
    let deep: Vec<Level> = (4_001..=9_000).rev().map(|price| at(price, 1)).collect();
    let gone: Vec<Level> = (4_100..=9_000).rev().map(|price| at(price, 0)).collect();
    assert_eq!(book.apply(&Span::overlapping(2, 2), &gone, &[]), Change::Buffered);
    assert_eq!(book.offer(1, &deep, &[]), Bridge::TooOld);
    assert_eq!((book.sync(), book.doubt()), (Sync::Desynced, Doubt::Shallow));
}

#[test]
fn after_a_gap_the_book_is_empty_until_a_newer_snapshot_makes_a_new_one() {
    let mut book = fetched();
    book.offer(10, &[at(99, 1), at(98, 5)], &[at(101, 1)]);
    assert_eq!(book.apply(&Span::overlapping(11, 12), &[], &[]), Change::Applied);
    assert_eq!(book.apply(&Span::overlapping(14, 15), &[at(97, 2)], &[]), Change::Gap { expected: 13, received: 14 });
    assert_eq!((book.sync(), book.bids().len(), book.wants_snapshot()), (Sync::Desynced, 0, true));
    assert_eq!(book.offer(12, &[], &[]), Bridge::TooOld);
    assert_eq!(book.offer(13, &[at(96, 1)], &[at(102, 1)]), Bridge::Bridged { applied: 1, old: 0 });
    assert_eq!(sides(&book), (vec![(97, 2), (96, 1)], vec![(102, 1)]));
}

#[test]
fn a_price_on_both_sides_of_one_frame_is_judged_after_the_whole_frame() {
    let mut book = fetched();
    book.offer(10, &[at(99, 1)], &[at(101, 1), at(102, 1)]);
    assert_eq!(book.apply(&Span::overlapping(11, 11), &[at(101, 3)], &[at(101, 0)]), Change::Applied);
    assert_eq!(book.apply(&Span::overlapping(12, 12), &[at(102, 3)], &[]), Change::Crossed);
    assert_eq!((book.sync(), book.wants_snapshot()), (Sync::Desynced, false));
}

/// The book after one frame on a full snapshot, with the asks of the frame the mirror image of its bids.
fn after(frame: &[(i64, i64)]) -> Rows {
    let mut book = fetched();
    let mirrored = |level: &Level| Level { price: Price(2_000 - level.price.0), ..*level };
    let bids: Vec<Level> = (950..990).map(|price| at(price, 1)).collect();
    book.offer(1, &bids, &bids.iter().map(mirrored).collect::<Vec<_>>());
    let bids: Vec<Level> = frame.iter().map(|&(price, quantity)| at(price, quantity)).collect();
    assert_eq!(
        book.apply(&Span::overlapping(2, 2), &bids, &bids.iter().map(mirrored).collect::<Vec<_>>()),
        Change::Applied
    );
    sides(&book)
}

#[test]
fn a_frame_gives_the_same_book_whatever_the_order_of_its_levels() {
    let mut frame: Vec<(i64, i64)> = (970..995).rev().map(|price| (price, price % 3)).collect();
    let best_first = after(&frame);
    assert_eq!(best_first.0[..3], [(994, 1), (992, 2), (991, 1)]);
    frame.reverse();
    assert_eq!(after(&frame), best_first);
    frame.rotate_left(11);
    assert_eq!(after(&frame), best_first);
}

#[test]
fn of_a_price_that_a_frame_names_often_the_last_quantity_holds() {
    let often: Vec<(i64, i64)> = (1..=20).map(|quantity| (980, quantity)).collect();
    assert_eq!(after(&often), after(&[(980, 20)]));
    let twice: Vec<(i64, i64)> = (970..985).rev().flat_map(|price| [(price, 7), (price, 0)]).collect();
    assert_eq!(after(&twice), after(&(970..985).map(|price| (price, 0)).collect::<Vec<_>>()));
}

#[test]
fn a_crossed_snapshot_is_refused() {
    assert_eq!(fetched().offer(10, &[at(101, 1)], &[at(101, 1)]), Bridge::Crossed);
}

#[test]
fn the_frames_kept_are_bounded_and_the_newest_stay() {
    let mut book = fetched();
    collect(&mut book, 1..=20_000, (0, 0));
    assert_eq!(book.offer(4_000, &[], &[]), Bridge::TooOld);
    assert_eq!(book.offer(5_000, &[], &[]), Bridge::Bridged { applied: 15_000, old: 0 });
}

#[test]
fn a_book_that_never_lived_buffers_and_one_that_lost_its_way_stays_desynced() {
    let mut book = fetched();
    assert_eq!((book.sync(), book.wants_snapshot()), (Sync::Empty, false));
    assert_eq!(book.apply(&Span::overlapping(1, 1), &[], &[]), Change::Buffered);
    assert_eq!((book.sync(), book.wants_snapshot()), (Sync::Buffering, true));
    book.desync(Doubt::Gap);
    assert_eq!((book.sync(), book.wants_snapshot()), (Sync::Desynced, false));
    assert_eq!(book.apply(&Span::overlapping(2, 2), &[], &[]), Change::Buffered);
    assert_eq!((book.sync(), book.wants_snapshot()), (Sync::Desynced, true));
}

#[test]
fn a_book_that_never_received_anything_stays_empty_when_the_connection_is_lost() {
    let mut book = fetched();
    book.desync(Doubt::Gap);
    assert_eq!(book.sync(), Sync::Empty);
}

#[test]
fn a_waiting_snapshot_is_joined_only_by_a_frame_that_leaves_no_gap() {
    for (first, last, change) in
        [(9, 10, Change::Old), (9, 11, Change::Applied), (11, 12, Change::Applied), (12, 12, Change::Buffered)]
    {
        let mut book = fetched();
        assert_eq!(book.offer(10, &[at(99, 1)], &[at(101, 1)]), Bridge::Waiting);
        assert_eq!((book.sync(), book.wants_snapshot()), (Sync::Empty, false));
        assert_eq!(book.apply(&Span::overlapping(first, last), &[], &[]), change, "{first} to {last}");
        assert_eq!(book.sync() == Sync::Live, change == Change::Applied);
        assert_eq!(book.wants_snapshot(), change == Change::Buffered, "{first} to {last}");
    }
}

#[test]
fn a_lost_frame_desyncs_a_live_book_and_leaves_what_waits_for_a_bridge() {
    let mut book = fetched();
    assert_eq!(book.apply(&Span::overlapping(11, 11), &[], &[]), Change::Buffered);
    book.doubt_if_live(Doubt::Refused);
    assert_eq!(book.offer(10, &[at(99, 1)], &[at(101, 1)]), Bridge::Bridged { applied: 1, old: 0 });
    book.doubt_if_live(Doubt::Refused);
    assert_eq!((book.sync(), book.update_id(), book.bids().len()), (Sync::Desynced, 0, 0));
}

#[test]
fn a_live_book_drops_a_snapshot_that_nobody_wants() {
    let mut book = fetched();
    book.offer(10, &[at(99, 1)], &[at(101, 1)]);
    book.apply(&Span::overlapping(11, 11), &[], &[]);
    assert_eq!(book.offer(20, &[at(90, 1)], &[]), Bridge::Unwanted);
    assert_eq!((book.update_id(), sides(&book)), (11, (vec![(99, 1)], vec![(101, 1)])));
}

/// Frames of the ids given, each with as many levels a side.
fn collect(book: &mut Book, ids: std::ops::RangeInclusive<u64>, levels: (usize, usize)) {
    let (bids, asks) = (vec![at(99, 0); levels.0], vec![at(101, 0); levels.1]);
    for id in ids {
        assert_eq!(book.apply(&Span::overlapping(id, id), &bids, &asks), Change::Buffered);
    }
}

/// What a snapshot does after frames `1..=frames`.
fn bridge_after(frames: u64, levels: (usize, usize), snapshot: u64) -> Bridge {
    let mut book = fetched();
    collect(&mut book, 1..=frames, levels);
    book.offer(snapshot, &[], &[])
}

#[test]
fn exactly_as_many_levels_are_kept_as_fit_whichever_side_they_are_on() {
    for levels in [(10_000, 0), (0, 10_000), (6_000, 4_000)] {
        assert_eq!(bridge_after(100, levels, 0), Bridge::Bridged { applied: 100, old: 0 });
        assert_eq!(bridge_after(101, levels, 0), Bridge::TooOld);
        assert_eq!(bridge_after(101, levels, 1), Bridge::Bridged { applied: 100, old: 0 });
    }
}

#[test]
fn exactly_fifteen_thousand_frames_are_kept() {
    assert_eq!(bridge_after(15_000, (0, 0), 0), Bridge::Bridged { applied: 15_000, old: 0 });
    assert_eq!(bridge_after(15_001, (0, 0), 0), Bridge::TooOld);
}

#[test]
fn frames_that_a_snapshot_held_make_room_for_as_many_levels() {
    let mut book = fetched();
    collect(&mut book, 1..=100, (10_000, 0));
    assert_eq!(book.offer(100, &[], &[]), Bridge::Waiting);
    // Frame 101 is missing, so that the snapshot which waits is of no use.
    collect(&mut book, 102..=201, (10_000, 0));
    assert_eq!(book.offer(101, &[], &[]), Bridge::Bridged { applied: 100, old: 0 });
}

#[test]
fn ids_that_begin_anew_before_the_book_is_live_void_what_was_kept_and_what_waits() {
    let link = Span::exactly_after;
    let mut book = fetched();
    for (span, change) in
        [(link(90, 97), Change::Buffered), (link(97, 5), Change::Awaiting), (link(5, 9), Change::Buffered)]
    {
        assert_eq!(book.apply(&span, &[], &[]), change, "{span:?}");
    }
    assert_eq!(book.offer(97, &[at(90, 1)], &[]), Bridge::TooOld, "of the old count: no frame may join it");
    assert_eq!(book.apply(&link(9, 3), &[], &[]), Change::Awaiting);
    assert_eq!(book.apply(&link(3, 8), &[], &[]), Change::Buffered);
    assert_eq!(book.offer(5, &[at(99, 1)], &[at(101, 1)]), Bridge::Bridged { applied: 1, old: 0 });
    assert_eq!((book.update_id(), sides(&book)), (8, (vec![(99, 1)], vec![(101, 1)])));
}
