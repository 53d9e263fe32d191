//! A live market as text, and back: what a recording needs to begin in the middle.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Market;
use super::freshness::Ahead;
use super::sequence::Sequence;
use crate::units::{Price, Qty};
use crate::view::{Doubt, Level, Sync};

type Row = (Price, Qty);

#[derive(Serialize, Deserialize)]
struct Checkpoint {
    update_id: u64,
    version: u64,
    doubt: u8,
    top_id: u64,
    top_bid: Row,
    top_ask: Row,
    recv_ns: i64,
    #[serde(alias = "ahead_since_ns")]
    ahead_reached_ns: Option<i64>,
    /// Absent in older recordings: the next depth frame then ends the wait.
    #[serde(default)]
    ahead_version: u64,
    /// Absent in older recordings: the next depth frame then replaces a top that it does not reach.
    #[serde(default)]
    ahead_top_ns: i64,
    next_sequence: Option<u64>,
    /// Absent in older recordings: the snapshot would then be taken twice.
    #[serde(default)]
    whole: Option<(u64, u64)>,
    /// Absent in older recordings: the book then counts as whole.
    #[serde(default)]
    edges: (Option<Price>, Option<Price>),
    /// Absent in older recordings: the venue then counts as one that never counted anew.
    #[serde(default)]
    old_end: Option<u64>,
    counters: BTreeMap<String, u64>,
    bids: Vec<Row>,
    asks: Vec<Row>,
}

fn row(level: Level) -> Row {
    (level.price, level.quantity)
}

fn level((price, quantity): Row) -> Level {
    Level { price, quantity }
}

impl Market {
    /// Everything that a market like this one needs to go on from here, as JSON; nothing unless the book is live.
    pub fn checkpoint(&self) -> Option<Vec<u8>> {
        if self.book.sync() != Sync::Live {
            return None;
        }
        let made = Checkpoint {
            update_id: self.book.update_id(),
            version: self.book.version(),
            doubt: self.top.doubt as u8,
            top_id: self.top.update_id,
            top_bid: row(self.top.bid),
            top_ask: row(self.top.ask),
            recv_ns: self.top.recv_ns,
            ahead_reached_ns: self.ahead.reached_ns,
            ahead_version: self.ahead.version,
            ahead_top_ns: self.ahead.top_ns,
            next_sequence: self.sequence.next,
            whole: self.whole,
            edges: self.book.edges(),
            old_end: self.book.old_end(),
            counters: self.counters.rows().into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
            bids: self.book.bids().map(row).collect(),
            asks: self.book.asks().map(row).collect(),
        };
        serde_json::to_vec(&made).ok()
    }

    /// Another run of the program recorded from here on: an empty market, of which only the counts go on.
    pub fn begin_anew(&mut self) {
        let symbol = std::mem::take(&mut self.symbol);
        let (counters, latency) = (Arc::clone(&self.counters), Arc::clone(&self.latency));
        let empty = Market::new(self.venue, "", Arc::clone(&self.published));
        *self = Market { symbol, counters, latency, ..empty };
        self.publish();
    }

    /// A book that was fetched for comparison differed when this was recorded: a live one is unsynced again.
    pub fn diverged(&mut self) {
        self.book.doubt_if_live(Doubt::Diverged);
        self.counters.audits.add(1);
        self.counters.divergences.add(1);
        self.publish();
    }

    /// Goes on from a checkpoint, unless the book is live; false for what is none. A market that has seen no frame takes
    /// over the counts too.
    pub fn restore(&mut self, checkpoint: &[u8]) -> bool {
        if self.book.sync() == Sync::Live {
            return true;
        }
        let Ok(made) = serde_json::from_slice::<Checkpoint>(checkpoint) else { return false };
        let Some(&doubt) = Doubt::ALL.get(usize::from(made.doubt)) else { return false };
        let (bids, asks) = (made.bids.into_iter().map(level), made.asks.into_iter().map(level));
        let (bids, asks): (Vec<Level>, Vec<Level>) = (bids.collect(), asks.collect());
        let first = self.counters.frames.get() == 0;
        self.book.replace(made.update_id, made.version, None, &bids, &asks);
        self.book.recall_edges(made.edges);
        self.book.recall_old_end(made.old_end);
        if first {
            self.book.recall(doubt);
        }
        let (top_bid, top_ask) = (level(made.top_bid), level(made.top_ask));
        (self.top.bid, self.top.ask, self.top.update_id) = (top_bid, top_ask, made.top_id);
        self.top.recv_ns = made.recv_ns;
        self.ahead =
            Ahead { reached_ns: made.ahead_reached_ns, version: made.ahead_version, top_ns: made.ahead_top_ns };
        (self.sequence, self.whole) = (Sequence::at(made.next_sequence), made.whole);
        self.was_live |= first;
        self.publish();
        if first {
            self.counters.restore(&made.counters);
        }
        self.book.sync() == Sync::Live
    }
}
