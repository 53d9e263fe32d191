//! What one frame of each venue costs, from bytes to the published top.
//!
//! Run: `cargo bench -p engine --bench venues`. Frames are synthetic, in each venue's documented shape: prices in
//! tenths, sizes to 6 decimals without trailing zeros, 30 % removals, a book of 200 levels a side.

mod beside;
#[path = "beside/others.rs"]
mod others;

use beside::numbers::Numbers;
use criterion::{Criterion, criterion_group, criterion_main};
use engine::market::Applied;
use engine::wire::Venue;

fn size(numbers: &mut Numbers, removes_percent: u64) -> String {
    match numbers.below(100) < removes_percent {
        true => "0".to_owned(),
        false => plain(numbers.below(3), 1 + numbers.below(999_999)),
    }
}

/// A number without trailing zeros.
fn plain(whole: u64, millionths: u64) -> String {
    format!("{whole}.{millionths:06}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

const MIDDLE: u64 = 651_400;

/// Price and size of one level.
type Row = (String, String);

/// A level so many ticks from the touch; bids end below `MIDDLE` and asks begin above it, so that nothing crosses.
fn price(sign: i64, offset: u64) -> String {
    let tenths = MIDDLE.saturating_add_signed(sign * (offset as i64 + 1));
    plain(tenths / 10, tenths % 10 * 100_000)
}

/// Changes of one side, best first.
fn changes(numbers: &mut Numbers, count: usize, sign: i64) -> Vec<Row> {
    let offsets = numbers.distances(count);
    offsets.into_iter().map(|at| (price(sign, at), size(numbers, if at > 0 { 30 } else { 0 }))).collect()
}

fn whole(sign: i64) -> Vec<Row> {
    (0..200).map(|at| (price(sign, at), "1".to_owned())).collect()
}

/// What a frame is: the whole book, or changes of it; the index counts the frames of the book.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Top,
    Whole,
    Changes,
}

/// How a venue writes a frame: its index, what it is, bids and asks.
type Write = fn(u64, Part, &[Row], &[Row]) -> Vec<u8>;

fn rows(rows: &[Row], behind: &str) -> String {
    rows.iter().map(|(price, size)| format!("[\"{price}\",\"{size}\"{behind}]")).collect::<Vec<_>>().join(",")
}

fn bybit(index: u64, part: Part, bids: &[Row], asks: &[Row]) -> Vec<u8> {
    let topic = if part == Part::Top { "orderbook.1" } else { "orderbook.200" };
    let kind = if part == Part::Changes { "delta" } else { "snapshot" };
    let (bids, asks, u, seq) = (rows(bids, ""), rows(asks, ""), 62_505_424 + index, 112_488_545_865 + 13 * index);
    let data = format!(r#"{{"s":"BTCUSDT","b":[{bids}],"a":[{asks}],"u":{u},"seq":{seq}}}"#);
    format!(r#"{{"topic":"{topic}.BTCUSDT","ts":1786310816618,"type":"{kind}","data":{data},"cts":1786310816585}}"#)
        .into_bytes()
}

fn okx(index: u64, part: Part, bids: &[Row], asks: &[Row]) -> Vec<u8> {
    let (bids, asks, id) = (rows(bids, r#","0","3""#), rows(asks, r#","0","3""#), 70_123_456_789 + 7 * index);
    let (channel, action, ids) = match part {
        Part::Top => ("bbo-tbt", "", String::new()),
        Part::Whole => ("books", r#""action":"snapshot","#, r#""checksum":0,"prevSeqId":-1,"#.to_owned()),
        Part::Changes => ("books", r#""action":"update","#, format!(r#""checksum":0,"prevSeqId":{},"#, id - 7)),
    };
    let data = format!(r#"{{"asks":[{asks}],"bids":[{bids}],"ts":"1791369351101",{ids}"seqId":{id}}}"#);
    format!(r#"{{"arg":{{"channel":"{channel}","instId":"BTC-USDT"}},{action}"data":[{data}]}}"#).into_bytes()
}

const VENUES: [(Venue, &str, Write); 2] = [(Venue::Bybit, "BTCUSDT", bybit), (Venue::Okx, "BTC-USDT", okx)];

/// The peer's decoder.
fn peer(venue: Venue) -> Option<beside::Decode> {
    Some(if venue == Venue::Bybit { others::bybit } else { others::okx })
}

/// Tops, each of another price and size.
fn tops(criterion: &mut Criterion) {
    for (venue, symbol, write) in VENUES {
        let mut numbers = Numbers(7);
        let frame = |index: u64| {
            let at = numbers.below(100);
            let (bid, ask) = ((price(-1, at), size(&mut numbers, 0)), (price(1, at), size(&mut numbers, 0)));
            write(index, Part::Top, &[bid], &[ask])
        };
        let frames: Vec<Vec<u8>> = (0..2_000).map(frame).collect();
        let ((mut market, published), mut next) = (beside::market(venue, symbol), 0);
        assert_eq!(market.apply(&frames[0], 1), Applied::Top);
        criterion.bench_function(&format!("{} top: bytes to published top", venue.name()), |bencher| {
            bencher.iter(|| {
                next += 1;
                if next == frames.len() {
                    // Once in 2,000: the ids begin anew, as on a new connection.
                    market.disconnected();
                    next = 0;
                }
                market.apply(&frames[next], 1);
                published.top().bid
            });
        });
        beside::beside(criterion, &format!("{} top", venue.name()), &frames, peer(venue));
    }
}

fn depths(criterion: &mut Criterion) {
    for (venue, symbol, write) in VENUES {
        [2, 5, 20, 100].into_iter().for_each(|side| depth(criterion, (venue, symbol, write), side));
    }
}

fn depth(criterion: &mut Criterion, (venue, symbol, write): (Venue, &str, Write), side: usize) {
    let (mut numbers, snapshot) = (Numbers(11), write(0, Part::Whole, &whole(-1), &whole(1)));
    let frame = |index: u64| {
        let (bids, asks) = (changes(&mut numbers, side, -1), changes(&mut numbers, side, 1));
        write(index + 1, Part::Changes, &bids, &asks)
    };
    let frames: Vec<Vec<u8>> = (0..500).map(frame).collect();
    let name = format!("{} depth {side}+{side}: bytes to published top", venue.name());
    beside::timed(criterion, &name, beside::market(venue, symbol), &frames, Applied::Depth, |market| {
        assert_eq!(market.apply(&snapshot, 1), Applied::Snapshot);
    });
    beside::beside(criterion, &format!("{} depth {side}+{side}", venue.name()), &frames, peer(venue));
}

criterion_group!(benches, tops, depths);
criterion_main!(benches);
