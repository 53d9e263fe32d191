//! Numbers without padding (`65140.4`, `0.885797`, `3`) and the levels that venues build of them.

use super::json::{Scanner, Value};
use super::{MAX_FRAME_LEVELS, WireError, above_nine, eight_digits, every};
use crate::units::{E8, Price, Qty, parse_e8};
use crate::view::Level;

/// Reads a decimal of at most 8 digits, with or without 1 to 8 decimals, up to the quote behind it.
/// Returns the value × 10⁸ and its length without the quote; `None` sends the caller to the general road.
#[inline(always)]
fn plain_e8(text: &[u8]) -> Option<(i64, usize)> {
    let whole = digits_at(text, 0)?;
    let count = leading_digits(whole);
    if count == 0 {
        return None;
    }
    // Shifted so that the digits end the word; the places before them become zeros.
    let value = eight_digits(whole << (64 - 8 * count)).wrapping_mul(E8);
    match text.get(count)? {
        b'"' => Some((value, count)),
        b'.' => {
            let decimals = digits_at(text, count + 1)?;
            let places = leading_digits(decimals);
            let end = count + 1 + places;
            if places == 0 || *text.get(end)? != b'"' {
                return None;
            }
            // What is cut off behind the digits stands for the zeros that fill up the eight places.
            Some((value.wrapping_add(eight_digits(decimals & (u64::MAX >> (64 - 8 * places)))), end))
        }
        _ => None,
    }
}

/// Eight characters from `at` on, less `'0'` each.
#[inline(always)]
fn digits_at(text: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*text.get(at..)?.first_chunk()?) ^ every(b'0'))
}

/// How many of the first characters are digits, 0 to 8.
#[inline(always)]
fn leading_digits(digits: u64) -> usize {
    (above_nine(digits) & every(0x80)).trailing_zeros() as usize / 8
}

/// `["65140.4","0.885797"` and then what `rest_of_level` steps over.
#[inline(always)]
fn plain_level<'a>(text: &'a [u8], rest_of_level: impl Fn(&'a [u8]) -> Option<&'a [u8]>) -> Option<(Level, &'a [u8])> {
    let text = text.strip_prefix(b"[\"")?;
    let (price, length) = plain_e8(text)?;
    let text = text.get(length..)?.strip_prefix(b"\",\"")?;
    let (quantity, length) = plain_e8(text)?;
    let rest = rest_of_level(text.get(length + 1..)?)?;
    (price > 0).then_some((Level { price: Price(price), quantity: Qty(quantity) }, rest))
}

impl<'a> Scanner<'a> {
    /// An array of levels in the usual spelling, appended to `out`; `None` if anything else stands there.
    /// `rest_of_level` steps over what a level holds behind its quantity, its bracket included.
    #[inline(always)]
    pub fn plain_levels(
        &mut self,
        out: &mut Vec<Level>,
        rest_of_level: impl Fn(&'a [u8]) -> Option<&'a [u8]>,
    ) -> Option<()> {
        if self.eat_word(b"[]") {
            return Some(());
        }
        let mut rest = self.bytes.get(self.at..)?.strip_prefix(b"[")?;
        loop {
            let (level, behind) = plain_level(rest, &rest_of_level)?;
            (out.len() < MAX_FRAME_LEVELS).then(|| out.push(level))?;
            let (&mark, behind) = behind.split_first()?;
            rest = behind;
            if mark != b',' {
                self.at = self.bytes.len() - rest.len();
                return (mark == b']').then_some(());
            }
        }
    }

    /// A field that may hold levels. Where they cannot be read, the value is passed over and the reason kept in
    /// `fault`: what the frame is about may not be known yet. A price of 0 is such a reason.
    pub fn levels_or_fault(
        &mut self,
        field: &'static str,
        out: &mut Vec<Level>,
        fault: &mut Option<WireError>,
    ) -> Result<Value<'a>, WireError> {
        if self.peek() != Some(b'[') {
            return self.value();
        }
        let start = *self;
        if let Err(error) = self.levels(field, out) {
            *fault = fault.or(Some(error));
            *self = start;
            return self.value();
        }
        Ok(Value::Levels)
    }

    /// Steps over a decimal text and its closing quote, if one stands here.
    #[inline(always)]
    pub fn eat_plain(&mut self) -> Option<i64> {
        let text = self.bytes.get(self.at..)?;
        let (value, length) = plain_e8(text).or_else(|| long_e8(text))?;
        self.at += length + 1;
        Some(value)
    }

    /// Steps over a text of printable ASCII without escapes and its closing quote, if one stands here.
    #[inline(always)]
    pub fn eat_ascii(&mut self) -> Option<()> {
        let odd = |byte: &u8| !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\');
        let length = self.bytes.get(self.at..)?.iter().position(odd)?;
        self.at += length;
        self.step(b"\"")
    }
}

/// The best level of a side that holds one level or none.
pub(super) fn best_of(field: &'static str, levels: &[Level]) -> Result<Level, WireError> {
    match levels {
        [] => Ok(Level::default()),
        [level] => Ok(*level),
        _ => Err(WireError::Missing(field)),
    }
}

/// A number of more digits than [`plain_e8`] takes, or at the end of its text.
#[cold]
fn long_e8(text: &[u8]) -> Option<(i64, usize)> {
    // 12 digits, a dot, 8 digits, a quote.
    let length = text.iter().take(22).position(|&byte| byte == b'"')?;
    parse_e8(&text[..length]).ok().map(|value| (value, length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_short_way_through_a_number_gives_what_the_long_way_gives(text in "[0-9.:/ ]{0,10}\\.?[0-9:/]{0,9}") {
            let quoted = format!("{text}\",\"xxxxxxxx");
            if let Some((value, length)) = plain_e8(quoted.as_bytes()) {
                prop_assert_eq!((parse_e8(text.as_bytes()), length), (Ok(value), text.len()));
            }
        }

        #[test]
        fn numbers_without_padding_take_the_short_way(value in 0..1_000_000_000_000_000_i64) {
            let text = Price(value).to_string();
            let quoted = format!("{text}\",\"xxxxxxxx");
            prop_assert_eq!(plain_e8(quoted.as_bytes()), Some((value, text.len())));
        }
    }
}
