//! What one frame costs, from bytes to the published market, and what a histogram sample costs.
//!
//! Run: `cargo bench -p engine --bench market`. Frames are synthetic, in the venue's documented shape: a price walk
//! of a few ticks a frame, sizes to 5 decimals, 30 % removals, a book of 1,000 levels a side.

mod beside;
#[path = "beside/binance.rs"]
mod binance;

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use beside::numbers::Numbers;
use criterion::{Criterion, criterion_group, criterion_main};
use engine::latency::{Histogram, Stage};
use engine::market::{Applied, Market, SnapshotOutcome};
use engine::units::{Qty, Side};
use engine::view::{Published, View};
use engine::wire::Venue;

fn size(numbers: &mut Numbers, removes_percent: u64) -> String {
    match numbers.below(100) < removes_percent {
        true => "0.00000000".to_owned(),
        false => format!("{}.{:05}000", numbers.below(3), 1 + numbers.below(99_999)),
    }
}

fn price(ticks: u64) -> String {
    format!("{}.{:02}000000", ticks / 100, ticks % 100)
}

const MIDDLE: u64 = 6_500_000;

/// Bids end below `MIDDLE` and asks begin above it, so that the book never crosses.
fn levels(numbers: &mut Numbers, count: usize, sign: i64, removes_percent: u64) -> String {
    let offsets = numbers.distances(count);
    let row = |offset: u64| {
        let ticks = MIDDLE.saturating_add_signed(sign * (offset as i64 + 1));
        format!("[\"{}\",\"{}\"]", price(ticks), size(numbers, if offset > 0 { removes_percent } else { 0 }))
    };
    offsets.into_iter().map(row).collect::<Vec<_>>().join(",")
}

fn depth_frames(count: u64, side: usize) -> Vec<Vec<u8>> {
    let mut numbers = Numbers(11);
    let frame = |index: u64| {
        let (bids, asks) = (levels(&mut numbers, side, -1, 30), levels(&mut numbers, side, 1, 30));
        let (first, last) = (index * 40 + 1, index * 40 + 40);
        let mut text = String::from(r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1760000000000,"#);
        let _ = write!(text, r#""s":"BTCUSDT","U":{first},"u":{last},"b":[{bids}],"a":[{asks}]}}}}"#);
        text.into_bytes()
    };
    (0..count).map(frame).collect()
}

fn ticker_frames(count: u64) -> Vec<Vec<u8>> {
    let mut numbers = Numbers(7);
    let frame = |index: u64| {
        let at = MIDDLE + numbers.below(100);
        let (id, bid, ask) = (60_000_000_000 + index, price(at), price(at + 1));
        let (bids, asks) = (size(&mut numbers, 0), size(&mut numbers, 0));
        let data = format!(r#"{{"u":{id},"s":"BTCUSDT","b":"{bid}","B":"{bids}","a":"{ask}","A":"{asks}"}}"#);
        format!(r#"{{"stream":"btcusdt@bookTicker","data":{data}}}"#).into_bytes()
    };
    (0..count).map(frame).collect()
}

fn snapshot() -> Vec<u8> {
    let side = |sign: i64| {
        let row = |step: i64| format!("[\"{}\",\"1.00000000\"]", price(MIDDLE.saturating_add_signed(sign * step)));
        (1..=1_000).map(row).collect::<Vec<_>>().join(",")
    };
    format!(r#"{{"lastUpdateId":0,"bids":[{}],"asks":[{}]}}"#, side(-1), side(1)).into_bytes()
}

fn market() -> (Market, Arc<Published>) {
    beside::market(Venue::Binance, "BTCUSDT")
}

fn ticker(criterion: &mut Criterion) {
    let (frames, (mut market, published)) = (ticker_frames(2_000), market());
    let mut round = frames.iter();
    criterion.bench_function("bookTicker bytes to published top", |bencher| {
        bencher.iter(|| {
            let frame = round.next().unwrap_or_else(|| {
                // Once in 2,000: the ids begin anew, as on a new connection.
                market.disconnected();
                round = frames[1..].iter();
                &frames[0]
            });
            market.apply(frame, 1);
            published.top().bid
        });
    });
    beside::beside(criterion, "binance bookTicker", &frames, Some(binance::ticker));
}

fn depth(criterion: &mut Criterion, side: usize) {
    let (frames, snapshot) = (depth_frames(500, side), snapshot());
    let name = format!("depth {side}+{side} decode, apply, publish");
    beside::timed(criterion, &name, market(), &frames, Applied::Depth, |market| {
        assert_eq!(market.offer_snapshot(&snapshot), SnapshotOutcome::Waiting);
    });
    beside::beside(criterion, &format!("binance depth {side}+{side}"), &frames, Some(binance::depth));
}

fn depths(criterion: &mut Criterion) {
    [5, 20, 100].into_iter().for_each(|side| depth(criterion, side));
}

fn reading(criterion: &mut Criterion) {
    let (mut market, published) = market();
    market.offer_snapshot(&snapshot());
    market.apply(&depth_frames(1, 20)[0], 1);
    let mut view = View::default();
    criterion.bench_function("view for an order of 5 levels", |bencher| {
        bencher.iter(|| published.view_for(Side::Buy, Qty(500_000_000), &mut view));
    });
    criterion.bench_function("view, both sides", |bencher| bencher.iter(|| published.view(&mut view)));
}

fn samples(criterion: &mut Criterion) {
    let (mut histogram, stage, mut numbers) = (Histogram::default(), Stage::default(), Numbers(1));
    let values: Vec<u64> = (0..4_096).map(|_| 200 + numbers.below(100_000)).collect();
    let mut round = values.iter().cycle();
    criterion.bench_function("histogram record", |bencher| {
        bencher.iter(|| histogram.record(black_box(round.next().copied().unwrap_or(0))));
    });
    let mut round = values.iter().cycle();
    criterion.bench_function("stage record", |bencher| {
        bencher.iter(|| stage.record(black_box(round.next().copied().unwrap_or(0))));
    });
}

criterion_group!(benches, ticker, depths, reading, samples);
criterion_main!(benches);
