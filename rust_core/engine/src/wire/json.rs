//! A strict JSON cursor over bytes that are known to be UTF-8. It copies nothing and builds no tree.

use super::{MAX_FRAME_LEVELS, WireError, field_e8, id_in, padded_e8};
use crate::units::{Price, Qty};
use crate::view::Level;

/// Deepest nesting that is passed over.
const MAX_NESTING: u32 = 32;
/// Longest text that is compared or converted; longer ones are no word that we know.
pub(super) const MAX_TEXT: usize = 64;

/// Refuses a frame that is not UTF-8, as every scan must be preceded by.
pub(super) fn check_text(frame: &[u8]) -> Result<(), WireError> {
    // Nearly every frame is ASCII, which is much quicker to see.
    if frame.is_ascii() {
        return Ok(());
    }
    std::str::from_utf8(frame).map(drop).map_err(|error| WireError::NotUtf8 { at: error.valid_up_to() })
}

/// A string between its quotes, escapes not yet resolved.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    raw: &'a [u8],
    escaped: bool,
}

impl<'a> Text<'a> {
    /// The text itself: a part of the frame, or, if it holds escapes, its resolved form in `room`.
    /// `None` if that is longer than 64 bytes or no text at all (half of a surrogate pair).
    #[inline]
    pub fn resolved<'b>(&self, room: &'b mut [u8; MAX_TEXT]) -> Option<&'b [u8]>
    where
        'a: 'b,
    {
        if self.escaped { unescape(self.raw, room) } else { Some(self.raw) }
    }

    /// Whether the text is `word`.
    pub fn is(&self, word: &[u8]) -> bool {
        self.resolved(&mut [0; MAX_TEXT]).is_some_and(|text| text == word)
    }

    /// The text as a string of its own; as it was sent, if it is no text at all.
    pub fn owned(&self) -> String {
        without_escapes(self.raw).unwrap_or_else(|| String::from_utf8_lossy(self.raw).into_owned())
    }

    /// The decimal number that the text holds, × 10⁸.
    pub fn e8(&self, field: &'static str) -> Result<i64, WireError> {
        let mut room = [0; MAX_TEXT];
        field_e8(field, self.resolved(&mut room).unwrap_or(b""))
    }
}

/// Resolves the escapes of a valid JSON string into `room`.
fn unescape<'b>(raw: &[u8], room: &'b mut [u8; MAX_TEXT]) -> Option<&'b [u8]> {
    // Six bytes at most, `\u0041`, stand for one.
    let text = if raw.len() > 6 * room.len() { None } else { without_escapes(raw) }?;
    room.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    Some(&room[..text.len()])
}

/// The text of a valid JSON string; `None` for half of a surrogate pair. This road is rare and may allocate.
fn without_escapes(raw: &[u8]) -> Option<String> {
    // With its quotes, as the standard decoder wants it.
    serde_json::from_slice(&[b"\"", raw, b"\""].concat()).ok()
}

/// A value, as far as a market-data frame needs it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Value<'a> {
    /// No such field.
    #[default]
    Absent,
    Text(Text<'a>),
    /// A number, its grammar checked.
    Number(&'a [u8]),
    Bool(bool),
    Null,
    /// An object or array that was passed over.
    Nested,
    /// An array of levels that was read into the scratch.
    Levels,
}

impl Value<'_> {
    /// Whether it is the text `word`.
    pub fn is(&self, word: &[u8]) -> bool {
        matches!(self, Value::Text(text) if text.is(word))
    }

    /// An update id: digits that fit i64, as those of the venues do, so that a book can count on from it for ever.
    pub fn id(&self, field: &'static str) -> Result<u64, WireError> {
        let Value::Number(digits) = self else { return Err(WireError::Missing(field)) };
        let value = digits.iter().try_fold(0_u64, |value, byte| {
            let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
            value.checked_mul(10)?.checked_add(digit)
        });
        value.filter(|&value| i64::try_from(value).is_ok()).ok_or(WireError::Missing(field))
    }

    /// A decimal text, × 10⁸.
    pub fn e8(&self, field: &'static str) -> Result<i64, WireError> {
        match self {
            Value::Text(text) => text.e8(field),
            _ => Err(WireError::Missing(field)),
        }
    }
}

/// A level as venues write it, `["61837.63000000","3.78826000"]`, and what stands behind it.
#[inline(always)]
fn tight_level(text: &[u8]) -> Option<(Level, &[u8])> {
    let text = text.strip_prefix(b"[\"")?;
    let (price, length) = padded_e8(text)?;
    let text = text.get(length..)?.strip_prefix(b"\",\"")?;
    let (quantity, length) = padded_e8(text)?;
    let rest = text.get(length..)?.strip_prefix(b"\"]")?;
    Some((Level { price: Price(price), quantity: Qty(quantity) }, rest))
}

/// A position in a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scanner<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Scanner<'a> {
    /// At the first byte of `bytes`, which must be UTF-8.
    pub fn new(bytes: &'a [u8]) -> Scanner<'a> {
        Scanner { bytes, at: 0 }
    }

    /// The refusal of the byte at the position.
    pub fn fail<T>(&self) -> Result<T, WireError> {
        Err(WireError::Syntax { at: self.at })
    }

    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    pub fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    #[inline]
    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), WireError> {
        if self.eat(byte) { Ok(()) } else { self.fail() }
    }

    /// Steps over `word` if it stands here.
    #[inline(always)]
    pub fn eat_word(&mut self, word: &[u8]) -> bool {
        let there = self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word));
        self.at += if there { word.len() } else { 0 };
        there
    }

    /// Steps over `word`; `None`, which ends a short road, if it does not stand here.
    #[inline(always)]
    pub fn step(&mut self, word: &[u8]) -> Option<()> {
        self.eat_word(word).then_some(())
    }

    /// Steps over `word` in ASCII lower case if that stands here.
    #[inline(always)]
    pub fn eat_lower_case(&mut self, word: &[u8]) -> bool {
        let here = self.bytes.get(self.at..).and_then(|rest| rest.get(..word.len()));
        // Letters differ from their capitals in one bit; no early exit, so that the loop becomes a few wide steps.
        let lower = |byte: u8| byte | (u8::from(byte.is_ascii_uppercase()) << 5);
        let there = here.is_some_and(|here| here.iter().zip(word).fold(0, |odd, (a, b)| odd | (a ^ lower(*b))) == 0);
        self.at += if there { word.len() } else { 0 };
        there
    }

    /// Steps over a padded decimal text and its closing quote, if one stands here.
    #[inline(always)]
    pub fn eat_padded(&mut self) -> Option<i64> {
        let (value, length) = padded_e8(self.bytes.get(self.at..)?)?;
        self.at += length + 1;
        Some(value)
    }

    /// Steps over the digits of a JSON integer of at most 18 digits, if one stands here.
    #[inline(always)]
    pub fn eat_id(&mut self) -> Option<u64> {
        let (value, rest) = id_in(self.bytes.get(self.at..)?)?;
        self.at = self.bytes.len() - rest.len();
        Some(value)
    }

    /// Refuses anything but blanks up to the end.
    pub fn end(&mut self) -> Result<(), WireError> {
        self.blank();
        if self.at == self.bytes.len() { Ok(()) } else { self.fail() }
    }

    /// A string; its escapes are checked, not resolved.
    #[inline]
    fn text(&mut self) -> Result<Text<'a>, WireError> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(0..=0x1F) | None => return self.fail(),
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        Ok(Text { raw: &self.bytes[start..self.at - 1], escaped })
    }

    fn escape(&mut self) -> Result<(), WireError> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                let hex = self.bytes.get(self.at + 1..self.at + 5);
                if !hex.is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) {
                    return self.fail();
                }
                self.at += 5;
            }
            _ => return self.fail(),
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), WireError> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { self.fail() } else { Ok(()) }
    }

    fn number(&mut self) -> Result<&'a [u8], WireError> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _sign = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Ok(&self.bytes[start..self.at])
    }

    fn word(&mut self, word: &[u8], value: Value<'a>) -> Result<Value<'a>, WireError> {
        if self.eat_word(word) { Ok(value) } else { self.fail() }
    }

    /// Any value; objects and arrays are checked and passed over.
    pub fn value(&mut self) -> Result<Value<'a>, WireError> {
        self.value_within(MAX_NESTING)
    }

    fn value_within(&mut self, nesting: u32) -> Result<Value<'a>, WireError> {
        self.blank();
        match self.peek() {
            Some(b'"') => self.text().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            Some(b't') => self.word(b"true", Value::Bool(true)),
            Some(b'f') => self.word(b"false", Value::Bool(false)),
            Some(b'n') => self.word(b"null", Value::Null),
            Some(b'{' | b'[') if nesting == 0 => Err(WireError::TooDeep { at: self.at }),
            Some(b'{') => self.object(|scanner, _| scanner.value_within(nesting - 1).map(drop)).map(|()| Value::Nested),
            Some(b'[') => self.array(|scanner| scanner.value_within(nesting - 1).map(drop)).map(|()| Value::Nested),
            _ => self.fail(),
        }
    }

    /// An object: `each` gets every key and must step over its value.
    #[inline]
    pub fn object(
        &mut self,
        mut each: impl FnMut(&mut Self, Text<'a>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        self.blank();
        self.expect(b'{')?;
        self.blank();
        if self.eat(b'}') {
            return Ok(());
        }
        loop {
            self.blank();
            let key = self.text()?;
            self.blank();
            self.expect(b':')?;
            self.blank();
            each(self, key)?;
            self.blank();
            if !self.eat(b',') {
                return self.expect(b'}');
            }
        }
    }

    /// An array: `each` must step over one element.
    #[inline]
    pub fn array(&mut self, mut each: impl FnMut(&mut Self) -> Result<(), WireError>) -> Result<(), WireError> {
        self.expect(b'[')?;
        self.blank();
        if self.eat(b']') {
            return Ok(());
        }
        loop {
            each(self)?;
            self.blank();
            if !self.eat(b',') {
                return self.expect(b']');
            }
        }
    }

    /// An array of `[price, quantity]` texts, appended to `out`. Further elements of a level are passed over.
    pub fn levels(&mut self, field: &'static str, out: &mut Vec<Level>) -> Result<(), WireError> {
        self.array(|scanner| {
            if out.len() == MAX_FRAME_LEVELS {
                return Err(WireError::TooManyLevels);
            }
            let level = scanner.level(field)?;
            out.push(level);
            if level.price.0 > 0 { Ok(()) } else { Err(WireError::NoPrice(field)) }
        })
    }

    /// An array of levels in the usual spelling, appended to `out`; `None` if anything else stands there.
    #[inline]
    pub fn usual_levels(&mut self, out: &mut Vec<Level>) -> Option<()> {
        if self.eat_word(b"[]") {
            return Some(());
        }
        let mut rest = self.bytes.get(self.at..)?.strip_prefix(b"[")?;
        loop {
            let (level, behind) = tight_level(rest)?;
            (out.len() < MAX_FRAME_LEVELS && level.price.0 > 0).then(|| out.push(level))?;
            let (&mark, behind) = behind.split_first()?;
            rest = behind;
            if mark != b',' {
                self.at = self.bytes.len() - rest.len();
                return (mark == b']').then_some(());
            }
        }
    }

    fn level(&mut self, field: &'static str) -> Result<Level, WireError> {
        if let Some((level, rest)) = self.bytes.get(self.at..).and_then(tight_level) {
            self.at = self.bytes.len() - rest.len();
            return Ok(level);
        }
        self.loose_level(field)
    }

    /// A level in any other spelling.
    fn loose_level(&mut self, field: &'static str) -> Result<Level, WireError> {
        let mut pair = [0; 2];
        let mut count = 0;
        self.blank();
        self.array(|scanner| {
            let value = scanner.value()?;
            if let Some(slot) = pair.get_mut(count) {
                *slot = value.e8(field)?;
            }
            count += 1;
            Ok(())
        })?;
        if count < 2 {
            return self.fail();
        }
        Ok(Level { price: Price(pair[0]), quantity: Qty(pair[1]) })
    }
}
