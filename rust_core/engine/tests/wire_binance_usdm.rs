//! What the scanner of Binance's futures accepts, passes over and refuses.

mod wire;

use engine::wire::{Message, Span, Venue, WireError};
use proptest::prelude::*;
use wire::{Dialect, bids, holds_for, level, missing, print};

const FUTURES: Dialect = Dialect { venue: Venue::BinanceUsdm, symbol: "BTCUSDT" };

const TICKER: &str = r#"{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":2710246762461,"s":"BTCUSDT","b":"28145.10","B":"3.868","a":"28145.20","A":"6.887","T":1680652700430,"E":1680652700435}}"#;
const DEPTH: &str = r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1680652700594,"T":1680652700586,"s":"BTCUSDT","U":157,"u":160,"pu":149,"b":[["5000.00","14.368"],["28018.90","0.000"]],"a":[["28145.20","6.961"]]}}"#;
const TRADE: &str = r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1680652700455,"T":1680652700452,"s":"BTCUSDT","t":3535186032,"p":"28145.10","q":"0.002","X":"MARKET","m":true}}"#;

/// The part behind `"data":` without the closing brace of the frame.
fn raw(frame: &str) -> String {
    let data = frame.split_once("\"data\":").expect("a combined frame").1;
    data[..data.len() - 1].to_owned()
}

#[test]
fn combined_and_raw_frames_say_the_same() {
    let top =
        Message::Top { version: 2_710_246_762_461, bid: level("28145.1", "3.868"), ask: level("28145.2", "6.887") };
    for wrap in [|frame: &str| frame.to_owned(), raw] {
        assert_eq!(FUTURES.message(wrap(TICKER)), Ok(top));
        let (message, bids, asks) = FUTURES.read(wrap(DEPTH));
        assert_eq!(message, Ok(Message::Depth(Span::exactly_after(149, 160))));
        assert_eq!(bids, [level("5000", "14.368"), level("28018.9", "0")]);
        assert_eq!(asks, [level("28145.2", "6.961")]);
        let (message, scratch) = FUTURES.scan(wrap(TRADE));
        assert_eq!((message, scratch.trades), (Ok(Message::Trades), vec![print("28145.1", "0.002", true)]));
    }
}

#[test]
fn key_order_blanks_escapes_and_unknown_fields_change_nothing() {
    let odd = r#" {"data":{"pu":149,"a":[ [ "28145.2" , "6.96100000" , [] ] ],"b":[],"u":160,"U":157,"\u0073":"BTCUSD\u0054","new":{"pu":1},"e":"depthUpdate"},"stream":"btcusdt@depth"} "#;
    let (message, bids, asks) = FUTURES.read(odd);
    assert_eq!(message, Ok(Message::Depth(Span::exactly_after(149, 160))));
    assert_eq!((bids, asks), (vec![], vec![level("28145.2", "6.961")]));
}

#[test]
fn other_events_symbols_and_answers_are_told_apart() {
    let unrelated = Message::Unrelated;
    for (frame, expected) in [
        (TRADE.replacen("MARKET", "INSURANCE_FUND", 1), unrelated("a trade outside the market")),
        (TRADE.replacen("MARKET", "NA", 1), unrelated("a trade outside the market")),
        (DEPTH.replacen("BTCUSDT", "ETHUSDT", 1), unrelated("another symbol")),
        (r#"{"e":"markPriceUpdate","p":"1.123456789"}"#.to_owned(), unrelated("unknown event")),
        (r#"{"result":null,"id":1}"#.to_owned(), Message::Reply { accepted: true }),
        (r#"{"code":2,"msg":"Invalid request","id":1}"#.to_owned(), Message::Reply { accepted: false }),
    ] {
        assert_eq!(FUTURES.message(&frame), Ok(expected), "{frame}");
    }
}

#[test]
fn malformed_depth_is_refused_with_the_reason() {
    FUTURES.refuses_odd_numbers(DEPTH, ("6.961", "a"), ("5000.00", "b"));
    for (key, digits) in [("U", "157"), ("u", "160"), ("pu", "149")] {
        FUTURES.refuses_odd_ids(DEPTH, key, digits);
    }
    let backward = WireError::Backward { first_id: 161, last_id: 160 };
    let cases = [("\"pu\":149,", "\"pu\":160,", backward), ("\"U\":157,", "\"U\":161,", backward)];
    FUTURES.refuses(DEPTH, true, &cases);
}

#[test]
fn a_snapshot_may_say_when_it_was_made() {
    let snapshot = |body: &str| FUTURES.snapshot(body);
    let body = r#"{"lastUpdateId":160,"E":1680652700590,"T":1680652700580,"bids":[["1.0","2"]],"asks":[]}"#;
    assert_eq!(snapshot(body), Ok(160));
    assert_eq!(snapshot(&body.replacen("1.0", "0.0", 1)), Err(WireError::NoPrice("bids")));
    assert_eq!(snapshot(r#"{"E":1,"bids":[],"asks":[]}"#), Err(missing("lastUpdateId")));
}

holds_for!(FUTURES, [TICKER, DEPTH, TRADE]);

proptest! {
    #[test]
    fn short_and_general_road_agree_on_levels(bids in bids()) {
        FUTURES.roads_read(DEPTH, "[[\"5000.00\",\"14.368\"],[\"28018.90\",\"0.000\"]]", &bids, "")?;
    }
}
