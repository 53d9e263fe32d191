//! What the Coinbase scanner accepts, passes over and refuses.

mod wire;

use std::sync::Arc;

use engine::market::{Applied, Market};
use engine::units::{Price, Qty};
use engine::view::{Level, Published};
use engine::wake::{CrossWatch, Signal};
use engine::wire::{Join, MAX_FRAME_TRADES, Message, Refusal, Span, Venue, WireError};
use proptest::prelude::*;
use wire::{Dialect, holds_for, level, missing, print};

const COINBASE: Dialect = Dialect { venue: Venue::Coinbase, symbol: "BTC-USD" };

const HEAD: &str = r#"{"channel":"l2_data","timestamp":"2026-04-07T14:30:00.123456Z","sequence_num":7,"events":["#;
const BID: &str = r#"{"side":"bid","event_time":"1970-01-01T00:00:00Z","price_level":"83532.15","new_quantity":"1.5"}"#;
const ASK: &str =
    r#"{"side":"offer","event_time":"1970-01-01T00:00:00Z","price_level":"138991023.41","new_quantity":"0.00000238"}"#;
const TRADES: &str = r#"{"channel":"market_trades","client_id":"","timestamp":"t","sequence_num":3,"events":[{"type":"update","trades":[{"product_id":"BTC-USD","trade_id":"3","price":"65083.67","size":"0.002186","time":"x","side":"SELL"},{"product_id":"ETH-USD","trade_id":"9","price":"1","size":"1","time":"x","side":"SELL"},{"product_id":"BTC-USD","trade_id":"2","price":"65083.66","size":"1","time":"x","side":"BUY"}]}]}"#;

fn event(kind: &str, product: &str, rows: &[&str]) -> String {
    format!(r#"{{"type":"{kind}","product_id":"{product}","updates":[{}]}}"#, rows.join(","))
}

fn frame(events: &[String]) -> String {
    format!("{HEAD}{}]}}", events.join(","))
}

fn update() -> String {
    frame(&[event("update", "BTC-USD", &[BID, ASK])])
}

fn row(side: &str, price: &str, quantity: &str) -> String {
    format!(r#"{{"side":"{side}","event_time":"t","price_level":"{price}","new_quantity":"{quantity}"}}"#)
}

fn depth(sequence: u64) -> Message {
    let (first_id, last_id, version) = (sequence, sequence, sequence);
    Message::Depth(Span { first_id, last_id, join: Join::Unnumbered, version, checksum: None })
}

fn snapshot(sequence: u64) -> Message {
    Message::Snapshot { id: sequence, version: sequence, checksum: None }
}

#[test]
fn snapshots_and_updates_are_read_with_the_number_of_their_message() {
    for (kind, message) in [("snapshot", snapshot(7)), ("update", depth(7))] {
        let (read, scratch) = COINBASE.scan(frame(&[event(kind, "BTC-USD", &[BID, ASK])]));
        assert_eq!((read, scratch.sequence), (Ok(message), Some(7)));
        assert_eq!(scratch.bids, [level("83532.15", "1.5")]);
        assert_eq!(scratch.asks, [level("138991023.41", "0.00000238")]);
    }
    let documented = update().replacen("\"timestamp\"", "\"client_id\":\"\",\"timestamp\"", 1);
    assert_eq!(COINBASE.message(&documented), Ok(depth(7)));
}

#[test]
fn a_zero_removes_in_any_spelling() {
    for zero in ["0", "0.0", "0.00000000", "000"] {
        let (message, scratch) = COINBASE.scan(frame(&[event("update", "BTC-USD", &[&row("bid", "2", zero)])]));
        assert_eq!((message, scratch.bids), (Ok(depth(7)), vec![level("2", "0")]), "{zero}");
    }
}

#[test]
fn key_order_blanks_escapes_and_unknown_fields_change_nothing() {
    for frame in [
        r#" { "events" : [ { "updates" : [ { "new_quantity" : "1.50" , "x" : [ {} ] , "price_level":"83532.150", "side":"bid" } ] , "new" : 1 , "product_id":"BTC-USD","type":"update" } ] , "sequence_num" : 7 , "channel" : "l2_data" } "#,
        r#"{"ch\u0061nnel":"l2\u005fdata","sequence_num":7,"events":[{"type":"upd\u0061te","product_id":"BTC\u002DUSD","updates":[{"side":"\u0062id","price_level":"8353\u0032.15","new_quantity":"1.5","é":"ü"}]}]}"#,
    ] {
        let (message, scratch) = COINBASE.scan(frame);
        assert_eq!((message, scratch.sequence), (Ok(depth(7)), Some(7)), "{frame}");
        assert_eq!((scratch.bids, scratch.asks), (vec![level("83532.15", "1.5")], vec![]), "{frame}");
    }
}

#[test]
fn every_event_of_a_message_counts_and_only_those_of_the_product() {
    let other = event("snapshot", "ETH-USD", &[BID, BID]);
    let (first, second) = (event("update", "BTC-USD", &[BID]), event("update", "BTC-USD", &[ASK]));
    let (message, scratch) = COINBASE.scan(frame(&[other.clone(), first, other.clone(), second]));
    assert_eq!((message, scratch.bids.len(), scratch.asks.len()), (Ok(depth(7)), 1, 1));
    let (message, scratch) = COINBASE.scan(frame(&[other]));
    assert_eq!((message, scratch.sequence), (Ok(Message::Unrelated("another symbol")), Some(7)));
    assert_eq!(COINBASE.message(frame(&[])), Ok(Message::Unrelated("another symbol")));
}

#[test]
fn a_snapshot_voids_what_stood_before_it_in_its_message_and_takes_what_stands_behind() {
    let early = event("update", "BTC-USD", &[&row("bid", "9", "9")]);
    let whole = event("snapshot", "BTC-USD", &[BID, ASK]);
    let late = event("update", "BTC-USD", &[&row("bid", "83532.15", "0"), &row("bid", "2", "3")]);
    let (message, scratch) = COINBASE.scan(frame(&[early, whole, late]));
    assert_eq!(message, Ok(snapshot(7)));
    // Of a price given twice a book keeps the last word, and none at 0.
    assert_eq!(scratch.bids, [level("83532.15", "1.5"), level("83532.15", "0"), level("2", "3")]);
    assert_eq!(scratch.asks.len(), 1);
}

#[test]
fn trades_come_out_oldest_first_with_the_makers_side_turned_into_the_takers() {
    let (message, scratch) = COINBASE.scan(TRADES);
    assert_eq!((message, scratch.sequence), (Ok(Message::Trades), Some(3)));
    assert_eq!(scratch.trades, [print("65083.66", "1", true), print("65083.67", "0.002186", false)]);
}

#[test]
fn trades_from_before_the_subscription_are_passed_over() {
    let (message, scratch) = COINBASE.scan(TRADES.replacen("update", "snapshot", 1));
    assert_eq!(message, Ok(Message::Unrelated("trades before the subscription")));
    assert!(scratch.trades.is_empty());
}

#[test]
fn other_channels_answers_and_errors_are_told_apart_and_counted() {
    let unrelated = Message::Unrelated;
    for (frame, expected, sequence) in [
        (
            r#"{"channel":"heartbeats","sequence_num":4,"events":[{"current_time":"x","heartbeat_counter":42}]}"#,
            unrelated("heartbeat"),
            Some(4),
        ),
        (
            r#"{"channel":"heartbeats","sequence_num":4,"events":[{"heartbeat_counter":"42"}]}"#,
            unrelated("heartbeat"),
            Some(4),
        ),
        (
            r#"{"channel":"subscriptions","sequence_num":0,"events":[{"subscriptions":{"level2":["BTC-USD"]}}]}"#,
            Message::Reply { accepted: true },
            Some(0),
        ),
        (
            r#"{"channel":"ticker","sequence_num":6,"events":[{"type":"snapshot","tickers":[]}]}"#,
            unrelated("unknown event"),
            Some(6),
        ),
        (r#"{"type":"error","message":"authentication failure"}"#, Message::Reply { accepted: false }, None),
        (r#"{"type":"error","message":"x","sequence_num":9}"#, Message::Reply { accepted: false }, Some(9)),
        ("{}", unrelated("unknown event"), None),
    ] {
        let (message, scratch) = COINBASE.scan(frame);
        assert_eq!((message, scratch.sequence), (Ok(expected), sequence), "{frame}");
    }
}

#[test]
fn malformed_frames_are_refused_with_the_reason() {
    COINBASE.refuses_odd_numbers(&update(), ("1.5", "new_quantity"), ("83532.15", "price_level"));
    COINBASE.refuses_odd_ids(&update(), "sequence_num", "7");
    let cases = [
        ("\"price_level\":\"83532.15\"", "\"price\":\"1\"", missing("price_level")),
        ("\"bid\"", "\"ask\"", WireError::Unknown("side")),
        ("\"bid\"", "1", missing("side")),
        ("\"side\":\"bid\"", "\"side\":\"bid\",\"side\":\"bid\"", WireError::Duplicate("side")),
        ("\"update\"", "\"delta\"", WireError::Unknown("type")),
        ("\"type\":\"update\",", "", missing("type")),
        ("\"product_id\":\"BTC-USD\",", "", missing("product_id")),
        ("\"updates\":[", "\"updates\":{},\"y\":[", missing("updates")),
        ("\"updates\":[", "\"y\":[", missing("updates")),
        ("\"events\":[", "\"y\":[", missing("events")),
        ("\"channel\":\"l2_data\"", "\"channel\":7", missing("channel")),
    ];
    COINBASE.refuses(&update(), true, &cases);
}

#[test]
fn a_damaged_trade_is_refused_and_is_no_depth() {
    for (from, to, error) in [
        ("\"SELL\"", "\"sell\"", WireError::Unknown("side")),
        ("\"0.002186\"", "0.002186", WireError::Missing("size")),
        ("\"product_id\":\"BTC-USD\",", "", WireError::Missing("product_id")),
        ("\"trades\":[", "\"x\":[", WireError::Missing("trades")),
    ] {
        let (message, scratch) = COINBASE.scan(TRADES.replacen(from, to, 1));
        assert_eq!((message, scratch.sequence), (Err(Refusal { error, may_be_depth: false }), Some(3)), "{to}");
    }
    let rows = vec![r#"{"product_id":"BTC-USD","price":"1","size":"1","side":"BUY"}"#; MAX_FRAME_TRADES + 1].join(",");
    let many = TRADES.replacen("\"trades\":[", &format!("\"trades\":[{rows},"), 1);
    assert_eq!(COINBASE.error(&many), WireError::TooManyTrades);
}

#[test]
fn no_body_is_a_snapshot_of_this_venue() {
    assert!(COINBASE.snapshot(r#"{"pricebook":{"product_id":"BTC-USD","bids":[],"asks":[]}}"#).is_err());
}

holds_for!(COINBASE, [update(), frame(&[event("snapshot", "BTC-USD", &[BID, ASK])]), TRADES.to_owned()]);

proptest! {
    #[test]
    fn short_and_general_road_agree_on_levels(
        levels in prop::collection::vec((any::<bool>(), 1..i64::MAX, 0..10_000_000_000_i64), 1..40),
    ) {
        let rows: Vec<String> = levels
            .iter()
            .map(|&(bid, price, size)| row(if bid { "bid" } else { "offer" }, &Price(price).to_string(), &Price(size).to_string()))
            .collect();
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        let frame = frame(&[event("update", "BTC-USD", &rows)]);
        let side = |bid| levels.iter().filter(move |row| row.0 == bid).map(|&(_, p, q)| Level { price: Price(p), quantity: Qty(q) });
        let (message, scratch) = COINBASE.scan(&frame);
        prop_assert_eq!((message, scratch.sequence), (Ok(depth(7)), Some(7)));
        prop_assert_eq!((scratch.bids, scratch.asks), (side(true).collect(), side(false).collect()));
        COINBASE.roads_agree(frame.as_bytes())?;
    }
}

fn market() -> Market {
    let watch = Arc::new(CrossWatch::new(Arc::new(Signal::default())));
    Market::new(Venue::Coinbase, "BTC-USD", Arc::new(Published::new(watch)))
}

/// The frame with another number.
fn numbered(frame: &str, sequence: u64) -> Vec<u8> {
    frame.replacen("\"sequence_num\":7", &format!("\"sequence_num\":{sequence}"), 1).into_bytes()
}

#[test]
fn a_book_of_a_snapshot_and_an_update_in_one_message_holds_the_last_word_on_each_level() {
    let whole = event("snapshot", "BTC-USD", &[BID, &row("bid", "2", "1"), ASK]);
    let late =
        event("update", "BTC-USD", &[&row("bid", "83532.15", "0"), &row("bid", "2", "3"), &row("bid", "1", "4")]);
    let mut market = market();
    assert_eq!(market.apply(frame(&[whole, late]).as_bytes(), 0), Applied::Snapshot);
    assert_eq!(market.book().bids().collect::<Vec<_>>(), [level("2", "3"), level("1", "4")]);
    assert_eq!(market.book().asks().len(), 1);
}

#[test]
fn a_hole_in_the_count_ends_the_book_whatever_was_lost_and_a_snapshot_alone_brings_it_back() {
    let whole = frame(&[event("snapshot", "BTC-USD", &[BID, ASK])]);
    let (change, other) = (update(), frame(&[event("update", "ETH-USD", &[BID])]));
    for behind in [change.clone(), other.clone()] {
        let mut market = market();
        assert_eq!(market.apply(&numbered(&change, 1), 0), Applied::Ignored("waits for a snapshot"));
        assert_eq!(market.apply(&numbered(&whole, 2), 0), Applied::Snapshot);
        assert_eq!(market.apply(&numbered(&other, 3), 0), Applied::Ignored("another symbol"));
        assert_eq!(market.apply(&numbered(&change, 3), 0), Applied::Ignored("sent twice"));
        assert_eq!(market.apply(&numbered(&change, 4), 0), Applied::Depth);
        assert_eq!(market.apply(&numbered(&behind, 6), 0), Applied::Gap { expected: 5, received: 6 });
        assert!(market.wants_subscription());
        assert_eq!(market.apply(&numbered(&change, 7), 0), Applied::Ignored("waits for a snapshot"));
        assert_eq!(market.apply(&numbered(&whole, 9), 0), Applied::Snapshot);
        assert!(!market.wants_subscription());
    }
}

#[test]
fn a_damaged_trade_keeps_the_book_and_a_damaged_update_ends_it() {
    let whole = frame(&[event("snapshot", "BTC-USD", &[BID, ASK])]);
    let mut market = market();
    assert_eq!(market.apply(&numbered(&whole, 2), 0), Applied::Snapshot);
    assert!(matches!(market.apply(TRADES.replacen("SELL", "?", 1).as_bytes(), 0), Applied::Refused(_)));
    assert_eq!(market.apply(&numbered(&update(), 4), 0), Applied::Depth);
    let damaged = numbered(&update().replacen("\"bid\"", "\"?\"", 1), 5);
    assert_eq!(market.apply(&damaged, 0), Applied::Refused(WireError::Unknown("side")));
    assert!(market.wants_subscription());
}
