//! Binance USD-M futures market streams and the REST depth snapshot: spot's words, with `pu` in a depth frame (the
//! last id of the frame before), times in a bookTicker, and numbers without padding.
//!
//! Source: Binance's public API documentation, pages "Websocket Market Streams" and "Market Data Endpoints" of USD-M
//! futures; recorded frames.

use super::binance::{self, Chain, eat_stream, is_priced};
use super::json::Scanner;
use super::{Message, Refusal, Scratch, Span};
use crate::units::{Price, Qty};
use crate::view::Level;

/// Reads one frame about `symbol` (upper case, as in field `s`).
///
/// The shape that the venue sends today is tried first; any other spelling that JSON allows takes the general road and
/// gives the same answer.
pub(super) fn decode(frame: &[u8], symbol: &[u8], scratch: &mut Scratch) -> Result<Message, Refusal> {
    if let Some(message) = usual_ticker(frame, symbol).or_else(|| usual_depth(frame, symbol, scratch)) {
        return Ok(message);
    }
    scratch.clear();
    binance::decode_any(frame, symbol, scratch, Chain::Previous)
}

/// `{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":…,"s":…,"b":…,"B":…,"a":…,"A":…,"T":…,"E":…}}`.
#[inline]
fn usual_ticker(frame: &[u8], symbol: &[u8]) -> Option<Message> {
    let mut scanner = Scanner::new(frame);
    eat_stream(&mut scanner, symbol, b"@bookTicker\",\"data\":{\"e\":\"bookTicker\",\"u\":")?;
    let version = scanner.eat_id()?;
    scanner.step(b",\"s\":\"")?;
    scanner.step(symbol)?;
    let mut number = |before: &[u8]| scanner.eat_word(before).then(|| scanner.eat_plain())?;
    let bid = Level { price: Price(number(b"\",\"b\":\"")?), quantity: Qty(number(b",\"B\":\"")?) };
    let ask = Level { price: Price(number(b",\"a\":\"")?), quantity: Qty(number(b",\"A\":\"")?) };
    eat_times(&mut scanner, [b",\"T\":", b",\"E\":"])?;
    scanner.step(b"}}")?;
    scanner.end().ok()?;
    (is_priced(bid) && is_priced(ask)).then_some(Message::Top { version, bid, ask })
}

/// `{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":…,"T":…,"s":…,"U":…,"u":…,"pu":…,"b":[…],"a":[…]}}`.
#[inline]
fn usual_depth(frame: &[u8], symbol: &[u8], scratch: &mut Scratch) -> Option<Message> {
    let mut scanner = Scanner::new(frame);
    eat_stream(&mut scanner, symbol, b"@depth@")?;
    // As asked for; recorded streams of the fastest kind call it 0.
    scanner.step(b"100ms").or_else(|| scanner.step(b"0ms"))?;
    scanner.step(b"\",\"data\":{\"e\":\"depthUpdate\"")?;
    eat_times(&mut scanner, [b",\"E\":", b",\"T\":"])?;
    scanner.step(b",\"s\":\"")?;
    scanner.step(symbol)?;
    let mut id = |before: &[u8]| scanner.eat_word(before).then(|| scanner.eat_id())?;
    let (first_id, last_id, previous_id) = (id(b"\",\"U\":")?, id(b",\"u\":")?, id(b",\"pu\":")?);
    scanner.step(b",\"b\":")?;
    scanner.plain_levels(&mut scratch.bids, |rest| rest.strip_prefix(b"]"))?;
    scanner.step(b",\"a\":")?;
    scanner.plain_levels(&mut scratch.asks, |rest| rest.strip_prefix(b"]"))?;
    scanner.step(b"}}")?;
    scanner.end().ok()?;
    let forward = previous_id < last_id && first_id <= last_id;
    forward.then(|| Message::Depth(Span::exactly_after(previous_id, last_id)))
}

/// Steps over two fields that hold times.
#[inline(always)]
fn eat_times(scanner: &mut Scanner<'_>, fields: [&[u8]; 2]) -> Option<()> {
    fields.into_iter().try_for_each(|field| {
        scanner.step(field)?;
        scanner.eat_id().map(drop)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_venue_sends_today_takes_the_short_road() {
        let times = r#""E":1680652700594,"T":1680652700586"#;
        for stream in ["depth@100ms", "depth@0ms"] {
            let data = format!(
                r#""e":"depthUpdate",{times},"s":"BTCUSDT","U":157,"u":160,"pu":149,"b":[["5000.00","14.368"]],"a":[]"#
            );
            let frame = format!(r#"{{"stream":"btcusdt@{stream}","data":{{{data}}}}}"#);
            assert!(usual_depth(frame.as_bytes(), b"BTCUSDT", &mut Scratch::default()).is_some(), "{frame}");
        }
        let data =
            r#""e":"bookTicker","u":7,"s":"BTCUSDT","b":"28145.10","B":"3.868","a":"28145.20","A":"6.887","T":1,"E":2"#;
        let frame = format!(r#"{{"stream":"btcusdt@bookTicker","data":{{{data}}}}}"#);
        assert!(usual_ticker(frame.as_bytes(), b"BTCUSDT").is_some(), "{frame}");
    }
}
