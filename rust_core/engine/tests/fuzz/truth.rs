//! A venue with one market, for the fuzz of books: every state that it was in, and the frames and bodies that tell of
//! them in each dialect.

use std::collections::BTreeMap;

use engine::wire::Venue;

use crate::dice::Dice;

/// Bids end below this tick, asks begin at it; a tick is 0.1.
const MIDDLE: i64 = 1_013;

pub type Side = BTreeMap<i64, i64>;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Dialect {
    Binance,
    Usdm,
    OkxLinked,
    OkxChecksum,
    Bybit,
    Coinbase,
}

impl Dialect {
    pub fn venue(self) -> Venue {
        match self {
            Dialect::Binance => Venue::Binance,
            Dialect::Usdm => Venue::BinanceUsdm,
            Dialect::OkxLinked | Dialect::OkxChecksum => Venue::Okx,
            Dialect::Bybit => Venue::Bybit,
            Dialect::Coinbase => Venue::Coinbase,
        }
    }
}

#[derive(Debug, Clone, Default)]
pub struct State {
    pub id: u64,
    pub seq: u64,
    pub bids: Side,
    pub asks: Side,
}

/// One frame as sent; `state` is where it leads.
#[derive(Debug, Clone)]
pub struct Sent {
    pub bytes: String,
    pub state: usize,
}

/// The venue: every state so far, and the numbers of its connection.
pub struct Truth {
    pub dialect: Dialect,
    pub states: Vec<State>,
    /// The state that the next frame follows.
    pub told: usize,
    pub sequence: u64,
    /// Where ids begin when they begin anew: never twice the same.
    anew: u64,
}

/// CRC32 (IEEE), bit by bit.
fn crc32(text: &str) -> i32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    !text.bytes().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(byte), step)) as i32
}

fn price(ticks: i64) -> String {
    if ticks % 10 == 0 { (ticks / 10).to_string() } else { format!("{}.{}", ticks / 10, ticks % 10) }
}

fn rows<'a>(levels: impl Iterator<Item = (&'a i64, &'a i64)>, rest: &str) -> String {
    let rows: Vec<String> = levels.map(|(&ticks, size)| format!("[\"{}\",\"{size}\"{rest}]", price(ticks))).collect();
    format!("[{}]", rows.join(","))
}

impl State {
    fn checksum(&self) -> i32 {
        let (mut bids, mut asks) = (self.bids.iter().rev(), self.asks.iter());
        let mut words = Vec::new();
        for _ in 0..25 {
            let pair = [bids.next(), asks.next()];
            words.extend(pair.into_iter().flatten().map(|(&ticks, size)| format!("{}:{size}", price(ticks))));
        }
        crc32(&words.join(":"))
    }
}

/// What must be sent to come from one side to the other: absolute sizes, 0 removes.
fn changes(from: &Side, to: &Side) -> Side {
    let gone = from.keys().filter(|ticks| !to.contains_key(ticks)).map(|&ticks| (ticks, 0));
    let new = to.iter().filter(|(ticks, size)| from.get(ticks) != Some(size)).map(|(&ticks, &size)| (ticks, size));
    gone.chain(new).collect()
}

impl Truth {
    pub fn new(dialect: Dialect) -> Truth {
        let first = State { id: 5_000_000, seq: 1, bids: Side::from([(1_000, 1)]), asks: Side::from([(1_025, 1)]) };
        Truth { dialect, states: vec![first], told: 0, sequence: 0, anew: 4_000_000 }
    }

    fn last(&self) -> &State {
        self.states.last().expect("a first state")
    }

    /// The market moves: one id of the venue.
    pub fn step(&mut self, dice: &mut Dice) {
        let mut next = self.last().clone();
        for _ in 0..dice.below(4) {
            let ticks = 1_001 + dice.below(24) as i64;
            let side = if ticks < MIDDLE { &mut next.bids } else { &mut next.asks };
            match dice.below(3) {
                0 => drop(side.remove(&ticks)),
                _ => drop(side.insert(ticks, 1 + dice.below(9) as i64)),
            }
        }
        next.seq += 1 + dice.below(3) as u64;
        next.id += match self.dialect {
            Dialect::Binance | Dialect::Bybit => 1,
            _ => 1 + dice.below(9) as u64,
        };
        if self.dialect == Dialect::OkxLinked && dice.once_in(60) {
            self.anew -= 100_000;
            next.id = self.anew;
        }
        self.states.push(next);
    }

    /// The first state of the newest count, if it began behind what was told last.
    pub fn new_count(&self) -> Option<usize> {
        let untold = &self.states[self.told..];
        untold.windows(2).rposition(|pair| pair[1].id < pair[0].id).map(|before| self.told + before + 1)
    }

    /// How many counts have begun since a state.
    pub fn counts_begun(&self, state: usize) -> usize {
        self.states[state..].windows(2).filter(|pair| pair[1].id < pair[0].id).count()
    }

    /// The frame from what was told last to now; `crossing` adds a bid above every ask.
    pub fn frame(&mut self, crossing: bool) -> Sent {
        let (from, to) = (self.states[self.told].clone(), self.last().clone());
        let (mut bids, mut asks) = (Side::new(), Side::new());
        // A level that changed and changed back is in the frame too.
        for pair in self.states[self.told..].windows(2) {
            bids.extend(changes(&pair[0].bids, &pair[1].bids));
            asks.extend(changes(&pair[0].asks, &pair[1].asks));
        }
        if crossing {
            bids.insert(1_030, 1);
        }
        self.told = self.states.len() - 1;
        let bytes = self.render(&from, &to, (&bids, &asks), false);
        Sent { bytes, state: self.told }
    }

    /// A snapshot on the stream.
    pub fn whole(&mut self) -> Sent {
        let now = self.last().clone();
        self.told = self.states.len() - 1;
        let bytes = self.render(&now, &now, (&now.bids, &now.asks), true);
        Sent { bytes, state: self.told }
    }

    fn render(&mut self, from: &State, to: &State, (bids, asks): (&Side, &Side), whole: bool) -> String {
        let okx = self.dialect.venue() == Venue::Okx;
        let rest = if okx { ",\"0\",\"1\"" } else { "" };
        let (b, a) = (rows(bids.iter().rev(), rest), rows(asks.iter(), rest));
        match self.dialect {
            Dialect::Binance | Dialect::Usdm => {
                let first = from.id + 1;
                let ids = format!(r#""U":{first},"u":{},"pu":{}"#, to.id, from.id);
                format!(r#"{{"e":"depthUpdate","E":1,"s":"BTCUSDT",{ids},"b":{b},"a":{a}}}"#)
            }
            Dialect::OkxLinked | Dialect::OkxChecksum => {
                let previous = if whole { "-1".to_owned() } else { from.id.to_string() };
                let ids = match self.dialect {
                    Dialect::OkxLinked => format!(r#""prevSeqId":{previous},"seqId":{}"#, to.id),
                    _ => format!(r#""checksum":{}"#, to.checksum()),
                };
                let action = if whole { "snapshot" } else { "update" };
                let arg = r#"{"channel":"books","instId":"BTC-USDT"}"#;
                format!(r#"{{"arg":{arg},"action":"{action}","data":[{{"asks":{a},"bids":{b},"ts":"1",{ids}}}]}}"#)
            }
            Dialect::Bybit => {
                self.sequence += 1;
                let kind = if whole { "snapshot" } else { "delta" };
                let ids = format!(r#""u":{},"seq":{}"#, self.sequence + 1, to.seq);
                let data = format!(r#"{{"s":"BTCUSDT","b":{b},"a":{a},{ids}}}"#);
                format!(r#"{{"topic":"orderbook.200.BTCUSDT","ts":1,"type":"{kind}","data":{data},"cts":1}}"#)
            }
            Dialect::Coinbase => self.coinbase(bids, asks, whole),
        }
    }

    fn coinbase(&mut self, bids: &Side, asks: &Side, whole: bool) -> String {
        let row = |side: &str, (&ticks, size): (&i64, &i64)| {
            format!(r#"{{"side":"{side}","price_level":"{}","new_quantity":"{size}"}}"#, price(ticks))
        };
        let bids = bids.iter().map(|level| row("bid", level));
        let updates: Vec<String> = bids.chain(asks.iter().map(|level| row("offer", level))).collect();
        let kind = if whole { "snapshot" } else { "update" };
        let event = format!(r#"{{"type":"{kind}","product_id":"BTC-USD","updates":[{}]}}"#, updates.join(","));
        self.numbered("l2_data", &event)
    }

    /// A message of Coinbase with the connection's next number.
    pub fn numbered(&mut self, channel: &str, event: &str) -> String {
        self.sequence += 1;
        format!(r#"{{"channel":"{channel}","sequence_num":{},"events":[{event}]}}"#, self.sequence - 1)
    }

    /// The best prices now, where the venue has a stream of them with ids.
    pub fn top(&self) -> Option<String> {
        let State { id, seq, bids, asks } = self.last();
        let best = |side: Option<(&i64, &i64)>| side.map(|(&ticks, size)| (price(ticks), *size)).expect("never empty");
        let ((bid, bid_size), (ask, ask_size)) = (best(bids.last_key_value()), best(asks.first_key_value()));
        let row =
            |rest: &str| (format!(r#"[["{bid}","{bid_size}"{rest}]]"#), format!(r#"[["{ask}","{ask_size}"{rest}]]"#));
        match self.dialect {
            Dialect::OkxChecksum | Dialect::Coinbase => None,
            Dialect::Binance | Dialect::Usdm => {
                let sides = format!(r#""b":"{bid}","B":"{bid_size}","a":"{ask}","A":"{ask_size}""#);
                Some(format!(r#"{{"e":"bookTicker","u":{id},"s":"BTCUSDT",{sides},"T":1,"E":1}}"#))
            }
            Dialect::OkxLinked => {
                let (arg, (b, a)) = (r#"{"channel":"bbo-tbt","instId":"BTC-USDT"}"#, row(r#","0","1""#));
                Some(format!(r#"{{"arg":{arg},"data":[{{"asks":{a},"bids":{b},"ts":"1","seqId":{id}}}]}}"#))
            }
            Dialect::Bybit => {
                let (b, a) = row("");
                let data = format!(r#"{{"s":"BTCUSDT","b":{b},"a":{a},"u":{seq},"seq":{seq}}}"#);
                Some(format!(r#"{{"topic":"orderbook.1.BTCUSDT","ts":1,"type":"snapshot","data":{data},"cts":1}}"#))
            }
        }
    }

    /// The fetched book at a state; `wrong` changes its best bid.
    pub fn body(&self, state: usize, wrong: bool) -> String {
        let mut state = self.states[state].clone();
        if wrong && let Some(mut best) = state.bids.last_entry() {
            *best.get_mut() += 1;
        }
        let (b, a) = (rows(state.bids.iter().rev(), ""), rows(state.asks.iter(), ""));
        match self.dialect.venue() {
            Venue::Okx => format!(r#"{{"code":"0","data":[{{"asks":{a},"bids":{b},"seqId":{}}}]}}"#, state.id),
            Venue::Bybit => format!(r#"{{"retCode":0,"result":{{"b":{b},"a":{a},"u":1,"seq":{}}}}}"#, state.seq),
            _ => format!(r#"{{"lastUpdateId":{},"bids":{b},"asks":{a}}}"#, state.id),
        }
    }
}
