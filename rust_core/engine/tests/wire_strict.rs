//! What no venue's decoder may let pass.

use engine::wire::{Refusal, Scratch, Venue, WireError};

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
