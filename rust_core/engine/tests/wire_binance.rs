//! What the Binance scanner accepts, passes over and refuses.

use engine::units::{DecimalError, Price, Qty};
use engine::view::Level;
use engine::wire::{MAX_FRAME_LEVELS, Message, Print, Refusal, Scratch, Span, Venue, WireError};
use proptest::prelude::*;

const TICKER: &str = r#"{"stream":"btcusdt@bookTicker","data":{"u":400900217,"s":"BTCUSDT","b":"83532.15000000","B":"1.53981000","a":"83532.16000000","A":"0.42000000"}}"#;
const DEPTH: &str = r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1790247036700,"s":"BTCUSDT","U":157,"u":160,"b":[["83532.15000000","0.00000000"]],"a":[["83532.16000000","0.42000000"],["83533.00000000","1.00000000"]]}}"#;
const TRADE: &str = r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1790247036701,"s":"BTCUSDT","t":5,"p":"83532.16000000","q":"0.00100000","T":1790247036700,"m":true,"M":true}}"#;

fn read(frame: &[u8]) -> (Result<Message, Refusal>, Vec<Level>, Vec<Level>) {
    let mut scratch = Scratch::default();
    let message = Venue::Binance.decode(frame, b"BTCUSDT", &mut scratch);
    (message, scratch.bids, scratch.asks)
}

fn level(price: &str, quantity: &str) -> Level {
    let e8 = |text: &str| engine::units::parse_e8(text.as_bytes()).expect("a decimal");
    Level { price: Price(e8(price)), quantity: Qty(e8(quantity)) }
}

fn top() -> Message {
    Message::Top { version: 400_900_217, bid: level("83532.15", "1.53981"), ask: level("83532.16", "0.42") }
}

fn error(frame: &str) -> WireError {
    read(frame.as_bytes()).0.expect_err(frame).error
}

fn missing(field: &'static str) -> WireError {
    WireError::Missing(field)
}

#[test]
fn combined_and_raw_frames_say_the_same() {
    for frame in [TICKER.to_owned(), raw(TICKER)] {
        assert_eq!(read(frame.as_bytes()).0, Ok(top()), "{frame}");
    }
    for frame in [DEPTH.to_owned(), raw(DEPTH)] {
        let (message, bids, asks) = read(frame.as_bytes());
        assert_eq!(message, Ok(Message::Depth(Span::overlapping(157, 160))));
        assert_eq!(bids, [level("83532.15", "0")]);
        assert_eq!(asks, [level("83532.16", "0.42"), level("83533", "1")]);
    }
    for frame in [TRADE.to_owned(), raw(TRADE)] {
        let (price, quantity) = (level("83532.16", "0").price, level("0", "0.001").quantity);
        let mut scratch = Scratch::default();
        assert_eq!(Venue::Binance.decode(frame.as_bytes(), b"BTCUSDT", &mut scratch), Ok(Message::Trades));
        assert_eq!(scratch.trades, [Print { price, quantity, buyer_is_maker: true }]);
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
        assert_eq!(read(frame.as_bytes()).0, Ok(top()), "{frame}");
    }
    let odd = r#"{"a":[ [ "2" , "0.5" , [] ] ],"b":[],"u":9,"U":9,"s":"BTCUSDT","e":"depthUpdate"}"#;
    let (message, bids, asks) = read(odd.as_bytes());
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
        assert_eq!(read(frame.as_bytes()).0, Ok(expected), "{frame}");
    }
}

#[test]
fn malformed_frames_are_refused_with_the_reason() {
    let number = |field, error| WireError::Number { field, error };
    for (from, to, expected) in [
        ("\"0.42000000\"]", "\"-0.42\"]", number("a", DecimalError::Malformed)),
        ("\"0.42000000\"]", "\"1e3\"]", number("a", DecimalError::Malformed)),
        ("\"0.42000000\"]", "\"NaN\"]", number("a", DecimalError::Malformed)),
        ("\"0.42000000\"]", "\"0.123456789\"]", number("a", DecimalError::Malformed)),
        ("\"83532.15000000\"", "\"1234567890123\"", number("b", DecimalError::Malformed)),
        ("\"83532.15000000\"", "\"92233720368.54775808\"", number("b", DecimalError::TooLarge)),
        ("\"0.42000000\"]", "0.42]", missing("a")),
        ("\"U\":157,", "", missing("U")),
        ("\"u\":160,", "", missing("u")),
        ("\"u\":160,", "\"u\":\"160\",", missing("u")),
        ("\"u\":160,", "\"u\":-160,", missing("u")),
        ("\"u\":160,", "\"u\":160.5,", missing("u")),
        ("\"u\":160,", "\"u\":18446744073709551615,", missing("u")),
        ("\"u\":160,", "\"u\":156,", WireError::Backward { first_id: 157, last_id: 156 }),
        ("\"u\":160,", "\"u\":160,\"u\":161,", WireError::Duplicate("u")),
        ("\"a\":[", "\"b\":[", WireError::Duplicate("b")),
        ("\"s\":\"BTCUSDT\",", "", missing("s")),
        ("\"a\":[[", "\"aa\":[[", missing("a")),
    ] {
        let frame = DEPTH.replacen(from, to, 1);
        assert_ne!(frame, DEPTH, "{from}");
        let refusal = Refusal { error: expected, may_be_depth: true };
        assert_eq!(read(frame.as_bytes()).0, Err(refusal), "{frame}");
    }
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
        assert_eq!(error(frame), WireError::Syntax { at }, "{frame:?}");
    }
    assert_eq!(read(b"{\"a\":\"\xFF\"}").0.map_err(|refusal| refusal.error), Err(WireError::NotUtf8 { at: 6 }));
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(40), "]".repeat(40));
    assert!(matches!(error(&deep), WireError::TooDeep { .. }));
}

#[test]
fn too_many_levels_and_too_long_frames_are_refused() {
    let levels = vec![r#"["1.00000000","1.00000000"]"#; MAX_FRAME_LEVELS + 1].join(",");
    let frame = DEPTH.replacen("\"b\":[", &format!("\"b\":[{levels},"), 1);
    assert_eq!(error(&frame), WireError::TooManyLevels);
    let bytes = engine::wire::MAX_FRAME + 1;
    assert_eq!(error(&" ".repeat(bytes)), WireError::TooLong { bytes });
}

#[test]
fn a_refused_frame_of_another_stream_is_known_to_be_no_depth_frame() {
    for frame in [&TICKER[..90], &TRADE[..90], r#"{"e":"kline","x":"#] {
        assert!(!read(frame.as_bytes()).0.expect_err(frame).may_be_depth, "{frame}");
    }
    for frame in [&DEPTH[..60], &DEPTH[..100], "\u{0}garbage", r#"{"u":1,"s":"#] {
        assert!(read(frame.as_bytes()).0.expect_err(frame).may_be_depth, "{frame}");
    }
}

#[test]
fn a_snapshot_needs_its_id_and_both_sides() {
    let mut scratch = Scratch::default();
    let mut snapshot = |body: &str| Venue::Binance.decode_snapshot(body.as_bytes(), &mut scratch);
    assert_eq!(snapshot(r#"{"lastUpdateId":160,"bids":[["1.0","2"]],"asks":[]}"#), Ok(160));
    assert_eq!(snapshot(r#"{"bids":[],"asks":[]}"#), Err(missing("lastUpdateId")));
    assert_eq!(snapshot(r#"{"lastUpdateId":160,"asks":[]}"#), Err(missing("bids")));
    assert_eq!(snapshot(r#"{"code":-1121,"msg":"Invalid symbol."}"#), Err(missing("bids")));
    assert_eq!(snapshot(r#"{"lastUpdateId":1,"bids":[],"bids":[],"asks":[]}"#), Err(WireError::Duplicate("bids")));
    assert!(snapshot("<html>").is_err());
}

/// The same frame in a spelling that the short road does not take.
fn spaced(frame: &str) -> String {
    format!(" {frame}")
}

proptest! {
    #[test]
    fn every_cut_of_a_frame_is_refused(cut in 0..TICKER.len(), which in 0..3_usize) {
        let frame = [TICKER, DEPTH, TRADE][which];
        prop_assert!(read(&frame.as_bytes()[..cut.min(frame.len() - 1)]).0.is_err());
    }

    #[test]
    fn short_and_general_road_agree_on_damaged_frames(at in 0..200_usize, byte in any::<u8>(), which in 0..2_usize) {
        let mut frame = [TICKER, DEPTH][which].as_bytes().to_vec();
        let at = at % frame.len();
        frame[at] = byte;
        let general = [b" ", frame.as_slice()].concat();
        let (short, general) = (read(&frame), read(&general));
        prop_assert_eq!(short.0.is_ok(), general.0.is_ok());
        if short.0.is_ok() {
            prop_assert_eq!(short, general);
        }
    }

    #[test]
    fn short_and_general_road_agree_on_levels(
        levels in prop::collection::vec((0..10_000_000_000_000_i64, 0..10_000_000_000_i64), 0..40),
        padded in any::<bool>(),
    ) {
        let text = |value: i64| match padded {
            true => format!("{}.{:08}", value / 100_000_000, value % 100_000_000),
            false => Price(value).to_string(),
        };
        let rows: Vec<String> = levels.iter().map(|&(p, q)| format!("[\"{}\",\"{}\"]", text(p), text(q))).collect();
        let frame = DEPTH.replacen("[[\"83532.15000000\",\"0.00000000\"]]", &format!("[{}]", rows.join(",")), 1);
        let expected: Vec<Level> = levels.iter().map(|&(p, q)| Level { price: Price(p), quantity: Qty(q) }).collect();
        prop_assert_eq!(&read(frame.as_bytes()).1, &expected);
        prop_assert_eq!(&read(spaced(&frame).as_bytes()).1, &expected);
    }

    #[test]
    fn no_bytes_make_the_scanner_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), json in "[\\[\\]{}\":,\\\\0-9a-zA-Z. ]{0,80}") {
        let _ = read(&bytes);
        let _ = read(json.as_bytes());
        let _ = Venue::Binance.decode_snapshot(json.as_bytes(), &mut Scratch::default());
    }
}
