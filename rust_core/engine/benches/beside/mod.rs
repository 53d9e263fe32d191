//! What stands beside the figure of a decoder: a peer on the very same frames, and the floor.

use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;

use criterion::Criterion;

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
