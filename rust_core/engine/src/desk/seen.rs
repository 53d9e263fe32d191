//! Names that may be used once in a journal's life: client order ids, and a venue's trade ids.

use std::collections::HashSet;

use foldhash::fast::RandomState;
use serde::ser::{Serialize, SerializeStruct, Serializer};

/// A set of names that only grows. Its text form is a count and a digest over the names in their order, so that the
/// state's text stays short however long the journal is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    names: HashSet<Box<[u8]>, RandomState>,
    digest: u64,
}

impl Seen {
    /// True if the name was used.
    pub fn contains(&self, name: impl AsRef<[u8]>) -> bool {
        self.names.contains(name.as_ref())
    }

    /// Uses a name up; false if it was used before.
    pub fn insert(&mut self, name: &str) -> bool {
        let new = self.names.insert(name.as_bytes().into());
        if new {
            // FNV-1a (Fowler, Noll, Vo) over the bytes and an end mark, which no name holds.
            let bytes = name.bytes().chain([0]);
            self.digest = bytes.fold(self.digest ^ 0xCBF2_9CE4_8422_2325, |digest, byte| {
                (digest ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3)
            });
        }
        new
    }
}

impl Serialize for Seen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = serializer.serialize_struct("Seen", 2)?;
        text.serialize_field("count", &self.names.len())?;
        text.serialize_field("digest", &format!("{:016x}", self.digest))?;
        text.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(names: &[&str]) -> String {
        let mut seen = Seen::default();
        for name in names {
            seen.insert(name);
        }
        serde_json::to_string(&seen).expect("a count and a text")
    }

    #[test]
    fn a_name_is_used_once() {
        let mut seen = Seen::default();
        assert!(!seen.contains("a1") && seen.insert("a1") && seen.contains("a1") && !seen.insert("a1"));
        assert!(!seen.contains("A1"));
    }

    #[test]
    fn names_that_begin_alike_are_told_apart_at_every_length() {
        let (mut seen, all) = (Seen::default(), "a".repeat(40));
        (1..=40).for_each(|length| assert!(!seen.contains(&all[..length]) && seen.insert(&all[..length])));
        assert!((1..=40).all(|length| seen.contains(&all[..length])));
    }

    #[test]
    fn the_digest_is_fnv_1a_over_each_name_and_its_end() {
        assert_eq!(text(&[]), r#"{"count":0,"digest":"0000000000000000"}"#);
        assert_eq!(text(&["order1", "order2"]), r#"{"count":2,"digest":"8bb1b2df7b25983f"}"#);
    }

    #[test]
    fn the_text_tells_names_and_their_order_apart() {
        assert_ne!(text(&["ab", "c"]), text(&["a", "bc"]));
        assert_ne!(text(&["a", "b"]), text(&["b", "a"]));
        assert_eq!(text(&["a", "a", "b"]), text(&["a", "b"]));
        assert!(text(&["a", "b"]).contains(r#""count":2"#));
    }
}
