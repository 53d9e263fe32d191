//! A recording through the same decoder and book as live frames.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::market::{Applied, Market};
use crate::published::Published;
use crate::record::{BadRecord, Kind, Record};
use crate::view::Level;
use crate::wake::{CrossWatch, Signal};
use crate::wire::{Message, Scratch, Venue, WireError};

/// A market fed line by line, or record by record. A snapshot that was given is offered to it right before the first
/// frame that it can bridge; one that was recorded, where it was offered.
#[derive(Debug)]
pub struct Replay {
    market: Market,
    published: Arc<Published>,
    /// The connection that feeds the market; 0 between two.
    connection: u32,
    /// A connection that began beside it, with a market of its own.
    heir: Option<(u32, Market)>,
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
        let published = unread();
        Replay {
            market: Market::new(venue, symbol, Arc::clone(&published)),
            published,
            connection: 0,
            heir: None,
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

    /// Takes the whole records at the start of `bytes` and returns their length.
    pub fn play(&mut self, bytes: &[u8]) -> Result<usize, BadRecord> {
        let mut played = 0;
        while let Some((record, length)) = Record::read(&bytes[played..])? {
            self.take(&record)?;
            played += length;
        }
        Ok(played)
    }

    fn take(&mut self, record: &Record<'_>) -> Result<(), BadRecord> {
        let Record { kind, recv_ns, connection, payload } = *record;
        match kind {
            Kind::Frame | Kind::Snapshot if self.is_strangers(connection) => {}
            Kind::Frame => match self.heir_on(connection) {
                Some(heir) => drop(heir.apply(payload, recv_ns)),
                None => {
                    self.connection = connection; // 0 so far if its beginning is not in the recording
                    self.apply(payload, recv_ns);
                }
            },
            Kind::Snapshot => {
                let _counted = self.fed_by(connection).offer_snapshot(payload);
            }
            Kind::Begin if self.connection == 0 => self.connection = connection,
            Kind::Begin => {
                let symbol = String::from_utf8_lossy(&self.symbol);
                self.heir = Some((connection, Market::new(self.venue, &symbol, unread())));
            }
            Kind::End if self.heir_on(connection).is_some() => self.heir = None,
            Kind::End if self.connection != 0 && self.connection != connection => {}
            Kind::End => self.disconnect(),
            Kind::Run => {
                (self.connection, self.heir) = (0, None);
                self.market.begin_anew();
            }
            Kind::Takeover => {
                match self.heir.take_if(|(began, _)| *began == connection) {
                    Some((_, mut heir)) => self.market.take_over(&mut heir),
                    None => self.market.disconnected(), // its beginning is among what was lost
                }
                self.connection = connection;
            }
            Kind::Lost => {
                self.heir = None;
                self.market.disconnected();
            }
            Kind::Book if self.market.restore(payload) => self.connection = connection,
            Kind::Book => return Err(BadRecord),
            Kind::Segment => {}
            Kind::Diverged => self.market.diverged(),
        }
        Ok(())
    }

    /// The connection is gone, or so much is missing that what follows cannot be joined to what was before.
    pub fn disconnect(&mut self) {
        (self.connection, self.heir) = (0, None);
        self.market.disconnected();
    }

    /// The live book as a record's payload, and the connection that feeds it; nothing while it is not live.
    pub fn checkpoint(&self) -> Option<(u32, Vec<u8>)> {
        self.market.checkpoint().map(|made| (self.connection, made))
    }

    /// What readers of the market read.
    pub fn published(&self) -> &Published {
        &self.published
    }

    fn heir_on(&mut self, connection: u32) -> Option<&mut Market> {
        self.heir.as_mut().filter(|(began, _)| *began == connection).map(|(_, market)| market)
    }

    /// Whether it is a connection beside the one that feeds the market, and its beginning or what followed was lost.
    fn is_strangers(&self, connection: u32) -> bool {
        let heir = self.heir.as_ref().is_some_and(|(began, _)| *began == connection);
        !heir && ![0, connection].contains(&self.connection)
    }

    fn fed_by(&mut self, connection: u32) -> &mut Market {
        match &mut self.heir {
            Some((began, market)) if *began == connection => market,
            _ => &mut self.market,
        }
    }

    fn frame(&mut self, line: &[u8], recv_ns: i64) {
        if let Some((body, _)) = self.snapshot.take_if(|(_, update_id)| {
            let message = self.venue.decode(line, &self.symbol, &mut self.scratch);
            let joined = *update_id + 1;
            matches!(message, Ok(Message::Depth(span)) if (span.first_id..=span.last_id).contains(&joined))
        }) {
            self.market.offer_snapshot(&body);
        }
        self.apply(line, recv_ns);
    }

    fn apply(&mut self, frame: &[u8], recv_ns: i64) {
        let applied = self.market.apply(frame, recv_ns);
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

/// A face that nobody waits at.
fn unread() -> Arc<Published> {
    let watch = CrossWatch::new(Arc::new(Signal::default()));
    Arc::new(Published::new(Arc::new(watch)))
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
