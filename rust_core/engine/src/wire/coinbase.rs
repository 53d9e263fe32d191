//! Coinbase Advanced Trade: channels `level2` (messages say `l2_data`), `market_trades` and `heartbeats`.
//!
//! Source: Coinbase's public documentation, page "Advanced Trade WebSocket channels"; recorded frames. Every message of
//! a connection has the next `sequence_num`, whatever it is about; nothing else shows that one was lost. A message may
//! hold several events, and each is about one product (trades: each row is).

use super::fields::{self, keep};
use super::json::{Scanner, Text, Value, check_text};
use super::{Join, MAX_FRAME_LEVELS, MAX_FRAME_TRADES, Message, Print, Refusal, Scratch, Span, WireError};
use crate::units::{Price, Qty};
use crate::view::Level;

/// Where a refusal says why.
pub(super) const DENIAL: [&str; 2] = ["message", "reason"];

/// Reads one frame about `symbol` (as in `product_id`).
///
/// The shape that the venue sends today is tried first; any other spelling that JSON allows takes the general road and
/// gives the same answer.
pub(super) fn decode(frame: &[u8], symbol: &[u8], scratch: &mut Scratch) -> Result<Message, Refusal> {
    if let Some(message) = usual_book(frame, symbol, scratch) {
        return Ok(message);
    }
    scratch.clear();
    let mut envelope = Envelope::default();
    let scanned = check_text(frame).and_then(|()| envelope.scan(frame));
    let message = scanned.and_then(|()| envelope.message(symbol, scratch));
    message.map_err(|error| Refusal { error, may_be_depth: envelope.may_be_depth(error) })
}

/// The book's message of this number.
fn book(whole: bool, sequence: u64) -> Message {
    match whole {
        true => Message::Snapshot { id: sequence, version: sequence, checksum: None },
        false => Message::Depth(Span {
            first_id: sequence,
            last_id: sequence,
            join: Join::Unnumbered,
            version: sequence,
            checksum: None,
        }),
    }
}

/// `{"channel":"l2_data","timestamp":…,"sequence_num":…,"events":[{"type":…,"product_id":…,"updates":[…]}]}`.
#[inline]
fn usual_book(frame: &[u8], symbol: &[u8], scratch: &mut Scratch) -> Option<Message> {
    let mut scanner = Scanner::new(frame);
    scanner.step(b"{\"channel\":\"l2_data\",")?;
    // Documented, and absent in recorded frames.
    scanner.eat_word(b"\"client_id\":\"\",");
    scanner.step(b"\"timestamp\":\"")?;
    scanner.eat_ascii()?;
    scanner.step(b",\"sequence_num\":")?;
    let sequence = scanner.eat_id()?;
    scanner.step(b",\"events\":[{\"type\":\"")?;
    let whole = scanner.eat_word(b"snapshot");
    if !whole {
        scanner.step(b"update")?;
    }
    scanner.step(b"\",\"product_id\":\"")?;
    scanner.step(symbol)?;
    scanner.step(b"\",\"updates\":[")?;
    usual_updates(&mut scanner, scratch)?;
    scanner.step(b"}]}")?;
    scanner.end().ok()?;
    scratch.sequence = Some(sequence);
    Some(book(whole, sequence))
}

/// At least one update, and the end of the array.
#[inline]
fn usual_updates(scanner: &mut Scanner<'_>, scratch: &mut Scratch) -> Option<()> {
    loop {
        scanner.step(b"{\"side\":\"")?;
        let bid = scanner.eat_word(b"bid");
        if !bid {
            scanner.step(b"offer")?;
        }
        scanner.step(b"\",\"event_time\":\"")?;
        scanner.eat_ascii()?;
        scanner.step(b",\"price_level\":\"")?;
        let price = scanner.eat_plain()?;
        scanner.step(b",\"new_quantity\":\"")?;
        let quantity = scanner.eat_plain()?;
        scanner.step(b"}")?;
        let side = if bid { &mut scratch.bids } else { &mut scratch.asks };
        (price > 0 && side.len() < MAX_FRAME_LEVELS).then_some(())?;
        side.push(Level { price: Price(price), quantity: Qty(quantity) });
        if !scanner.eat_word(b",") {
            return scanner.step(b"]");
        }
    }
}

const OUTER: [&str; 3] = ["channel", "type", "sequence_num"];
const CHANNEL: usize = 0;
const KIND: usize = 1;
const SEQUENCE: usize = 2;

/// The outer object of a message. Its events can be read only when all of it is known: the channel may stand last.
#[derive(Default)]
struct Envelope<'a> {
    values: [Value<'a>; OUTER.len()],
    events: Option<Scanner<'a>>,
}

impl<'a> Envelope<'a> {
    fn scan(&mut self, frame: &'a [u8]) -> Result<(), WireError> {
        let mut scanner = Scanner::new(frame);
        scanner.object(|scanner, key| match key.is(b"events") {
            true => pass_over(scanner, "events", &mut self.events),
            false => keep(scanner, key, &OUTER, &mut self.values),
        })?;
        scanner.end()
    }

    /// False only if what was read so far shows that the message is about another channel, or none.
    fn may_be_depth(&self, error: WireError) -> bool {
        match self.values[CHANNEL] {
            Value::Text(channel) => channel.is(b"l2_data") || error == WireError::Duplicate("channel"),
            _ => true,
        }
    }

    fn message(&self, symbol: &[u8], scratch: &mut Scratch) -> Result<Message, WireError> {
        if !matches!(self.values[SEQUENCE], Value::Absent) {
            scratch.sequence = Some(self.values[SEQUENCE].id("sequence_num")?);
        }
        if self.values[KIND].is(b"error") {
            return Ok(Message::Reply { accepted: false });
        }
        let channel = match self.values[CHANNEL] {
            Value::Text(channel) => channel,
            Value::Absent => return Ok(Message::Unrelated("unknown event")),
            _ => return Err(WireError::Missing("channel")),
        };
        let sequence = scratch.sequence.ok_or(WireError::Missing("sequence_num"))?;
        if channel.is(b"l2_data") {
            self.book(symbol, sequence, scratch)
        } else if channel.is(b"market_trades") {
            self.trades(symbol, scratch)
        } else if channel.is(b"subscriptions") {
            Ok(Message::Reply { accepted: true })
        } else {
            Ok(Message::Unrelated(if channel.is(b"heartbeats") { "heartbeat" } else { "unknown event" }))
        }
    }

    /// Calls `each` with every event, its rows in the field `rows`.
    fn events(
        &self,
        rows: &'static str,
        mut each: impl FnMut(&Event<'a>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        let mut scanner = self.events.filter(is_array).ok_or(WireError::Missing("events"))?;
        scanner.array(|scanner| {
            let mut event = Event::default();
            scanner.object(|scanner, key| event.field(scanner, key, rows))?;
            each(&event)
        })
    }

    /// The events of one message happened one after the other: a snapshot makes those before it void, and an update
    /// behind it is a later word on the same level, which is the one that a book keeps.
    fn book(&self, symbol: &[u8], sequence: u64, scratch: &mut Scratch) -> Result<Message, WireError> {
        let mut whole = None;
        self.events("updates", |event| {
            let Value::Text(product) = event.values[PRODUCT] else { return Err(WireError::Missing("product_id")) };
            if !product.is(symbol) {
                return Ok(());
            }
            let snapshot = event.is_snapshot()?;
            if snapshot {
                scratch.bids.clear();
                scratch.asks.clear();
            }
            whole = Some(snapshot || whole == Some(true));
            let mut rows = event.rows.filter(is_array).ok_or(WireError::Missing("updates"))?;
            rows.array(|scanner| update(scanner, scratch))
        })?;
        Ok(whole.map_or(Message::Unrelated("another symbol"), |whole| book(whole, sequence)))
    }

    /// A batch comes newest first. The snapshot of this channel is what happened before the subscription: who waits for
    /// a trade from now on must not be given one of those.
    fn trades(&self, symbol: &[u8], scratch: &mut Scratch) -> Result<Message, WireError> {
        let mut reason = "another symbol";
        self.events("trades", |event| {
            let known = scratch.trades.len();
            let mut rows = event.rows.filter(is_array).ok_or(WireError::Missing("trades"))?;
            if event.is_snapshot()? {
                reason = "trades before the subscription";
                return Ok(());
            }
            rows.array(|scanner| trade(scanner, symbol, &mut scratch.trades))?;
            scratch.trades[known..].reverse();
            Ok(())
        })?;
        Ok(if scratch.trades.is_empty() { Message::Unrelated(reason) } else { Message::Trades })
    }
}

const EVENT: [&str; 2] = ["type", "product_id"];
const EVENT_KIND: usize = 0;
const PRODUCT: usize = 1;

/// One event, its rows not yet read.
#[derive(Default)]
struct Event<'a> {
    values: [Value<'a>; EVENT.len()],
    rows: Option<Scanner<'a>>,
}

impl<'a> Event<'a> {
    fn field(&mut self, scanner: &mut Scanner<'a>, key: Text<'a>, rows: &'static str) -> Result<(), WireError> {
        match key.is(rows.as_bytes()) {
            true => pass_over(scanner, rows, &mut self.rows),
            false => keep(scanner, key, &EVENT, &mut self.values),
        }
    }

    fn is_snapshot(&self) -> Result<bool, WireError> {
        match self.values[EVENT_KIND] {
            Value::Text(kind) if kind.is(b"snapshot") => Ok(true),
            Value::Text(kind) if kind.is(b"update") => Ok(false),
            Value::Text(_) => Err(WireError::Unknown("type")),
            _ => Err(WireError::Missing("type")),
        }
    }
}

/// Notes where a field's value stands, and steps over it.
fn pass_over<'a>(
    scanner: &mut Scanner<'a>,
    field: &'static str,
    place: &mut Option<Scanner<'a>>,
) -> Result<(), WireError> {
    if place.replace(*scanner).is_some() {
        return Err(WireError::Duplicate(field));
    }
    scanner.value().map(drop)
}

fn is_array(scanner: &Scanner<'_>) -> bool {
    scanner.peek() == Some(b'[')
}

fn update(scanner: &mut Scanner<'_>, scratch: &mut Scratch) -> Result<(), WireError> {
    let [side, price, quantity] = fields::read(scanner, ["side", "price_level", "new_quantity"])?;
    let levels = match side {
        Value::Text(side) if side.is(b"bid") => &mut scratch.bids,
        Value::Text(side) if side.is(b"offer") => &mut scratch.asks,
        Value::Text(_) => return Err(WireError::Unknown("side")),
        _ => return Err(WireError::Missing("side")),
    };
    if levels.len() == MAX_FRAME_LEVELS {
        return Err(WireError::TooManyLevels);
    }
    let level = Level { price: Price(price.e8("price_level")?), quantity: Qty(quantity.e8("new_quantity")?) };
    if level.price.0 == 0 {
        return Err(WireError::NoPrice("price_level"));
    }
    levels.push(level);
    Ok(())
}

/// One trade; its side is the maker's.
fn trade(scanner: &mut Scanner<'_>, symbol: &[u8], trades: &mut Vec<Print>) -> Result<(), WireError> {
    let [product, side, price, size] = fields::read(scanner, ["product_id", "side", "price", "size"])?;
    let Value::Text(product) = product else { return Err(WireError::Missing("product_id")) };
    if !product.is(symbol) {
        return Ok(());
    }
    let buyer_is_maker = match side {
        Value::Text(side) if side.is(b"BUY") => true,
        Value::Text(side) if side.is(b"SELL") => false,
        Value::Text(_) => return Err(WireError::Unknown("side")),
        _ => return Err(WireError::Missing("side")),
    };
    if trades.len() == MAX_FRAME_TRADES {
        return Err(WireError::TooManyTrades);
    }
    let (price, quantity) = (Price(price.e8("price")?), Qty(size.e8("size")?));
    if price.0 == 0 {
        return Err(WireError::NoPrice("price"));
    }
    trades.push(Print { price, quantity, buyer_is_maker });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_venue_sends_today_takes_the_short_road() {
        let head = r#"{"channel":"l2_data","timestamp":"2026-08-09T21:05:48.483587501Z","sequence_num":13,"events":["#;
        let rows = r#"{"side":"bid","event_time":"2026-08-09T21:05:48.170326Z","price_level":"65061.91","new_quantity":"0"},{"side":"offer","event_time":"2026-08-09T21:05:48.170326Z","price_level":"138991023.41","new_quantity":"0.00000238"}"#;
        for kind in ["snapshot", "update"] {
            let event = format!(r#"{{"type":"{kind}","product_id":"BTC-USD","updates":[{rows}]}}"#);
            let frame = format!("{head}{event}]}}");
            assert!(usual_book(frame.as_bytes(), b"BTC-USD", &mut Scratch::default()).is_some(), "{frame}");
        }
    }
}
