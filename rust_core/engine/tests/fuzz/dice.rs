//! Seeded chance, damaged inputs, and how many of them: `FUZZ` and `SEED` in the environment make a run long, or another.
#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Longest input that is made, bytes.
pub const LONGEST: usize = 32 << 10;
/// An input that takes longer than this hangs.
const HUNG: Duration = Duration::from_secs(20);

/// splitmix64.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0xD134_2543_DE82_EF95))
    }

    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// 0 to `bound - 1`; 0 for a bound of 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.word()) * bound as u128) >> 64) as usize
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// How many inputs each target gets.
pub fn count(usual: u64) -> u64 {
    number("FUZZ").unwrap_or(usual)
}

/// The first input's seed; input `n` of a run is made from `seed() + n` alone.
pub fn seed() -> u64 {
    number("SEED").unwrap_or(1)
}

/// Calls `each` with the seed of every input; one that hangs ends the process with its seed.
pub fn run(target: &str, usual: u64, mut each: impl FnMut(u64)) {
    let (first, count) = (seed(), count(usual));
    let at = Arc::new(AtomicU64::new(first));
    let watched = (Arc::downgrade(&at), target.to_owned());
    thread::spawn(move || {
        let mut last = None;
        while let Some(now) = watched.0.upgrade().map(|at| at.load(Ordering::Relaxed)) {
            if last == Some(now) {
                eprintln!("{}: the input of seed {now} hangs", watched.1);
                std::process::abort();
            }
            last = Some(now);
            thread::sleep(HUNG);
        }
    });
    for input in first..first + count {
        at.store(input, Ordering::Relaxed);
        each(input);
    }
}

const BRACKETS: [(&str, &str); 3] = [("[", "]"), ("{\"a\":", "}"), ("[[", "]]")];
const NUMBERS: [&str; 34] = [
    "0",
    "-0",
    "00",
    "1",
    "-1",
    "007",
    "0.0",
    "0.00000000",
    "1.",
    ".5",
    "-1.5",
    "+1",
    "1e5",
    "1E-8",
    "0.00000001",
    "0.000000001",
    "999999999999",
    "1000000000000",
    "92233720368.54775807",
    "92233720368.54775808",
    "123456789012.12345678",
    "99999999.99999999",
    "100000000.1",
    "18446744073709551614",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775807",
    "9223372036854775808",
    "1000000000000000000",
    "99999999999999999999",
    "2147483647",
    "-2147483648",
    "2147483648",
    "83532.15000000",
];
const WORDS: [&str; 22] = [
    "null",
    "true",
    "false",
    "\"\"",
    "[]",
    "{}",
    "[[]]",
    "[\"1\"]",
    "[\"1\",\"2\"]",
    "[[\"0\",\"2\"]]",
    "[[\"1\",\"0\"]]",
    "\"\\u0031\"",
    "\"\\ud800\"",
    "\u{FEFF}",
    "\u{0}",
    "\\",
    "\"",
    ",",
    "  \r\n\t",
    "\u{E9}",
    "\"snapshot\"",
    "\"update\"",
];

/// `text` without what stands at `range`, and `new` in its place.
fn put(text: &mut Vec<u8>, start: usize, end: usize, new: &[u8]) {
    text.splice(start..end.max(start), new.iter().copied());
}

/// The run of digits and dots around or behind a random place.
fn a_number(dice: &mut Dice, text: &[u8]) -> Option<(usize, usize)> {
    let is = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    let from = dice.below(text.len());
    let mut start = from + text[from..].iter().position(is)?;
    while start > 0 && is(&text[start - 1]) {
        start -= 1;
    }
    let length = text[start..].iter().position(|byte| !is(byte)).unwrap_or(text.len() - start);
    Some((start, start + length))
}

/// The `"key":` at or behind a random place, with its colon.
fn a_key(dice: &mut Dice, text: &[u8]) -> Option<(usize, usize)> {
    let from = dice.below(text.len());
    let colon = from + text[from..].windows(2).position(|pair| pair == b"\":")?;
    let start = text[..colon].iter().rposition(|&byte| byte == b'"')?;
    Some((start, colon + 2))
}

/// The end of the simple value that begins at `start`.
fn end_of_value(text: &[u8], start: usize) -> usize {
    let (mut depth, mut quoted) = (0_i32, false);
    for (at, byte) in text.iter().enumerate().skip(start) {
        match byte {
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => depth += 1,
            b']' | b'}' | b',' if !quoted && depth == 0 => return at,
            b']' | b'}' if !quoted => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

/// One damage that knows JSON.
fn edit_json(dice: &mut Dice, text: &mut Vec<u8>, corpus: &[Vec<u8>]) -> Option<()> {
    match dice.below(8) {
        0 | 1 => {
            let (start, end) = a_number(dice, text)?;
            let new = if dice.once_in(2) { dice.pick(&NUMBERS).to_string() } else { near(dice, &text[start..end]) };
            put(text, start, end, new.as_bytes());
        }
        2 => {
            let (_, start) = a_key(dice, text)?;
            let end = end_of_value(text, start);
            put(text, start, end, dice.pick(&WORDS).as_bytes());
        }
        3 => {
            // A field stands there twice, or somewhere else.
            let (start, value) = a_key(dice, text)?;
            let field = [&text[start..end_of_value(text, value)], b","].concat();
            let (place, _) = if dice.once_in(2) { (start, 0) } else { a_key(dice, text)? };
            put(text, place, place, &field);
        }
        4 => {
            let (start, value) = a_key(dice, text)?;
            let end = end_of_value(text, value);
            put(text, start, (end + 1).min(text.len()), b"");
        }
        5 => {
            let other = dice.pick(corpus).clone();
            let ((start, value), (from, other_value)) = (a_key(dice, text)?, a_key(dice, &other)?);
            let ends = (end_of_value(text, value), end_of_value(&other, other_value));
            put(text, start, ends.0, &other[from..ends.1]);
        }
        6 => {
            let (_, start) = a_key(dice, text)?;
            let (open, close) = *dice.pick(&BRACKETS);
            let deep = if dice.once_in(8) { 1 + dice.below(200) } else { 1 + dice.below(36) };
            let nest = format!("{}1{}", open.repeat(deep), close.repeat(deep));
            put(text, start, end_of_value(text, start), nest.as_bytes());
        }
        _ => {
            let (start, _) = a_key(dice, text)?;
            let keys: String = (0..dice.below(200)).map(|key| format!("\"k{key}\":{key},")).collect();
            put(text, start, start, keys.as_bytes());
        }
    }
    Some(())
}

/// A number a little larger or smaller, longer or shorter.
fn near(dice: &mut Dice, digits: &[u8]) -> String {
    let text = String::from_utf8_lossy(digits).into_owned();
    match dice.below(4) {
        0 => format!("{text}{}", dice.below(10)),
        1 => text[..text.len() - 1].to_owned(),
        2 => format!("{}{text}", dice.below(10)),
        _ => match text.parse::<u64>() {
            Ok(value) => value.wrapping_add(dice.below(5) as u64).wrapping_sub(2).to_string(),
            Err(_) => format!("{}.{}", dice.below(1_000_000), dice.below(100_000_000)),
        },
    }
}

/// One damage of bytes.
fn edit_bytes(dice: &mut Dice, text: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    let (at, other) = (dice.below(text.len()), dice.pick(corpus));
    let end = (at + dice.below(40)).min(text.len());
    match dice.below(9) {
        0 => text[at] ^= 1 << dice.below(8),
        1 => text[at] = dice.word() as u8,
        2 => put(text, at, at, &[dice.word() as u8]),
        3 => put(text, at, end, b""),
        4 => text.truncate(at),
        5 => {
            let from = dice.below(other.len());
            text.truncate(at);
            text.extend_from_slice(&other[from..]);
        }
        6 => {
            let chunk = text[at..end].repeat(1 + if dice.once_in(20) { dice.below(200) } else { dice.below(4) });
            put(text, at, at, &chunk);
        }
        7 => put(text, at, at, dice.pick(&WORDS).as_bytes()),
        _ => put(text, at, at, &[b" \n\t,:\"[]{}0"[dice.below(11)]]),
    }
}

/// Sets a field of 1, 2, 4 or 8 bytes to a number near a bound.
fn edit_binary(dice: &mut Dice, bytes: &mut [u8]) {
    let width = 1 << dice.below(4);
    let at = dice.below(bytes.len());
    let bounds = [0, 1, 2, 8, 16, 25, 1_024, 1_025, 10_000, 10_003, u64::MAX, u64::MAX >> 1, 1 << 63, 10_u64.pow(18)];
    let value = dice.pick(&bounds).wrapping_add(dice.below(3) as u64).wrapping_sub(1).to_le_bytes();
    let place = bytes[at..].iter_mut().take(width);
    place.zip(value).for_each(|(byte, new)| *byte = new);
}

/// An entry of the corpus, damaged some times; now and then whole.
pub fn damaged(dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut text = dice.pick(corpus).clone();
    let times = dice.below(5);
    for _ in 0..times {
        if text.is_empty() || text.len() > LONGEST {
            break;
        }
        let json = text.first() == Some(&b'{');
        match dice.below(4) {
            0 => edit_bytes(dice, &mut text, corpus),
            _ if json => edit_json(dice, &mut text, corpus).unwrap_or_default(),
            _ => edit_binary(dice, &mut text),
        }
    }
    text.truncate(LONGEST * 2);
    text
}
