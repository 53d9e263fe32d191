//! Exact numbers, sides and time. Everything else in the engine is built on these; they know nothing else.
//!
//! Prices and quantities are integers of 10⁻⁸, money is an integer of 10⁻¹⁶ (a price times a quantity),
//! so that no step of a decision ever rounds. Text is converted here and nowhere else.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// One whole unit of [`Price`] or [`Qty`]: 10⁸.
pub const E8: i64 = 100_000_000;
/// One whole unit of [`Money`]: 10¹⁶.
pub const E16: i128 = 10_000_000_000_000_000;
/// Nanoseconds in a second.
pub const SECOND_NS: i64 = 1_000_000_000;
/// Nanoseconds in a UTC day (leap seconds do not exist in UTC epoch time).
pub const DAY_NS: i64 = 86_400 * SECOND_NS;

/// A price in quote units × 10⁻⁸ (BTC/USDT: USDT × 10⁻⁸).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Price(pub i64);

/// A quantity in base units × 10⁻⁸ (BTC/USDT: satoshi). Signed where it is a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Qty(pub i64);

/// An amount in quote units × 10⁻¹⁶.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(pub i128);

/// The side of an order, from the owner's view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Takes base, gives quote.
    Buy,
    /// Gives base, takes quote.
    Sell,
}

impl Side {
    /// +1 for a buy, −1 for a sell.
    pub fn sign(self) -> i64 {
        match self {
            Side::Buy => 1,
            Side::Sell => -1,
        }
    }

    /// The other side.
    pub fn opposite(self) -> Side {
        match self {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        }
    }
}

/// The time of a call: the engine never reads a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
pub struct Now {
    /// Monotonic nanoseconds (`CLOCK_MONOTONIC` live, virtual in a replay). Windows and ages use it.
    pub mono_ns: i64,
    /// UTC nanoseconds since 1970. Days and journal times use it.
    pub utc_ns: i64,
}

impl Now {
    /// The later of both, each clock for itself: a clock that steps back is held where it was.
    pub fn max(self, other: Now) -> Now {
        Now { mono_ns: self.mono_ns.max(other.mono_ns), utc_ns: self.utc_ns.max(other.utc_ns) }
    }

    /// Wall clock less monotonic clock, ns: constant while both run as they should.
    pub fn offset_ns(self) -> i64 {
        self.utc_ns - self.mono_ns
    }

    /// The number of the UTC day, 0 on 1970-01-01.
    pub fn utc_day(self) -> i64 {
        self.utc_ns.div_euclid(DAY_NS)
    }
}

impl Price {
    /// Price × quantity, exact.
    pub fn times(self, quantity: Qty) -> Money {
        Money(i128::from(self.0) * i128::from(quantity.0))
    }
}

/// Why a decimal text was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalError {
    /// Not of the form `digits{1,12}` or `digits{1,12}.digits{1,8}`.
    Malformed,
    /// Well formed, but larger than i64 × 10⁻⁸ can hold (92,233,720,368.54775807).
    TooLarge,
}

impl fmt::Display for DecimalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DecimalError::Malformed => "must be digits with up to 8 decimals",
            DecimalError::TooLarge => "must be at most 92233720368.54775807",
        })
    }
}

impl std::error::Error for DecimalError {}

/// Reads `digits{1,12}(.digits{1,8})` as an integer of 10⁻⁸: no sign, no exponent, no blanks, no float.
pub fn parse_e8(text: &[u8]) -> Result<i64, DecimalError> {
    let (whole, fraction) = match text.iter().position(|&byte| byte == b'.') {
        Some(dot) => (&text[..dot], Some(&text[dot + 1..])),
        None => (text, None),
    };
    if whole.is_empty() || whole.len() > 12 {
        return Err(DecimalError::Malformed);
    }
    let mut value: i128 = i128::from(digits(whole)?);
    let decimals = fraction.unwrap_or(b"0");
    if decimals.is_empty() || decimals.len() > 8 {
        return Err(DecimalError::Malformed);
    }
    value = value * i128::from(E8) + i128::from(digits(decimals)? * 10_i64.pow(8 - decimals.len() as u32));
    i64::try_from(value).map_err(|_| DecimalError::TooLarge)
}

fn digits(text: &[u8]) -> Result<i64, DecimalError> {
    text.iter().try_fold(0_i64, |value, &byte| match byte {
        b'0'..=b'9' => Ok(value * 10 + i64::from(byte - b'0')),
        _ => Err(DecimalError::Malformed),
    })
}

/// Writes an integer of 10⁻ᵖˡᵃᶜᵉˢ as the shortest exact decimal text (no trailing zeros).
pub fn format_decimal(value: i128, places: usize) -> String {
    let digits = value.unsigned_abs().to_string();
    let padded = format!("{digits:0>width$}", width = places + 1);
    let (whole, fraction) = padded.split_at(padded.len() - places);
    let fraction = fraction.trim_end_matches('0');
    let sign = if value < 0 { "-" } else { "" };
    let dot = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{dot}{fraction}")
}

/// `numerator / denominator` to the nearest integer, ties to even (IEEE 754 roundTiesToEven). `denominator > 0`.
pub fn div_half_even(numerator: i128, denominator: i128) -> i128 {
    assert!(denominator > 0, "denominator {denominator} must be positive");
    let (floor, rest) = (numerator.div_euclid(denominator), numerator.rem_euclid(denominator));
    match (rest * 2).cmp(&denominator) {
        std::cmp::Ordering::Less => floor,
        std::cmp::Ordering::Greater => floor + 1,
        std::cmp::Ordering::Equal => floor + (floor & 1),
    }
}

/// Reads the text of [`format_decimal`] back (a sign is allowed): the inverse used by the journal.
pub fn parse_decimal(text: &str, places: usize) -> Result<i128, DecimalError> {
    let (sign, body) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, fraction) = body.split_once('.').unwrap_or((body, ""));
    let well_formed = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > places || !well_formed(whole) || !well_formed(fraction) {
        return Err(DecimalError::Malformed);
    }
    let number = |digits: &str| if digits.is_empty() { Ok(0) } else { digits.parse::<i128>() };
    // A journal of a million events has ten million decimals: nothing is allocated for one.
    let scale = |power: usize| u32::try_from(power).ok().and_then(|power| 10_i128.checked_pow(power));
    let parts = number(whole).ok().zip(number(fraction).ok()).zip(scale(places).zip(scale(places - fraction.len())));
    let value = parts.and_then(|((whole, fraction), (unit, rest))| {
        whole.checked_mul(unit)?.checked_add(fraction.checked_mul(rest)?)
    });
    value.map(|value| sign * value).ok_or(DecimalError::TooLarge)
}

macro_rules! decimal_text {
    ($name:ident, $inner:ty, $places:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&format_decimal(i128::from(self.0), $places))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                let value = parse_decimal(&text, $places).map_err(D::Error::custom)?;
                <$inner>::try_from(value).map($name).map_err(D::Error::custom)
            }
        }
    };
}

decimal_text!(Price, i64, 8);
decimal_text!(Qty, i64, 8);
decimal_text!(Money, i128, 16);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimals_outside_the_grammar_are_refused() {
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            " 1",
            "1 ",
            "1e5",
            "NaN",
            "Infinity",
            "0x10",
            "1_0",
            "1,5",
            "1.123456789",
            "1234567890123",
            "1.2.3",
            "\u{661}",
            "--1",
            "1.-5",
        ] {
            assert_eq!(parse_e8(text.as_bytes()), Err(DecimalError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn the_largest_value_fits_and_one_unit_more_does_not() {
        assert_eq!(parse_e8(b"92233720368.54775807"), Ok(i64::MAX));
        assert_eq!(parse_e8(b"92233720368.54775808"), Err(DecimalError::TooLarge));
        assert_eq!(parse_e8(b"999999999999.99999999"), Err(DecimalError::TooLarge));
    }

    #[test]
    fn ties_go_to_the_even_neighbour() {
        assert_eq!(
            [div_half_even(5, 2), div_half_even(7, 2), div_half_even(-5, 2), div_half_even(-7, 2)],
            [2, 4, -2, -4]
        );
        assert_eq!([div_half_even(8, 3), div_half_even(-8, 3), div_half_even(7, 3)], [3, -3, 2]);
    }

    #[test]
    fn a_clock_that_steps_back_is_held() {
        let later = Now { mono_ns: 10, utc_ns: 5 };
        assert_eq!(later.max(Now { mono_ns: 9, utc_ns: 6 }), Now { mono_ns: 10, utc_ns: 6 });
        assert_eq!(Now { mono_ns: 0, utc_ns: -1 }.utc_day(), -1);
    }

    #[test]
    fn the_shortest_text_has_no_sign_at_zero_and_no_trailing_zeros() {
        let texts = [(0, "0"), (-E16 / 2, "-0.5"), (1, "0.0000000000000001"), (-10 * E16, "-10")];
        assert_eq!(texts.map(|(value, _)| format_decimal(value, 16)), texts.map(|(_, text)| text));
        assert_eq!((format_decimal(7, 0), format_decimal(-120, 1)), ("7".into(), "-12".into()));
    }

    #[test]
    fn a_refused_text_says_what_would_do() {
        assert_eq!(DecimalError::Malformed.to_string(), "must be digits with up to 8 decimals");
        assert_eq!(DecimalError::TooLarge.to_string(), "must be at most 92233720368.54775807");
    }

    #[test]
    fn a_text_of_the_journal_is_read_to_the_last_place_and_not_beyond() {
        assert_eq!(parse_decimal("-12.5", 2), Ok(-1_250));
        assert_eq!((parse_decimal("7", 0), parse_decimal("0.07", 2)), (Ok(7), Ok(7)));
        for text in ["", "-", ".5", "1.234", "1.2.3", "--1", "+1", "1e5", "a", "1.a"] {
            assert_eq!(parse_decimal(text, 2), Err(DecimalError::Malformed), "{text:?}");
        }
        assert_eq!(parse_decimal(&"9".repeat(40), 2), Err(DecimalError::TooLarge));
    }

    #[test]
    fn the_grammar_takes_twelve_digits_and_eight_decimals() {
        assert_eq!(parse_e8(b"000000000001.00000001"), Ok(E8 + 1));
        assert_eq!((parse_e8(b"0.1"), parse_e8(b"12"), parse_e8(b"0")), (Ok(E8 / 10), Ok(12 * E8), Ok(0)));
        assert_eq!(parse_e8(b"1:0"), Err(DecimalError::Malformed));
        assert_eq!(parse_e8(b"1/0"), Err(DecimalError::Malformed));
    }

    #[test]
    fn the_sides_are_opposite_and_have_opposite_signs() {
        assert_eq!((Side::Buy.opposite(), Side::Sell.opposite()), (Side::Sell, Side::Buy));
        assert_eq!((Side::Buy.sign(), Side::Sell.sign()), (1, -1));
    }

    #[test]
    fn a_day_begins_at_midnight_utc() {
        let day = |utc_ns| Now { mono_ns: 0, utc_ns }.utc_day();
        assert_eq!((day(0), day(DAY_NS - 1), day(DAY_NS), day(-DAY_NS)), (0, 0, 1, -1));
        assert_eq!(DAY_NS, 86_400_000_000_000);
    }

    proptest! {
        #[test]
        fn text_of_a_value_reads_back_as_the_same_value(value in 0..=i64::MAX, money in any::<i64>()) {
            prop_assert_eq!(parse_e8(Price(value).to_string().as_bytes()), Ok(value));
            let money = i128::from(money) * 1_000_000_007;
            prop_assert_eq!(parse_decimal(&Money(money).to_string(), 16), Ok(money));
        }
    }
}
