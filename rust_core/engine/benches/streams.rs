//! What one frame of Coinbase, of Binance's binary streams and of its futures costs, from bytes to the published top.
//!
//! Run: `cargo bench -p engine --bench streams`. Frames are synthetic, in each venue's shape; the books have 1,000 levels
//! a side, and Coinbase's snapshot 19,000 bids and 27,000 asks, as many as were recorded.

mod beside;
#[path = "beside/binance.rs"]
mod binance;
#[path = "beside/coinbase.rs"]
mod coinbase_json;

use std::fmt::Write as _;
use std::sync::Arc;

use beside::numbers::Numbers;
use criterion::{Criterion, criterion_group, criterion_main};
use engine::market::{Applied, Market, SnapshotOutcome};
use engine::view::Published;
use engine::wire::Venue;

const MIDDLE: u64 = 6_500_000;
const FRAMES: u64 = 500;

/// Ticks and lots (10⁻⁵) of `count` levels of a side, best first; three of ten remove, the best one never.
fn levels(numbers: &mut Numbers, count: u64, sign: i64) -> Vec<(u64, u64)> {
    let mut distance = 0;
    let mut level = |place: u64| {
        distance += 1 + numbers.below(8) as i64;
        let lots = if place > 0 && numbers.below(10) < 3 { 0 } else { 1 + numbers.below(300_000) };
        (MIDDLE.saturating_add_signed(sign * distance), lots)
    };
    (0..count).map(&mut level).collect()
}

fn price(ticks: u64) -> String {
    format!("{}.{:02}", ticks / 100, ticks % 100)
}

fn size(lots: u64) -> String {
    if lots == 0 { "0".to_owned() } else { format!("{}.{:05}", lots / 100_000, lots % 100_000) }
}

/// Frames of `side` levels on each side; the writer gets their number, bids and asks.
fn frames(side: u64, write: impl Fn(u64, &[(u64, u64)], &[(u64, u64)]) -> Vec<u8>) -> Vec<Vec<u8>> {
    let mut numbers = Numbers(11);
    (0..FRAMES).map(|index| write(index, &levels(&mut numbers, side, -1), &levels(&mut numbers, side, 1))).collect()
}

fn coinbase(kind: &str, index: u64, bids: &[(u64, u64)], asks: &[(u64, u64)]) -> Vec<u8> {
    let mut text =
        format!(r#"{{"channel":"l2_data","timestamp":"2026-08-09T21:05:48.228568804Z","sequence_num":{index},"#);
    let _ = write!(text, r#""events":[{{"type":"{kind}","product_id":"BTC-USD","updates":["#);
    let sides = bids.iter().map(|level| ("bid", level)).chain(asks.iter().map(|level| ("offer", level)));
    for (place, (side, &(ticks, lots))) in sides.enumerate() {
        let comma = if place > 0 { "," } else { "" };
        let _ = write!(text, r#"{comma}{{"side":"{side}","event_time":"2026-08-09T21:05:48.210883Z","#);
        let _ = write!(text, r#""price_level":"{}","new_quantity":"{}"}}"#, price(ticks), size(lots));
    }
    text.push_str("]}]}");
    text.into_bytes()
}

fn usdm(index: u64, bids: &[(u64, u64)], asks: &[(u64, u64)]) -> Vec<u8> {
    let rows = |levels: &[(u64, u64)]| {
        let row = |&(ticks, lots): &(u64, u64)| format!("[\"{}\",\"{}\"]", price(ticks), size(lots));
        levels.iter().map(row).collect::<Vec<_>>().join(",")
    };
    let mut text = String::from(r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1680652700594,"#);
    let (previous, last) = (2_710_246_765_000 + index * 40, 2_710_246_765_040 + index * 40);
    let _ = write!(text, r#""T":1680652700586,"s":"BTCUSDT","U":{},"u":{last},"pu":{previous},"#, previous + 9);
    let _ = write!(text, r#""b":[{}],"a":[{}]}}}}"#, rows(bids), rows(asks));
    text.into_bytes()
}

fn sbe(index: u64, bids: &[(u64, u64)], asks: &[(u64, u64)]) -> Vec<u8> {
    let mut frame = [26, 10_003, 1, 0].map(u16::to_le_bytes).concat();
    for word in [1_790_247_036_700_123, index * 40 + 1, index * 40 + 40] {
        frame.extend(word.to_le_bytes());
    }
    // Ticks are 10⁻², lots 10⁻⁵.
    frame.extend([0xFE, 0xFB]);
    for levels in [bids, asks] {
        frame.extend([16, levels.len() as u16].map(u16::to_le_bytes).concat());
        levels.iter().for_each(|(ticks, lots)| frame.extend([ticks.to_le_bytes(), lots.to_le_bytes()].concat()));
    }
    frame.extend(b"\x07BTCUSDT");
    frame
}

fn sbe_top(index: u64) -> Vec<u8> {
    let mut frame = [50, 10_001, 1, 0].map(u16::to_le_bytes).concat();
    frame.extend([1_790_247_036_700_123, index + 1].map(u64::to_le_bytes).concat());
    frame.extend([0xFE, 0xFB]);
    frame.extend([MIDDLE, 100_000 + index, MIDDLE + 1, 42_000].map(u64::to_le_bytes).concat());
    frame.extend(b"\x07BTCUSDT");
    frame
}

fn usdm_top(index: u64) -> Vec<u8> {
    let (bid, ask, lots) = (price(MIDDLE), price(MIDDLE + 1), size(100_000 + index));
    let data = format!(r#""e":"bookTicker","u":{},"s":"BTCUSDT","b":"{bid}","B":"{lots}""#, index + 1);
    let times = r#""T":1680652700430,"E":1680652700435"#;
    format!(r#"{{"stream":"btcusdt@bookTicker","data":{{{data},"a":"{ask}","A":"6.887",{times}}}}}"#).into_bytes()
}

/// The body of a snapshot request that the first frame joins.
fn fetched(id: u64) -> Vec<u8> {
    let side = |sign: i64| {
        let row = |step: i64| format!("[\"{}\",\"1.00\"]", price(MIDDLE.saturating_add_signed(sign * step)));
        (1..=1_000).map(row).collect::<Vec<_>>().join(",")
    };
    format!(r#"{{"lastUpdateId":{id},"bids":[{}],"asks":[{}]}}"#, side(-1), side(1)).into_bytes()
}

fn market(venue: Venue) -> (Market, Arc<Published>) {
    beside::market(venue, if venue == Venue::Coinbase { "BTC-USD" } else { "BTCUSDT" })
}

fn begin_with(snapshot: Vec<u8>) -> impl Fn(&mut Market) {
    move |market| assert_eq!(market.offer_snapshot(&snapshot), SnapshotOutcome::Waiting)
}

fn depths(criterion: &mut Criterion) {
    let first: Vec<(u64, u64)> = (1..=1_000).map(|step| (MIDDLE - step, 100_000)).collect();
    let second: Vec<(u64, u64)> = (1..=1_000).map(|step| (MIDDLE + step, 100_000)).collect();
    let whole = coinbase("snapshot", 0, &first, &second);
    for side in [5, 20] {
        let rows = frames(side, |index, bids, asks| coinbase("update", index + 1, bids, asks));
        beside::timed(
            criterion,
            &format!("coinbase {side}+{side}"),
            market(Venue::Coinbase),
            &rows,
            Applied::Depth,
            |market| {
                assert_eq!(market.apply(&whole, 1), Applied::Snapshot);
            },
        );
        beside::beside(criterion, &format!("coinbase {side}+{side}"), &rows, Some(coinbase_json::depth));
        let (name, rows) = (format!("binance-usdm {side}+{side}"), frames(side, usdm));
        let begin = begin_with(fetched(2_710_246_765_000));
        beside::timed(criterion, &name, market(Venue::BinanceUsdm), &rows, Applied::Depth, begin);
        beside::beside(criterion, &name, &rows, Some(binance::depth));
        let (name, rows) = (format!("binance-sbe {side}+{side}"), frames(side, sbe));
        beside::timed(criterion, &name, market(Venue::BinanceSbe), &rows, Applied::Depth, begin_with(fetched(0)));
        beside::beside(criterion, &name, &rows, None);
    }
}

fn tops(criterion: &mut Criterion) {
    for (name, venue, top, peer) in [
        ("binance-sbe bestBidAsk", Venue::BinanceSbe, sbe_top as fn(u64) -> Vec<u8>, None),
        ("binance-usdm bookTicker", Venue::BinanceUsdm, usdm_top, Some(binance::ticker as beside::Decode)),
    ] {
        let rows: Vec<_> = (0..FRAMES).map(top).collect();
        beside::timed(criterion, name, market(venue), &rows, Applied::Top, |_| {});
        beside::beside(criterion, name, &rows, peer);
    }
}

fn snapshots(criterion: &mut Criterion) {
    let mut numbers = Numbers(7);
    let mut side = |count, sign| -> Vec<(u64, u64)> {
        levels(&mut numbers, count, sign).into_iter().map(|(ticks, lots)| (ticks, lots.max(1))).collect()
    };
    let (bids, asks) = (side(19_000, -1), side(27_000, 1));
    let usual = coinbase("snapshot", 0, &bids, &asks);
    // A blank in front sends the same frame down the general road.
    let spaced = [b" ", usual.as_slice()].concat();
    assert!(usual.len() > 4_900_000, "{} bytes", usual.len());
    for (name, frame) in [("coinbase snapshot of 5 MB", usual), ("the same by the general road", spaced)] {
        beside::timed(
            criterion,
            name,
            market(Venue::Coinbase),
            std::slice::from_ref(&frame),
            Applied::Snapshot,
            |_| {},
        );
        if frame[0] == b'{' {
            beside::beside(criterion, name, &[frame], Some(coinbase_json::depth));
        }
    }
}

criterion_group!(benches, tops, depths, snapshots);
criterion_main!(benches);
