//! What the tests of the decoders share: a venue's frames about one symbol, and what must hold for every venue.
#![allow(dead_code, unused_macros, unused_imports, reason = "each test file uses its part")]

use engine::units::{DecimalError, Price, Qty, parse_e8};
use engine::view::Level;
use engine::wire::{Message, Print, Refusal, Scratch, Venue, WireError};
use proptest::prelude::*;

pub fn level(price: &str, quantity: &str) -> Level {
    let e8 = |text: &str| parse_e8(text.as_bytes()).expect("a decimal");
    Level { price: Price(e8(price)), quantity: Qty(e8(quantity)) }
}

pub fn print(price: &str, quantity: &str, buyer_is_maker: bool) -> Print {
    let Level { price, quantity } = level(price, quantity);
    Print { price, quantity, buyer_is_maker }
}

pub fn missing(field: &'static str) -> WireError {
    WireError::Missing(field)
}

/// Everything that was read in a frame.
#[derive(Debug, PartialEq)]
struct Reading {
    message: Result<Message, Refusal>,
    bids: Vec<Level>,
    asks: Vec<Level>,
    trades: Vec<Print>,
    sequence: Option<u64>,
}

/// What a venue says about one symbol.
#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    pub venue: Venue,
    pub symbol: &'static str,
}

impl Dialect {
    pub fn scan(self, frame: impl AsRef<[u8]>) -> (Result<Message, Refusal>, Scratch) {
        let mut scratch = Scratch::default();
        (self.venue.decode(frame.as_ref(), self.symbol.as_bytes(), &mut scratch), scratch)
    }

    pub fn message(self, frame: impl AsRef<[u8]>) -> Result<Message, Refusal> {
        self.scan(frame).0
    }

    /// The message with bids and asks.
    pub fn read(self, frame: impl AsRef<[u8]>) -> (Result<Message, Refusal>, Vec<Level>, Vec<Level>) {
        let (message, scratch) = self.scan(frame);
        (message, scratch.bids, scratch.asks)
    }

    /// Why a frame is refused.
    pub fn error(self, frame: impl AsRef<[u8]>) -> WireError {
        self.message(frame).expect_err("a refusal").error
    }

    pub fn snapshot(self, body: &str) -> Result<u64, WireError> {
        self.venue.decode_snapshot(body.as_bytes(), &mut Scratch::default())
    }

    fn reading(self, frame: &[u8]) -> Reading {
        let (message, Scratch { bids, asks, trades, sequence }) = self.scan(frame);
        Reading { message, bids, asks, trades, sequence }
    }

    /// `frame` is refused for this reason with each second text in the place of the first.
    pub fn refuses(self, frame: &str, may_be_depth: bool, cases: &[(&str, &str, WireError)]) {
        for &(from, to, error) in cases {
            let damaged = frame.replacen(from, to, 1);
            assert_ne!(damaged, frame, "{from}");
            assert_eq!(self.message(&damaged), Err(Refusal { error, may_be_depth }), "{damaged}");
        }
    }

    /// A size and a price of a book's `frame`, each given as its text and its field, are exact decimals or refused.
    pub fn refuses_odd_numbers(self, frame: &str, size: (&str, &'static str), price: (&str, &'static str)) {
        for (text, field) in [size, price] {
            let refused = |odd: &str, error| self.refuses(frame, true, &[(&format!("\"{text}\""), odd, error)]);
            let number = |error| WireError::Number { field, error };
            for odd in ["-0.42", "+1", "1e3", "NaN", "", ".", "1.", ".5", " 1", "0x1", "1,5", "0.123456789"] {
                refused(&format!("\"{odd}\""), number(DecimalError::Malformed));
            }
            refused("\"1234567890123\"", number(DecimalError::Malformed));
            refused("\"92233720368.54775808\"", number(DecimalError::TooLarge));
            for bare in [text, "null", "true", "[]"] {
                refused(bare, missing(field));
            }
        }
        for zero in ["\"0\"", "\"0.0\"", "\"0.00000000\"", "\"000\""] {
            self.refuses(frame, true, &[(&format!("\"{}\"", price.0), zero, WireError::NoPrice(price.1))]);
        }
    }

    /// The id `key` of a book's `frame`, whose digits are `digits`, stands there once, as an integer with a next one.
    pub fn refuses_odd_ids(self, frame: &str, key: &'static str, digits: &str) {
        let field = format!("\"{key}\":{digits}");
        for odd in [
            "\"7\"",
            "-7",
            "7.5",
            "7e0",
            "9223372036854775808",
            "18446744073709551614",
            "99999999999999999999",
            "null",
            "true",
            "[7]",
        ] {
            self.refuses(frame, true, &[(&field, &format!("\"{key}\":{odd}"), missing(key))]);
        }
        self.refuses(frame, true, &[(&field, &format!("\"_\":{digits}"), missing(key))]);
        self.refuses(frame, true, &[(&field, &format!("{field},{field}"), WireError::Duplicate(key))]);
    }

    /// A frame that is damaged, or not: the short road and the general one say the same.
    pub fn roads_agree(self, frame: &[u8]) -> Result<(), TestCaseError> {
        let (short, general) = (self.reading(frame), self.reading(&spaced(frame)));
        prop_assert_eq!(short.message.is_ok(), general.message.is_ok());
        if short.message.is_ok() {
            prop_assert_eq!(short, general);
        }
        Ok(())
    }

    /// Both roads read these bids in the place of `old`; `behind` is what follows the size of a level.
    pub fn roads_read(self, frame: &str, old: &str, bids: &Bids, behind: &str) -> Result<(), TestCaseError> {
        let text = |value: i64| match bids.padded {
            true => format!("{}.{:08}", value / 100_000_000, value % 100_000_000),
            false => Price(value).to_string(),
        };
        let row = |&(price, size): &(i64, i64)| format!("[\"{}\",\"{}\"{behind}]", text(price), text(size));
        let rows: Vec<String> = bids.levels.iter().map(row).collect();
        let frame = frame.replacen(old, &format!("[{}]", rows.join(",")), 1);
        let level = |&(price, size): &(i64, i64)| Level { price: Price(price), quantity: Qty(size) };
        let read = self.reading(frame.as_bytes());
        prop_assert!(read.message.is_ok(), "{:?}", read.message);
        prop_assert_eq!(read.bids, bids.levels.iter().map(level).collect::<Vec<_>>());
        self.roads_agree(frame.as_bytes())
    }

    /// No byte of what is read, or what is left of `frame` with `json` at a place, makes the decoder panic.
    pub fn survives(self, bytes: &[u8], json: &str, frame: &str, at: usize) {
        let (frame, json) = (frame.as_bytes(), json.as_bytes());
        let at = at % frame.len();
        let (head, rest) = (&frame[..at], &frame[(at + json.len()).min(frame.len())..]);
        for input in [bytes, json, &[head, json].concat(), &[head, json, rest].concat()] {
            let _ = self.reading(input);
            let _ = self.venue.decode_snapshot(input, &mut Scratch::default());
        }
    }

    /// Neither road allocates.
    pub fn reads_without_allocating(self, frame: &[u8]) {
        let mut scratch = Scratch::default();
        let read = || assert!(self.venue.decode(frame, self.symbol.as_bytes(), &mut scratch).is_ok());
        assert_eq!(allocation_counter::measure(read).count_total, 0, "{}", String::from_utf8_lossy(frame));
    }
}

/// The frame in a spelling that no short road takes.
pub fn spaced(frame: &[u8]) -> Vec<u8> {
    [b" ", frame].concat()
}

/// Price and size of levels as integers of 10⁻⁸, and whether their texts are padded to eight decimals.
#[derive(Debug, Clone)]
pub struct Bids {
    levels: Vec<(i64, i64)>,
    padded: bool,
}

/// Levels whose prices have up to some number of digits: the short roads end at different ones.
pub fn bids() -> impl Strategy<Value = Bids> {
    let prices = (1..=18_u32).prop_map(|digits| 1..10_i64.pow(digits));
    let levels = prices.prop_flat_map(|prices| prop::collection::vec((prices, 0..10_000_000_000_i64), 0..40));
    (levels, any::<bool>()).prop_map(|(levels, padded)| Bids { levels, padded })
}

/// What must hold for every dialect of texts; `$frames` are valid ones, among them each that has a short road.
macro_rules! holds_for {
    ($dialect:expr, $frames:expr) => {
        proptest! {
            #[test]
            fn short_and_general_road_agree_on_damaged_frames(at in 0..1_000_usize, byte in any::<u8>()) {
                for frame in $frames {
                    let mut frame = String::from(frame).into_bytes();
                    let at = at % frame.len();
                    frame[at] = byte;
                    $dialect.roads_agree(&frame)?;
                }
            }

            #[test]
            fn no_bytes_make_the_scanner_panic(
                bytes in prop::collection::vec(any::<u8>(), 0..300),
                json in "[\\[\\]{}\":,\\\\0-9a-zA-Z. ]{0,80}",
                at in 0..1_000_usize,
            ) {
                for frame in $frames {
                    $dialect.survives(&bytes, &json, &String::from(frame), at);
                }
            }
        }

        #[test]
        fn every_cut_of_a_frame_is_refused() {
            for frame in $frames.map(String::from) {
                for cut in 0..frame.len() {
                    assert!($dialect.message(&frame[..cut]).is_err(), "{frame} cut at {cut}");
                }
            }
        }

        #[test]
        fn reading_a_frame_allocates_nothing() {
            for frame in $frames.map(String::from) {
                $dialect.reads_without_allocating(frame.as_bytes());
                $dialect.reads_without_allocating(&wire::spaced(frame.as_bytes()));
            }
        }
    };
}
pub(crate) use holds_for;
