//! What every venue says when it refuses a request: its own words, in one short line, and no harm to the book.

use std::sync::Arc;

use engine::market::{Applied, Market};
use engine::view::{Published, Sync};
use engine::wake::{CrossWatch, Signal};
use engine::wire::{Message, Scratch, Venue};
use proptest::prelude::*;

/// A refusal of each shape, and what a person is told.
const REFUSALS: [(Venue, &str, &str); 12] = [
    (
        Venue::Binance,
        r#"{"code":2,"msg":"Invalid request: too many parameters","id":1}"#,
        "2 Invalid request: too many parameters",
    ),
    (Venue::Binance, r#"{"error":{"code":2,"msg":"x"},"id":1}"#, "2 x"),
    (Venue::Binance, r#"{"id":1,"error":7}"#, "no reason given"),
    (Venue::BinanceUsdm, r#"{"id":1,"msg":"Invalid JSON","code":3}"#, "3 Invalid JSON"),
    (Venue::BinanceSbe, r#" {"error":{"msg":"Unknown property","code":0}}"#, "0 Unknown property"),
    (
        Venue::Bybit,
        r#"{"success":false,"ret_msg":"error:handler not found,topic:publicTrade.X","conn_id":"c","op":"subscribe"}"#,
        "subscribe error:handler not found,topic:publicTrade.X",
    ),
    (Venue::Bybit, r#"{"retCode":10001,"retMsg":"no","op":"pong"}"#, "pong 10001 no"),
    (Venue::Bybit, r#"{"success":false,"ret_msg":"","op":""}"#, "no reason given"),
    (
        Venue::Okx,
        r#"{"id":"s1","event":"error","code":"60018","msg":"Wrong URL or channel:trades","connId":"a4d3ae55"}"#,
        "error 60018 Wrong URL or channel:trades",
    ),
    (Venue::Okx, r#"{"event":"channel-conn-count-error","connCount":"20"}"#, "channel-conn-count-error"),
    (Venue::Coinbase, r#"{"type":"error","message":"authentication failure"}"#, "authentication failure"),
    (Venue::Coinbase, r#"{"type":"error","message":"Failed","reason":"\u0042TC","sequence_num":9}"#, "Failed BTC"),
];

#[test]
fn a_refusal_is_told_in_the_words_of_the_venue() {
    for (venue, frame, words) in REFUSALS {
        let message = venue.decode(frame.as_bytes(), b"BTCUSDT", &mut Scratch::default());
        assert_eq!(message, Ok(Message::Reply { accepted: false }), "{frame}");
        assert_eq!(venue.denial(frame.as_bytes()), words, "{frame}");
    }
}

#[test]
fn the_words_are_one_short_line_without_a_key() {
    let key = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
    let signature = "3yAqZ0GpTr6HRk+Xn/wWRRm0p0JvB2b6Ff1L8cXw0u9Wb4nQ==";
    for (said, told) in [
        (r"two\nlines\u001b[31m and \u007f".to_owned(), "two\u{FFFD}lines\u{FFFD}[31m and \u{FFFD}".to_owned()),
        (format!("{}é", "x ".repeat(99)), format!("{}é", "x ".repeat(99))),
        (format!("{}é", "x ".repeat(100)), format!("{}…", "x ".repeat(100))),
        (format!("invalid key {key}."), "invalid key ….".to_owned()),
        (format!("{} {key} {signature}", "x ".repeat(80)), format!("{} … …", "x ".repeat(80))),
        ("topic orderbook.200.BTCUSDT, channel market_trades".to_owned(), String::new()),
        (r"\ud800".to_owned(), r"\ud800".to_owned()),
    ] {
        let told = if told.is_empty() { &said } else { &told };
        let frame = format!(r#"{{"type":"error","message":"{said}"}}"#);
        assert_eq!(&Venue::Coinbase.denial(frame.as_bytes()), told, "{said}");
    }
}

proptest! {
    #[test]
    fn whatever_a_frame_holds_its_words_are_one_short_line(
        said in "\\PC{0,400}|.{0,80}", key in "[A-Za-z0-9+/=_-]{32,90}", behind in "[ ,.;:!]"
    ) {
        let frame = serde_json::json!({ "code": 1, "msg": format!("{said} {key}{behind}") }).to_string();
        for venue in Venue::ALL {
            for frame in [frame.as_bytes(), said.as_bytes(), &frame.as_bytes()[..frame.len() / 2]] {
                let words = venue.denial(frame);
                prop_assert!(words.chars().count() <= 201 && !words.contains(char::is_control), "{words}");
                prop_assert!(!words.contains(&key[..32]), "{words}");
            }
        }
    }
}

#[test]
fn a_refused_request_is_counted_and_costs_a_live_book_nothing() {
    let published = Arc::new(Published::new(Arc::new(CrossWatch::new(Arc::new(Signal::default())))));
    let mut market = Market::new(Venue::Bybit, "BTCUSDT", published);
    let data = r#"{"s":"BTCUSDT","b":[["1","1"]],"a":[["2","1"]],"u":9,"seq":10}"#;
    let whole = format!(r#"{{"topic":"orderbook.200.BTCUSDT","ts":1,"type":"snapshot","data":{data},"cts":1}}"#);
    assert_eq!(market.apply(whole.as_bytes(), 5), Applied::Snapshot);
    let before = *market.top();
    for frame in [r#"{"success":false,"ret_msg":"no","op":"subscribe"}"#, r#"{"success":true,"op":"subscribe"}"#] {
        assert!(matches!(market.apply(frame.as_bytes(), 7), Applied::Control { .. }));
    }
    // Its age, too: an answer says nothing about the book.
    assert_eq!((*market.top(), market.top().sync), (before, Sync::Live));
    let counters = market.counters();
    assert_eq!([&counters.frames, &counters.ignored, &counters.denied].map(|counter| counter.get()), [3, 2, 1]);
}
