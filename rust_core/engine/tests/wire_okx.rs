//! What the OKX scanner accepts, passes over and refuses.

mod wire;

use std::sync::Arc;

use engine::market::{Applied, Market};
use engine::view::Published;
use engine::wake::{CrossWatch, Signal};
use engine::wire::{Join, MAX_FRAME_LEVELS, MAX_FRAME_TRADES, Message, Refusal, Scratch, Span, Venue, WireError};
use proptest::prelude::*;
use wire::{Dialect, bids, holds_for, level, missing, print};

const OKX: Dialect = Dialect { venue: Venue::Okx, symbol: "BTC-USDT" };

const TOP: &str = r#"{"arg":{"channel":"bbo-tbt","instId":"BTC-USDT"},"data":[{"asks":[["83532.2","0.4","0","3"]],"bids":[["83532.1","1.5","0","2"]],"ts":"1791369351001","seqId":123456}]}"#;
const SNAPSHOT: &str = r#"{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{"asks":[["83532.2","0.4","0","3"]],"bids":[["83532.1","1.5","0","2"],["83532","2","0","1"]],"ts":"1791369351001","checksum":0,"prevSeqId":-1,"seqId":123456}]}"#;
const UPDATE: &str = r#"{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[["83532.2","0.4","0","3"],["83533","0.00000001","0","1"]],"bids":[["83532.1","0","0","0"]],"ts":"1791369351101","checksum":0,"prevSeqId":123456,"seqId":123463}]}"#;
const OLD_UPDATE: &str = r#"{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[],"bids":[["83532.1","0","0","0"]],"ts":"1652459225464","checksum":-914047754}]}"#;
const TRADES: &str = r#"{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"130639474","px":"83532.2","sz":"0.001","side":"buy","ts":"1791369351001","count":"3","source":"0","seqId":123460},{"instId":"BTC-USDT","px":"83532.1","sz":"2","side":"sell"}]}"#;

fn update(previous: u64, id: u64) -> Message {
    Message::Depth(Span::exactly_after(previous, id))
}

#[test]
fn top_snapshot_update_and_trades_are_told_apart() {
    let (bid, ask) = (level("83532.1", "1.5"), level("83532.2", "0.4"));
    assert_eq!(OKX.message(TOP), Ok(Message::Top { version: 123_456, bid, ask }));
    let whole = Message::Snapshot { id: 123_456, version: 123_456, checksum: None };
    assert_eq!(OKX.read(SNAPSHOT), (Ok(whole), vec![bid, level("83532", "2")], vec![ask]));
    let (message, bids, asks) = OKX.read(UPDATE);
    assert_eq!(message, Ok(update(123_456, 123_463)));
    assert_eq!((bids, asks), (vec![level("83532.1", "0")], vec![ask, level("83533", "0.00000001")]));
    let (message, scratch) = OKX.scan(TRADES);
    assert_eq!(message, Ok(Message::Trades));
    assert_eq!(scratch.trades, [print("83532.2", "0.001", false), print("83532.1", "2", true)]);
}

#[test]
fn a_keep_alive_follows_itself_and_a_reset_leads_to_a_smaller_id() {
    let frame = |previous: u64, id: u64| {
        let ids = format!("\"prevSeqId\":{previous},\"seqId\":{id}");
        UPDATE.replace("\"prevSeqId\":123456,\"seqId\":123463", &ids)
    };
    for (previous, id) in [(5, 5), (9, 3)] {
        let expected =
            Message::Depth(Span { first_id: previous + 1, last_id: id, ..Span::exactly_after(previous, id) });
        assert_eq!(OKX.message(frame(previous, id)), Ok(expected));
    }
}

#[test]
fn only_a_checksum_that_is_not_zero_counts() {
    for (sent, checksum) in [("0", None), ("-0", None), ("7", Some(7)), ("-914047754", Some(-914_047_754))] {
        let frame = UPDATE.replace("\"checksum\":0", &format!("\"checksum\":{sent}"));
        let expected = Message::Depth(Span { checksum, ..Span::exactly_after(123_456, 123_463) });
        assert_eq!(OKX.message(&frame), Ok(expected));
        assert_eq!(OKX.message(format!(" {frame}")), Ok(expected));
    }
    let absent = UPDATE.replace("\"checksum\":0,", "");
    assert_eq!(OKX.message(&absent), Ok(update(123_456, 123_463)));
}

#[test]
fn old_frames_without_ids_stand_on_their_checksum_alone() {
    let span = Span { first_id: 0, last_id: 0, join: Join::Unnumbered, version: 0, checksum: Some(-914_047_754) };
    assert_eq!(OKX.read(OLD_UPDATE), (Ok(Message::Depth(span)), vec![level("83532.1", "0")], vec![]));
    let whole = OLD_UPDATE.replace("update", "snapshot");
    let expected = Message::Snapshot { id: 0, version: 0, checksum: Some(-914_047_754) };
    assert_eq!(OKX.message(&whole), Ok(expected));
    for frame in [OLD_UPDATE, &whole] {
        for blind in [frame.replace("-914047754", "0"), frame.replace(",\"checksum\":-914047754", "")] {
            let refusal = Refusal { error: missing("seqId"), may_be_depth: true };
            assert_eq!(OKX.message(&blind), Err(refusal), "{blind}");
        }
    }
}

#[test]
fn key_order_blanks_escapes_and_unknown_fields_change_nothing() {
    let expected = (Ok(update(9, 10)), vec![], vec![level("2", "0.5")]);
    for frame in [
        r#"{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[["2","0.5","0","1"]],"bids":[],"ts":"1","prevSeqId":9,"seqId":10}]}"#,
        r#" { "data" : [ { "seqId" : 10 , "prevSeqId":9,"bids":[ ],"asks":[ [ "2" , "0.5" , [] ] ] } ] , "action" : "update" , "arg" : { "instId" : "BTC-USDT" , "channel":"books" } } "#,
        r#"{"\u0061rg":{"channel":"\u0062ooks","instId":"BTC\u002dUSDT"},"action":"updat\u0065","data":[{"asks":[["\u0032","0.50"]],"bids":[],"prevSeqId":9,"seqId":10}]}"#,
        r#"{"new":[[{"seqId":1}],"\"}"],"asks":[["5","5"]],"arg":{"channel":"books","x":{},"instId":"BTC-USDT"},"action":"update","data":[{"x":{"asks":[null,-1.5e+3,true]},"asks":[["2.00","0.5","0","1","new"]],"bids":[],"prevSeqId":9,"seqId":10,"é":"ü"}]}"#,
    ] {
        assert_eq!(OKX.read(frame), expected, "{frame}");
    }
    let late = r#"{"data":[{"side":"sell","sz":"3","px":"7","instId":"BTC-USDT"}],"arg":{"instId":"BTC-USDT","channel":"trades"}}"#;
    assert_eq!(OKX.scan(late).1.trades, [print("7", "3", true)]);
}

#[test]
fn other_channels_other_symbols_answers_and_notices_are_told_apart() {
    let (accepted, refused) = (Message::Reply { accepted: true }, Message::Reply { accepted: false });
    let (channel, event) = (Message::Unrelated("unknown channel"), Message::Unrelated("unknown event"));
    for (frame, expected) in [
        ("pong", accepted),
        (r#"{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"last":"1","asks":7}]}"#, channel),
        (r#"{"arg":{"channel":"books5","instId":"BTC-USDT"},"data":[{}]}"#, channel),
        ("{}", event),
        (r#"{"id":"s1","event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"a4"}"#, accepted),
        (r#"{"event":"unsubscribe","arg":{"channel":"books","instId":"BTC-USDT"}}"#, accepted),
        (r#"{"id":"s1","event":"error","code":"60018","msg":"Wrong URL or channel","connId":"a4"}"#, refused),
        (r#"{"event":"channel-conn-count-error","channel":"orders","connCount":"20"}"#, refused),
        (r#"{"event":"channel-conn-count","channel":"orders","connCount":"2","connId":"a4"}"#, event),
        (
            r#"{"event":"notice","code":"64008","msg":"The connection will soon be closed","connId":"a"}"#,
            Message::Shutdown,
        ),
        (r#"{"connId":"a","code":"64\u003008","event":"notice"}"#, Message::Shutdown),
        (r#"{"event":"notice","code":"64009","msg":"another"}"#, event),
    ] {
        assert_eq!(OKX.message(frame), Ok(expected), "{frame}");
    }
    for frame in [TOP, SNAPSHOT, UPDATE, OLD_UPDATE, TRADES] {
        let other = frame.replace("BTC-USDT", "ETH-USDT");
        assert_eq!(OKX.message(&other), Ok(Message::Unrelated("another symbol")), "{other}");
    }
}

#[test]
fn malformed_books_are_refused_with_the_reason() {
    OKX.refuses_odd_numbers(UPDATE, ("0.4", "asks"), ("83532.1", "bids"));
    OKX.refuses_odd_ids(UPDATE, "prevSeqId", "123456");
    OKX.refuses_odd_ids(UPDATE, "seqId", "123463");
    let cases = [
        ("\"83532.2\"", "\"0.0\"", WireError::NoPrice("asks")),
        ("\"prevSeqId\":123456,", "\"prevSeqId\":-1,", missing("prevSeqId")),
        ("\"prevSeqId\":123456,", "\"prevSeqId\":-2,", missing("prevSeqId")),
        ("\"checksum\":0", "\"checksum\":2147483648", missing("checksum")),
        ("\"checksum\":0", "\"checksum\":\"0\"", missing("checksum")),
        ("\"bids\":[", "\"asks\":[", WireError::Duplicate("asks")),
        ("\"bids\":[", "\"bid\":[", missing("bids")),
        ("\"instId\":\"BTC-USDT\"", "\"x\":1", missing("instId")),
        ("\"action\":\"update\"", "\"action\":\"other\"", missing("action")),
        ("\"data\":[", "\"date\":[", missing("data")),
        ("\"data\":[{", "\"data\":[{},{", missing("data")),
        ("\"action\":\"update\",", "\"arg\":{},", WireError::Duplicate("arg")),
    ];
    OKX.refuses(UPDATE, true, &cases);
}

#[test]
fn malformed_tops_and_trades_are_refused_and_are_no_depth() {
    let row = r#"{"instId":"BTC-USDT","px":"1","sz":"1","side":"buy"},"#;
    let many = format!("[{}{{", row.repeat(MAX_FRAME_TRADES));
    let tops = [
        ("\"asks\":[", "\"asks\":[[\"9\",\"1\",\"0\",\"1\"],", missing("asks")),
        (",\"seqId\":123456", "", missing("seqId")),
    ];
    OKX.refuses(TOP, false, &tops);
    let trades = [
        ("\"buy\"", "\"Buy\"", missing("side")),
        ("[{\"instId\":\"BTC-USDT\"", "[{\"instId\":\"ETH-USDT\"", missing("instId")),
        ("\"px\":\"83532.2\"", "\"px\":83532.2", missing("px")),
        ("\"px\":\"83532.2\"", "\"px\":\"0\"", WireError::NoPrice("px")),
        ("[{", "[7,{", missing("data")),
        ("[{", &many, WireError::TooManyTrades),
        ("\"data\":[", "\"date\":[", missing("data")),
    ];
    OKX.refuses(TRADES, false, &trades);
    let twice = TRADES.replacen("\"px\":", "\"px\":\"1\",\"px\":", 1);
    assert_eq!(OKX.error(&twice), WireError::Duplicate("px"));
}

#[test]
fn too_many_levels_and_damaged_texts_are_refused() {
    let levels = vec![r#"["1","1","0","1"]"#; MAX_FRAME_LEVELS + 1].join(",");
    let frame = UPDATE.replacen("\"bids\":[", &format!("\"bids\":[{levels},"), 1);
    let error = |frame: &[u8]| OKX.error(frame);
    assert_eq!(error(frame.as_bytes()), WireError::TooManyLevels);
    assert_eq!(error(b"ping"), WireError::Syntax { at: 0 });
    assert_eq!(error(b"pong "), WireError::Syntax { at: 0 });
    assert_eq!(error(b"{\"arg\":\"\xFF\"}"), WireError::NotUtf8 { at: 8 });
    assert_eq!(error(format!("{UPDATE}{UPDATE}").as_bytes()), WireError::Syntax { at: UPDATE.len() });
}

#[test]
fn a_rest_book_needs_its_id_and_both_sides() {
    let mut scratch = Scratch::default();
    let mut snapshot = |body: &str| Venue::Okx.decode_snapshot(body.as_bytes(), &mut scratch);
    let body = r#"{"code":"0","msg":"","data":[{"asks":[["2","1","0","1"]],"bids":[["1.5","2","0","4"]],"ts":"1","seqId":160}]}"#;
    assert_eq!(snapshot(body), Ok(160));
    assert_eq!(snapshot(&body.replace(",\"seqId\":160", "")), Err(missing("seqId")));
    assert_eq!(snapshot(&body.replace("bids", "bid")), Err(missing("bids")));
    assert_eq!(snapshot(&body.replace("\"2\"", "\"0\"")), Err(WireError::NoPrice("asks")));
    assert_eq!(snapshot(&body.replace("\"code\":\"0\"", "\"code\":\"50011\"")), Err(missing("code")));
    assert_eq!(snapshot(&body.replace("\"code\":\"0\",", "")), Err(missing("code")));
    assert_eq!(snapshot(r#"{"code":"51001","msg":"Instrument ID does not exist","data":[]}"#), Err(missing("data")));
    assert!(snapshot("<html>").is_err());
    assert_eq!(snapshot(body), Ok(160));
    assert_eq!((&scratch.bids[..], &scratch.asks[..]), (&[level("1.5", "2")][..], &[level("2", "1")][..]));
}

/// CRC32 (IEEE), bit by bit.
fn crc32(text: &str) -> i32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    !text.bytes().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(byte), step)) as i32
}

#[test]
fn a_book_counts_on_from_the_largest_id_where_frames_have_checksums_alone() {
    let (sum, sides) = (crc32("1:1:2:1"), r#""asks":[["2","1","0","1"]],"bids":[["1","1","0","1"]],"ts":"1""#);
    let frame = |action: &str, ids: &str| {
        let arg = r#"{"channel":"books","instId":"BTC-USDT"}"#;
        format!(r#"{{"arg":{arg},"action":"{action}","data":[{{{sides},"checksum":{sum}{ids}}}]}}"#)
    };
    let watch = Arc::new(CrossWatch::new(Arc::new(Signal::default())));
    let mut market = Market::new(Venue::Okx, "BTC-USDT", Arc::new(Published::new(watch)));
    for (id, applied) in [(i64::MAX as u64, Applied::Snapshot), (u64::MAX - 1, Applied::Refused(missing("seqId")))] {
        let whole = frame("snapshot", &format!(r#","prevSeqId":-1,"seqId":{id}"#));
        assert_eq!(market.apply(whole.as_bytes(), 1), applied);
    }
    assert_eq!(market.apply(frame("snapshot", r#","seqId":9223372036854775807"#).as_bytes(), 2), Applied::Snapshot);
    for recv_ns in 3..9 {
        assert_eq!(market.apply(frame("update", "").as_bytes(), recv_ns), Applied::Depth);
    }
    assert_eq!(market.book().version(), i64::MAX as u64 + 6);
}

holds_for!(OKX, [TOP, SNAPSHOT, UPDATE, OLD_UPDATE, TRADES]);

proptest! {
    #[test]
    fn short_and_general_road_agree_on_levels(bids in bids(), orders in 0..50_u32) {
        let behind = format!(",\"0\",\"{orders}\"");
        OKX.roads_read(UPDATE, "[[\"83532.1\",\"0\",\"0\",\"0\"]]", &bids, &behind)?;
    }
}
