//! Binance spot market streams in Simple Binary Encoding (schema 1, little-endian), and the JSON texts that share the
//! socket with them: answers to requests and the notice before the connection is closed.
//!
//! Source: Binance's public API documentation, page "SBE Market Data Streams", and its schema `stream_1_0.xml`. Blocks
//! and group entries may be longer than the schema knows: a later version appends fields, and they are passed over.

use super::binance::{self, Chain, is_priced};
use super::{MAX_FRAME_TRADES, Message, Print, Refusal, Scratch, Span, WireError};
use crate::units::{DecimalError, Price, Qty};
use crate::view::Level;

const SCHEMA: u16 = 1;
const TRADES: u16 = 10_000;
const BEST_BID_ASK: u16 = 10_001;
const DEPTH_SNAPSHOT: u16 = 10_002;
const DEPTH_DIFF: u16 = 10_003;

/// Reads one frame about `symbol`.
///
/// The schema's number, where a text cannot have it, tells binary from text: a block of 123 bytes begins like an object.
pub(super) fn decode(frame: &[u8], symbol: &[u8], scratch: &mut Scratch) -> Result<Message, Refusal> {
    if frame.get(4..6) != Some(&SCHEMA.to_le_bytes()) {
        return control(frame, symbol, scratch);
    }
    let template = frame.get(2..4).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    let may_be_depth = ![TRADES, BEST_BID_ASK, DEPTH_SNAPSHOT].contains(&template);
    binary(frame, symbol, scratch).map_err(|error| Refusal { error, may_be_depth })
}

/// A text: only answers and notices come as such.
fn control(frame: &[u8], symbol: &[u8], scratch: &mut Scratch) -> Result<Message, Refusal> {
    if frame.trim_ascii_start().first() != Some(&b'{') {
        return Err(Refusal { error: WireError::Unknown("schemaId"), may_be_depth: true });
    }
    let message = binance::decode_any(frame, symbol, scratch, Chain::Overlapping)?;
    Ok(match message {
        Message::Reply { .. } | Message::Shutdown | Message::Unrelated(_) => message,
        _ => Message::Unrelated("market data as text"),
    })
}

fn binary(frame: &[u8], symbol: &[u8], scratch: &mut Scratch) -> Result<Message, WireError> {
    let mut cursor = Cursor { bytes: frame, at: 0 };
    let (block_length, template) = (cursor.short()?, cursor.short()?);
    let (_schema, version) = (cursor.short()?, cursor.short()?);
    let root = cursor.take(usize::from(block_length))?;
    let message = match template {
        TRADES => trades(root, &mut cursor, scratch)?,
        BEST_BID_ASK => best_bid_ask(root)?,
        DEPTH_DIFF => depth_diff(root, &mut cursor, scratch)?,
        DEPTH_SNAPSHOT => return Ok(Message::Unrelated("partial depth")),
        // The venue adds templates without notice; a depth frame that was passed over would show in the next one's ids.
        _ => return Ok(Message::Unrelated("unknown event")),
    };
    let length = cursor.take(1)?[0];
    let about = cursor.take(usize::from(length))?;
    // A later version may append data behind the symbol.
    if version == 0 && cursor.at != frame.len() {
        return cursor.fail();
    }
    Ok(if about == symbol { message } else { Message::Unrelated("another symbol") })
}

fn trades(root: &[u8], cursor: &mut Cursor<'_>, scratch: &mut Scratch) -> Result<Message, WireError> {
    let (prices, quantities) = (Scale::at(root, 16)?, Scale::at(root, 17)?);
    let (length, count) = (usize::from(cursor.short()?), cursor.long()?);
    if count > MAX_FRAME_TRADES as u32 {
        return Err(WireError::TooManyTrades);
    }
    for _ in 0..count {
        let entry = cursor.take(length)?;
        let price = Price(prices.e8("price", int(entry, 8)?)?);
        let quantity = Qty(quantities.e8("qty", int(entry, 16)?)?);
        if price.0 == 0 {
            return Err(WireError::NoPrice("price"));
        }
        let buyer_is_maker = match byte(entry, 24)? {
            0 => false,
            1 => true,
            _ => return Err(WireError::Unknown("isBuyerMaker")),
        };
        scratch.trades.push(Print { price, quantity, buyer_is_maker });
    }
    Ok(Message::Trades)
}

fn best_bid_ask(root: &[u8]) -> Result<Message, WireError> {
    let (prices, quantities) = (Scale::at(root, 16)?, Scale::at(root, 17)?);
    let level = |price: usize, quantity: usize| {
        let price = Price(prices.e8("price", int(root, price)?)?);
        let best = Level { price, quantity: Qty(quantities.e8("qty", int(root, quantity)?)?) };
        if is_priced(best) { Ok(best) } else { Err(WireError::NoPrice("price")) }
    };
    Ok(Message::Top { version: id(root, 8, "bookUpdateId")?, bid: level(18, 26)?, ask: level(34, 42)? })
}

fn depth_diff(root: &[u8], cursor: &mut Cursor<'_>, scratch: &mut Scratch) -> Result<Message, WireError> {
    let (first_id, last_id) = (id(root, 8, "firstBookUpdateId")?, id(root, 16, "lastBookUpdateId")?);
    let scales = (Scale::at(root, 24)?, Scale::at(root, 25)?);
    levels(cursor, scales, "bids", &mut scratch.bids)?;
    levels(cursor, scales, "asks", &mut scratch.asks)?;
    if first_id > last_id {
        return Err(WireError::Backward { first_id, last_id });
    }
    Ok(Message::Depth(Span::overlapping(first_id, last_id)))
}

/// A group of levels. Its count has 16 bits, so that it cannot hold more than a frame may.
fn levels(
    cursor: &mut Cursor<'_>,
    (prices, quantities): (Scale, Scale),
    field: &'static str,
    out: &mut Vec<Level>,
) -> Result<(), WireError> {
    let (length, count) = (usize::from(cursor.short()?), cursor.short()?);
    for _ in 0..count {
        let entry = cursor.take(length)?;
        let price = Price(prices.e8(field, int(entry, 0)?)?);
        let quantity = Qty(quantities.e8(field, int(entry, 8)?)?);
        if price.0 == 0 {
            return Err(WireError::NoPrice(field));
        }
        out.push(Level { price, quantity });
    }
    Ok(())
}

/// A position in a binary frame.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn fail<T>(&self) -> Result<T, WireError> {
        Err(WireError::Syntax { at: self.at })
    }

    /// The next bytes; refused at the position if the frame ends before.
    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        match self.bytes.get(self.at..).and_then(|rest| rest.get(..length)) {
            Some(taken) => {
                self.at += length;
                Ok(taken)
            }
            None => self.fail(),
        }
    }

    #[inline]
    fn short(&mut self) -> Result<u16, WireError> {
        self.take(2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    #[inline]
    fn long(&mut self) -> Result<u32, WireError> {
        self.take(4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }
}

/// A block that is too short for what the schema says it holds.
const SHORT_BLOCK: WireError = WireError::Missing("blockLength");

#[inline]
fn int(block: &[u8], at: usize) -> Result<i64, WireError> {
    block.get(at..).and_then(<[u8]>::first_chunk).map(|bytes| i64::from_le_bytes(*bytes)).ok_or(SHORT_BLOCK)
}

#[inline]
fn byte(block: &[u8], at: usize) -> Result<u8, WireError> {
    block.get(at).copied().ok_or(SHORT_BLOCK)
}

#[inline]
fn id(block: &[u8], at: usize, field: &'static str) -> Result<u64, WireError> {
    u64::try_from(int(block, at)?).map_err(|_| WireError::Missing(field))
}

/// What a mantissa is multiplied with to be a number of 10⁻⁸. Nothing is ever rounded.
#[derive(Debug, Clone, Copy)]
enum Scale {
    Times(i64),
    Over(i64),
    /// So large that only 0 fits.
    Huge,
    /// So small that only 0 is exact.
    Tiny,
}

impl Scale {
    /// Of the exponent at this place.
    #[inline]
    fn at(block: &[u8], at: usize) -> Result<Scale, WireError> {
        let power = i32::from(i8::from_le_bytes([byte(block, at)?])) + 8;
        let ten = |power: i32| 10_i64.pow(power.unsigned_abs());
        Ok(match power {
            0..=18 => Scale::Times(ten(power)),
            -18..=-1 => Scale::Over(ten(power)),
            19.. => Scale::Huge,
            _ => Scale::Tiny,
        })
    }

    #[inline]
    fn e8(self, field: &'static str, mantissa: i64) -> Result<i64, WireError> {
        let value = match self {
            _ if mantissa < 0 => Err(DecimalError::Malformed),
            Scale::Times(factor) => mantissa.checked_mul(factor).ok_or(DecimalError::TooLarge),
            Scale::Over(divisor) if mantissa % divisor == 0 => Ok(mantissa / divisor),
            Scale::Huge | Scale::Tiny if mantissa == 0 => Ok(0),
            Scale::Huge => Err(DecimalError::TooLarge),
            Scale::Over(_) | Scale::Tiny => Err(DecimalError::Malformed),
        };
        value.map_err(|error| WireError::Number { field, error })
    }
}
