//! Frames in, published market out.

use std::sync::Arc;

use engine::market::{Applied, Market, SnapshotOutcome};
use engine::units::Side;
use engine::view::{Published, Sync, View};
use engine::wake::{CrossWatch, Signal};
use engine::wire::{Venue, WireError};

fn market() -> (Market, Arc<Published>) {
    let watch = Arc::new(CrossWatch::new(Arc::new(Signal::default())));
    let published = Arc::new(Published::new(watch));
    (Market::new(Venue::Binance, "BTCUSDT", Arc::clone(&published)), published)
}

fn depth(first: u64, last: u64, bids: &str, asks: &str) -> Vec<u8> {
    let data = format!(r#"{{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":{first},"u":{last},"b":[{bids}],"a":[{asks}]}}"#);
    format!(r#"{{"stream":"btcusdt@depth@100ms","data":{data}}}"#).into_bytes()
}

fn ticker(id: u64, bid: &str, ask: &str) -> Vec<u8> {
    format!(r#"{{"u":{id},"s":"BTCUSDT","b":"{bid}","B":"1","a":"{ask}","A":"2"}}"#).into_bytes()
}

const SNAPSHOT: &[u8] = br#"{"lastUpdateId":100,"bids":[["99","1"],["98","1"]],"asks":[["101","1"],["102","1"]]}"#;

fn live() -> (Market, Arc<Published>) {
    let (mut market, published) = market();
    assert_eq!(market.apply(&depth(99, 101, "", ""), 1), Applied::Buffered);
    assert_eq!(market.offer_snapshot(SNAPSHOT), SnapshotOutcome::Bridged);
    (market, published)
}

fn prices(published: &Published) -> (String, String) {
    let top = published.top();
    (top.bid.price.to_string(), top.ask.price.to_string())
}

/// Levels of a view without depth: the best bid and ask.
const TOP_ALONE: usize = 2;

fn levels(published: &Published) -> usize {
    let mut view = View::default();
    published.view(&mut view);
    view.takes(Side::Buy).len() + view.takes(Side::Sell).len()
}

#[test]
fn the_frame_in_the_buffer_bridges_the_snapshot() {
    let (market, published) = live();
    assert_eq!((published.top().sync, published.top().update_id), (Sync::Live, 101));
    assert_eq!(prices(&published), ("99".into(), "101".into()));
    assert_eq!((market.counters().applied.get(), market.counters().resyncs.get()), (1, 0));
}

#[test]
fn a_frame_that_starts_right_after_the_snapshot_bridges_it() {
    let (mut market, published) = market();
    assert_eq!(market.offer_snapshot(SNAPSHOT), SnapshotOutcome::Waiting);
    assert_eq!(published.top().sync, Sync::Empty);
    assert!(matches!(market.apply(&depth(95, 100, "", ""), 1), Applied::Ignored(_)));
    assert_eq!(market.apply(&depth(101, 103, r#"["100","5"]"#, ""), 2), Applied::Depth);
    assert_eq!(prices(&published), ("100".into(), "101".into()));
}

#[test]
fn the_newer_of_ticker_and_depth_is_the_top() {
    let (mut market, published) = live();
    assert_eq!(market.apply(&ticker(105, "99.5", "100.5"), 5), Applied::Top);
    assert_eq!(market.apply(&depth(102, 104, r#"["99.1","1"]"#, ""), 6), Applied::Depth);
    assert_eq!(prices(&published), ("99.5".into(), "100.5".into()));
    assert_eq!(market.apply(&depth(105, 106, r#"["99.2","1"]"#, ""), 7), Applied::Depth);
    assert_eq!(prices(&published), ("99.2".into(), "101".into()));
    assert!(matches!(market.apply(&ticker(105, "1", "2"), 8), Applied::Ignored(_)));
    assert_eq!(
        (prices(&published), published.top().recv_ns),
        (("99.2".into(), "101".into()), 7),
        "old news is not fresh"
    );
}

#[test]
fn a_gap_unsyncs_at_once_and_a_new_snapshot_resyncs() {
    let (mut market, published) = live();
    assert_eq!(market.apply(&depth(104, 105, "", ""), 2), Applied::Gap { expected: 102, received: 104 });
    assert_eq!((published.top().sync, levels(&published)), (Sync::Desynced, TOP_ALONE));
    assert!(market.wants_snapshot());
    let newer = br#"{"lastUpdateId":104,"bids":[["97","1"]],"asks":[["103","1"]]}"#;
    assert_eq!(market.offer_snapshot(newer), SnapshotOutcome::Bridged);
    assert_eq!((published.top().sync, levels(&published)), (Sync::Live, 2));
    let counters = market.counters();
    assert_eq!((counters.gaps.get(), counters.resyncs.get(), counters.snapshots.get()), (1, 1, 2));
}

#[test]
fn a_refused_depth_frame_unsyncs_and_a_refused_ticker_does_not() {
    let (mut market, published) = live();
    let broken = br#"{"stream":"btcusdt@bookTicker","data":{"u":1,"s":"BTCUSDT","b":"x","B":"1","a":"1","A":"1"}}"#;
    assert!(matches!(market.apply(broken, 2), Applied::Refused(WireError::Number { field: "b", .. })));
    assert_eq!(published.top().sync, Sync::Live);
    assert!(matches!(market.apply(&depth(102, 103, r#"["1","-1"]"#, ""), 3), Applied::Refused(_)));
    assert_eq!((published.top().sync, levels(&published)), (Sync::Desynced, TOP_ALONE));
}

#[test]
fn a_crossing_frame_and_a_lost_connection_unsync() {
    let (mut market, published) = live();
    assert_eq!(market.apply(&depth(102, 103, r#"["101","1"]"#, ""), 2), Applied::Crossed);
    assert_eq!((published.top().sync, market.counters().crossed.get()), (Sync::Desynced, 1));
    let (mut market, published) = live();
    market.disconnected();
    assert_eq!((published.top().sync, levels(&published), market.wants_snapshot()), (Sync::Desynced, 0, false));
    assert_eq!(market.apply(&ticker(3, "5", "6"), 9), Applied::Top, "the next connection may count anew");
}

#[test]
fn trades_do_not_make_the_book_look_fresh() {
    let (mut market, published) = live();
    let trade = br#"{"e":"trade","s":"BTCUSDT","t":5,"p":"100","q":"0.5","m":false}"#;
    assert_eq!(market.apply(trade, 50), Applied::Trade);
    assert_eq!((published.top().recv_ns, published.trades.end()), (1, 1));
}

#[test]
fn tops_alone_keep_a_book_fresh_for_one_second_while_its_depth_is_behind_them() {
    const SECOND_NS: i64 = 1_000_000_000;
    let (mut market, published) = live();
    let fresh_ns = |published: &Published| published.top().recv_ns;
    market.apply(&ticker(101, "99", "101"), SECOND_NS);
    assert_eq!(fresh_ns(&published), SECOND_NS, "as far as the depth");
    market.apply(&ticker(102, "99", "100.5"), SECOND_NS + 9);
    market.apply(&ticker(103, "99", "100.4"), 2 * SECOND_NS - 1);
    assert_eq!(fresh_ns(&published), 2 * SECOND_NS - 1);
    market.apply(&ticker(104, "99", "100.3"), 2 * SECOND_NS);
    assert_eq!((fresh_ns(&published), published.top().update_id), (2 * SECOND_NS - 1, 104), "shown, and not fresh");
    market.apply(&depth(102, 103, r#"["98","2"]"#, ""), 7 * SECOND_NS);
    market.apply(&ticker(105, "99", "100.2"), 8 * SECOND_NS - 1);
    assert_eq!(fresh_ns(&published), 8 * SECOND_NS - 1, "the depth goes on");
    market.apply(&depth(90, 100, "", ""), 9 * SECOND_NS);
    assert_eq!(fresh_ns(&published), 8 * SECOND_NS - 1, "old news");
    assert_eq!(market.counters().duplicates.get(), 1);
}

#[test]
fn behind_a_silence_only_the_depth_makes_a_book_fresh_as_it_alone_can_show_a_gap() {
    const SILENCE_NS: i64 = 2_300_000_000;
    let (mut market, published) = live();
    assert_eq!(market.apply(&ticker(140, "99", "101"), SILENCE_NS), Applied::Top);
    assert_eq!((published.top().sync, published.top().recv_ns), (Sync::Live, 1));
    assert!(matches!(market.apply(&depth(139, 141, "", ""), SILENCE_NS + 5), Applied::Gap { .. }));
    let (mut market, published) = live();
    market.apply(&ticker(102, "99", "101"), SILENCE_NS);
    assert_eq!(market.apply(&depth(102, 103, "", ""), SILENCE_NS + 5), Applied::Depth);
    assert_eq!(published.top().recv_ns, SILENCE_NS + 5);
}

#[test]
fn a_receive_time_far_from_the_last_one_is_borne() {
    for (first, second) in [(i64::MIN, i64::MAX), (i64::MAX, i64::MIN)] {
        let (mut market, published) = live();
        assert_eq!(market.apply(&ticker(105, "99", "101"), first), Applied::Top);
        assert_eq!(market.apply(&depth(102, 103, "", ""), second), Applied::Depth);
        assert!([i64::MIN, 0, i64::MAX].map(|now| published.top().age_ns(now)).iter().all(|&age| age >= 0));
    }
}

#[test]
fn every_doubt_has_its_name_and_keeps_it_until_the_next() {
    let doubt_after = |frame: &[u8]| {
        let (mut market, published) = live();
        market.apply(frame, 2);
        (published.top().sync, published.top().doubt.word())
    };
    assert_eq!(doubt_after(&depth(102, 103, "", "")), (Sync::Live, ""));
    assert_eq!(doubt_after(&depth(104, 105, "", "")), (Sync::Desynced, "gap"));
    assert_eq!(doubt_after(&depth(102, 103, r#"["101","1"]"#, "")), (Sync::Desynced, "crossed"));
    assert_eq!(doubt_after(b"{"), (Sync::Desynced, "refused"));
    let (mut market, published) = live();
    market.disconnected();
    assert_eq!((published.top().sync, published.top().doubt.word()), (Sync::Desynced, "disconnected"));
}
