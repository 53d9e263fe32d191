//! What a venue says when it does not do what was asked. It comes once a request, not with market data: this may allocate.

use super::json::{Scanner, Text, Value, check_text};
use super::{Venue, WireError, binance, bybit, coinbase, okx};

/// Most characters of a venue's words that are kept.
const MAX_WORDS: usize = 200;
/// So many characters of keys, signatures and the like in a row are taken for one.
const MIN_SECRET: usize = 32;

impl Venue {
    /// The venue's own words in a frame that is a [`super::Message::Reply`] with nothing accepted: one line of at most
    /// 201 characters, none of them a control character. What looks like a key, 32 letters or more in a row, is left out.
    pub fn denial(self, frame: &[u8]) -> String {
        match self {
            Venue::Binance | Venue::BinanceSbe | Venue::BinanceUsdm => words(frame, binance::DENIAL),
            Venue::Bybit => words(frame, bybit::DENIAL),
            Venue::Okx => words(frame, okx::DENIAL),
            Venue::Coinbase => words(frame, coinbase::DENIAL),
        }
    }
}

/// The texts and numbers in the fields `names` of a frame, in the order of `names`, in one line.
fn words<const N: usize>(frame: &[u8], names: [&'static str; N]) -> String {
    let mut found = [const { String::new() }; N];
    let _as_far_as_it_can_be_read =
        check_text(frame).and_then(|()| gather(&mut Scanner::new(frame), names, &mut found));
    let said: Vec<String> = found.into_iter().filter(|words| !words.is_empty()).collect();
    if said.is_empty() { "no reason given".into() } else { shown(&said.join(" ")) }
}

/// Keeps the fields of an object, and of an object `error` in it.
fn gather<const N: usize>(
    scanner: &mut Scanner<'_>,
    names: [&'static str; N],
    found: &mut [String; N],
) -> Result<(), WireError> {
    let mut field = |scanner: &mut Scanner<'_>, key: &Text<'_>| {
        let value = scanner.value()?;
        if let Some(slot) = key.place(&names) {
            match value {
                Value::Text(text) => found[slot] = text.owned(),
                Value::Number(digits) => found[slot] = String::from_utf8_lossy(digits).into_owned(),
                _ => {}
            }
        }
        Ok(())
    };
    scanner.object(|scanner, key| match (key.is(b"error"), scanner.peek()) {
        (true, Some(b'{')) => scanner.object(|scanner, key| field(scanner, &key)),
        _ => field(scanner, &key),
    })
}

/// A venue's words as one line of at most 201 characters, without anything that could be a key.
pub fn shown(text: &str) -> String {
    let text = text.replace(char::is_control, "\u{FFFD}");
    let veiled: String = text.split_inclusive(|letter| !is_of_secrets(letter)).flat_map(veiled).collect();
    match veiled.char_indices().nth(MAX_WORDS) {
        Some((at, _)) => format!("{}…", &veiled[..at]),
        None => veiled,
    }
}

/// The venue may say back what it was sent, and programs say things back that nobody thought of.
fn veiled(run: &str) -> [&str; 2] {
    let end = run.trim_end_matches(|letter| !is_of_secrets(letter)).len();
    let (word, behind) = run.split_at(end);
    [if word.len() < MIN_SECRET { word } else { "…" }, behind]
}

/// Hexadecimal, base64 of either kind, UUIDs.
fn is_of_secrets(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "+/=-_".contains(letter)
}
