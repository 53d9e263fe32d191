//! What no venue's decoder may let pass.

use engine::wire::{MAX_FRAME, Message, Refusal, Scratch, Venue, WireError};

fn refused(venue: Venue, symbol: &str, frame: &[u8]) -> WireError {
    let read = venue.decode(frame, symbol.as_bytes(), &mut Scratch::default());
    let Err(Refusal { error, .. }) = read else { panic!("{venue:?} took {read:?}") };
    error
}

#[test]
fn a_payload_that_stands_there_twice_is_refused_whatever_its_types() {
    let ticker = r#"{"u":7,"s":"BTCUSDT","b":"1","B":"2","a":"3","A":"4"}"#;
    for venue in [Venue::Binance, Venue::BinanceUsdm, Venue::BinanceSbe] {
        let frame = format!(r#"{{"stream":"btcusdt@bookTicker","data":null,"data":{ticker}}}"#);
        assert_eq!(refused(venue, "BTCUSDT", frame.as_bytes()), WireError::Duplicate("data"));
    }
    let (arg, data) =
        (r#"{"channel":"books","instId":"BTC-USDT"}"#, r#"[{"asks":[],"bids":[],"seqId":7,"prevSeqId":6}]"#);
    let twice = format!(r#"{{"arg":{arg},"action":"update","data":0,"data":{data}}}"#);
    assert_eq!(refused(Venue::Okx, "BTC-USDT", twice.as_bytes()), WireError::Duplicate("data"));
    let twice = format!(r#"{{"arg":0,"arg":{arg},"action":"update","data":{data}}}"#);
    assert_eq!(refused(Venue::Okx, "BTC-USDT", twice.as_bytes()), WireError::Duplicate("arg"));
}

#[test]
fn a_trade_without_a_price_is_refused_by_every_venue() {
    let binance = br#"{"e":"trade","s":"BTCUSDT","p":"0.00000000","q":"1","m":true}"#;
    for venue in [Venue::Binance, Venue::BinanceUsdm] {
        assert_eq!(refused(venue, "BTCUSDT", binance), WireError::NoPrice("p"));
    }
    let coinbase = br#"{"channel":"market_trades","sequence_num":1,"events":[{"type":"update","trades":[{"product_id":"BTC-USD","price":"0","size":"1","side":"BUY"}]}]}"#;
    assert_eq!(refused(Venue::Coinbase, "BTC-USD", coinbase), WireError::NoPrice("price"));
    let mut sbe = vec![18, 0, 0x10, 0x27, 1, 0, 0, 0];
    sbe.extend([0; 16]);
    sbe.extend([0xFE, 0xFB, 25, 0, 1, 0, 0, 0]);
    sbe.extend([0; 16]);
    sbe.extend([7, 0, 0, 0, 0, 0, 0, 0, 1]);
    sbe.extend(b"\x07BTCUSDT");
    assert_eq!(refused(Venue::BinanceSbe, "BTCUSDT", &sbe), WireError::NoPrice("price"));
}

#[test]
fn a_binary_top_with_a_quantity_but_no_price_is_refused() {
    let mut sbe = vec![50, 0, 0x11, 0x27, 1, 0, 0, 0];
    sbe.extend([0; 16]);
    sbe.extend([0xFE, 0xFB]);
    sbe.extend([0; 8]);
    sbe.extend([7, 0, 0, 0, 0, 0, 0, 0]);
    sbe.extend([0; 16]);
    sbe.extend(b"\x07BTCUSDT");
    assert_eq!(refused(Venue::BinanceSbe, "BTCUSDT", &sbe), WireError::NoPrice("price"));
}

#[test]
fn a_refused_frame_that_says_twice_what_it_is_may_be_a_depth_frame() {
    let twice = [
        (Venue::Binance, r#"{"e":"trade","e":"depthUpdate","s":"BTCUSDT"}"#),
        (Venue::BinanceUsdm, r#"{"stream":"btcusdt@trade","stream":"btcusdt@depth@100ms","data":{}}"#),
        (Venue::Binance, r#"{"stream":"btcusdt@trade","data":{"e":"trade"},"data":{"e":"depthUpdate"}}"#),
        (Venue::Bybit, r#"{"topic":"publicTrade.BTCUSDT","topic":"orderbook.200.BTCUSDT"}"#),
        (Venue::Okx, r#"{"arg":{"channel":"trades","channel":"books"}}"#),
        (Venue::Coinbase, r#"{"channel":"heartbeats","channel":"l2_data","sequence_num":1}"#),
    ];
    for (venue, frame) in twice {
        let read = venue.decode(frame.as_bytes(), b"BTCUSDT", &mut Scratch::default());
        assert!(
            matches!(read, Err(Refusal { error: WireError::Duplicate(_), may_be_depth: true })),
            "{frame}: {read:?}"
        );
    }
}

#[test]
fn no_venue_looks_at_a_frame_or_a_body_beyond_the_bound_however_usual_it_is() {
    let padded = |text: &str| format!("{text}{}", " ".repeat(MAX_FRAME + 1 - text.len()));
    let too_long = WireError::TooLong { bytes: MAX_FRAME + 1 };
    for (venue, symbol, frame) in [
        (
            Venue::Binance,
            "BTCUSDT",
            r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":157,"u":160,"b":[],"a":[]}}"#,
        ),
        (
            Venue::BinanceUsdm,
            "BTCUSDT",
            r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1,"T":1,"s":"BTCUSDT","U":157,"u":160,"pu":149,"b":[],"a":[]}}"#,
        ),
        (
            Venue::Bybit,
            "BTCUSDT",
            r#"{"topic":"orderbook.200.BTCUSDT","ts":1,"type":"delta","data":{"s":"BTCUSDT","b":[],"a":[],"u":7,"seq":9},"cts":1}"#,
        ),
        (
            Venue::Okx,
            "BTC-USDT",
            r#"{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[],"bids":[],"ts":"1","prevSeqId":5,"seqId":5}]}"#,
        ),
        (
            Venue::Coinbase,
            "BTC-USD",
            r#"{"channel":"l2_data","timestamp":"t","sequence_num":7,"events":[{"type":"update","product_id":"BTC-USD","updates":[{"side":"bid","event_time":"t","price_level":"1","new_quantity":"1"}]}]}"#,
        ),
    ] {
        assert!(venue.decode(frame.as_bytes(), symbol.as_bytes(), &mut Scratch::default()).is_ok(), "{frame}");
        assert_eq!(refused(venue, symbol, padded(frame).as_bytes()), too_long, "{frame}");
    }
    let body = padded(r#"{"lastUpdateId":160,"bids":[],"asks":[]}"#);
    assert_eq!(Venue::Binance.decode_snapshot(body.as_bytes(), &mut Scratch::default()), Err(too_long));
}

#[test]
fn a_key_with_escapes_is_resolved_a_few_times_however_many_names_are_known() {
    // A frame of 1 MiB has room for 90,000 of them, and the thread that reads it has a book to keep.
    let keys = "\"\\u0062x\":1,".repeat(1_000);
    for venue in Venue::ALL {
        let heads = ["{", "{\"data\":{", "{\"data\":[{", "{\"arg\":{"];
        for (head, tail) in heads.into_iter().zip(["}", "}}", "}]}", "}}"]) {
            let frame = format!("{head}{keys}\"x\":1{tail}");
            let mut scratch = Scratch::default();
            let read = || assert!(venue.decode(frame.as_bytes(), b"BTCUSDT", &mut scratch).is_ok());
            let allocated = allocation_counter::measure(read).count_total;
            assert!(allocated <= 12 * 1_000, "{venue:?} {head}: {allocated}");
        }
        let long = format!("{{\"{}\":1}}", "\\u0062".repeat(100_000));
        let read = || assert!(venue.decode(long.as_bytes(), b"BTCUSDT", &mut Scratch::default()).is_ok());
        assert!(allocation_counter::measure(read).bytes_total < 1 << 20, "{venue:?}");
    }
}

#[test]
fn a_name_of_64_letters_is_known_though_each_of_them_is_an_escape_and_one_of_65_is_none() {
    let frame = |letters: usize| {
        let symbol = "\\u0041".repeat(letters);
        format!(r#"{{"u":7,"s":"{symbol}","b":"1","B":"2","a":"3","A":"4"}}"#)
    };
    let read = |letters: usize| {
        Venue::Binance.decode(frame(letters).as_bytes(), "A".repeat(letters).as_bytes(), &mut Scratch::default())
    };
    assert!(matches!(read(64), Ok(Message::Top { version: 7, .. })));
    assert_eq!(read(65), Ok(Message::Unrelated("another symbol")));
}
