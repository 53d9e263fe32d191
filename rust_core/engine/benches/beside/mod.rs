//! How the figure of a decoder is measured, and what stands beside it: a peer on the very same frames, and the floor.
#![allow(dead_code, reason = "each bench uses its part")]

pub mod numbers;

use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::Criterion;
use engine::market::{Applied, Market};
use engine::view::Published;
use engine::wake::{CrossWatch, Signal};
use engine::wire::Venue;

/// Decodes a whole frame and returns how many levels it holds, at least one.
pub type Decode = fn(&[u8]) -> usize;

/// Times serde_json on `frames`, decoding alone, and one look at every byte, which no decoder can do without.
///
/// For a peer in another language the frames are written to the folder that FRAMES names, if it names one: the label as
/// a line, then each frame behind its length (u32, little-endian).
pub fn beside(criterion: &mut Criterion, label: &str, frames: &[Vec<u8>], decode: Option<Decode>) {
    if let Some(folder) = std::env::var_os("FRAMES") {
        write_down(Path::new(&folder), label, frames).expect("FRAMES names a folder that can be written to");
    }
    if let Some(decode) = decode {
        assert!(frames.iter().all(|frame| decode(frame) > 0));
        in_turn(criterion, &format!("{label}, peer: serde_json, decoding alone"), frames, decode);
    }
    let look = |frame: &[u8]| usize::from(frame.iter().fold(0, |seen, byte| seen ^ byte));
    in_turn(criterion, &format!("{label}, floor: one look at each byte"), frames, look);
}

fn in_turn(criterion: &mut Criterion, name: &str, frames: &[Vec<u8>], step: impl Fn(&[u8]) -> usize) {
    let mut next = 0;
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            next = if next + 1 < frames.len() { next + 1 } else { 0 };
            step(black_box(&frames[next]))
        });
    });
}

fn write_down(folder: &Path, label: &str, frames: &[Vec<u8>]) -> std::io::Result<()> {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    let mut bytes = format!("{label}\n").into_bytes();
    for frame in frames {
        bytes.extend((frame.len() as u32).to_le_bytes());
        bytes.write_all(frame)?;
    }
    std::fs::write(folder.join(label.chars().map(plain).collect::<String>()), bytes)
}

/// A market of the venue, and what it publishes to.
pub fn market(venue: Venue, symbol: &str) -> (Market, Arc<Published>) {
    let published = Arc::new(Published::new(Arc::new(CrossWatch::new(Arc::new(Signal::default())))));
    (Market::new(venue, symbol, Arc::clone(&published)), published)
}

/// Times `frames` in turn, from their bytes to the published top; after the last one the market begins anew by `begin`.
pub fn timed(
    criterion: &mut Criterion,
    name: &str,
    (mut market, published): (Market, Arc<Published>),
    frames: &[Vec<u8>],
    expected: Applied,
    begin: impl Fn(&mut Market),
) {
    let mut next = frames.len();
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|times| {
            let mut spent = Duration::ZERO;
            for _ in 0..times {
                if next == frames.len() {
                    market.disconnected();
                    begin(&mut market);
                    next = 0;
                }
                let start = Instant::now();
                let applied = market.apply(&frames[next], 1);
                black_box(published.top());
                spent += start.elapsed();
                assert_eq!(applied, expected);
                next += 1;
            }
            spent
        });
    });
}
