//! The live book against a fetched one: a true book never diverges, a book with one false level always does.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::book::{Audit, Book};
use engine::market::Market;
use engine::units::{Price, Qty, Side};
use engine::view::{Doubt, Level, Published, Sync};
use engine::wake::{CrossWatch, Signal};
use engine::wire::{Snapshots, Span, Venue};
use proptest::prelude::*;

fn level(price: i64, quantity: i64) -> Level {
    Level { price: Price(price), quantity: Qty(quantity) }
}

/// The venue's own book: bids below 1000, asks above it.
#[derive(Debug, Clone, Default)]
struct Truth {
    id: u64,
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
}

/// One frame of the venue: how far its ids reach back into the last frame, how many are new, and its changes.
#[derive(Debug, Clone)]
struct Change {
    back: u64,
    ids: u64,
    bids: Vec<(i64, i64)>,
    asks: Vec<(i64, i64)>,
}

#[derive(Debug, Clone)]
struct Frame {
    span: Span,
    bids: Vec<Level>,
    asks: Vec<Level>,
}

impl Truth {
    fn take(&mut self, change: &Change) -> Frame {
        let first = self.id + 1 - change.back.min(self.id);
        self.id += change.ids;
        for (side, changes) in [(&mut self.bids, &change.bids), (&mut self.asks, &change.asks)] {
            side.extend(changes.iter().copied());
            side.retain(|_, quantity| *quantity > 0);
        }
        let levels = |rows: &[(i64, i64)]| rows.iter().map(|&(price, quantity)| level(price, quantity)).collect();
        Frame { span: Span::overlapping(first, self.id), bids: levels(&change.bids), asks: levels(&change.asks) }
    }

    /// The best `most` levels a side, best first.
    fn levels(&self, most: usize) -> (Vec<Level>, Vec<Level>) {
        let of = |(&price, &quantity): (&i64, &i64)| level(price, quantity);
        (self.bids.iter().rev().take(most).map(of).collect(), self.asks.iter().take(most).map(of).collect())
    }
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let rows = |prices: std::ops::Range<i64>| prop::collection::vec((prices, 0..5_i64), 0..6);
    let change = (0..4_u64, 1..6_u64, rows(700..1_000), rows(1_001..1_300));
    prop::collection::vec(change.prop_map(|(back, ids, bids, asks)| Change { back, ids, bids, asks }), 6..60)
}

/// A live book and the truth that it shows.
fn live(truth: &mut Truth) -> Book {
    (truth.bids, truth.asks) = ((800..1_000).map(|p| (p, 7)).collect(), (1_001..1_200).map(|p| (p, 7)).collect());
    truth.id = 100;
    let mut book = Book::new(Snapshots::Fetched);
    let (bids, asks) = truth.levels(usize::MAX);
    book.offer(truth.id, &bids, &asks);
    let frame = truth.take(&Change { back: 0, ids: 1, bids: vec![], asks: vec![] });
    book.apply(&frame.span, &frame.bids, &frame.asks);
    assert_eq!(book.sync(), Sync::Live);
    book
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_book_that_follows_the_venue_never_diverges(
        changes in changes(), began in 0..60_usize, asked in 0..60_usize, most in prop::sample::select(vec![1, 5, 100, 400])
    ) {
        let (began, asked) = (began % changes.len(), asked % changes.len());
        let mut truth = Truth::default();
        let mut book = live(&mut truth);
        let mut fetched = None;
        for (at, change) in changes.iter().enumerate() {
            if at == began {
                prop_assert!(book.begin_audit());
            }
            if at == asked {
                fetched = Some((truth.id, truth.levels(most)));
            }
            let frame = truth.take(change);
            book.apply(&frame.span, &frame.bids, &frame.asks);
        }
        let (id, (bids, asks)) = fetched.expect("it was asked");
        let audit = book.audit(id, &bids, &asks);
        if asked < began {
            prop_assert_eq!(audit, Audit::TooOld);
        } else {
            prop_assert!(matches!(audit, Audit::Agrees { .. }), "{:?}", audit);
        }
        prop_assert_eq!(book.sync(), Sync::Live);
        // An audit is over with its answer.
        prop_assert_eq!(book.audit(id, &bids, &asks), Audit::TooOld);
    }

    #[test]
    fn a_book_with_one_false_level_always_diverges_and_is_desynced(
        changes in changes(), at in 0..60_usize, depth in 0..90_usize, ours in 0..5_i64, sell in any::<bool>()
    ) {
        let at = at % changes.len();
        let mut truth = Truth::default();
        let mut book = live(&mut truth);
        prop_assert!(book.begin_audit());
        let mut fetched = None;
        let mut price = 0;
        for (now, change) in changes.iter().enumerate() {
            if now == at {
                let (bids, asks) = truth.levels(usize::MAX);
                price = if sell { asks[depth.min(asks.len() - 1)] } else { bids[depth.min(bids.len() - 1)] }.price.0;
                let theirs = if sell { truth.asks[&price] } else { truth.bids[&price] };
                // A frame that never was: the book alone takes it.
                let ours = if ours == theirs { theirs + 1 } else { ours };
                truth.id += 1;
                let wrong = [level(price, ours)];
                let (bids, asks) = if sell { (&[][..], &wrong[..]) } else { (&wrong[..], &[][..]) };
                book.apply(&Span::overlapping(truth.id, truth.id), bids, asks);
                fetched = Some((truth.id, truth.levels(1_000)));
            }
            // Nothing repairs it, and it stays among the best: after it only its own price is left alone.
            let mut change = change.clone();
            let mine = if sell { &mut change.asks } else { &mut change.bids };
            mine.retain(|(changed, _)| now < at || (*changed != price && (*changed < price) != sell));
            let frame = truth.take(&change);
            book.apply(&frame.span, &frame.bids, &frame.asks);
        }
        let (id, (bids, asks)) = fetched.expect("it was asked");
        let audit = book.audit(id, &bids, &asks);
        let side = if sell { Side::Sell } else { Side::Buy };
        let found = matches!(audit, Audit::Diverged { side: s, price: p, ours, theirs } if s == side && p.0 == price && ours != theirs);
        prop_assert!(found, "{audit:?} at {price}");
        prop_assert_eq!((book.sync(), book.doubt()), (Sync::Desynced, Doubt::Diverged));
        prop_assert_eq!(book.audit(id, &bids, &asks), Audit::Unsynced);
    }
}

#[test]
fn a_fetched_book_that_is_newer_than_the_stream_waits_for_it() {
    let mut truth = Truth::default();
    let mut book = live(&mut truth);
    assert!(book.begin_audit());
    let frame = truth.take(&Change { back: 0, ids: 5, bids: vec![(999, 3)], asks: vec![] });
    let (bids, asks) = truth.levels(100);
    assert_eq!(book.audit(truth.id, &bids, &asks), Audit::Waiting);
    book.apply(&frame.span, &frame.bids, &frame.asks);
    assert_eq!(book.audit(truth.id, &bids, &asks), Audit::Agrees { levels: 200 });
}

#[test]
fn a_fetched_side_without_a_level_is_known_to_be_empty() {
    for (ours, empty) in [(3, Side::Buy), (3, Side::Sell), (0, Side::Buy)] {
        let mut truth = Truth::default();
        let mut book = live(&mut truth);
        let (bids, asks) = truth.levels(usize::MAX);
        let clear =
            |levels: &[Level], but: usize| levels[but..].iter().map(|l| level(l.price.0, 0)).collect::<Vec<_>>();
        let left = |side: Side| if side == empty { ours } else { 199 };
        truth.id += 1;
        let frame = Span::overlapping(truth.id, truth.id);
        book.apply(&frame, &clear(&bids, left(Side::Buy)), &clear(&asks, left(Side::Sell)));
        assert!(book.begin_audit());
        let (their_bids, their_asks) = if empty == Side::Buy { (&[][..], &asks[..]) } else { (&bids[..], &[][..]) };
        let audit = book.audit(truth.id, their_bids, their_asks);
        if ours == 0 {
            assert_eq!(audit, Audit::Agrees { levels: 100 });
        } else {
            assert!(matches!(audit, Audit::Diverged { side, theirs: Qty(0), .. } if side == empty), "{audit:?}");
        }
    }
}

#[test]
fn without_a_live_book_or_a_beginning_there_is_no_audit() {
    let mut empty = Book::new(Snapshots::Fetched);
    assert!(!empty.begin_audit());
    assert_eq!(empty.audit(1, &[], &[]), Audit::Unsynced);
    let mut book = live(&mut Truth::default());
    assert_eq!(book.audit(101, &[], &[]), Audit::TooOld);
    book.begin_audit();
    book.desync(Doubt::Gap);
    assert_eq!(book.audit(101, &[], &[]), Audit::Unsynced);
}

#[test]
fn what_is_kept_for_an_audit_is_bounded() {
    let mut truth = Truth::default();
    let mut book = live(&mut truth);
    book.begin_audit();
    let (id, (bids, asks)) = (truth.id, truth.levels(100));
    for _ in 0..6_001 {
        let frame = truth.take(&Change { back: 0, ids: 1, bids: vec![], asks: vec![] });
        book.apply(&frame.span, &frame.bids, &frame.asks);
    }
    assert_eq!((book.audit(id, &bids, &asks), book.sync()), (Audit::TooOld, Sync::Live));
}

#[test]
fn a_market_counts_its_audits_and_publishes_what_they_found() {
    let published = Arc::new(Published::new(Arc::new(CrossWatch::new(Arc::new(Signal::default())))));
    let mut market = Market::new(Venue::Binance, "BTCUSDT", Arc::clone(&published));
    let frame = br#"{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":11,"u":11,"b":[["99","1"]],"a":[["101","1"]]}"#;
    let fetched = |size: &str| format!(r#"{{"lastUpdateId":11,"bids":[["99","{size}"]],"asks":[["101","1"]]}}"#);
    market.apply(frame, 1);
    market.offer_snapshot(br#"{"lastUpdateId":10,"bids":[],"asks":[]}"#);
    assert!(market.begin_audit());
    assert!(market.audit(b"no book").is_err());
    assert_eq!(market.audit(fetched("1").as_bytes()), Ok(Audit::Agrees { levels: 2 }));
    assert!(market.begin_audit());
    let found = Audit::Diverged {
        side: Side::Buy,
        price: Price(99_0000_0000),
        ours: Qty(1_0000_0000),
        theirs: Qty(2_0000_0000),
    };
    assert_eq!(market.audit(fetched("2").as_bytes()), Ok(found));
    assert_eq!((published.top().sync, published.top().doubt), (Sync::Desynced, Doubt::Diverged));
    assert_eq!((market.counters().audits.get(), market.counters().divergences.get()), (2, 1));
}
