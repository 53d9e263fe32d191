//! The market's published face: top, depth and trades in atomic words. One feed writes, anyone reads, nobody waits.

use std::sync::Arc;

use crate::ring::Ring;
use crate::seqlock::{SeqLock, Words};
use crate::units::{Price, Qty, Side};
use crate::view::{DEPTH, Doubt, Level, Sync, TopOfBook, View};
use crate::wake::CrossWatch;

/// Where each value stands in the published words. The top shares one cache line with the sequence number.
const TOP: usize = 0;
const UPDATE_ID: usize = 4;
const RECV_NS: usize = 5;
const SYNC: usize = 6;
const DEPTH_UPDATE_ID: usize = 7;
const BID_COUNT: usize = 8;
const ASK_COUNT: usize = 9;
const BIDS: usize = 10;
const ASKS: usize = BIDS + 2 * DEPTH;
const WORDS: usize = ASKS + 2 * DEPTH;
/// Trades that stay readable.
const TRADES: usize = if cfg!(loom) { 1 } else { 1024 };

/// One trade of the venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trade {
    /// Price of the trade.
    pub price: Price,
    /// Quantity traded.
    pub quantity: Qty,
    /// True when the seller was the taker.
    pub buyer_is_maker: bool,
    /// Monotonic receive time, ns.
    pub recv_ns: i64,
}

/// What [`Trades::read_since`] leaves its caller with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TradesRead {
    /// The cursor for the next call.
    pub cursor: u64,
    /// Trades that were overwritten before they could be read.
    pub lost: u64,
}

/// The last 1,024 trades.
#[derive(Debug)]
pub struct Trades(Ring<4>);

impl Trades {
    /// Appends the trades from `cursor` (0 = the oldest there is) on to `out`, oldest first.
    pub fn read_since(&self, cursor: u64, out: &mut Vec<Trade>) -> TradesRead {
        let (start, end) = (cursor.max(self.0.oldest()), self.0.pushed());
        let before = out.len();
        out.extend((start..end).filter_map(|index| self.0.get(index)).map(trade_of));
        let read = (out.len() - before) as u64;
        TradesRead { cursor: end.max(cursor), lost: end.saturating_sub(cursor) - read }
    }

    /// The cursor behind the newest trade: reading from it gives only what comes later.
    pub fn end(&self) -> u64 {
        self.0.pushed()
    }

    /// Appends one trade over the oldest. For the feed only.
    fn push(&self, trade: &Trade) {
        let maker = u64::from(trade.buyer_is_maker);
        self.0.push([trade.price.0 as u64, trade.quantity.0 as u64, maker, trade.recv_ns as u64]);
    }
}

fn trade_of(words: [u64; 4]) -> Trade {
    let [price, quantity, maker, recv_ns] = words;
    Trade {
        price: Price(price as i64),
        quantity: Qty(quantity as i64),
        buyer_is_maker: maker != 0,
        recv_ns: recv_ns as i64,
    }
}

/// Top of book, depth and trades of one market. Exactly one thread at a time may call the `write` and `push` methods.
#[derive(Debug)]
pub struct Published {
    book: SeqLock<WORDS>,
    watch: Arc<CrossWatch>,
    /// The market's last trades.
    pub trades: Trades,
}

impl Published {
    /// An empty market. Each top and trade written is shown to `watch`.
    pub fn new(watch: Arc<CrossWatch>) -> Published {
        Published { book: SeqLock::default(), watch, trades: Trades(Ring::new(TRADES)) }
    }

    /// Replaces the top alone.
    #[inline]
    pub fn write_top(&self, top: &TopOfBook) {
        self.book.write(|words| put_top(words, top));
        self.compare(top);
    }

    /// Replaces top and depth together. Levels come best first; those beyond [`DEPTH`] are not read.
    pub fn write(
        &self,
        top: &TopOfBook,
        depth_update_id: u64,
        bids: impl Iterator<Item = Level>,
        asks: impl Iterator<Item = Level>,
    ) {
        self.book.write(|words| {
            put_top(words, top);
            words.set(DEPTH_UPDATE_ID, depth_update_id);
            words.set(BID_COUNT, words.part(BIDS, 2 * DEPTH).set_pairs(bids.map(words_of)) as u64);
            words.set(ASK_COUNT, words.part(ASKS, 2 * DEPTH).set_pairs(asks.map(words_of)) as u64);
        });
        self.compare(top);
    }

    /// Appends a trade.
    pub fn push_trade(&self, trade: &Trade) {
        self.trades.push(trade);
        self.watch.on_trade(trade.price);
    }

    /// The best prices.
    #[inline]
    pub fn top(&self) -> TopOfBook {
        self.book.read(top_of)
    }

    /// Fills `view` for an order of side `taker`: the top, and as many levels of the side it takes as cover `quantity`
    /// (all of them if they never do), with the pricing rule of [`Published::view`].
    pub fn view_for(&self, taker: Side, quantity: Qty, view: &mut View) {
        self.book.read(|words| {
            view.reset(top_of(words));
            copy_side(words, taker, quantity, view);
        });
    }

    /// Fills `view` with both sides.
    ///
    /// The pricing rule: where the top is newer than the depth, levels that are better than its price are gone, and the
    /// best level is the top's, with the top's quantity. Otherwise the depth stands as it is.
    pub fn view(&self, view: &mut View) {
        self.book.read(|words| {
            view.reset(top_of(words));
            copy_side(words, Side::Buy, Qty(i64::MAX), view);
            copy_side(words, Side::Sell, Qty(i64::MAX), view);
        });
    }

    /// Shows a top to the watch; an empty side can cross nothing.
    #[inline]
    fn compare(&self, top: &TopOfBook) {
        let bid = if top.bid.quantity.0 > 0 { top.bid.price } else { Price(i64::MIN + 1) };
        let ask = if top.ask.quantity.0 > 0 { top.ask.price } else { Price(i64::MAX - 1) };
        self.watch.on_top(bid, ask);
    }
}

fn words_of(level: Level) -> (u64, u64) {
    (level.price.0 as u64, level.quantity.0 as u64)
}

fn level_of((price, quantity): (u64, u64)) -> Level {
    Level { price: Price(price as i64), quantity: Qty(quantity as i64) }
}

#[inline]
fn put_top(words: Words<'_>, top: &TopOfBook) {
    let (bid, ask) = (words_of(top.bid), words_of(top.ask));
    let row = [bid.0, bid.1, ask.0, ask.1, top.update_id, top.recv_ns as u64, trust_word(top)];
    for (index, word) in row.into_iter().enumerate() {
        words.set(TOP + index, word);
    }
}

#[inline]
fn top_of(words: Words<'_>) -> TopOfBook {
    TopOfBook {
        bid: level_of((words.get(TOP), words.get(TOP + 1))),
        ask: level_of((words.get(TOP + 2), words.get(TOP + 3))),
        update_id: words.get(UPDATE_ID),
        recv_ns: words.get(RECV_NS) as i64,
        sync: sync_of(words.get(SYNC)),
        doubt: doubt_of(words.get(SYNC)),
    }
}

/// State and doubt in one word, so that they are never read apart.
fn trust_word(top: &TopOfBook) -> u64 {
    top.sync as u64 | (top.doubt as u64) << 8
}

/// Bears a torn word: it is dropped later.
fn doubt_of(word: u64) -> Doubt {
    Doubt::ALL.get((word >> 8) as usize).copied().unwrap_or_default()
}

fn sync_of(word: u64) -> Sync {
    match word & 0xFF {
        0 => Sync::Empty,
        1 => Sync::Buffering,
        2 => Sync::Live,
        _ => Sync::Desynced,
    }
}

/// Pushes the side that `taker` takes into `view`, until it covers `wanted`. Bears torn words: they are dropped later.
fn copy_side(words: Words<'_>, taker: Side, wanted: Qty, view: &mut View) {
    let (start, count, best) = match taker {
        Side::Buy => (ASKS, words.get(ASK_COUNT), view.top.ask),
        Side::Sell => (BIDS, words.get(BID_COUNT), view.top.bid),
    };
    let top_is_newer = view.top.update_id > words.get(DEPTH_UPDATE_ID);
    let mut covered = 0_i64;
    if top_is_newer {
        if best.quantity.0 <= 0 {
            return;
        }
        view.push(taker, best);
        covered = best.quantity.0;
    }
    let depth = words.part(start, 2 * (count as usize).min(DEPTH));
    for level in depth.pairs().map(level_of) {
        if covered >= wanted.0 {
            return;
        }
        if !top_is_newer || is_worse(taker, level.price, best.price) {
            view.push(taker, level);
            covered = covered.saturating_add(level.quantity.0);
        }
    }
}

/// Whether a taker would rather trade at `best` than at `price`.
fn is_worse(taker: Side, price: Price, best: Price) -> bool {
    match taker {
        Side::Buy => price > best,
        Side::Sell => price < best,
    }
}
