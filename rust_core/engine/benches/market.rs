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

use criterion::{Criterion, criterion_group, criterion_main};
use engine::latency::{Histogram, Stage};
use engine::market::{Applied, Market, SnapshotOutcome};
use engine::units::{Qty, Side};
use engine::view::{Published, View};
use engine::wake::{CrossWatch, Signal};
use engine::wire::Venue;

/// A small linear congruential generator (Knuth, MMIX): the same frames on every machine.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    /// Distances from the touch in ticks: many small ones, few large ones.
    fn distance(&mut self) -> u64 {
        let spread = 1 << (3 + self.below(6));
        self.below(spread)
    }

    fn size(&mut self, removes_percent: u64) -> String {
        match self.below(100) < removes_percent {
            true => "0.00000000".to_owned(),
            false => format!("{}.{:05}000", self.below(3), 1 + self.below(99_999)),
        }
    }
}

fn price(ticks: u64) -> String {
    format!("{}.{:02}000000", ticks / 100, ticks % 100)
}

const MIDDLE: u64 = 6_500_000;

/// Bids end below `MIDDLE` and asks begin above it, so that the book never crosses.
fn levels(numbers: &mut Numbers, count: usize, sign: i64, removes_percent: u64) -> String {
    let mut offsets: Vec<u64> = Vec::new();
    while offsets.len() < count {
        let offset = numbers.distance();
        if !offsets.contains(&offset) {
            offsets.push(offset);
        }
    }
    offsets.sort_unstable();
    let row = |offset: u64| {
        let ticks = MIDDLE.saturating_add_signed(sign * (offset as i64 + 1));
        format!("[\"{}\",\"{}\"]", price(ticks), numbers.size(if offset > 0 { removes_percent } else { 0 }))
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
        let (bids, asks) = (numbers.size(0), numbers.size(0));
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
    let watch = Arc::new(CrossWatch::new(Arc::new(Signal::default())));
    let published = Arc::new(Published::new(watch));
    (Market::new(Venue::Binance, "BTCUSDT", Arc::clone(&published)), published)
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
    let (mut market, published) = market();
    let mut next = frames.len();
    criterion.bench_function(&format!("depth {side}+{side} decode, apply, publish"), |bencher| {
        bencher.iter_custom(|times| {
            let mut spent = std::time::Duration::ZERO;
            for _ in 0..times {
                if next == frames.len() {
                    market.disconnected();
                    assert_eq!(market.offer_snapshot(&snapshot), SnapshotOutcome::Waiting);
                    next = 0;
                }
                let start = std::time::Instant::now();
                let applied = market.apply(&frames[next], 1);
                black_box(published.top());
                spent += start.elapsed();
                assert_eq!(applied, Applied::Depth);
                next += 1;
            }
            spent
        });
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
