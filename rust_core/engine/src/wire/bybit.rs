//! Bybit v5 public spot: `orderbook.1` (the top), `orderbook.200` (the book), `publicTrade`, and the REST order book.
//!
//! Source: Bybit's public API documentation, pages "Orderbook", "Trade" and "Connect"; recorded frames. `u` counts the
//! frames of one topic by one; `seq` is common to all topics and rises with gaps.

use super::fields::{self, keep, once, once_true};
use super::json::{Scanner, Text, Value, check_text};
use super::plain::best_of;
use super::{Join, MAX_FRAME_TRADES, Message, Print, Refusal, Scratch, Span, WireError};
use crate::units::{Price, Qty};

/// Where a refusal says of what, and why: in one of two spellings.
pub(super) const DENIAL: [&str; 4] = ["op", "retCode", "ret_msg", "retMsg"];

/// Reads one frame about `symbol` (as in topics).
///
/// The shape that the venue sends today is tried first; any other spelling that JSON allows takes the general road and
/// gives the same answer.
pub(super) fn decode(frame: &[u8], symbol: &[u8], scratch: &mut Scratch) -> Result<Message, Refusal> {
    if let Some(message) = usual_book(frame, symbol, scratch) {
        return Ok(message);
    }
    scratch.clear();
    let mut fields = Fields::new(symbol);
    let scanned = check_text(frame).and_then(|()| fields.scan(frame, "data", scratch));
    let message = scanned.and_then(|()| fields.message(scratch));
    message.map_err(|error| Refusal { error, may_be_depth: fields.may_be_depth(error) })
}

/// Reads the body of `GET /v5/market/orderbook` and returns its `seq`.
///
/// Its `u` belongs to a topic of 1,000 levels that nobody reads here, so that a stream's frames never join it: it is
/// for comparing books at equal versions, not for making one.
pub(super) fn decode_snapshot(body: &[u8], scratch: &mut Scratch) -> Result<u64, WireError> {
    check_text(body)?;
    let mut fields = Fields::new(b"");
    fields.scan(body, "result", scratch)?;
    fields.both_sides()?;
    match fields.values[RET_CODE] {
        Value::Number(b"0") => fields.values[SEQ].id("seq"),
        _ => Err(WireError::Missing("retCode")),
    }
}

/// What a frame is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Top,
    Book,
    Trades,
    Reply,
    Unknown,
}

/// `{"topic":"orderbook.200.BTCUSDT","ts":…,"type":"delta","data":{"s":…,"b":[…],"a":[…],"u":…,"seq":…},"cts":…}`.
#[inline]
fn usual_book(frame: &[u8], symbol: &[u8], scratch: &mut Scratch) -> Option<Message> {
    let mut scanner = Scanner::new(frame);
    scanner.step(b"{\"topic\":\"orderbook.")?;
    let kind = if scanner.eat_word(b"1.") { Kind::Top } else { scanner.eat_word(b"200.").then_some(Kind::Book)? };
    scanner.step(symbol)?;
    scanner.step(b"\",\"ts\":")?;
    scanner.eat_id()?;
    scanner.step(b",\"type\":\"")?;
    let whole = !scanner.eat_word(b"delta");
    (!whole || scanner.eat_word(b"snapshot")).then_some(())?;
    scanner.step(b"\",\"data\":{\"s\":\"")?;
    scanner.step(symbol)?;
    scanner.step(b"\",\"b\":")?;
    scanner.plain_levels(&mut scratch.bids, |rest| rest.strip_prefix(b"]"))?;
    scanner.step(b",\"a\":")?;
    scanner.plain_levels(&mut scratch.asks, |rest| rest.strip_prefix(b"]"))?;
    let u = scanner.eat_word(b",\"u\":").then(|| scanner.eat_id())??;
    let seq = scanner.eat_word(b",\"seq\":").then(|| scanner.eat_id())??;
    scanner.step(b"},\"cts\":")?;
    scanner.eat_id()?;
    scanner.step(b"}")?;
    scanner.end().ok()?;
    book_message(kind, whole, (u, seq), scratch).ok()
}

/// The message of a frame whose levels are in the scratch.
#[inline]
fn book_message(kind: Kind, whole: bool, (u, seq): (u64, u64), scratch: &Scratch) -> Result<Message, WireError> {
    match kind {
        // Level 1 is sent whole each time; part of it would be no top.
        Kind::Top if !whole => Err(WireError::Missing("type")),
        Kind::Top => {
            Ok(Message::Top { version: seq, bid: best_of("b", &scratch.bids)?, ask: best_of("a", &scratch.asks)? })
        }
        // A count that begins at 1 is the whole book of a service that was started anew, whatever its type says.
        _ if whole || u == 1 => Ok(Message::Snapshot { id: u, version: seq, checksum: None }),
        _ => Ok(Message::Depth(Span { first_id: u, last_id: u, join: Join::Exact, version: seq, checksum: None })),
    }
}

const NAMES: [&str; 10] = ["topic", "type", "op", "success", "retCode", "s", "b", "a", "u", "seq"];
const TOPIC: usize = 0;
const TYPE: usize = 1;
const OP: usize = 2;
const SUCCESS: usize = 3;
const RET_CODE: usize = 4;
const SYMBOL: usize = 5;
const BIDS: usize = 6;
const ASKS: usize = 7;
const U: usize = 8;
const SEQ: usize = 9;
/// The first of the names that stand inside of `data`.
const INNER: usize = SYMBOL;

/// The fields of a frame that matter, in the order of [`NAMES`].
struct Fields<'a> {
    symbol: &'a [u8],
    values: [Value<'a>; NAMES.len()],
    has_body: bool,
    /// The body is a list, as trades are.
    is_list: bool,
    /// Why levels or trades could not be read; matters only if the frame turns out to be about them.
    fault: Option<WireError>,
}

impl<'a> Fields<'a> {
    fn new(symbol: &'a [u8]) -> Fields<'a> {
        let values = [Value::Absent; NAMES.len()];
        Fields { symbol, values, has_body: false, is_list: false, fault: None }
    }

    /// Reads a whole frame whose body stands under the key `body`.
    fn scan(&mut self, frame: &'a [u8], body: &'static str, scratch: &mut Scratch) -> Result<(), WireError> {
        let mut scanner = Scanner::new(frame);
        scanner.object(|scanner, key| {
            if key.is(body.as_bytes()) {
                once_true(&mut self.has_body, body)?;
                return self.body(scanner, scratch);
            }
            keep(scanner, key, &NAMES[..INNER], &mut self.values[..INNER])
        })?;
        scanner.end()
    }

    fn body(&mut self, scanner: &mut Scanner<'a>, scratch: &mut Scratch) -> Result<(), WireError> {
        match scanner.peek() {
            Some(b'{') => scanner.object(|scanner, key| self.inner(scanner, key, scratch)),
            Some(b'[') => {
                self.is_list = true;
                scanner.array(|scanner| self.row(scanner, &mut scratch.trades))
            }
            _ => scanner.value().map(drop),
        }
    }

    fn inner(&mut self, scanner: &mut Scanner<'a>, key: Text<'a>, scratch: &mut Scratch) -> Result<(), WireError> {
        let Some(slot) = key.place(&NAMES[INNER..]).map(|place| INNER + place) else {
            return scanner.value().map(drop);
        };
        let value = match slot {
            BIDS => scanner.levels_or_fault("b", &mut scratch.bids, &mut self.fault)?,
            ASKS => scanner.levels_or_fault("a", &mut scratch.asks, &mut self.fault)?,
            _ => scanner.value()?,
        };
        self.values[slot] = once(self.values[slot], NAMES[slot], value)?;
        Ok(())
    }

    /// One row of a list. What is no trade is no fault as long as the list is not known to be one of trades.
    fn row(&mut self, scanner: &mut Scanner<'a>, trades: &mut Vec<Print>) -> Result<(), WireError> {
        scanner.blank();
        if scanner.peek() != Some(b'{') {
            self.fault = self.fault.or(Some(WireError::Missing("data")));
            return scanner.value().map(drop);
        }
        match trade(fields::read(scanner, ROW)?, self.symbol) {
            Ok(None) => {}
            Ok(Some(_)) if trades.len() == MAX_FRAME_TRADES => {
                self.fault = self.fault.or(Some(WireError::TooManyTrades));
            }
            Ok(Some(trade)) => trades.push(trade),
            Err(error) => self.fault = self.fault.or(Some(error)),
        }
        Ok(())
    }

    /// What the topic names, and whether it names our symbol.
    fn topic(&self) -> (Kind, bool) {
        let Value::Text(topic) = self.values[TOPIC] else { return (self.kind_without_topic(), false) };
        let mut room = [0; 64];
        let name = topic.resolved(&mut room).unwrap_or(b"");
        let ours = |stem: &[u8]| name.strip_prefix(stem).map(|symbol| symbol == self.symbol);
        let kinds: [(&[u8], Kind); 5] = [
            (b"orderbook.1.", Kind::Top),
            (b"orderbook.50.", Kind::Book),
            (b"orderbook.200.", Kind::Book),
            (b"orderbook.1000.", Kind::Book),
            (b"publicTrade.", Kind::Trades),
        ];
        let found = kinds.into_iter().find_map(|(stem, kind)| ours(stem).map(|ours| (kind, ours)));
        found.unwrap_or((Kind::Unknown, false))
    }

    fn kind_without_topic(&self) -> Kind {
        let answers = [OP, SUCCESS, RET_CODE].into_iter().any(|slot| !matches!(self.values[slot], Value::Absent));
        if answers { Kind::Reply } else { Kind::Unknown }
    }

    /// False only if what was read shows that the frame is no depth frame.
    fn may_be_depth(&self, error: WireError) -> bool {
        let named = matches!(self.values[TOPIC], Value::Text(_)) && error != WireError::Duplicate("topic");
        !named || self.topic().0 == Kind::Book
    }

    fn message(&self, scratch: &Scratch) -> Result<Message, WireError> {
        let (kind, ours) = self.topic();
        match kind {
            Kind::Reply => Ok(self.reply()),
            Kind::Unknown if matches!(self.values[TOPIC], Value::Absent) => Ok(Message::Unrelated("unknown event")),
            Kind::Unknown => Ok(Message::Unrelated("unknown topic")),
            _ if !ours => Ok(Message::Unrelated("another symbol")),
            Kind::Trades if !self.is_list => Err(WireError::Missing("data")),
            Kind::Trades => self.fault.map_or(Ok(Message::Trades), Err),
            Kind::Top | Kind::Book => self.book(kind, scratch),
        }
    }

    /// Pongs, too, are answers, in one of three shapes.
    fn reply(&self) -> Message {
        let done = matches!(self.values[SUCCESS], Value::Absent | Value::Bool(true));
        let accepted = done && matches!(self.values[RET_CODE], Value::Absent | Value::Number(b"0"));
        Message::Reply { accepted }
    }

    fn book(&self, kind: Kind, scratch: &Scratch) -> Result<Message, WireError> {
        if !self.has_body || self.is_list {
            return Err(WireError::Missing("data"));
        }
        self.both_sides()?;
        if !self.values[SYMBOL].is(self.symbol) {
            return Err(WireError::Missing("s"));
        }
        let whole = match self.values[TYPE] {
            kind if kind.is(b"snapshot") => true,
            kind if kind.is(b"delta") => false,
            _ => return Err(WireError::Missing("type")),
        };
        book_message(kind, whole, (self.values[U].id("u")?, self.values[SEQ].id("seq")?), scratch)
    }

    fn both_sides(&self) -> Result<(), WireError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        match (self.values[BIDS], self.values[ASKS]) {
            (Value::Levels, Value::Levels) => Ok(()),
            (Value::Levels, _) => Err(WireError::Missing("a")),
            _ => Err(WireError::Missing("b")),
        }
    }
}

/// What counts in a trade.
const ROW: [&str; 5] = ["s", "p", "v", "S", "BT"];

/// The trade; `None` for a block trade, which was agreed beside the book and met no order in it.
fn trade(row: [Value<'_>; ROW.len()], symbol: &[u8]) -> Result<Option<Print>, WireError> {
    let [named, price, quantity, side, block] = row;
    if !named.is(symbol) {
        return Err(WireError::Missing("s"));
    }
    if !side.is(b"Buy") && !side.is(b"Sell") {
        return Err(WireError::Missing("S"));
    }
    let (price, quantity) = (Price(price.e8("p")?), Qty(quantity.e8("v")?));
    match block {
        _ if price.0 == 0 => Err(WireError::NoPrice("p")),
        Value::Bool(true) => Ok(None),
        Value::Bool(false) | Value::Absent => Ok(Some(Print { price, quantity, buyer_is_maker: side.is(b"Sell") })),
        _ => Err(WireError::Missing("BT")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_venue_sends_today_takes_the_short_road() {
        let book = |topic: &str, kind: &str, data: &str| {
            let inner = format!(r#"{{"s":"BTCUSDT",{data},"u":62505425,"seq":112488545865}}"#);
            let head = format!(r#"{{"topic":"{topic}.BTCUSDT","ts":1786310816618,"type":"{kind}""#);
            format!(r#"{head},"data":{inner},"cts":1786310816585}}"#)
        };
        for frame in [
            book("orderbook.1", "snapshot", r#""b":[["65140.4","0.875077"]],"a":[["65140.5","2"]]"#),
            book(
                "orderbook.200",
                "snapshot",
                r#""b":[["65140.4","0.875077"],["65140","0.014"]],"a":[["65140.5","2"]]"#,
            ),
            book("orderbook.200", "delta", r#""b":[],"a":[["65154.6","0.09948"],["65239.1","0"]]"#),
        ] {
            assert!(usual_book(frame.as_bytes(), b"BTCUSDT", &mut Scratch::default()).is_some(), "{frame}");
        }
    }
}
