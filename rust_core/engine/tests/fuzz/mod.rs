//! What the fuzz tests share: the corpus, what a decoder read, and dull decoders of every venue.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod binance;
pub mod bybit;
pub mod coinbase;
pub mod dice;
pub mod json;
pub mod okx;
pub mod sbe;

use std::path::Path;

use engine::view::Level;
use engine::wire::{Message, Print, Scratch, Venue};
use json::{Json, No};

/// What a frame says, with all that stands beside the message.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    pub message: Message,
    pub bids: Vec<Level>,
    pub asks: Vec<Level>,
    pub trades: Vec<Print>,
}

impl Said {
    pub fn only(message: Message) -> Said {
        Said { message, bids: vec![], asks: vec![], trades: vec![] }
    }

    pub fn unrelated() -> Said {
        Said::only(Message::Unrelated(""))
    }

    pub fn book(message: Message, bids: Vec<Level>, asks: Vec<Level>) -> Said {
        Said { message, bids, asks, trades: vec![] }
    }

    pub fn trades(trades: Vec<Print>) -> Said {
        Said { trades, ..Said::only(Message::Trades) }
    }

    /// What our decoder read: without what no reader of this message looks at.
    pub fn of(message: Message, scratch: &Scratch) -> Said {
        let levels = || (scratch.bids.clone(), scratch.asks.clone());
        match message {
            Message::Depth(_) | Message::Snapshot { .. } => Said::book(message, levels().0, levels().1),
            Message::Trades => Said::trades(scratch.trades.clone()),
            Message::Unrelated(_) => Said::unrelated(),
            _ => Said::only(message),
        }
    }
}

/// A dull decoder's view of a frame.
pub struct Dull {
    pub said: Result<Said, No>,
    pub sequence: Option<u64>,
    /// Something in it that a strict decoder may refuse though the message is clear.
    pub odd: bool,
    /// Certainly a frame of depth, whatever is wrong with it.
    pub depth: bool,
}

impl Dull {
    pub fn no(reason: No) -> Dull {
        Dull { said: Err(reason), sequence: None, odd: true, depth: false }
    }
}

/// Reads text; `None` where serde_json itself gives up on what JSON allows (huge numbers, half a surrogate pair).
pub fn tree(text: &[u8]) -> Option<Result<Json, No>> {
    match serde_json::from_slice::<Json>(text) {
        Ok(json) => Some(Ok(json)),
        Err(error) => {
            let words = error.to_string();
            let limits = ["number out of range", "surrogate", "hex escape", "invalid unicode code point"];
            (!limits.iter().any(|limit| words.contains(limit))).then_some(Err("no JSON"))
        }
    }
}

/// What the dull decoder of a venue reads in a frame.
pub fn dull(venue: Venue, frame: &[u8], symbol: &str) -> Option<Dull> {
    if venue == Venue::BinanceSbe && frame.get(4..6) == Some(&[1, 0]) {
        return Some(sbe::read(frame, symbol));
    }
    if venue == Venue::Okx && frame == b"pong" {
        let said = Ok(Said::only(Message::Reply { accepted: true }));
        return Some(Dull { said, sequence: None, odd: false, depth: false });
    }
    let json = match tree(frame)? {
        Ok(json) => json,
        Err(reason) => return Some(Dull::no(reason)),
    };
    let (said, depth) = match venue {
        Venue::Binance | Venue::BinanceUsdm => binance::read(&json, symbol, venue == Venue::BinanceUsdm),
        Venue::BinanceSbe => sbe::text(&json, symbol),
        Venue::Bybit => bybit::read(&json, symbol),
        Venue::Okx => okx::read(&json, symbol),
        Venue::Coinbase => coinbase::read(&json, symbol),
    };
    let sequence = (venue == Venue::Coinbase).then(|| json.id("sequence_num").ok()).flatten();
    // Binance's payload is one set of fields, wrapped or not.
    let doubles = json.doubles() || binance::payload(&json).is_ok_and(|fields| fields.doubles());
    Some(Dull { said, sequence, odd: doubles || json.vague() || json.depth() > 32, depth })
}

/// A fetched snapshot as a dull decoder reads it.
pub type Body = Result<(u64, Vec<Level>, Vec<Level>), No>;

/// What the dull decoder of a venue reads in a fetched snapshot, and whether a strict one may refuse it anyway.
pub fn dull_snapshot(venue: Venue, body: &[u8]) -> Option<(Body, bool)> {
    let json = match tree(body)? {
        Ok(json) => json,
        Err(reason) => return Some((Err(reason), true)),
    };
    let read = match venue {
        Venue::Binance | Venue::BinanceUsdm | Venue::BinanceSbe => binance::snapshot(&json),
        Venue::Bybit => bybit::snapshot(&json),
        Venue::Okx => okx::snapshot(&json),
        Venue::Coinbase => Err("none is public"),
    };
    Some((read, json.doubles() || json.depth() > 32))
}

/// The symbol that the corpus is about.
pub fn symbol(venue: Venue) -> &'static str {
    match venue {
        Venue::Okx => "BTC-USDT",
        Venue::Coinbase => "BTC-USD",
        _ => "BTCUSDT",
    }
}

fn unhex(line: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("hex") as u8;
    line.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// One entry a line; lines of binary frames are hex.
pub fn corpus(venue: Venue, file: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(venue.name()).join(file);
    let text = std::fs::read_to_string(&path).expect("a corpus");
    let entry = |line: &str| if line.starts_with('{') || line == "pong" { line.into() } else { unhex(line) };
    text.lines().filter(|line| !line.is_empty()).map(entry).collect()
}
