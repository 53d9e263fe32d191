//! Bytes of a venue → what they say about its market, in the engine's own words. Nothing is allocated once warm.
//!
//! Prices and quantities are texts of `digits{1,12}(.digits{1,8})` that fit i64 × 10⁻⁸. A frame that is not what
//! its kind must be is refused as a whole; fields and kinds that we do not know are passed over.

use std::fmt;

use crate::units::{DecimalError, Price, Qty, parse_e8};
use crate::view::Level;

mod binance;
mod binance_sbe;
mod binance_usdm;
mod bybit;
mod coinbase;
pub mod denial;
mod fields;
mod json;
mod okx;
mod plain;

/// Longest frame that is looked at, bytes.
pub const MAX_FRAME: usize = 16 << 20;
/// Most levels a side that a book keeps.
pub const MAX_LEVELS: usize = 5_000;
/// Most levels a side in one frame or snapshot: Coinbase sends its whole book at once, 27,000 levels on a side.
pub const MAX_FRAME_LEVELS: usize = 200_000;
/// Most trades in one frame: Bybit's bound is 1,024, Coinbase has none for the 250 ms that it sends at once.
pub const MAX_FRAME_TRADES: usize = 4_096;

/// A venue whose market data can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Venue {
    /// Binance spot, combined or raw streams.
    Binance,
    /// Bybit v5, public spot streams.
    Bybit,
    /// OKX v5, public streams.
    Okx,
    /// Binance spot, its binary streams.
    BinanceSbe,
    /// Binance USD-M futures, combined or raw streams.
    BinanceUsdm,
    /// Coinbase Advanced Trade.
    Coinbase,
}

impl Venue {
    /// Every venue.
    pub const ALL: [Venue; 6] =
        [Venue::Binance, Venue::BinanceSbe, Venue::BinanceUsdm, Venue::Bybit, Venue::Coinbase, Venue::Okx];

    /// The name in settings, paths and journals.
    pub fn name(self) -> &'static str {
        match self {
            Venue::Binance => "binance",
            Venue::Bybit => "bybit",
            Venue::Okx => "okx",
            Venue::BinanceSbe => "binance-sbe",
            Venue::BinanceUsdm => "binance-usdm",
            Venue::Coinbase => "coinbase",
        }
    }

    /// The venue of this name.
    pub fn named(name: &str) -> Option<Venue> {
        Venue::ALL.into_iter().find(|venue| venue.name() == name)
    }

    /// Where a book of this venue gets its snapshots from.
    pub fn snapshots(self) -> Snapshots {
        match self {
            Venue::Binance | Venue::BinanceSbe | Venue::BinanceUsdm | Venue::Okx => Snapshots::Fetched,
            Venue::Bybit | Venue::Coinbase => Snapshots::Streamed,
        }
    }

    /// Reads one frame about `symbol`. Levels and trades are left in `scratch`.
    #[inline]
    pub fn decode(self, frame: &[u8], symbol: &[u8], scratch: &mut Scratch) -> Result<Message, Refusal> {
        scratch.clear();
        bounded(frame).map_err(|error| Refusal { error, may_be_depth: true })?;
        match self {
            Venue::Binance => binance::decode(frame, symbol, scratch),
            Venue::Bybit => bybit::decode(frame, symbol, scratch),
            Venue::Okx => okx::decode(frame, symbol, scratch),
            Venue::BinanceSbe => binance_sbe::decode(frame, symbol, scratch),
            Venue::BinanceUsdm => binance_usdm::decode(frame, symbol, scratch),
            Venue::Coinbase => coinbase::decode(frame, symbol, scratch),
        }
    }

    /// Reads the body of a snapshot request and returns its update id; the levels are left in `scratch`.
    ///
    /// Bybit's counts its updates in a count of its own: its id is `seq`, a version, and joins no frame.
    pub fn decode_snapshot(self, body: &[u8], scratch: &mut Scratch) -> Result<u64, WireError> {
        scratch.clear();
        bounded(body)?;
        match self {
            Venue::Binance | Venue::BinanceSbe | Venue::BinanceUsdm => binance::decode_snapshot(body, scratch),
            Venue::Bybit => bybit::decode_snapshot(body, scratch),
            Venue::Okx => okx::decode_snapshot(body, scratch),
            // Its snapshots come on the stream, and no other is public.
            Venue::Coinbase => Err(WireError::Missing("snapshot")),
        }
    }
}

/// Refuses what is too long to be looked at.
#[inline]
fn bounded(bytes: &[u8]) -> Result<(), WireError> {
    if bytes.len() > MAX_FRAME { Err(WireError::TooLong { bytes: bytes.len() }) } else { Ok(()) }
}

/// Where a venue's snapshots come from. Either way one that comes on the stream replaces the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshots {
    /// By a request beside the stream; frames are kept until it bridges them.
    Fetched,
    /// On the stream alone, after each subscription; frames before it are of no use.
    Streamed,
}

/// What a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// New best bid and ask.
    Top {
        /// Version of the market that they belong to, comparable with [`Span::version`].
        version: u64,
        /// Best bid; quantity 0 if there is none.
        bid: Level,
        /// Best ask; quantity 0 if there is none.
        ask: Level,
    },
    /// Changed levels (absolute quantities, 0 removes), left in the scratch.
    Depth(Span),
    /// The whole book, left in the scratch: it replaces whatever was known.
    Snapshot {
        /// Id that the next depth frame joins.
        id: u64,
        /// Version of the market, comparable with tops.
        version: u64,
        /// CRC32 over the best levels as the venue defines it, where it sends one.
        checksum: Option<i32>,
    },
    /// Trades, oldest first, left in the scratch.
    Trades,
    /// The answer to a request that we sent.
    Reply {
        /// Whether the venue did what was asked.
        accepted: bool,
    },
    /// The venue is about to close this connection.
    Shutdown,
    /// Valid, but nothing for us; the text says why.
    Unrelated(&'static str),
}

/// Which updates a depth frame holds, and what it joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First update id in the frame.
    pub first_id: u64,
    /// Last update id in the frame: where the book stands with it.
    pub last_id: u64,
    /// How the ids of one frame follow those of the last.
    pub join: Join,
    /// Version of the market, comparable with tops.
    pub version: u64,
    /// CRC32 over the best levels with the frame applied, where the venue sends one.
    pub checksum: Option<i32>,
}

/// How a frame joins a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// Starts at or before the next id, and may hold updates that the book has (Binance spot).
    Overlapping,
    /// Starts right behind the id at which the book stands (`first_id - 1`), and nowhere else. The last id may then
    /// lie before the first: the venue counts anew (OKX).
    Exact,
    /// Has no ids; only the checksum or the connection's sequence tells what is missing.
    Unnumbered,
}

impl Span {
    /// Updates `first_id..=last_id`, which may overlap what the book has; the last id is the version.
    pub fn overlapping(first_id: u64, last_id: u64) -> Span {
        Span { first_id, last_id, join: Join::Overlapping, version: last_id, checksum: None }
    }

    /// Updates that join the book at exactly `previous_id` (below `u64::MAX`) and bring it to `last_id`, the version.
    pub fn exactly_after(previous_id: u64, last_id: u64) -> Span {
        Span { first_id: previous_id + 1, last_id, join: Join::Exact, version: last_id, checksum: None }
    }

    /// Whether the venue counts anew behind this frame: it leads to an id before the one that it joins.
    pub fn leads_back(&self) -> bool {
        self.join == Join::Exact && self.last_id + 1 < self.first_id
    }
}

/// One trade in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Print {
    /// Price of the trade.
    pub price: Price,
    /// Quantity traded.
    pub quantity: Qty,
    /// True when the seller was the taker.
    pub buyer_is_maker: bool,
}

/// What the frame being read holds beside its message; its memory is reused.
#[derive(Debug)]
pub struct Scratch {
    /// Changed bids, in the venue's order.
    pub bids: Vec<Level>,
    /// Changed asks, in the venue's order.
    pub asks: Vec<Level>,
    /// Trades, oldest first.
    pub trades: Vec<Print>,
    /// The frame's number among all frames of its connection, where the venue counts them (Coinbase).
    pub sequence: Option<u64>,
}

impl Default for Scratch {
    fn default() -> Scratch {
        let levels = || Vec::with_capacity(MAX_LEVELS);
        Scratch { bids: levels(), asks: levels(), trades: Vec::with_capacity(MAX_FRAME_TRADES), sequence: None }
    }
}

impl Scratch {
    fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
        self.trades.clear();
        self.sequence = None;
    }
}

/// A refused frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong with it.
    pub error: WireError,
    /// False only if the frame is known not to be a depth frame: the book has then missed nothing.
    pub may_be_depth: bool,
}

/// What is wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireError {
    /// More than [`MAX_FRAME`] bytes.
    TooLong {
        /// Length of the frame.
        bytes: usize,
    },
    /// Not UTF-8.
    NotUtf8 {
        /// Offset of the first wrong byte.
        at: usize,
    },
    /// Not JSON, or not the JSON that this kind of frame must be.
    Syntax {
        /// Offset of the first byte that does not fit.
        at: usize,
    },
    /// Nested deeper than any frame of a venue.
    TooDeep {
        /// Offset where the bound was passed.
        at: usize,
    },
    /// More than [`MAX_FRAME_LEVELS`] levels a side.
    TooManyLevels,
    /// More than [`MAX_FRAME_TRADES`] trades.
    TooManyTrades,
    /// A field that this kind of frame must have is absent or of another type.
    Missing(&'static str),
    /// A field stands there twice.
    Duplicate(&'static str),
    /// A level or trade of a field has the price 0.
    NoPrice(&'static str),
    /// A field that decides what a frame means holds something that is not known.
    Unknown(&'static str),
    /// A number that the engine cannot hold exactly.
    Number {
        /// The field.
        field: &'static str,
        /// Why the number was refused.
        error: DecimalError,
    },
    /// The frame's last update id is before its first.
    Backward {
        /// First update id.
        first_id: u64,
        /// Last update id.
        last_id: u64,
    },
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::TooLong { bytes } => write!(f, "frame of {bytes} bytes, more than {MAX_FRAME}"),
            WireError::NotUtf8 { at } => write!(f, "not UTF-8 at byte {at}"),
            WireError::Syntax { at } => write!(f, "malformed at byte {at}"),
            WireError::TooDeep { at } => write!(f, "nested too deep at byte {at}"),
            WireError::TooManyLevels => write!(f, "more than {MAX_FRAME_LEVELS} levels on a side"),
            WireError::TooManyTrades => write!(f, "more than {MAX_FRAME_TRADES} trades"),
            WireError::Missing(field) => write!(f, "field {field} is missing or of a wrong type"),
            WireError::Duplicate(field) => write!(f, "field {field} stands there twice"),
            WireError::NoPrice(field) => write!(f, "what {field} holds has the price 0"),
            WireError::Unknown(field) => write!(f, "field {field} holds what is not known"),
            WireError::Number { field, error } => write!(f, "number in {field}: {error}"),
            WireError::Backward { first_id, last_id } => write!(f, "last update {last_id} before first {first_id}"),
        }
    }
}

impl std::error::Error for WireError {}

/// Reads the digits of a JSON integer of at most 18 digits, which fits i64; returns it with what stands behind.
#[inline(always)]
fn id_in(text: &[u8]) -> Option<(u64, &[u8])> {
    let head = text.first_chunk().map(|head| u64::from_le_bytes(*head) ^ every(b'0'));
    // Ids of today have 11 digits: eight at once, then the rest one by one.
    let at_once = head.filter(|digits| above_nine(*digits) & every(0x80) == 0).map(eight_digits);
    let (mut value, mut length) = at_once.map_or((0, 0), |value| (value as u64, 8));
    while let Some(digit) = text.get(length).map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit <= 9) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        length += 1;
    }
    let odd = length == 0 || length > 18 || (length > 1 && text[0] == b'0');
    (!odd).then(|| (value, &text[length..]))
}

/// The same byte in every place of a word.
const fn every(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Reads the padded decimals that venues send (`61837.64000000"`): 1 to 7 digits, a dot, 8 digits, then a quote.
/// Returns the value and its length without the quote; `None` sends the caller to [`parse_e8`].
///
/// Where the dot stands decides by a branch, not by arithmetic: the processor guesses it (prices have five digits for
/// years, sizes one or two) and goes on to the next number while this one is still being computed.
#[inline(always)]
fn padded_e8(text: &[u8]) -> Option<(i64, usize)> {
    match text {
        [_, _, _, _, _, b'.', ..] => padded_with::<5>(text),
        [_, b'.', ..] => padded_with::<1>(text),
        [_, _, b'.', ..] => padded_with::<2>(text),
        [_, _, _, _, _, _, b'.', ..] => padded_with::<6>(text),
        [_, _, _, b'.', ..] => padded_with::<3>(text),
        [_, _, _, _, b'.', ..] => padded_with::<4>(text),
        [_, _, _, _, _, _, _, b'.', ..] => padded_with::<7>(text),
        _ => None,
    }
}

/// A padded decimal with its dot at `DOT`.
#[inline(always)]
fn padded_with<const DOT: usize>(text: &[u8]) -> Option<(i64, usize)> {
    let text = text.get(..DOT + 10)?;
    let head = u64::from_le_bytes(*text.first_chunk()?);
    let decimals = u64::from_le_bytes(*text[DOT + 1..].first_chunk()?) ^ every(b'0');
    // Shifted so that the digits end the word; the places before them become zeros.
    let whole = (head ^ every(b'0')) << (64 - 8 * DOT);
    let odd = (above_nine(whole) | above_nine(decimals)) & every(0x80) != 0;
    if odd || text[DOT + 9] != b'"' {
        return None;
    }
    // At most 7 digits: far below i64::MAX × 10⁻⁸.
    Some((eight_digits(whole).wrapping_mul(crate::units::E8).wrapping_add(eight_digits(decimals)), DOT + 9))
}

/// Sets the top bit of a byte that is not 0 to 9 (those above it may be wrong then).
#[inline]
fn above_nine(digits: u64) -> u64 {
    digits.wrapping_add(every(0x76)) | digits
}

/// The number that eight digits (values, not characters) form: pairs, then fours, then all eight.
#[inline]
fn eight_digits(digits: u64) -> i64 {
    let pairs = (digits.wrapping_mul(10 * 256 + 1) >> 8) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs.wrapping_mul(100 * 65_536 + 1) >> 16) & 0x0000_FFFF_0000_FFFF;
    (fours.wrapping_mul(10_000 * 4_294_967_296 + 1) >> 32) as i64
}

/// [`parse_e8`] with the name of the field in the error.
fn field_e8(field: &'static str, text: &[u8]) -> Result<i64, WireError> {
    parse_e8(text).map_err(|error| WireError::Number { field, error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_short_way_through_a_number_gives_what_the_long_way_gives(text in "[0-9.:/ ]{0,12}\\.?[0-9:/]{6,9}") {
            let quoted = format!("{text}\"");
            if let Some((value, length)) = padded_e8(quoted.as_bytes()) {
                prop_assert_eq!((parse_e8(text.as_bytes()), length), (Ok(value), text.len()));
            }
        }

        #[test]
        fn padded_numbers_take_the_short_way(whole in 0..10_000_000_i64, decimals in 0..100_000_000_i64) {
            let text = format!("{whole}.{decimals:08}\"");
            prop_assert_eq!(padded_e8(text.as_bytes()), Some((whole * 100_000_000 + decimals, text.len() - 1)));
        }
    }
}
