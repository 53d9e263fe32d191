//! What the Bybit scanner accepts, passes over and refuses.

mod wire;

use engine::view::Level;
use engine::wire::{Join, MAX_FRAME_LEVELS, MAX_FRAME_TRADES, Message, Scratch, Span, Venue, WireError};
use proptest::prelude::*;
use wire::{Dialect, bids, holds_for, level, missing, print};

const BYBIT: Dialect = Dialect { venue: Venue::Bybit, symbol: "BTCUSDT" };

const TOP: &str = r#"{"topic":"orderbook.1.BTCUSDT","ts":1772694601512,"type":"snapshot","data":{"s":"BTCUSDT","b":[["83532.1","1.5"]],"a":[["83532.2","0.4"]],"u":18521288,"seq":7961638724},"cts":1772694601503}"#;
const SNAPSHOT: &str = r#"{"topic":"orderbook.200.BTCUSDT","ts":1772694601512,"type":"snapshot","data":{"s":"BTCUSDT","b":[["83532.1","1.5"],["83532","2"]],"a":[["83532.2","0.4"]],"u":18521288,"seq":7961638724},"cts":1772694601503}"#;
const DELTA: &str = r#"{"topic":"orderbook.200.BTCUSDT","ts":1772694601532,"type":"delta","data":{"s":"BTCUSDT","b":[["83532.1","0"]],"a":[["83532.2","0.4"],["83533","0.000001"]],"u":18521289,"seq":7961638733},"cts":1772694601523}"#;
const TRADES: &str = r#"{"topic":"publicTrade.BTCUSDT","ts":1672304486868,"type":"snapshot","data":[{"i":"2100000000007542010","T":1672304486865,"p":"83532.2","v":"0.001","S":"Buy","s":"BTCUSDT","BT":false,"RPI":false,"seq":7961638724},{"i":"b","T":1672304486865,"p":"83532.1","v":"2","S":"Sell","s":"BTCUSDT","BT":false,"RPI":true,"seq":7961638724}]}"#;

fn delta(u: u64, seq: u64) -> Message {
    Message::Depth(Span { first_id: u, last_id: u, join: Join::Exact, version: seq, checksum: None })
}

#[test]
fn top_snapshot_delta_and_trades_are_told_apart() {
    let (bid, ask) = (level("83532.1", "1.5"), level("83532.2", "0.4"));
    assert_eq!(BYBIT.message(TOP), Ok(Message::Top { version: 7_961_638_724, bid, ask }));
    let whole = Message::Snapshot { id: 18_521_288, version: 7_961_638_724, checksum: None };
    assert_eq!(BYBIT.read(SNAPSHOT), (Ok(whole), vec![bid, level("83532", "2")], vec![ask]));
    let (message, bids, asks) = BYBIT.read(DELTA);
    assert_eq!(message, Ok(delta(18_521_289, 7_961_638_733)));
    assert_eq!((bids, asks), (vec![level("83532.1", "0")], vec![ask, level("83533", "0.000001")]));
    let (message, scratch) = BYBIT.scan(TRADES);
    assert_eq!(message, Ok(Message::Trades));
    assert_eq!(scratch.trades, [print("83532.2", "0.001", false), print("83532.1", "2", true)]);
}

#[test]
fn an_empty_side_has_no_best_level_and_an_empty_delta_still_counts() {
    let top = TOP.replace(r#"[["83532.1","1.5"]]"#, "[]");
    let expected = Message::Top { version: 7_961_638_724, bid: Level::default(), ask: level("83532.2", "0.4") };
    assert_eq!(BYBIT.message(&top), Ok(expected));
    let empty = r#"{"topic":"orderbook.200.BTCUSDT","ts":1,"type":"delta","data":{"s":"BTCUSDT","b":[],"a":[],"u":7,"seq":9},"cts":1}"#;
    assert_eq!(BYBIT.read(empty), (Ok(delta(7, 9)), vec![], vec![]));
}

#[test]
fn a_count_that_begins_at_one_is_a_whole_book_whatever_its_type() {
    let restarted = Ok(Message::Snapshot { id: 1, version: 7_961_638_733, checksum: None });
    let frame = DELTA.replace("\"u\":18521289", "\"u\":1");
    assert_eq!(BYBIT.message(&frame), restarted);
    assert_eq!(BYBIT.message(format!(" {frame}")), restarted);
}

#[test]
fn a_block_trade_met_no_order_in_the_book() {
    let (message, scratch) = BYBIT.scan(TRADES.replacen("\"BT\":false", "\"BT\":true", 1));
    assert_eq!((message, scratch.trades), (Ok(Message::Trades), vec![print("83532.1", "2", true)]));
}

#[test]
fn key_order_blanks_escapes_and_unknown_fields_change_nothing() {
    let expected = (Ok(delta(9, 10)), vec![], vec![level("2", "0.5")]);
    for frame in [
        r#"{"topic":"orderbook.200.BTCUSDT","ts":1,"type":"delta","data":{"s":"BTCUSDT","b":[],"a":[["2","0.5"]],"u":9,"seq":10},"cts":1}"#,
        r#" { "data" : { "seq" : 10 , "u":9,"a":[ [ "2" , "0.5" , {} ] ],"b":[ ],"s":"BTCUSDT" } , "type" : "delta" , "topic" : "orderbook.200.BTCUSDT" } "#,
        r#"{"type":"delta","topic":"orderbook.200.BTCUSDT","data":{"s":"BTCUSDT","b":[],"a":[["2","0.5"]],"u":9,"seq":10},"ts":1}"#,
        r#"{"topi\u0063":"orderbook.2\u00300.BTCUSDT","type":"\u0064elta","data":{"\u0073":"\u0042TCUSDT","b":[],"a":[["\u0032","0.50"]],"u":9,"seq":10}}"#,
        r#"{"new":[[{"u":1}],"\"}"],"b":[["5","5"]],"topic":"orderbook.200.BTCUSDT","type":"delta","data":{"x":{"b":[null,-1.5e+3,true]},"s":"BTCUSDT","b":[],"a":[["2.00","0.5"]],"u":9,"seq":10,"é":"ü"}}"#,
        r#"{"topic":"orderbook.50.BTCUSDT","type":"delta","data":{"s":"BTCUSDT","b":[],"a":[["2","0.5"]],"u":9,"seq":10}}"#,
    ] {
        assert_eq!(BYBIT.read(frame), expected, "{frame}");
    }
    let late = r#"{"data":[{"S":"Sell","v":"3","p":"7","s":"BTCUSDT"}],"topic":"publicTrade.BTCUSDT"}"#;
    assert_eq!(BYBIT.scan(late).1.trades, [print("7", "3", true)]);
}

#[test]
fn other_topics_other_symbols_and_answers_are_told_apart() {
    let (unknown, accepted) = (Message::Unrelated("unknown topic"), Message::Reply { accepted: true });
    let refused = Message::Reply { accepted: false };
    for (frame, expected) in [
        (
            r#"{"topic":"tickers.BTCUSDT","ts":1,"type":"snapshot","data":{"symbol":"BTCUSDT","b":"x","u":"y"}}"#,
            unknown,
        ),
        (r#"{"type":"snapshot","topic":"kline.1.BTCUSDT","data":[{"start":1,"open":"5"}],"ts":1}"#, unknown),
        (r#"{"topic":"orderbook.full.BTCUSDT","type":"delta","data":{}}"#, unknown),
        (r#"{"topic":"orderbook.2000.BTCUSDT","type":"delta","data":{}}"#, unknown),
        (r#"{"topic":7,"op":"x"}"#, Message::Reply { accepted: true }),
        ("{}", Message::Unrelated("unknown event")),
        (r#"{"success":true,"ret_msg":"subscribe","conn_id":"c","req_id":"s1","op":"subscribe"}"#, accepted),
        (r#"{"success":true,"ret_msg":"","op":"subscribe","conn_id":"c"}"#, accepted),
        (r#"{"success":false,"ret_msg":"Invalid topic: x","conn_id":"c","op":"subscribe"}"#, refused),
        (r#"{"success":false,"ret_msg":"error:handler not found","conn_id":"c","op":""}"#, refused),
        (r#"{"success":true,"ret_msg":"pong","conn_id":"c","op":"ping"}"#, accepted),
        (r#"{"req_id":"1","op":"pong","args":["1675418560633"],"conn_id":"c"}"#, accepted),
        (r#"{"retCode":0,"retMsg":"OK","op":"pong","data":["1711002002529"],"connId":"c"}"#, accepted),
        (r#"{"retCode":10001,"retMsg":"no","op":"pong"}"#, refused),
    ] {
        assert_eq!(BYBIT.message(frame), Ok(expected), "{frame}");
    }
    for frame in [TOP, SNAPSHOT, DELTA, TRADES] {
        let other = frame.replace("BTCUSDT", "ETHUSDT");
        assert_eq!(BYBIT.message(&other), Ok(Message::Unrelated("another symbol")), "{other}");
    }
}

#[test]
fn malformed_books_are_refused_with_the_reason() {
    BYBIT.refuses_odd_numbers(DELTA, ("0.4", "a"), ("83532.1", "b"));
    BYBIT.refuses_odd_ids(DELTA, "u", "18521289");
    BYBIT.refuses_odd_ids(DELTA, "seq", "7961638733");
    let cases = [
        ("\"83532.2\"", "\"0.00\"", WireError::NoPrice("a")),
        ("\"a\":[", "\"b\":[", WireError::Duplicate("b")),
        ("\"s\":\"BTCUSDT\",", "", missing("s")),
        ("\"s\":\"BTCUSDT\",", "\"s\":\"ETHUSDT\",", missing("s")),
        ("\"a\":[[", "\"aa\":[[", missing("a")),
        ("\"type\":\"delta\"", "\"type\":\"other\"", missing("type")),
        ("\"data\":{", "\"date\":{", missing("data")),
        ("\"ts\":", "\"topic\":\"x\",\"ts\":", WireError::Duplicate("topic")),
    ];
    BYBIT.refuses(DELTA, true, &cases);
}

#[test]
fn malformed_tops_and_trades_are_refused_and_are_no_depth() {
    let row = r#"{"s":"BTCUSDT","S":"Buy","p":"1","v":"1"},"#;
    let many = format!("\"data\":[{}", row.repeat(MAX_FRAME_TRADES));
    let tops = [
        ("[[\"83532.1\",\"1.5\"]", "[[\"83532.1\",\"1.5\"],[\"83532\",\"1\"]", missing("b")),
        ("snapshot", "delta", missing("type")),
    ];
    BYBIT.refuses(TOP, false, &tops);
    let trades = [
        ("\"S\":\"Buy\"", "\"S\":\"buy\"", missing("S")),
        ("\"s\":\"BTCUSDT\"", "\"s\":\"ETHUSDT\"", missing("s")),
        ("\"p\":\"83532.2\"", "\"p\":83532.2", missing("p")),
        ("\"p\":\"83532.2\"", "\"p\":\"0.0\"", WireError::NoPrice("p")),
        ("\"BT\":false", "\"BT\":\"no\"", missing("BT")),
        ("\"BT\":false", "\"p\":\"1\"", WireError::Duplicate("p")),
        ("[{\"i\"", "[7,{\"i\"", missing("data")),
        ("\"data\":[", &many, WireError::TooManyTrades),
    ];
    BYBIT.refuses(TRADES, false, &trades);
    BYBIT.refuses(r#"{"topic":"publicTrade.BTCUSDT","data":[]}"#, false, &[("[]", "{}", missing("data"))]);
}

#[test]
fn too_many_levels_and_damaged_texts_are_refused() {
    let levels = vec![r#"["1","1"]"#; MAX_FRAME_LEVELS + 1].join(",");
    let frame = DELTA.replacen("\"b\":[", &format!("\"b\":[{levels},"), 1);
    let error = |frame: &[u8]| BYBIT.error(frame);
    assert_eq!(error(frame.as_bytes()), WireError::TooManyLevels);
    assert_eq!(error(b"pong"), WireError::Syntax { at: 0 });
    assert_eq!(error(b"{\"topic\":\"\xFF\"}"), WireError::NotUtf8 { at: 10 });
    assert_eq!(error(format!("{DELTA}{DELTA}").as_bytes()), WireError::Syntax { at: DELTA.len() });
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(40), "]".repeat(40));
    assert!(matches!(error(deep.as_bytes()), WireError::TooDeep { .. }));
}

#[test]
fn the_id_of_a_rest_book_is_its_seq() {
    let mut scratch = Scratch::default();
    let mut snapshot = |body: &str| Venue::Bybit.decode_snapshot(body.as_bytes(), &mut scratch);
    let body = r#"{"retCode":0,"retMsg":"OK","result":{"s":"BTCUSDT","a":[["2","1"]],"b":[["1.5","2"]],"ts":1,"u":8,"seq":160,"cts":1},"retExtInfo":{},"time":1}"#;
    assert_eq!(snapshot(body), Ok(160));
    assert_eq!(snapshot(&body.replace("\"seq\":160,", "")), Err(missing("seq")));
    assert_eq!(snapshot(&body.replace("[[\"2\",\"1\"]]", "{}")), Err(missing("a")));
    assert_eq!(snapshot(&body.replace("[[\"2\",\"1\"]]", "[[\"0\",\"1\"]]")), Err(WireError::NoPrice("a")));
    assert_eq!(snapshot(&body.replace("\"retCode\":0", "\"retCode\":10001")), Err(missing("retCode")));
    assert_eq!(snapshot(r#"{"retCode":10001,"retMsg":"params error","result":{},"time":1}"#), Err(missing("b")));
    assert!(snapshot("<html>").is_err());
    assert_eq!(snapshot(body), Ok(160));
    assert_eq!((&scratch.bids[..], &scratch.asks[..]), (&[level("1.5", "2")][..], &[level("2", "1")][..]));
}

holds_for!(BYBIT, [TOP, SNAPSHOT, DELTA, TRADES]);

proptest! {
    #[test]
    fn short_and_general_road_agree_on_levels(bids in bids()) {
        BYBIT.roads_read(DELTA, "[[\"83532.1\",\"0\"]]", &bids, "")?;
    }
}
