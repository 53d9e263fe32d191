//! What readers of a published market see.

use std::sync::Arc;
use std::time::Duration;

use engine::units::{Price, Qty, Side};
use engine::view::{DEPTH, Level, Published, Sync, TopOfBook, Trade, View};
use engine::wake::{CrossWatch, Signal};

fn published() -> (Published, Arc<CrossWatch>, Arc<Signal>) {
    let signal = Arc::new(Signal::default());
    let watch = Arc::new(CrossWatch::new(Arc::clone(&signal)));
    (Published::new(Arc::clone(&watch)), watch, signal)
}

fn at(price: i64, quantity: i64) -> Level {
    Level { price: Price(price), quantity: Qty(quantity) }
}

fn top(update_id: u64, bid: Level, ask: Level) -> TopOfBook {
    TopOfBook { bid, ask, update_id, recv_ns: 7, sync: Sync::Live, ..TopOfBook::default() }
}

/// A market with bids 99, 98, 97 and asks 101, 102, 103 of 10 each, at update 50.
fn market() -> Published {
    let (published, ..) = published();
    let (bids, asks) = ([99, 98, 97].map(|price| at(price, 10)), [101, 102, 103].map(|price| at(price, 10)));
    published.write(&top(50, bids[0], asks[0]), 50, bids.into_iter(), asks.into_iter());
    published
}

fn sides(published: &Published) -> (Vec<Level>, Vec<Level>) {
    let mut view = View::default();
    published.view(&mut view);
    (view.takes(Side::Sell).to_vec(), view.takes(Side::Buy).to_vec())
}

#[test]
fn depth_as_new_as_the_top_stands_as_it_is() {
    let (bids, asks) = sides(&market());
    assert_eq!((bids, asks), (vec![at(99, 10), at(98, 10), at(97, 10)], vec![at(101, 10), at(102, 10), at(103, 10)]));
}

#[test]
fn a_newer_top_removes_better_levels_and_sets_the_best_one() {
    let published = market();
    published.write_top(&top(51, at(98, 4), at(102, 5)));
    let (bids, asks) = sides(&published);
    assert_eq!((bids, asks), (vec![at(98, 4), at(97, 10)], vec![at(102, 5), at(103, 10)]));
}

#[test]
fn a_newer_top_between_levels_is_inserted() {
    let published = market();
    published.write_top(&top(51, at(100, 1), at(100_000, 2)));
    let (bids, asks) = sides(&published);
    assert_eq!((bids, asks), (vec![at(100, 1), at(99, 10), at(98, 10), at(97, 10)], vec![at(100_000, 2)]));
}

#[test]
fn a_newer_top_with_an_empty_side_leaves_nothing_to_take_there() {
    let published = market();
    published.write_top(&top(51, at(99, 1), at(0, 0)));
    assert_eq!(sides(&published).1, []);
}

#[test]
fn a_view_for_an_order_holds_just_the_levels_that_cover_it() {
    let published = market();
    let levels = |taker, quantity| {
        let mut view = View::default();
        published.view_for(taker, Qty(quantity), &mut view);
        assert_eq!(view.top, published.top());
        assert_eq!(view.takes(Side::opposite(taker)), []);
        view.takes(taker).to_vec()
    };
    assert_eq!(levels(Side::Buy, 10), [at(101, 10)]);
    assert_eq!(levels(Side::Buy, 11), [at(101, 10), at(102, 10)]);
    assert_eq!(levels(Side::Sell, 31), [at(99, 10), at(98, 10), at(97, 10)]);
    published.write_top(&top(51, at(98, 4), at(101, 10)));
    assert_eq!(levels(Side::Sell, 5), [at(98, 4), at(97, 10)]);
}

#[test]
fn levels_beyond_the_published_depth_are_cut() {
    let (published, ..) = published();
    let bids = (0..150).map(|step| at(1_000 - step, 1));
    published.write(&top(1, at(1_000, 1), at(2_000, 1)), 1, bids, std::iter::empty());
    assert_eq!(sides(&published).0.len(), DEPTH);
}

#[test]
fn tops_and_trades_wake_the_owner_of_a_crossed_order() {
    let (published, watch, signal) = published();
    watch.set(Some(Price(90)), None);
    published.write_top(&top(1, at(80, 1), at(91, 1)));
    published.write_top(&top(2, at(80, 1), at(0, 0)));
    assert!(!signal.wait(Duration::ZERO), "an empty side crosses nothing");
    published.write_top(&top(3, at(80, 1), at(90, 1)));
    assert!(signal.wait(Duration::ZERO));
    published.push_trade(&Trade { price: Price(89), quantity: Qty(1), buyer_is_maker: true, recv_ns: 1 });
    assert!(signal.wait(Duration::ZERO));
}

#[test]
fn trades_are_read_once_and_those_overwritten_are_counted() {
    let (published, ..) = published();
    let trade = |n: i64| Trade { price: Price(n), quantity: Qty(2 * n), buyer_is_maker: n % 2 == 0, recv_ns: -n };
    (0..10).for_each(|n| published.push_trade(&trade(n)));
    let mut seen = Vec::new();
    let first = published.trades.read_since(4, &mut seen);
    assert_eq!((first.cursor, first.lost, seen.len()), (10, 0, 6));
    assert_eq!(seen[0], trade(4));
    (10..2_000).for_each(|n| published.push_trade(&trade(n)));
    seen.clear();
    let second = published.trades.read_since(first.cursor, &mut seen);
    assert_eq!((second.cursor, second.lost, seen.len()), (2_000, 966, 1_024));
    assert_eq!((seen.first(), published.trades.end()), (Some(&trade(976)), 2_000));
}

/// A market in which every number follows from `n`.
fn write_numbered(published: &Published, n: u64) {
    let n64 = n as i64;
    let side = |sign: i64| (0..(n64 % 40)).map(move |step| at(sign * (n64 * 1_000 + step), n64));
    let top = TopOfBook {
        bid: at(n64, n64),
        ask: at(2 * n64, n64),
        update_id: n,
        recv_ns: n64,
        sync: Sync::Live,
        ..TopOfBook::default()
    };
    if n % 3 == 0 {
        published.write(&top, n, side(1), side(-1));
    } else {
        published.write_top(&top);
    }
}

#[test]
fn under_a_writer_that_never_rests_readers_see_only_states_that_were_written() {
    const WRITES: u64 = 200_000;
    let (published, ..) = published();
    std::thread::scope(|scope| {
        scope.spawn(|| (1..=WRITES).for_each(|n| write_numbered(&published, n)));
        let mut view = View::default();
        let mut last = 0;
        while last < WRITES {
            published.view(&mut view);
            let n = view.top.update_id as i64;
            assert_eq!((view.top.recv_ns, view.top.bid, view.top.ask.price), (n, at(n, n), Price(2 * n)));
            assert!(view.top.update_id >= last, "{} after {last}", view.top.update_id);
            last = view.top.update_id;
            // The depth of the newest third write, below a newer top that hides what is better than it.
            let depth = n - n % 3;
            if n % 3 == 0 {
                let expected: Vec<Level> = (0..depth % 40).map(|step| at(depth * 1_000 + step, depth)).collect();
                assert_eq!(view.takes(Side::Sell), expected);
            }
        }
    });
}
