//! What the Binance scanner accepts, passes over and refuses.

mod wire;

use engine::wire::{MAX_FRAME_LEVELS, Message, Span, Venue, WireError};
use proptest::prelude::*;
use wire::{Dialect, bids, holds_for, level, missing, print};

const BINANCE: Dialect = Dialect { venue: Venue::Binance, symbol: "BTCUSDT" };

const TICKER: &str = r#"{"stream":"btcusdt@bookTicker","data":{"u":400900217,"s":"BTCUSDT","b":"83532.15000000","B":"1.53981000","a":"83532.16000000","A":"0.42000000"}}"#;
const DEPTH: &str = r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1790247036700,"s":"BTCUSDT","U":157,"u":160,"b":[["83532.15000000","0.00000000"]],"a":[["83532.16000000","0.42000000"],["83533.00000000","1.00000000"]]}}"#;
const TRADE: &str = r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1790247036701,"s":"BTCUSDT","t":5,"p":"83532.16000000","q":"0.00100000","T":1790247036700,"m":true,"M":true}}"#;

fn top() -> Message {
    Message::Top { version: 400_900_217, bid: level("83532.15", "1.53981"), ask: level("83532.16", "0.42") }
}

#[test]
fn combined_and_raw_frames_say_the_same() {
    for frame in [TICKER.to_owned(), raw(TICKER)] {
        assert_eq!(BINANCE.message(&frame), Ok(top()), "{frame}");
    }
    for frame in [DEPTH.to_owned(), raw(DEPTH)] {
        let (message, bids, asks) = BINANCE.read(&frame);
        assert_eq!(message, Ok(Message::Depth(Span::overlapping(157, 160))));
        assert_eq!(bids, [level("83532.15", "0")]);
        assert_eq!(asks, [level("83532.16", "0.42"), level("83533", "1")]);
    }
    for frame in [TRADE.to_owned(), raw(TRADE)] {
        let (message, scratch) = BINANCE.scan(&frame);
        assert_eq!((message, scratch.trades), (Ok(Message::Trades), vec![print("83532.16", "0.001", true)]));
    }
}

/// The part behind `"data":` without the closing brace of the frame.
fn raw(frame: &str) -> String {
    let data = frame.split_once("\"data\":").expect("a combined frame").1;
    data[..data.len() - 1].to_owned()
}

#[test]
fn key_order_blanks_escapes_and_unknown_fields_change_nothing() {
    for frame in [
        r#" { "data" : { "A" : "0.42" , "a":"83532.16","B":"1.53981","b":"83532.15","s":"BTCUSDT","u":400900217 } , "stream" : "btcusdt@bookTicker" } "#,
        r#"{"stream":"btcusdt@bookTicker","data":{"\u0075":400900217,"s":"\u0042TCUSDT","b":"8353\u0032.15","B":"1.53981","a":"83532.16","A":"0.42"}}"#,
        r#"{"stream":"btcusdt@bookTicker","x":[[{"u":1}],"\"}"],"data":{"u":400900217,"new":{"b":[null,-1.5e+3,true]},"s":"BTCUSDT","b":"83532.15","B":"1.53981","a":"83532.16","A":"0.42","é":"ü"}}"#,
    ] {
        assert_eq!(BINANCE.message(frame), Ok(top()), "{frame}");
    }
    let odd = r#"{"a":[ [ "2" , "0.5" , [] ] ],"b":[],"u":9,"U":9,"s":"BTCUSDT","e":"depthUpdate"}"#;
    let (message, bids, asks) = BINANCE.read(odd);
    assert_eq!((message, bids, asks), (Ok(Message::Depth(Span::overlapping(9, 9))), vec![], vec![level("2", "0.5")]));
}

#[test]
fn unknown_events_other_symbols_replies_and_notices_are_told_apart() {
    for (frame, expected) in [
        (r#"{"e":"aggTrade","s":"BTCUSDT","a":9,"b":[1,{"x":2}],"p":"nonsense"}"#, Message::Unrelated("unknown event")),
        (r#"{"b":["not","levels"],"e":"kline"}"#, Message::Unrelated("unknown event")),
        (
            r#"{"stream":"btcusdt@depth20","data":{"lastUpdateId":1,"bids":[],"asks":[]}}"#,
            Message::Unrelated("unknown event"),
        ),
        ("{}", Message::Unrelated("unknown event")),
        (r#"{"u":1,"s":"ETHUSDT","b":"1","B":"1","a":"2","A":"1"}"#, Message::Unrelated("another symbol")),
        (r#"{"result":null,"id":1}"#, Message::Reply { accepted: true }),
        (r#"{"code":2,"msg":"Invalid request","id":1}"#, Message::Reply { accepted: false }),
        (r#"{"error":{"code":2,"msg":"x"},"id":1}"#, Message::Reply { accepted: false }),
        (r#"{"e":"serverShutdown","E":1770123456789}"#, Message::Shutdown),
        (r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}"#, Message::Shutdown),
    ] {
        assert_eq!(BINANCE.message(frame), Ok(expected), "{frame}");
    }
}

#[test]
fn malformed_frames_are_refused_with_the_reason() {
    BINANCE.refuses_odd_numbers(DEPTH, ("0.42000000", "a"), ("83532.15000000", "b"));
    BINANCE.refuses_odd_ids(DEPTH, "U", "157");
    BINANCE.refuses_odd_ids(DEPTH, "u", "160");
    let cases = [
        ("\"u\":160,", "\"u\":156,", WireError::Backward { first_id: 157, last_id: 156 }),
        ("\"a\":[", "\"b\":[", WireError::Duplicate("b")),
        ("\"s\":\"BTCUSDT\",", "", missing("s")),
        ("\"a\":[[", "\"aa\":[[", missing("a")),
    ];
    BINANCE.refuses(DEPTH, true, &cases);
}

#[test]
fn text_that_is_not_json_is_refused_at_its_byte() {
    for (frame, at) in [
        ("", 0),
        ("[]", 0),
        ("{", 1),
        ("{\"a\"}", 4),
        ("{\"a\":}", 5),
        ("{\"a\":1,}", 7),
        ("{\"a\":01}", 6),
        ("{\"a\":1.}", 7),
        ("{\"a\":-}", 6),
        ("{\"a\":1e}", 7),
        ("{\"a\":NaN}", 5),
        ("{\"a\":nul}", 5),
        ("{\"a\":'x'}", 5),
        ("{\"a\":\"x}", 8),
        ("{\"a\":\"\\x\"}", 7),
        ("{\"a\":\"\\u12g4\"}", 7),
        ("{\"a\":\"\u{1}\"}", 6),
        ("{\"a\":[1,]}", 8),
        ("{\"a\":[1 2]}", 8),
        ("{}{}", 2),
        ("{} x", 3),
    ] {
        assert_eq!(BINANCE.error(frame), WireError::Syntax { at }, "{frame:?}");
    }
    for control in 0..0x20_u8 {
        let frame = [b"{\"a\":\"", [control].as_slice(), b"\"}"].concat();
        assert_eq!(BINANCE.error(frame), WireError::Syntax { at: 6 }, "{control:#x}");
    }
    assert_eq!(BINANCE.error(b"{\"a\":\"\xFF\"}"), WireError::NotUtf8 { at: 6 });
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(40), "]".repeat(40));
    assert!(matches!(BINANCE.error(&deep), WireError::TooDeep { .. }));
}

#[test]
fn too_many_levels_and_too_long_frames_are_refused() {
    let levels = vec![r#"["1.00000000","1.00000000"]"#; MAX_FRAME_LEVELS + 1].join(",");
    let frame = DEPTH.replacen("\"b\":[", &format!("\"b\":[{levels},"), 1);
    assert_eq!(BINANCE.error(&frame), WireError::TooManyLevels);
    let bytes = engine::wire::MAX_FRAME + 1;
    assert_eq!(BINANCE.error(" ".repeat(bytes)), WireError::TooLong { bytes });
}

#[test]
fn a_refused_frame_of_another_stream_is_known_to_be_no_depth_frame() {
    for frame in [&TICKER[..90], &TRADE[..90], r#"{"e":"kline","x":"#] {
        assert!(!BINANCE.message(frame).expect_err(frame).may_be_depth, "{frame}");
    }
    for frame in [&DEPTH[..60], &DEPTH[..100], "\u{0}garbage", r#"{"u":1,"s":"#] {
        assert!(BINANCE.message(frame).expect_err(frame).may_be_depth, "{frame}");
    }
}

#[test]
fn a_snapshot_needs_its_id_and_both_sides() {
    let snapshot = |body: &str| BINANCE.snapshot(body);
    assert_eq!(snapshot(r#"{"lastUpdateId":160,"bids":[["1.0","2"]],"asks":[]}"#), Ok(160));
    assert_eq!(snapshot(r#"{"bids":[],"asks":[]}"#), Err(missing("lastUpdateId")));
    assert_eq!(snapshot(r#"{"lastUpdateId":160,"asks":[]}"#), Err(missing("bids")));
    assert_eq!(snapshot(r#"{"code":-1121,"msg":"Invalid symbol."}"#), Err(missing("bids")));
    assert_eq!(snapshot(r#"{"lastUpdateId":1,"bids":[],"bids":[],"asks":[]}"#), Err(WireError::Duplicate("bids")));
    assert!(snapshot("<html>").is_err());
}

holds_for!(BINANCE, [TICKER, DEPTH, TRADE]);

proptest! {
    #[test]
    fn short_and_general_road_agree_on_levels(bids in bids()) {
        BINANCE.roads_read(DEPTH, "[[\"83532.15000000\",\"0.00000000\"]]", &bids, "")?;
    }
}
