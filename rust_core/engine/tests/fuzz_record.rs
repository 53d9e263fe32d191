//! A recording is the market that was recorded: connections that come, fail, inherit and take over, bad frames, audits,
//! rotation at any moment, lost records, another run in the same folder. `SEED=n FUZZ=1` repeats an input.
//!
//! The twin is the live side itself: the market behind its succession, with what its driver writes down.

#[path = "fuzz/dice.rs"]
mod dice;
#[allow(dead_code, reason = "each test file uses its part")]
#[path = "fuzz/truth.rs"]
mod truth;

use std::sync::Arc;

use dice::Dice;
use engine::market::{Audit, Market};
use engine::record::{Kind, Record};
use engine::replay::Replay;
use engine::succession::{Seat, Succession};
use engine::view::{Level, Published, TopOfBook};
use engine::wake::{CrossWatch, Signal};
use engine::wire::Venue;
use truth::{Dialect, Truth};

const USUAL: u64 = 60;
const STEPS: usize = 120;

fn symbol(dialect: Dialect) -> &'static str {
    match dialect.venue() {
        Venue::Okx => "BTC-USDT",
        Venue::Coinbase => "BTC-USD",
        _ => "BTCUSDT",
    }
}

fn succession(dialect: Dialect) -> Succession {
    let published = Published::new(Arc::new(CrossWatch::new(Arc::new(Signal::default()))));
    Succession::new(Market::new(dialect.venue(), symbol(dialect), Arc::new(published)))
}

#[derive(Default)]
struct Story {
    bytes: Vec<u8>,
    now: i64,
}

impl Story {
    fn tell(&mut self, kind: Kind, connection: u64, payload: &[u8]) {
        Record { kind, recv_ns: self.now, connection: connection as u32, payload }.write(&mut self.bytes);
    }
}

/// All that can be read of a market, but for audits that agreed.
#[derive(Debug, PartialEq)]
struct Shown {
    top: TopOfBook,
    ids: (u64, u64),
    bids: Vec<Level>,
    asks: Vec<Level>,
    counters: Vec<(&'static str, u64)>,
}

fn shown(market: &Market) -> Shown {
    let book = market.book();
    let counters = market.counters().rows().into_iter().filter(|(name, _)| *name != "audits").collect();
    Shown {
        top: *market.top(),
        ids: (book.update_id(), book.version()),
        bids: book.bids().collect(),
        asks: book.asks().collect(),
        counters,
    }
}

/// A replay of the end of a recording, from a segment that begins with a book.
struct Rest {
    replay: Replay,
    /// Connections that began in what is gone.
    strangers: Vec<u64>,
}

/// A replay of a recording of which parts are lost, marked as the tape marks them.
struct Lossy {
    replay: Replay,
    losing: bool,
    missed: bool,
    missed_turn: bool,
}

impl Lossy {
    fn new(replay: Replay) -> Lossy {
        Lossy { replay, losing: false, missed: false, missed_turn: false }
    }

    fn play(&mut self, mut bytes: &[u8]) {
        while let Ok(Some((record, length))) = Record::read(bytes) {
            // The first record of a run, or of a segment, is written with what follows it.
            if self.losing && !matches!(record.kind, Kind::Run | Kind::Segment | Kind::Book) {
                self.missed = true;
                self.missed_turn |= matches!(record.kind, Kind::Begin | Kind::End | Kind::Takeover);
            } else {
                self.mark();
                assert_eq!(self.replay.play(&bytes[..length]), Ok(length));
            }
            bytes = &bytes[length..];
        }
    }

    fn mark(&mut self) {
        let mut marks = Story::default();
        if std::mem::take(&mut self.missed) {
            marks.tell(Kind::Lost, 0, b"{}");
        }
        if std::mem::take(&mut self.missed_turn) {
            marks.tell(Kind::Takeover, 0, b"");
        }
        assert_eq!(self.replay.play(&marks.bytes), Ok(marks.bytes.len()));
    }
}

struct World {
    truth: Truth,
    live: Succession,
    seats: Vec<Seat>,
    story: Story,
    played: usize,
    whole: Replay,
    /// As the recorder has it: of this run alone.
    recorder: Replay,
    rests: Vec<Rest>,
    lossy: Lossy,
    takeovers: u64,
    lived: u64,
}

impl World {
    fn new(dialect: Dialect) -> World {
        let replay = || Replay::new(dialect.venue(), symbol(dialect), false);
        let mut story = Story::default();
        story.tell(Kind::Run, 0, b"{}");
        World {
            truth: Truth::new(dialect),
            live: succession(dialect),
            seats: vec![],
            story,
            played: 0,
            whole: replay(),
            recorder: replay(),
            rests: vec![],
            lossy: Lossy::new(replay()),
            takeovers: 0,
            lived: 0,
        }
    }

    fn enter(&mut self) {
        if self.seats.len() < 2 {
            let story = &mut self.story;
            self.seats.push(self.live.enter(|id| story.tell(Kind::Begin, id, b"")));
        }
    }

    fn leave(&mut self, at: usize) {
        let (seat, story) = (self.seats.remove(at), &mut self.story);
        self.live.leave(&seat, |next| {
            next.into_iter().for_each(|id| story.tell(Kind::Takeover, id, b""));
            story.tell(Kind::End, seat.id(), b"");
        });
    }

    /// What a connection does with a frame or a body; one that was replaced leaves.
    fn feed(&mut self, at: usize, kind: Kind, payload: &[u8]) {
        let (seat, story) = (&mut self.seats[at], &mut self.story);
        let id = seat.id();
        let took = self.live.write(seat, |market| {
            story.tell(kind, id, payload);
            match kind {
                Kind::Frame => drop(market.apply(payload, story.now)),
                _ => drop(market.offer_snapshot(payload)),
            }
        });
        if took.is_none() {
            return self.leave(at);
        }
        if seat.own_published().is_some() && self.live.succeed(seat).is_some() {
            story.tell(Kind::Takeover, id, b"");
            self.takeovers += 1;
        }
    }

    /// A frame reaches each connection, or not.
    fn send(&mut self, bytes: &str, dice: &mut Dice) {
        for at in (0..self.seats.len()).rev() {
            match dice.below(24) {
                0 => {}
                1 => self.feed(at, Kind::Frame, &bytes.as_bytes()[..dice.below(bytes.len())]),
                2 => (0..2).for_each(|_| self.feed_if_there(at, bytes)),
                _ => self.feed_if_there(at, bytes),
            }
        }
    }

    fn feed_if_there(&mut self, at: usize, bytes: &str) {
        if at < self.seats.len() {
            self.feed(at, Kind::Frame, bytes.as_bytes());
        }
    }

    /// Whether the stream itself sends the whole book.
    fn comes_whole(&self) -> bool {
        !matches!(self.truth.dialect, Dialect::Binance | Dialect::Usdm | Dialect::OkxLinked)
    }

    fn snapshot(&mut self, dice: &mut Dice) {
        if self.comes_whole() {
            let sent = self.truth.whole();
            return self.send(&sent.bytes, dice);
        }
        let newest = self.truth.states.len() - 1;
        let body = self.truth.body(newest.saturating_sub(dice.below(8)), false);
        for at in (0..self.seats.len()).rev() {
            self.feed(at, Kind::Snapshot, body.as_bytes());
        }
    }

    fn audit(&mut self, dice: &mut Dice) {
        if matches!(self.truth.dialect, Dialect::OkxChecksum | Dialect::Coinbase) {
            return;
        }
        self.live.with_market(Market::begin_audit);
        for _ in 0..dice.below(3) {
            self.frame(dice);
        }
        let body = self.truth.body(self.truth.told, dice.once_in(3));
        let story = &mut self.story;
        self.live.with_market(|market| {
            if matches!(market.audit(body.as_bytes()), Ok(Audit::Diverged { .. })) {
                story.tell(Kind::Diverged, 0, b"");
            }
        });
    }

    fn frame(&mut self, dice: &mut Dice) {
        self.truth.step(dice);
        let bytes = match dice.below(5) {
            0 => self.truth.top().unwrap_or_else(|| self.truth.numbered("heartbeats", "{}")),
            1 if dice.once_in(12) => self.truth.frame(true).bytes,
            _ => self.truth.frame(false).bytes,
        };
        self.send(&bytes, dice);
    }

    fn rotate(&mut self) {
        self.catch_up();
        self.story.tell(Kind::Segment, 0, b"{}");
        let Some((connection, made)) = self.recorder.checkpoint() else { return };
        let from = self.story.bytes.len();
        self.story.tell(Kind::Book, u64::from(connection), &made);
        let mut replay = Replay::new(self.truth.dialect.venue(), symbol(self.truth.dialect), false);
        replay.play(&self.story.bytes[from..]).expect("a book");
        let strangers = self.seats.iter().map(Seat::id).filter(|&id| id != u64::from(connection)).collect();
        self.rests.push(Rest { replay, strangers });
    }

    /// Another run of the program in the same folder, or a kill.
    fn run(&mut self, dice: &mut Dice) {
        while !self.seats.is_empty() && dice.once_in(2) {
            self.leave(0);
        }
        self.seats.clear();
        let dialect = self.truth.dialect;
        self.catch_up();
        (self.live, self.recorder) = (succession(dialect), Replay::new(dialect.venue(), symbol(dialect), false));
        self.rests.clear();
        self.story.tell(Kind::Run, 0, b"{}");
    }

    fn catch_up(&mut self) {
        let new = &self.story.bytes[self.played..];
        for replay in
            [&mut self.whole, &mut self.recorder].into_iter().chain(self.rests.iter_mut().map(|r| &mut r.replay))
        {
            assert_eq!(replay.play(new), Ok(new.len()));
        }
        self.lossy.play(new);
        self.played = self.story.bytes.len();
    }

    fn judge(&mut self) {
        self.catch_up();
        let live = self.live.with_market(|market| shown(market));
        self.lived += u64::from(!live.bids.is_empty());
        assert_eq!(shown(self.recorder.market()), live, "the recorder's book");
        let whole = shown(self.whole.market());
        assert_eq!(Shown { counters: vec![], ..whole }, Shown { counters: vec![], ..shown(self.recorder.market()) });
        self.rests.retain(|rest| rest.strangers.is_empty());
        for rest in &self.rests {
            assert_eq!(shown(rest.replay.market()), live, "from a segment's book on");
        }
        let lossy = shown(self.lossy.replay.market());
        let counted = matches!(self.truth.dialect, Dialect::OkxChecksum | Dialect::Coinbase);
        if !counted && !lossy.bids.is_empty() && lossy.ids == live.ids {
            assert_eq!((lossy.bids, lossy.asks), (live.bids, live.asks), "behind a loss");
        }
    }

    /// Whatever happened: a new connection alone, with everything that it needs, and both books are live.
    fn recover(&mut self, dice: &mut Dice) {
        self.lossy.losing = false;
        while !self.seats.is_empty() {
            self.leave(0);
        }
        self.enter();
        for at in 0..3 {
            self.truth.step(dice);
            let whole = at == 1 && self.comes_whole();
            let sent = if whole { self.truth.whole() } else { self.truth.frame(false) };
            self.feed(0, Kind::Frame, sent.bytes.as_bytes());
            if at == 1 && !self.comes_whole() {
                let body = self.truth.body(self.truth.told, false);
                self.feed(0, Kind::Snapshot, body.as_bytes());
            }
        }
        self.judge();
        let live = self.live.with_market(|market| market.is_live());
        assert!(live || self.truth.dialect == Dialect::OkxLinked);
        assert!(!live || self.lossy.replay.market().is_live(), "a replay that never gets well");
    }

    fn one(&mut self, dice: &mut Dice) {
        self.story.now += 1_000_000 * (1 + dice.below(300) as i64);
        let first = self.seats.is_empty();
        match dice.below(40) {
            _ if first && dice.once_in(2) => self.enter(),
            0 | 1 => self.enter(),
            2 if !first => self.leave(dice.below(self.seats.len())),
            3 if !first => self.live.want_successor(dice.pick(&self.seats)),
            4..=9 => self.snapshot(dice),
            10 => self.audit(dice),
            11 => self.rotate(),
            12 if dice.once_in(6) => self.run(dice),
            13 => self.lossy.losing ^= true,
            _ => self.frame(dice),
        }
    }
}

fn fuzz(dialect: Dialect) {
    let (mut lived, mut takeovers) = (0, 0);
    dice::run(&format!("{dialect:?}"), USUAL, |seed| {
        let (mut dice, mut world) = (Dice::new(seed), World::new(dialect));
        let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..STEPS {
                world.one(&mut dice);
                world.judge();
            }
            world.recover(&mut dice);
        }));
        assert!(judged.is_ok(), "{dialect:?}, seed {seed}\n{}", String::from_utf8_lossy(&world.story.bytes));
        (lived, takeovers) = (lived + world.lived, takeovers + world.takeovers);
    });
    let (inputs, steps) = (dice::count(USUAL), dice::count(USUAL) * STEPS as u64);
    let enough = lived > steps / 5 && takeovers > inputs / 10;
    assert!(enough || inputs < USUAL, "{lived} of {steps} live, {takeovers} takeovers");
}

macro_rules! dialects {
    ($($dialect:ident $name:ident),+ $(,)?) => { $(
        #[test]
        fn $name() {
            fuzz(Dialect::$dialect);
        }
    )+ };
}

dialects! {
    Binance a_recording_of_overlapping_frames_is_the_market,
    Usdm a_recording_of_frames_that_name_the_one_before_is_the_market,
    OkxLinked a_recording_of_ids_that_may_begin_anew_is_the_market,
    OkxChecksum a_recording_of_checksums_is_the_market,
    Bybit a_recording_of_streamed_snapshots_is_the_market,
    Coinbase a_recording_of_numbered_messages_is_the_market,
}
