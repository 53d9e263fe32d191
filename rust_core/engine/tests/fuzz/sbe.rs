//! Binance's binary streams, byte by byte from the schema (`stream_1_0.xml`, schema 1).

use engine::units::{Price, Qty};
use engine::view::Level;
use engine::wire::{Message, Print, Span};

use super::json::{Json, No, level, priced};
use super::{Dull, Said, binance};

/// A text on the same socket: only answers and notices count.
pub fn text(json: &Json, symbol: &str) -> (Result<Said, No>, bool) {
    let (said, _) = binance::read(json, symbol, false);
    let control = said.map(|said| match said.message {
        Message::Reply { .. } | Message::Shutdown => said,
        _ => Said::unrelated(),
    });
    (control, false)
}

/// An unsigned number of `width` bytes, little-endian.
fn unsigned(bytes: &[u8], at: usize, width: usize) -> Result<u64, No> {
    let part = bytes.get(at..at + width).ok_or("too short")?;
    Ok(part.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}

fn signed(bytes: &[u8], at: usize) -> Result<i64, No> {
    unsigned(bytes, at, 8).map(|word| word as i64)
}

fn id(bytes: &[u8], at: usize) -> Result<u64, No> {
    u64::try_from(signed(bytes, at)?).map_err(|_| "a negative id")
}

fn exponent(bytes: &[u8], at: usize) -> Result<i32, No> {
    unsigned(bytes, at, 1).map(|byte| i32::from(byte as u8 as i8))
}

/// `mantissa · 10^exponent` as an exact integer of 10⁻⁸.
fn e8(mantissa: i64, exponent: i32) -> Result<i64, No> {
    let mut value = i128::from(mantissa);
    if mantissa < 0 {
        return Err("negative");
    }
    for _ in 0..(exponent + 8).abs() {
        match exponent + 8 {
            1.. => value *= 10,
            _ if value % 10 != 0 => return Err("not exact"),
            _ => value /= 10,
        }
        if value > i128::from(i64::MAX) {
            return Err("too large");
        }
    }
    i64::try_from(value).map_err(|_| "too large")
}

fn side(bytes: &[u8], price: (usize, i32), quantity: (usize, i32)) -> Result<Level, No> {
    Ok(level(e8(signed(bytes, price.0)?, price.1)?, e8(signed(bytes, quantity.0)?, quantity.1)?))
}

/// The entries of a group at `at` whose count has `width` bytes, and where it ends.
fn group(frame: &[u8], at: usize, width: usize) -> Result<(Vec<&[u8]>, usize), No> {
    let (length, count) = (unsigned(frame, at, 2)? as usize, unsigned(frame, at + 2, width)? as usize);
    if width == 4 && count > 4_096 {
        return Err("too many");
    }
    let start = at + 2 + width;
    let entry = |index: usize| frame.get(start + index * length..start + (index + 1) * length).ok_or("too short");
    Ok(((0..count).map(entry).collect::<Result<_, No>>()?, start + count * length))
}

fn levels(frame: &[u8], at: usize, scale: (i32, i32)) -> Result<(Vec<Level>, usize), No> {
    let (entries, end) = group(frame, at, 2)?;
    let read = |entry: &&[u8]| {
        let level = side(entry, (0, scale.0), (8, scale.1))?;
        priced(level.price.0, level.quantity.0)
    };
    Ok((entries.iter().map(read).collect::<Result<_, No>>()?, end))
}

/// The message of a binary frame.
pub fn read(frame: &[u8], symbol: &str) -> Dull {
    let depth = unsigned(frame, 2, 2) == Ok(10_003);
    Dull { said: message(frame, symbol), sequence: None, odd: false, depth }
}

fn message(frame: &[u8], symbol: &str) -> Result<Said, No> {
    let (block, template, version) = (unsigned(frame, 0, 2)? as usize, unsigned(frame, 2, 2)?, unsigned(frame, 6, 2)?);
    let root = frame.get(8..8 + block).ok_or("too short")?;
    let behind = 8 + block;
    let (said, end) = match template {
        10_000 => trades(frame, root, behind)?,
        10_001 => (top(root)?, behind),
        10_002 => return Ok(Said::unrelated()),
        10_003 => depth(frame, root, behind)?,
        _ => return Ok(Said::unrelated()),
    };
    let length = unsigned(frame, end, 1)? as usize;
    let name = frame.get(end + 1..end + 1 + length).ok_or("too short")?;
    if version == 0 && frame.len() != end + 1 + length {
        return Err("too long");
    }
    Ok(if name == symbol.as_bytes() { said } else { Said::unrelated() })
}

fn top(root: &[u8]) -> Result<Said, No> {
    let (prices, quantities) = (exponent(root, 16)?, exponent(root, 17)?);
    let bid = side(root, (18, prices), (26, quantities))?;
    let ask = side(root, (34, prices), (42, quantities))?;
    if [bid, ask].iter().any(|level| level.price.0 == 0 && level.quantity.0 != 0) {
        return Err("a quantity without a price");
    }
    Ok(Said::only(Message::Top { version: id(root, 8)?, bid, ask }))
}

fn depth(frame: &[u8], root: &[u8], at: usize) -> Result<(Said, usize), No> {
    let (first, last) = (id(root, 8)?, id(root, 16)?);
    let scale = (exponent(root, 24)?, exponent(root, 25)?);
    let (bids, at) = levels(frame, at, scale)?;
    let (asks, end) = levels(frame, at, scale)?;
    if first > last {
        return Err("backward");
    }
    Ok((Said::book(Message::Depth(Span::overlapping(first, last)), bids, asks), end))
}

fn trades(frame: &[u8], root: &[u8], at: usize) -> Result<(Said, usize), No> {
    let (prices, quantities) = (exponent(root, 16)?, exponent(root, 17)?);
    let (entries, end) = group(frame, at, 4)?;
    let trade = |entry: &&[u8]| {
        let price = Price(e8(signed(entry, 8)?, prices)?);
        let quantity = Qty(e8(signed(entry, 16)?, quantities)?);
        match unsigned(entry, 24, 1)? {
            _ if price.0 == 0 => Err("no price"),
            0 => Ok(Print { price, quantity, buyer_is_maker: false }),
            1 => Ok(Print { price, quantity, buyer_is_maker: true }),
            _ => Err("no maker"),
        }
    };
    Ok((Said::trades(entries.iter().map(trade).collect::<Result<_, No>>()?), end))
}
