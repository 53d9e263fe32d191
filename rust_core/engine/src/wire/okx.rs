//! OKX v5 public channels: `bbo-tbt` (the top), `books` (400 levels), `trades`, notices, and the REST book.
//!
//! Source: OKX's public API guide, "Order book channel", "Trades channel" and "Notification"; recorded frames.
//! Each update names the `seqId` that it follows (`prevSeqId`); ids have gaps, and may begin anew at a smaller one.

use super::fields::{keep, once, once_true};
use super::json::{Scanner, Value, check_text};
use super::plain::best_of;
use super::{Join, MAX_FRAME_TRADES, Message, Print, Refusal, Scratch, Span, WireError};
use crate::units::{Price, Qty};

/// Where a refusal says why; where too many connections are the reason, the event's name says it alone.
pub(super) const DENIAL: [&str; 3] = ["event", "code", "msg"];

/// Reads one frame about `symbol` (an `instId`).
///
/// The shape that the venue sends today is tried first; any other spelling that JSON allows takes the general road and
/// gives the same answer.
pub(super) fn decode(frame: &[u8], symbol: &[u8], scratch: &mut Scratch) -> Result<Message, Refusal> {
    // The answer to our `ping` is the one frame that is no JSON.
    if frame == b"pong" {
        return Ok(Message::Reply { accepted: true });
    }
    if let Some(message) = usual_book(frame, symbol, scratch) {
        return Ok(message);
    }
    scratch.clear();
    let mut fields = Fields::new(symbol);
    let scanned = check_text(frame).and_then(|()| fields.scan(frame, scratch));
    let message = scanned.and_then(|()| fields.message(scratch));
    message.map_err(|error| Refusal { error, may_be_depth: fields.may_be_depth(error) })
}

/// Reads the body of `GET /api/v5/market/books` and returns its `seqId`, which the stream's frames join.
pub(super) fn decode_snapshot(body: &[u8], scratch: &mut Scratch) -> Result<u64, WireError> {
    check_text(body)?;
    let mut fields = Fields::new(b"");
    fields.scan(body, scratch)?;
    fields.one_book()?;
    match fields.outer[CODE] {
        Value::Text(code) if code.is(b"0") => fields.row[SEQ].id("seqId"),
        _ => Err(WireError::Missing("code")),
    }
}

/// What a frame is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Top,
    Book,
    Trades,
    Event,
    Unknown,
}

/// How the numbers behind the levels of a frame read.
#[derive(Clone, Copy)]
struct Ids {
    checksum: Option<i32>,
    /// `prevSeqId` and `seqId`; the first is `None` where the venue writes −1.
    chain: Option<(Option<u64>, u64)>,
}

/// `{"arg":{"channel":"books","instId":…},"action":"update","data":[{"asks":[…],"bids":[…],"ts":…,…}]}`, where
/// behind the time stand `checksum`, `prevSeqId` and `seqId`, as far as they are there; or the same for `bbo-tbt`.
#[inline]
fn usual_book(frame: &[u8], symbol: &[u8], scratch: &mut Scratch) -> Option<Message> {
    let mut scanner = Scanner::new(frame);
    scanner.step(b"{\"arg\":{\"channel\":\"b")?;
    let kind = if scanner.eat_word(b"ooks") { Kind::Book } else { scanner.eat_word(b"bo-tbt").then_some(Kind::Top)? };
    scanner.step(b"\",\"instId\":\"")?;
    scanner.step(symbol)?;
    scanner.step(b"\"},\"")?;
    let whole = match kind {
        Kind::Book if scanner.eat_word(b"action\":\"update\",\"") => Some(false),
        Kind::Book => scanner.eat_word(b"action\":\"snapshot\",\"").then_some(Some(true))?,
        _ => None,
    };
    scanner.step(b"data\":[{\"asks\":")?;
    scanner.plain_levels(&mut scratch.asks, rest_of_level)?;
    scanner.step(b",\"bids\":")?;
    scanner.plain_levels(&mut scratch.bids, rest_of_level)?;
    scanner.step(b",\"ts\":\"")?;
    scanner.eat_id()?;
    scanner.step(b"\"")?;
    let ids = usual_ids(&mut scanner)?;
    scanner.step(b"}]}")?;
    scanner.end().ok()?;
    book_message(kind, whole, ids, scratch).ok()
}

/// `,"0","3"]`: a number that is no longer in use, and how many orders the level holds.
#[inline(always)]
fn rest_of_level(text: &[u8]) -> Option<&[u8]> {
    let (_, rest) = super::id_in(text.strip_prefix(b",\"0\",\"")?)?;
    rest.strip_prefix(b"\"]")
}

#[inline]
fn usual_ids(scanner: &mut Scanner<'_>) -> Option<Ids> {
    let mut ids = Ids { checksum: None, chain: None };
    if scanner.eat_word(b",\"checksum\":") {
        let negative = scanner.eat_word(b"-");
        let value = i64::try_from(scanner.eat_id()?).ok()?;
        ids.checksum = Some(i32::try_from(if negative { -value } else { value }).ok()?);
    }
    let prev = scanner.eat_word(b",\"prevSeqId\":");
    if prev {
        let prev = if scanner.eat_word(b"-1") { None } else { Some(scanner.eat_id()?) };
        let seq = scanner.eat_word(b",\"seqId\":").then(|| scanner.eat_id())??;
        ids.chain = Some((prev, seq));
    } else if scanner.eat_word(b",\"seqId\":") {
        ids.chain = Some((None, scanner.eat_id()?));
    }
    Some(ids)
}

/// The message of a frame whose levels are in the scratch. `whole` is what its `action` says, where it has one.
#[inline]
fn book_message(kind: Kind, whole: Option<bool>, ids: Ids, scratch: &Scratch) -> Result<Message, WireError> {
    let checksum = ids.checksum.filter(|&checksum| checksum != 0);
    match (kind, whole, ids.chain) {
        (Kind::Top, _, Some((_, version))) => {
            Ok(Message::Top { version, bid: best_of("bids", &scratch.bids)?, ask: best_of("asks", &scratch.asks)? })
        }
        (Kind::Top, ..) => Err(WireError::Missing("seqId")),
        (_, None, _) => Err(WireError::Missing("action")),
        (_, Some(true), Some((_, id))) => Ok(Message::Snapshot { id, version: id, checksum }),
        (_, Some(false), Some((Some(previous), id))) => {
            Ok(Message::Depth(Span { checksum, ..Span::exactly_after(previous, id) }))
        }
        (_, Some(false), Some((None, _))) => Err(WireError::Missing("prevSeqId")),
        // With neither ids nor a checksum a lost update could not be seen.
        (_, Some(_), None) if checksum.is_none() => Err(WireError::Missing("seqId")),
        (_, Some(true), None) => Ok(Message::Snapshot { id: 0, version: 0, checksum }),
        (_, Some(false), None) => {
            Ok(Message::Depth(Span { first_id: 0, last_id: 0, join: Join::Unnumbered, version: 0, checksum }))
        }
    }
}

const OUTER: [&str; 3] = ["action", "event", "code"];
const ACTION: usize = 0;
const EVENT: usize = 1;
const CODE: usize = 2;

const ARG: [&str; 2] = ["channel", "instId"];
const CHANNEL: usize = 0;
const SYMBOL: usize = 1;

const ROW: [&str; 9] = ["asks", "bids", "checksum", "prevSeqId", "seqId", "instId", "px", "sz", "side"];
const ASKS: usize = 0;
const BIDS: usize = 1;
const CHECKSUM: usize = 2;
const PREVIOUS: usize = 3;
const SEQ: usize = 4;
const ROW_SYMBOL: usize = 5;
const PRICE: usize = 6;
const QUANTITY: usize = 7;
const SIDE: usize = 8;

/// The fields of a frame that matter, in the order of their names above.
struct Fields<'a> {
    symbol: &'a [u8],
    outer: [Value<'a>; OUTER.len()],
    arg: [Value<'a>; ARG.len()],
    has_arg: bool,
    has_data: bool,
    rows: usize,
    /// The last row of `data`.
    row: [Value<'a>; ROW.len()],
    /// Why levels could not be read; matters only if the frame turns out to be about them.
    level_fault: Option<WireError>,
    /// Why a row was no trade of our symbol; likewise.
    trade_fault: Option<WireError>,
}

impl<'a> Fields<'a> {
    fn new(symbol: &'a [u8]) -> Fields<'a> {
        Fields {
            symbol,
            outer: [Value::Absent; OUTER.len()],
            arg: [Value::Absent; ARG.len()],
            has_arg: false,
            has_data: false,
            rows: 0,
            row: [Value::Absent; ROW.len()],
            level_fault: None,
            trade_fault: None,
        }
    }

    fn scan(&mut self, frame: &'a [u8], scratch: &mut Scratch) -> Result<(), WireError> {
        let mut scanner = Scanner::new(frame);
        scanner.object(|scanner, key| {
            if key.is(b"arg") {
                once_true(&mut self.has_arg, "arg")?;
                match scanner.peek() {
                    Some(b'{') => scanner.object(|scanner, key| keep(scanner, key, &ARG, &mut self.arg)),
                    _ => scanner.value().map(drop),
                }
            } else if key.is(b"data") {
                once_true(&mut self.has_data, "data")?;
                self.data(scanner, scratch)
            } else {
                keep(scanner, key, &OUTER, &mut self.outer)
            }
        })?;
        scanner.end()
    }

    fn data(&mut self, scanner: &mut Scanner<'a>, scratch: &mut Scratch) -> Result<(), WireError> {
        if scanner.peek() == Some(b'[') {
            return scanner.array(|scanner| self.one_row(scanner, scratch));
        }
        self.trade_fault = Some(WireError::Missing("data"));
        scanner.value().map(drop)
    }

    fn one_row(&mut self, scanner: &mut Scanner<'a>, scratch: &mut Scratch) -> Result<(), WireError> {
        self.rows += 1;
        self.row = [Value::Absent; ROW.len()];
        scanner.blank();
        if scanner.peek() != Some(b'{') {
            self.trade_fault = self.trade_fault.or(Some(WireError::Missing("data")));
            return scanner.value().map(drop);
        }
        scanner.object(|scanner, key| {
            let sides = [("asks", ASKS, &mut scratch.asks), ("bids", BIDS, &mut scratch.bids)];
            let Some((name, slot, levels)) = sides.into_iter().find(|(name, ..)| key.is(name.as_bytes())) else {
                return keep(scanner, key, &ROW, &mut self.row);
            };
            let value = scanner.levels_or_fault(name, levels, &mut self.level_fault)?;
            self.row[slot] = once(self.row[slot], name, value)?;
            Ok(())
        })?;
        match self.trade() {
            Ok(_) if scratch.trades.len() == MAX_FRAME_TRADES => {
                self.trade_fault = self.trade_fault.or(Some(WireError::TooManyTrades));
            }
            Ok(trade) => scratch.trades.push(trade),
            Err(error) => self.trade_fault = self.trade_fault.or(Some(error)),
        }
        Ok(())
    }

    /// The trade in the last row.
    fn trade(&self) -> Result<Print, WireError> {
        if !self.row[ROW_SYMBOL].is(self.symbol) {
            return Err(WireError::Missing("instId"));
        }
        if !self.row[SIDE].is(b"buy") && !self.row[SIDE].is(b"sell") {
            return Err(WireError::Missing("side"));
        }
        let (price, quantity) = (Price(self.row[PRICE].e8("px")?), Qty(self.row[QUANTITY].e8("sz")?));
        if price.0 == 0 {
            return Err(WireError::NoPrice("px"));
        }
        Ok(Print { price, quantity, buyer_is_maker: self.row[SIDE].is(b"sell") })
    }

    fn kind(&self) -> Kind {
        match (self.outer[EVENT], self.arg[CHANNEL]) {
            (Value::Text(_), _) => Kind::Event,
            (_, Value::Text(channel)) if channel.is(b"books") => Kind::Book,
            (_, Value::Text(channel)) if channel.is(b"bbo-tbt") => Kind::Top,
            (_, Value::Text(channel)) if channel.is(b"trades") => Kind::Trades,
            _ => Kind::Unknown,
        }
    }

    /// False only if what was read shows that the frame is no depth frame.
    fn may_be_depth(&self, error: WireError) -> bool {
        let named = matches!(self.outer[EVENT], Value::Text(_)) || matches!(self.arg[CHANNEL], Value::Text(_));
        !named || matches!(error, WireError::Duplicate(_)) || self.kind() == Kind::Book
    }

    fn message(&self, scratch: &Scratch) -> Result<Message, WireError> {
        match self.kind() {
            Kind::Event => Ok(self.event()),
            Kind::Unknown if self.has_arg => Ok(Message::Unrelated("unknown channel")),
            Kind::Unknown => Ok(Message::Unrelated("unknown event")),
            _ if !matches!(self.arg[SYMBOL], Value::Text(_)) => Err(WireError::Missing("instId")),
            _ if !self.arg[SYMBOL].is(self.symbol) => Ok(Message::Unrelated("another symbol")),
            Kind::Trades if !self.has_data => Err(WireError::Missing("data")),
            Kind::Trades => self.trade_fault.map_or(Ok(Message::Trades), Err),
            kind => self.book(kind, scratch),
        }
    }

    fn event(&self) -> Message {
        let Value::Text(event) = self.outer[EVENT] else { return Message::Unrelated("unknown event") };
        if event.is(b"subscribe") || event.is(b"unsubscribe") {
            return Message::Reply { accepted: true };
        }
        if event.is(b"error") || event.is(b"channel-conn-count-error") {
            return Message::Reply { accepted: false };
        }
        match event.is(b"notice") && self.outer[CODE].is(b"64008") {
            true => Message::Shutdown,
            false => Message::Unrelated("unknown event"),
        }
    }

    fn book(&self, kind: Kind, scratch: &Scratch) -> Result<Message, WireError> {
        self.one_book()?;
        let whole = match self.outer[ACTION] {
            action if action.is(b"snapshot") => Some(true),
            action if action.is(b"update") => Some(false),
            _ => None,
        };
        let ids = Ids { checksum: self.checksum()?, chain: self.chain()? };
        book_message(kind, whole, ids, scratch)
    }

    /// That `data` is one row with two sides.
    fn one_book(&self) -> Result<(), WireError> {
        if let Some(fault) = self.level_fault {
            return Err(fault);
        }
        match (self.rows, self.row[ASKS], self.row[BIDS]) {
            (1, Value::Levels, Value::Levels) => Ok(()),
            (1, Value::Levels, _) => Err(WireError::Missing("bids")),
            (1, ..) => Err(WireError::Missing("asks")),
            _ => Err(WireError::Missing("data")),
        }
    }

    fn checksum(&self) -> Result<Option<i32>, WireError> {
        match self.row[CHECKSUM] {
            Value::Absent => Ok(None),
            Value::Number(digits) => {
                let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
                number.map(Some).ok_or(WireError::Missing("checksum"))
            }
            _ => Err(WireError::Missing("checksum")),
        }
    }

    fn chain(&self) -> Result<Option<(Option<u64>, u64)>, WireError> {
        let previous = match self.row[PREVIOUS] {
            Value::Absent | Value::Number(b"-1") => None,
            number => Some(number.id("prevSeqId")?),
        };
        match (self.row[PREVIOUS], self.row[SEQ]) {
            (Value::Absent, Value::Absent) => Ok(None),
            (_, number) => Ok(Some((previous, number.id("seqId")?))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_venue_sends_today_takes_the_short_road() {
        let data =
            r#""data":[{"asks":[["30243.5","1.2112","0","4"],["30244","0","0","0"]],"bids":[],"ts":"1652459225464""#;
        for (channel, action, ids) in [
            ("bbo-tbt", "", r#","seqId":123456"#),
            ("books", r#""action":"snapshot","#, r#","checksum":0,"prevSeqId":-1,"seqId":123456"#),
            ("books", r#""action":"update","#, r#","checksum":0,"prevSeqId":123456,"seqId":123463"#),
            ("books", r#""action":"update","#, r#","prevSeqId":123456,"seqId":123463"#),
            ("books", r#""action":"update","#, r#","checksum":-914047754"#),
        ] {
            let data = if channel == "books" { data } else { &data.replace(r#",["30244","0","0","0"]"#, "") };
            let frame = format!(r#"{{"arg":{{"channel":"{channel}","instId":"BTC-USDT"}},{action}{data}{ids}}}]}}"#);
            assert!(usual_book(frame.as_bytes(), b"BTC-USDT", &mut Scratch::default()).is_some(), "{frame}");
        }
    }
}
