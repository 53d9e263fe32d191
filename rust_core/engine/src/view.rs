//! The market as a reader sees it: the best prices, the best levels of each side, and whether they can be trusted.

pub use crate::published::{Published, Trade, Trades, TradesRead};
use crate::units::{Price, Qty, Side};

/// Levels a side that are published to readers.
pub const DEPTH: usize = if cfg!(loom) { 1 } else { 100 };

/// One price of one side with the quantity that rests there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Level {
    /// Price of the level.
    pub price: Price,
    /// Quantity at the price; 0 means that there is no such level.
    pub quantity: Qty,
}

/// Whether the book can be trusted, and if not, how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Sync {
    /// Nothing received yet.
    #[default]
    Empty = 0,
    /// Frames are kept until a snapshot bridges them.
    Buffering = 1,
    /// Snapshot and frames join without a gap.
    Live = 2,
    /// A gap, a refused frame, a cross or a lost connection: waits for a new snapshot.
    Desynced = 3,
}

/// Why a book is not trusted, or was not until its newest snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Doubt {
    /// Nothing was wrong yet: it waits for its first snapshot.
    #[default]
    None = 0,
    /// A depth update was missed.
    Gap = 1,
    /// The best bid was not below the best ask.
    Crossed = 2,
    /// A frame that could have been a depth frame was refused.
    Refused = 3,
    /// The connection ended.
    Disconnected = 4,
    /// The levels did not give the venue's checksum.
    Checksum = 5,
    /// A fresh snapshot said something else.
    Diverged = 6,
    /// Of the levels that the book was given or kept so few were left that others might have been missing between them.
    Shallow = 7,
}

impl Doubt {
    /// Every doubt, by its number.
    pub const ALL: [Doubt; 8] = [
        Doubt::None,
        Doubt::Gap,
        Doubt::Crossed,
        Doubt::Refused,
        Doubt::Disconnected,
        Doubt::Checksum,
        Doubt::Diverged,
        Doubt::Shallow,
    ];

    /// One word, as Python sees it; empty for none.
    pub fn word(self) -> &'static str {
        match self {
            Doubt::None => "",
            Doubt::Gap => "gap",
            Doubt::Crossed => "crossed",
            Doubt::Refused => "refused",
            Doubt::Disconnected => "disconnected",
            Doubt::Checksum => "checksum",
            Doubt::Diverged => "diverged",
            Doubt::Shallow => "shallow",
        }
    }
}

/// Best bid and ask with what a reader must know to trust them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TopOfBook {
    /// Best bid; quantity 0 if the side is empty.
    pub bid: Level,
    /// Best ask; quantity 0 if the side is empty.
    pub ask: Level,
    /// The venue's version of the market behind these prices (its update id, or what stands for it).
    pub update_id: u64,
    /// Monotonic receive time of the newest valid book-stream frame (not of trades), ns.
    pub recv_ns: i64,
    /// State of the book.
    pub sync: Sync,
    /// Why it is, or last was, not live.
    pub doubt: Doubt,
}

impl TopOfBook {
    /// Nanoseconds since the newest book-stream frame; never negative.
    pub fn age_ns(&self, mono_ns: i64) -> i64 {
        mono_ns.saturating_sub(self.recv_ns).max(0)
    }

    /// Both sides present and bid below ask.
    pub fn uncrossed(&self) -> bool {
        self.bid.quantity.0 > 0 && self.ask.quantity.0 > 0 && self.bid.price < self.ask.price
    }
}

/// A consistent copy of the market for pricing: depth corrected by a newer top.
///
/// `bids` and `asks` hold the best levels in order, best first. A copy made for one order may hold only as many
/// levels of the side it would take as that order needs.
#[derive(Debug, Clone)]
pub struct View {
    /// Best prices and trust.
    pub top: TopOfBook,
    bids: [Level; DEPTH],
    bid_count: usize,
    asks: [Level; DEPTH],
    ask_count: usize,
}

impl Default for View {
    fn default() -> View {
        View {
            top: TopOfBook::default(),
            bids: [Level::default(); DEPTH],
            bid_count: 0,
            asks: [Level::default(); DEPTH],
            ask_count: 0,
        }
    }
}

impl View {
    /// The levels that an order of side `taker` would take, best first: asks for a buy, bids for a sell.
    pub fn takes(&self, taker: Side) -> &[Level] {
        match taker {
            Side::Buy => &self.asks[..self.ask_count],
            Side::Sell => &self.bids[..self.bid_count],
        }
    }

    /// Empties both sides and takes over `top`; levels follow by [`View::push`].
    pub fn reset(&mut self, top: TopOfBook) {
        self.top = top;
        self.bid_count = 0;
        self.ask_count = 0;
    }

    /// Appends the next worse level to the side that `taker` would take. Beyond [`DEPTH`] levels it is dropped.
    pub fn push(&mut self, taker: Side, level: Level) {
        let (side, count) = match taker {
            Side::Buy => (&mut self.asks, &mut self.ask_count),
            Side::Sell => (&mut self.bids, &mut self.bid_count),
        };
        if *count < DEPTH {
            side[*count] = level;
            *count += 1;
        }
    }
}
