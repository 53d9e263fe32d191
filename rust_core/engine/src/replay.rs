//! A recording through the same decoder and book as live frames.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::market::{Applied, Market};
use crate::published::Published;
use crate::view::Level;
use crate::wake::{CrossWatch, Signal};
use crate::wire::{Message, Scratch, Venue, WireError};

/// A market fed line by line. A snapshot is offered to it right before the first frame that it can bridge.
#[derive(Debug)]
pub struct Replay {
    market: Market,
    venue: Venue,
    symbol: Box<[u8]>,
    /// Body and update id of a snapshot that no frame has met yet.
    snapshot: Option<(Vec<u8>, u64)>,
    scratch: Scratch,
    next_index: u64,
    tops: Option<String>,
}

impl Replay {
    /// An empty market. With `tops`, one CSV line is written per applied depth frame.
    pub fn new(venue: Venue, symbol: &str, tops: bool) -> Replay {
        let watch = CrossWatch::new(Arc::new(Signal::default()));
        let market = Market::new(venue, symbol, Arc::new(Published::new(Arc::new(watch))));
        Replay {
            market,
            venue,
            symbol: symbol.as_bytes().into(),
            snapshot: None,
            scratch: Scratch::default(),
            next_index: 0,
            tops: tops.then(String::new),
        }
    }

    /// Takes the body of a snapshot request; refuses what is none.
    pub fn give_snapshot(&mut self, body: &[u8]) -> Result<(), WireError> {
        let update_id = self.venue.decode_snapshot(body, &mut self.scratch)?;
        self.snapshot = Some((body.to_vec(), update_id));
        Ok(())
    }

    /// Feeds every line of `lines` (blank ones are passed over) and returns how many frames that were.
    ///
    /// `recv_ns` gives each frame's receive time; where it ends, the frame's index stands for it.
    pub fn feed(&mut self, lines: &[u8], recv_ns: &[i64]) -> usize {
        let mut times = recv_ns.iter().copied();
        let mut count = 0;
        for line in lines.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
            let received = times.next().unwrap_or(self.next_index as i64);
            self.frame(line, received);
            count += 1;
        }
        count
    }

    fn frame(&mut self, line: &[u8], recv_ns: i64) {
        if let Some((body, _)) = self.snapshot.take_if(|(_, update_id)| {
            let message = self.venue.decode(line, &self.symbol, &mut self.scratch);
            let joined = *update_id + 1;
            matches!(message, Ok(Message::Depth(span)) if (span.first_id..=span.last_id).contains(&joined))
        }) {
            self.market.offer_snapshot(&body);
        }
        let applied = self.market.apply(line, recv_ns);
        if let (Applied::Depth, Some(tops)) = (applied, &mut self.tops) {
            write_top(tops, self.next_index, &self.market);
        }
        self.next_index += 1;
    }

    /// The CSV lines since the last call: `frame index, update id, bid, bid size, ask, ask size` of the depth book.
    pub fn take_tops(&mut self) -> String {
        self.tops.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The market as it stands.
    pub fn market(&self) -> &Market {
        &self.market
    }
}

fn write_top(out: &mut String, index: u64, market: &Market) {
    let book = market.book();
    let (bid, ask) = (cells(book.bids().next()), cells(book.asks().next()));
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{index},{},{bid},{ask}", book.update_id());
}

/// `price,size`, both empty on an empty side.
fn cells(level: Option<Level>) -> String {
    level.map_or(",".to_owned(), |level| format!("{},{}", level.price, level.quantity))
}
