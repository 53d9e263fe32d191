//! Binance spot market streams, combined (`{"stream":…,"data":…}`) or raw, and the REST depth snapshot; the general
//! road of its futures too, whose frames differ in one field.
//!
//! Source: Binance's public API documentation, pages "WebSocket Streams" and "Market Data endpoints".

use super::fields::{once, once_true};
use super::json::{Scanner, Text, Value, check_text};
use super::{Message, Print, Refusal, Scratch, Span, WireError};
use crate::units::{Price, Qty};
use crate::view::Level;

/// Where a refusal says why; some stand in an object `error`.
pub(super) const DENIAL: [&str; 2] = ["code", "msg"];

/// Reads one frame about `symbol` (upper case, as in field `s`).
///
/// The shape that the venue sends today is tried first; every other order of keys, spacing or spelling that JSON
/// allows takes the general road and gives the same answer.
pub(super) fn decode(frame: &[u8], symbol: &[u8], scratch: &mut Scratch) -> Result<Message, Refusal> {
    if let Some(message) = usual_ticker(frame, symbol).or_else(|| usual_depth(frame, symbol, scratch)) {
        return Ok(message);
    }
    scratch.clear();
    decode_any(frame, symbol, scratch, Chain::Overlapping)
}

/// What a depth frame says that it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chain {
    /// Spot: the first id `U` tells.
    Overlapping,
    /// Futures: the last id of the frame before is named in `pu`, and ids between two frames may be missing.
    Previous,
}

/// The general road.
pub(super) fn decode_any(frame: &[u8], symbol: &[u8], scratch: &mut Scratch, chain: Chain) -> Result<Message, Refusal> {
    let mut fields = Fields::default();
    let scanned = check_text(frame).and_then(|()| fields.scan_frame(frame, scratch));
    let message = scanned.and_then(|()| fields.message(symbol, &mut scratch.trades, chain));
    message.map_err(|error| Refusal { error, may_be_depth: fields.may_be_depth(error) })
}

/// Reads the body of `GET /api/v3/depth`.
pub(super) fn decode_snapshot(body: &[u8], scratch: &mut Scratch) -> Result<u64, WireError> {
    check_text(body)?;
    let mut update_id = Value::Absent;
    let (mut bids, mut asks) = (false, false);
    let mut scanner = Scanner::new(body);
    scanner.object(|scanner, key| {
        if key.is(b"lastUpdateId") {
            update_id = once(update_id, "lastUpdateId", scanner.value()?)?;
        } else if key.is(b"bids") {
            once_true(&mut bids, "bids")?;
            scanner.levels("bids", &mut scratch.bids)?;
        } else if key.is(b"asks") {
            once_true(&mut asks, "asks")?;
            scanner.levels("asks", &mut scratch.asks)?;
        } else {
            scanner.value()?;
        }
        Ok(())
    })?;
    scanner.end()?;
    match (bids, asks) {
        (false, _) => Err(WireError::Missing("bids")),
        (_, false) => Err(WireError::Missing("asks")),
        _ => update_id.id("lastUpdateId"),
    }
}

/// `{"stream":"btcusdt@bookTicker","data":{"u":…,"s":…,"b":…,"B":…,"a":…,"A":…}}`, nothing else.
#[inline]
fn usual_ticker(frame: &[u8], symbol: &[u8]) -> Option<Message> {
    let mut scanner = Scanner::new(frame);
    eat_stream(&mut scanner, symbol, b"@bookTicker\",\"data\":{\"u\":")?;
    let update_id = scanner.eat_id()?;
    scanner.step(b",\"s\":\"")?;
    scanner.step(symbol)?;
    let mut number = |before: &[u8]| scanner.eat_word(before).then(|| scanner.eat_padded())?;
    let bid = Level { price: Price(number(b"\",\"b\":\"")?), quantity: Qty(number(b",\"B\":\"")?) };
    let ask = Level { price: Price(number(b",\"a\":\"")?), quantity: Qty(number(b",\"A\":\"")?) };
    scanner.step(b"}}")?;
    scanner.end().ok()?;
    (is_priced(bid) && is_priced(ask)).then_some(Message::Top { version: update_id, bid, ask })
}

/// An empty side has neither price nor quantity.
#[inline]
pub(super) fn is_priced(best: Level) -> bool {
    best.price.0 > 0 || best.quantity.0 == 0
}

/// `{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":…,"s":…,"U":…,"u":…,"b":[…],"a":[…]}}`.
#[inline]
fn usual_depth(frame: &[u8], symbol: &[u8], scratch: &mut Scratch) -> Option<Message> {
    let mut scanner = Scanner::new(frame);
    eat_stream(&mut scanner, symbol, b"@depth@100ms\",\"data\":{\"e\":\"depthUpdate\",\"E\":")?;
    scanner.eat_id()?;
    scanner.step(b",\"s\":\"")?;
    scanner.step(symbol)?;
    let first_id = scanner.eat_word(b"\",\"U\":").then(|| scanner.eat_id())??;
    let last_id = scanner.eat_word(b",\"u\":").then(|| scanner.eat_id())??;
    scanner.step(b",\"b\":")?;
    scanner.usual_levels(&mut scratch.bids)?;
    scanner.step(b",\"a\":")?;
    scanner.usual_levels(&mut scratch.asks)?;
    scanner.step(b"}}")?;
    scanner.end().ok()?;
    (first_id <= last_id).then(|| Message::Depth(Span::overlapping(first_id, last_id)))
}

/// Steps over the stream's name (the symbol in lower case) and what follows it.
#[inline]
pub(super) fn eat_stream(scanner: &mut Scanner<'_>, symbol: &[u8], after: &[u8]) -> Option<()> {
    scanner.step(b"{\"stream\":\"")?;
    scanner.eat_lower_case(symbol).then_some(())?;
    scanner.step(after)
}

/// The fields of a frame that matter, in the order of [`NAMES`].
#[derive(Default)]
struct Fields<'a> {
    values: [Value<'a>; NAMES.len()],
    stream: Value<'a>,
    has_data: bool,
    /// Why `b` or `a` could not be read as levels; matters only if this turns out to be a depth frame.
    level_error: Option<WireError>,
}

const NAMES: [&str; 17] =
    ["e", "s", "U", "u", "b", "B", "a", "A", "p", "q", "m", "result", "error", "code", "id", "pu", "X"];
const EVENT: usize = 0;
const SYMBOL: usize = 1;
const FIRST_ID: usize = 2;
const LAST_ID: usize = 3;
const BID: usize = 4;
const BID_SIZE: usize = 5;
const ASK: usize = 6;
const ASK_SIZE: usize = 7;
const PRICE: usize = 8;
const QUANTITY: usize = 9;
const BUYER_IS_MAKER: usize = 10;
const RESULT: usize = 11;
const ERROR: usize = 12;
const CODE: usize = 13;
const ID: usize = 14;
const PREVIOUS_ID: usize = 15;
const TRADE_KIND: usize = 16;

/// What a frame is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ticker,
    Depth,
    Trade,
    Reply,
    Shutdown,
    Unknown,
}

impl<'a> Fields<'a> {
    fn scan_frame(&mut self, frame: &'a [u8], scratch: &mut Scratch) -> Result<(), WireError> {
        let mut scanner = Scanner::new(frame);
        scanner.object(|scanner, key| {
            if key.is(b"stream") {
                self.stream = once(self.stream, "stream", scanner.value()?)?;
                Ok(())
            } else if key.is(b"data") {
                once_true(&mut self.has_data, "data")?;
                match scanner.peek() {
                    Some(b'{') => scanner.object(|scanner, key| self.field(scanner, key, scratch)),
                    _ => scanner.value().map(drop),
                }
            } else {
                self.field(scanner, key, scratch)
            }
        })?;
        scanner.end()
    }

    fn field(&mut self, scanner: &mut Scanner<'a>, key: Text<'a>, scratch: &mut Scratch) -> Result<(), WireError> {
        let Some(slot) = key.place(&NAMES) else {
            return scanner.value().map(drop);
        };
        let value = match (slot, scanner.peek()) {
            (BID, Some(b'[')) => self.levels(scanner, "b", &mut scratch.bids)?,
            (ASK, Some(b'[')) => self.levels(scanner, "a", &mut scratch.asks)?,
            _ => scanner.value()?,
        };
        self.values[slot] = once(self.values[slot], NAMES[slot], value)?;
        Ok(())
    }

    /// Reads levels; where that fails, the array is passed over and the reason kept: the event may not be ours.
    fn levels(
        &mut self,
        scanner: &mut Scanner<'a>,
        field: &'static str,
        out: &mut Vec<Level>,
    ) -> Result<Value<'a>, WireError> {
        let start = *scanner;
        match scanner.levels(field, out) {
            Ok(()) => Ok(Value::Levels),
            Err(error) => {
                self.level_error = self.level_error.or(Some(error));
                *scanner = start;
                scanner.value()
            }
        }
    }

    fn kind(&self) -> Kind {
        match self.values[EVENT] {
            Value::Text(event) if event.is(b"depthUpdate") => Kind::Depth,
            Value::Text(event) if event.is(b"bookTicker") => Kind::Ticker,
            Value::Text(event) if event.is(b"trade") => Kind::Trade,
            Value::Text(event) if event.is(b"serverShutdown") => Kind::Shutdown,
            Value::Absent => self.kind_without_event(),
            _ => Kind::Unknown,
        }
    }

    /// Only bookTicker has no event type; without one, the stream's name says what the frame must be.
    fn kind_without_event(&self) -> Kind {
        let has = |slot: usize| !matches!(self.values[slot], Value::Absent);
        match self.stream_kind() {
            Some(kind) => kind,
            None if [LAST_ID, BID, BID_SIZE, ASK, ASK_SIZE].into_iter().all(has) => Kind::Ticker,
            None if [RESULT, ERROR, CODE, ID].into_iter().any(has) => Kind::Reply,
            None => Kind::Unknown,
        }
    }

    /// What the stream's name promises; `None` without a name.
    fn stream_kind(&self) -> Option<Kind> {
        let Value::Text(stream) = self.stream else { return None };
        let mut room = [0; 64];
        let name = stream.resolved(&mut room).unwrap_or(b"");
        let stem = name.iter().position(|&byte| byte == b'@').map_or(name, |at| &name[at..]);
        Some(match stem {
            b"@bookTicker" => Kind::Ticker,
            b"@depth" | b"@depth@0ms" | b"@depth@100ms" | b"@depth@500ms" | b"@depth@1000ms" => Kind::Depth,
            b"@trade" => Kind::Trade,
            b"!serverShutdown" => Kind::Shutdown,
            _ => Kind::Unknown,
        })
    }

    /// False only if what was read so far shows that the frame is no depth frame.
    fn may_be_depth(&self, error: WireError) -> bool {
        match (self.values[EVENT], self.stream_kind()) {
            _ if matches!(error, WireError::Duplicate("e" | "stream" | "data")) => true,
            (Value::Text(_), _) => self.kind() == Kind::Depth,
            (_, Some(kind)) => matches!(kind, Kind::Depth | Kind::Unknown),
            _ => true,
        }
    }

    fn message(&self, symbol: &[u8], trades: &mut Vec<Print>, chain: Chain) -> Result<Message, WireError> {
        match self.kind() {
            Kind::Unknown => Ok(Message::Unrelated("unknown event")),
            Kind::Shutdown => Ok(Message::Shutdown),
            Kind::Reply => Ok(self.reply()),
            Kind::Ticker | Kind::Depth | Kind::Trade if !self.is_about(symbol)? => {
                Ok(Message::Unrelated("another symbol"))
            }
            Kind::Ticker => self.ticker(),
            Kind::Depth => self.depth(chain),
            Kind::Trade => self.trade(trades),
        }
    }

    fn is_about(&self, symbol: &[u8]) -> Result<bool, WireError> {
        match self.values[SYMBOL] {
            Value::Text(text) => Ok(text.is(symbol)),
            _ => Err(WireError::Missing("s")),
        }
    }

    fn reply(&self) -> Message {
        let refused = [ERROR, CODE].into_iter().any(|slot| !matches!(self.values[slot], Value::Absent));
        Message::Reply { accepted: !refused }
    }

    fn e8(&self, slot: usize) -> Result<i64, WireError> {
        self.values[slot].e8(NAMES[slot])
    }

    fn level(&self, price: usize, quantity: usize) -> Result<Level, WireError> {
        Ok(Level { price: Price(self.e8(price)?), quantity: Qty(self.e8(quantity)?) })
    }

    fn ticker(&self) -> Result<Message, WireError> {
        let update_id = self.values[LAST_ID].id("u")?;
        let (bid, ask) = (self.level(BID, BID_SIZE)?, self.level(ASK, ASK_SIZE)?);
        match (is_priced(bid), is_priced(ask)) {
            (true, true) => Ok(Message::Top { version: update_id, bid, ask }),
            (false, _) => Err(WireError::NoPrice("b")),
            _ => Err(WireError::NoPrice("a")),
        }
    }

    fn depth(&self, chain: Chain) -> Result<Message, WireError> {
        if let Some(error) = self.level_error {
            return Err(error);
        }
        let (first_id, last_id) = (self.values[FIRST_ID].id("U")?, self.values[LAST_ID].id("u")?);
        match (self.values[BID], self.values[ASK]) {
            (Value::Levels, Value::Levels) => self.span(first_id, last_id, chain).map(Message::Depth),
            (Value::Levels, _) => Err(WireError::Missing("a")),
            _ => Err(WireError::Missing("b")),
        }
    }

    fn span(&self, first_id: u64, last_id: u64, chain: Chain) -> Result<Span, WireError> {
        let (first_id, span) = match chain {
            Chain::Overlapping => (first_id, Span::overlapping(first_id, last_id)),
            Chain::Previous => {
                let previous_id = self.values[PREVIOUS_ID].id("pu")?;
                (first_id.max(previous_id + 1), Span::exactly_after(previous_id, last_id))
            }
        };
        if first_id <= last_id { Ok(span) } else { Err(WireError::Backward { first_id, last_id }) }
    }

    fn trade(&self, trades: &mut Vec<Print>) -> Result<Message, WireError> {
        if matches!(self.values[TRADE_KIND], Value::Text(kind) if !kind.is(b"MARKET")) {
            return Ok(Message::Unrelated("a trade outside the market"));
        }
        let Value::Bool(buyer_is_maker) = self.values[BUYER_IS_MAKER] else { return Err(WireError::Missing("m")) };
        let (price, quantity) = (Price(self.e8(PRICE)?), Qty(self.e8(QUANTITY)?));
        if price.0 == 0 {
            return Err(WireError::NoPrice("p"));
        }
        trades.push(Print { price, quantity, buyer_is_maker });
        Ok(Message::Trades)
    }
}
