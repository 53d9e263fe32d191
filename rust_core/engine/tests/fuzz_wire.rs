//! Damaged frames and snapshots of every venue, read by our decoders and by dull ones beside them.
//!
//! What ours accepts the dull one must read the same way, number for number; what ours refuses the dull one must see a
//! reason for. An input is made from its seed alone: `SEED=n FUZZ=1` repeats it.

mod fuzz;

use std::time::{Duration, Instant};

use engine::units::Price;
use engine::wire::{MAX_FRAME_TRADES, MAX_LEVELS, Message, Refusal, Scratch, Venue};
use fuzz::dice::{self, Dice, damaged};
use fuzz::{Said, corpus, dull, dull_snapshot, symbol};

/// Inputs of one target in `make test`.
const USUAL: u64 = 3_000;
/// No input may take so long, on a machine that does other things as well.
const SLOW: Duration = Duration::from_secs(5);

/// Most characters of a venue's words, and the mark of what was cut.
const LONGEST_WORDS: usize = 201;

/// Our answer on one frame, with the levels and trades in comparable form.
fn ours(venue: Venue, frame: &[u8], scratch: &mut Scratch) -> Result<Said, Refusal> {
    venue.decode(frame, symbol(venue).as_bytes(), scratch).map(|message| Said::of(message, scratch))
}

/// What a scratch holds cannot be more than the frame did.
fn bounded(scratch: &Scratch, length: usize) -> bool {
    let most = (2 * length / 9).max(MAX_LEVELS);
    scratch.bids.len() + scratch.asks.len() <= length / 9 + 1
        && scratch.bids.capacity() <= most.max(dice::LONGEST * 4 / 9)
        && scratch.asks.capacity() <= most.max(dice::LONGEST * 4 / 9)
        && scratch.trades.capacity() <= MAX_FRAME_TRADES
}

/// Judges our answer on one frame; a text says what is wrong with it.
fn judge(venue: Venue, frame: &[u8], scratch: &mut Scratch) -> Result<bool, String> {
    let began = Instant::now();
    let ours = ours(venue, frame, scratch);
    if began.elapsed() > SLOW {
        return Err(format!("took {:?}", began.elapsed()));
    }
    if !bounded(scratch, frame.len()) {
        return Err("the scratch outgrew the frame".into());
    }
    let words = venue.denial(frame);
    if words.is_empty() || words.chars().count() > LONGEST_WORDS || words.contains(char::is_control) {
        return Err(format!("no short line for a person: {words:?}"));
    }
    let Some(dull) = dull(venue, frame, symbol(venue)) else { return Ok(false) };
    match (&ours, &dull.said) {
        (Ok(ours), Ok(theirs)) if ours == theirs && scratch.sequence == dull.sequence => Ok(true),
        (Err(refusal), _) if !refusal.may_be_depth && dull.depth => Err(format!("a depth frame denied: {refusal:?}")),
        (Err(_), Err(_)) => Ok(false),
        (Err(_), Ok(_)) if dull.odd => Ok(false),
        _ => Err(format!("ours {ours:?}\ndull {:?} {:?}", dull.said, dull.sequence)),
    }
}

fn judge_snapshot(venue: Venue, body: &[u8], scratch: &mut Scratch) -> Result<bool, String> {
    let began = Instant::now();
    let ours = venue.decode_snapshot(body, scratch);
    if began.elapsed() > SLOW || !bounded(scratch, body.len()) {
        return Err("too slow, or the scratch outgrew the body".into());
    }
    let Some((dull, odd)) = dull_snapshot(venue, body) else { return Ok(false) };
    match (ours, &dull) {
        (Ok(id), Ok(theirs)) if (id, &scratch.bids, &scratch.asks) == (theirs.0, &theirs.1, &theirs.2) => Ok(true),
        (Err(_), Err(_)) => Ok(false),
        (Err(_), Ok(_)) if odd => Ok(false),
        (ours, _) => Err(format!("ours {ours:?}\ndull {dull:?}")),
    }
}

/// Runs one target: every entry as it is, then damaged ones.
fn target(venue: Venue, file: &str, mut judge: impl FnMut(&[u8], &mut Scratch) -> Result<bool, String>) {
    let (corpus, mut scratch) = (corpus(venue, file), Scratch::default());
    let mut check = |input: &[u8], seed: u64| {
        judge(input, &mut scratch).unwrap_or_else(|wrong| {
            let name = venue.name();
            panic!("{name} {file}, seed {seed}: {wrong}\n{}\n{input:02x?}", String::from_utf8_lossy(input))
        })
    };
    let read = corpus.iter().filter(|entry| check(entry, 0)).count();
    assert!(read > 0 || venue == Venue::Coinbase && file == "snapshots", "the corpus of {} is not read", venue.name());
    let mut accepted = 0_u64;
    dice::run(&format!("{} {file}", venue.name()), USUAL, |seed| {
        let input = damaged(&mut Dice::new(seed), &corpus);
        accepted += u64::from(check(&input, seed));
    });
    let enough = venue == Venue::Coinbase && file == "snapshots" || accepted >= dice::count(USUAL) / 10;
    assert!(enough || dice::count(USUAL) < 100, "only {accepted} of {} inputs were valid", dice::count(USUAL));
}

fn frames(venue: Venue) {
    target(venue, "frames", |frame, scratch| judge(venue, frame, scratch));
}

fn snapshots(venue: Venue) {
    target(venue, "snapshots", |body, scratch| judge_snapshot(venue, body, scratch));
}

macro_rules! targets {
    ($($venue:ident $frames:ident $snapshots:ident),+ $(,)?) => { $(
        #[test]
        fn $frames() {
            frames(Venue::$venue);
        }

        #[test]
        fn $snapshots() {
            snapshots(Venue::$venue);
        }
    )+ };
}

targets! {
    Binance frames_of_binance_read_as_a_dull_decoder_reads_them
        snapshots_of_binance_read_as_a_dull_decoder_reads_them,
    BinanceSbe frames_of_binance_sbe_read_as_a_dull_decoder_reads_them
        snapshots_of_binance_sbe_read_as_a_dull_decoder_reads_them,
    BinanceUsdm frames_of_binance_usdm_read_as_a_dull_decoder_reads_them
        snapshots_of_binance_usdm_read_as_a_dull_decoder_reads_them,
    Bybit frames_of_bybit_read_as_a_dull_decoder_reads_them
        snapshots_of_bybit_read_as_a_dull_decoder_reads_them,
    Coinbase frames_of_coinbase_read_as_a_dull_decoder_reads_them
        no_snapshot_of_coinbase_is_ever_accepted,
    Okx frames_of_okx_read_as_a_dull_decoder_reads_them
        snapshots_of_okx_read_as_a_dull_decoder_reads_them,
}

#[test]
fn the_dull_decoders_read_a_known_frame() {
    let frame = br#"{"u":7,"s":"BTCUSDT","b":"1.5","B":"2","a":"1.6","A":"3"}"#;
    let said = dull(Venue::Binance, frame, "BTCUSDT").expect("JSON").said.expect("a message");
    let Message::Top { version: 7, bid, .. } = said.message else { panic!("{said:?}") };
    assert_eq!(bid.price, Price(150_000_000));
}
