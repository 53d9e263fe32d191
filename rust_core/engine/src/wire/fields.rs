//! The fields of an object that matter, in the order of a table of their names. Each may stand there once.

use super::WireError;
use super::json::{MAX_TEXT, Scanner, Text, Value};

impl Text<'_> {
    /// Which of `names` the text is. Its escapes are resolved once for all of them.
    #[inline]
    pub fn place(&self, names: &[&str]) -> Option<usize> {
        let mut room = [0; MAX_TEXT];
        let text = self.resolved(&mut room)?;
        names.iter().position(|name| text == name.as_bytes())
    }
}

/// The first value of a field; a second one is refused.
pub(super) fn once<'a>(old: Value<'a>, field: &'static str, new: Value<'a>) -> Result<Value<'a>, WireError> {
    if matches!(old, Value::Absent) { Ok(new) } else { Err(WireError::Duplicate(field)) }
}

/// Notes that a field was seen; a second time is refused.
pub(super) fn once_true(seen: &mut bool, field: &'static str) -> Result<(), WireError> {
    if std::mem::replace(seen, true) { Err(WireError::Duplicate(field)) } else { Ok(()) }
}

/// Keeps the value of a key that is one of `names`, and passes over any other.
pub(super) fn keep<'a>(
    scanner: &mut Scanner<'a>,
    key: Text<'a>,
    names: &[&'static str],
    values: &mut [Value<'a>],
) -> Result<(), WireError> {
    let value = scanner.value()?;
    if let Some(slot) = key.place(names) {
        values[slot] = once(values[slot], names[slot], value)?;
    }
    Ok(())
}

/// The values of these fields of one object.
pub(super) fn read<'a, const N: usize>(
    scanner: &mut Scanner<'a>,
    names: [&'static str; N],
) -> Result<[Value<'a>; N], WireError> {
    let mut values = [Value::Absent; N];
    scanner.object(|scanner, key| keep(scanner, key, &names, &mut values))?;
    Ok(values)
}
