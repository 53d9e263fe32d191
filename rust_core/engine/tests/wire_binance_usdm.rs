//! What the scanner of Binance's futures accepts, passes over and refuses.

use engine::units::{DecimalError, Price, Qty};
use engine::view::Level;
use engine::wire::{Message, Print, Refusal, Scratch, Span, Venue, WireError};
use proptest::prelude::*;

const TICKER: &str = r#"{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":2710246762461,"s":"BTCUSDT","b":"28145.10","B":"3.868","a":"28145.20","A":"6.887","T":1680652700430,"E":1680652700435}}"#;
const DEPTH: &str = r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1680652700594,"T":1680652700586,"s":"BTCUSDT","U":157,"u":160,"pu":149,"b":[["5000.00","14.368"],["28018.90","0.000"]],"a":[["28145.20","6.961"]]}}"#;
const TRADE: &str = r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1680652700455,"T":1680652700452,"s":"BTCUSDT","t":3535186032,"p":"28145.10","q":"0.002","X":"MARKET","m":true}}"#;

fn read(frame: &[u8]) -> (Result<Message, Refusal>, Vec<Level>, Vec<Level>, Vec<Print>) {
    let mut scratch = Scratch::default();
    let message = Venue::BinanceUsdm.decode(frame, b"BTCUSDT", &mut scratch);
    (message, scratch.bids, scratch.asks, scratch.trades)
}

fn level(price: &str, quantity: &str) -> Level {
    let e8 = |text: &str| engine::units::parse_e8(text.as_bytes()).expect("a decimal");
    Level { price: Price(e8(price)), quantity: Qty(e8(quantity)) }
}

/// The part behind `"data":` without the closing brace of the frame.
fn raw(frame: &str) -> String {
    let data = frame.split_once("\"data\":").expect("a combined frame").1;
    data[..data.len() - 1].to_owned()
}

#[test]
fn combined_and_raw_frames_say_the_same() {
    let top =
        Message::Top { version: 2_710_246_762_461, bid: level("28145.1", "3.868"), ask: level("28145.2", "6.887") };
    let Level { price, quantity } = level("28145.1", "0.002");
    for wrap in [|frame: &str| frame.to_owned(), raw] {
        assert_eq!(read(wrap(TICKER).as_bytes()).0, Ok(top));
        let (message, bids, asks, _) = read(wrap(DEPTH).as_bytes());
        assert_eq!(message, Ok(Message::Depth(Span::exactly_after(149, 160))));
        assert_eq!(bids, [level("5000", "14.368"), level("28018.9", "0")]);
        assert_eq!(asks, [level("28145.2", "6.961")]);
        let (message, .., trades) = read(wrap(TRADE).as_bytes());
        assert_eq!((message, trades), (Ok(Message::Trades), vec![Print { price, quantity, buyer_is_maker: true }]));
    }
}

#[test]
fn key_order_blanks_escapes_and_unknown_fields_change_nothing() {
    let odd = r#" {"data":{"pu":149,"a":[ [ "28145.2" , "6.96100000" , [] ] ],"b":[],"u":160,"U":157,"\u0073":"BTCUSD\u0054","new":{"pu":1},"e":"depthUpdate"},"stream":"btcusdt@depth"} "#;
    let (message, bids, asks, _) = read(odd.as_bytes());
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
        assert_eq!(read(frame.as_bytes()).0, Ok(expected), "{frame}");
    }
}

#[test]
fn malformed_depth_is_refused_with_the_reason() {
    for (from, to, expected) in [
        ("\"6.961\"", "\"-6.961\"", WireError::Number { field: "a", error: DecimalError::Malformed }),
        ("\"5000.00\"", "\"0.00\"", WireError::NoPrice("b")),
        ("\"pu\":149,", "", WireError::Missing("pu")),
        ("\"pu\":149,", "\"pu\":\"149\",", WireError::Missing("pu")),
        ("\"pu\":149,", "\"pu\":149,\"pu\":149,", WireError::Duplicate("pu")),
        ("\"pu\":149,", "\"pu\":160,", WireError::Backward { first_id: 161, last_id: 160 }),
        ("\"U\":157,", "\"U\":161,", WireError::Backward { first_id: 161, last_id: 160 }),
        ("\"U\":157,", "", WireError::Missing("U")),
    ] {
        let frame = DEPTH.replacen(from, to, 1);
        assert_ne!(frame, DEPTH, "{from}");
        assert_eq!(read(frame.as_bytes()).0, Err(Refusal { error: expected, may_be_depth: true }), "{frame}");
    }
}

#[test]
fn a_snapshot_may_say_when_it_was_made() {
    let mut scratch = Scratch::default();
    let mut snapshot = |body: &str| Venue::BinanceUsdm.decode_snapshot(body.as_bytes(), &mut scratch);
    let body = r#"{"lastUpdateId":160,"E":1680652700590,"T":1680652700580,"bids":[["1.0","2"]],"asks":[]}"#;
    assert_eq!(snapshot(body), Ok(160));
    assert_eq!(snapshot(&body.replacen("1.0", "0.0", 1)), Err(WireError::NoPrice("bids")));
    assert_eq!(snapshot(r#"{"E":1,"bids":[],"asks":[]}"#), Err(WireError::Missing("lastUpdateId")));
}

proptest! {
    #[test]
    fn every_cut_of_a_frame_is_refused(cut in 0..TICKER.len(), which in 0..3_usize) {
        let frame = [TICKER, DEPTH, TRADE][which];
        prop_assert!(read(&frame.as_bytes()[..cut.min(frame.len() - 1)]).0.is_err());
    }

    #[test]
    fn short_and_general_road_agree_on_damaged_frames(at in 0..300_usize, byte in any::<u8>(), which in 0..2_usize) {
        let mut frame = [TICKER, DEPTH][which].as_bytes().to_vec();
        let at = at % frame.len();
        frame[at] = byte;
        let (short, general) = (read(&frame), read(&[b" ", frame.as_slice()].concat()));
        prop_assert_eq!(short.0.is_ok(), general.0.is_ok());
        if short.0.is_ok() {
            prop_assert_eq!(short, general);
        }
    }

    #[test]
    fn no_bytes_make_the_scanner_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), json in "[\\[\\]{}\":,\\\\0-9a-zA-Z. ]{0,80}") {
        let _ = (read(&bytes), read(json.as_bytes()));
        let _ = Venue::BinanceUsdm.decode_snapshot(json.as_bytes(), &mut Scratch::default());
    }
}

#[test]
fn reading_a_frame_allocates_nothing() {
    let mut scratch = Scratch::default();
    for frame in [TICKER, DEPTH, TRADE] {
        for frame in [frame.to_owned(), format!(" {frame}")] {
            let read = || assert!(Venue::BinanceUsdm.decode(frame.as_bytes(), b"BTCUSDT", &mut scratch).is_ok());
            assert_eq!(allocation_counter::measure(read).count_total, 0, "{frame}");
        }
    }
}
