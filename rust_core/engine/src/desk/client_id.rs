//! The name that an order's owner gives it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Longest client id.
pub const CLIENT_ID_MAX: usize = 32;

/// A client order id: 1 to 32 of `A-Z a-z 0-9`. Never used twice by accepted orders of one journal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClientId {
    text: [u8; CLIENT_ID_MAX],
    length: u8,
}

impl ClientId {
    /// Reads an id; `None` if it is not 1 to 32 of `A-Z a-z 0-9`.
    pub fn new(text: &str) -> Option<ClientId> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if text.is_empty() || text.len() > CLIENT_ID_MAX || !plain {
            return None;
        }
        let mut id = ClientId { text: [0; CLIENT_ID_MAX], length: text.len() as u8 };
        id.text[..text.len()].copy_from_slice(text.as_bytes());
        Some(id)
    }

    /// The id's letters and digits.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("made of ASCII")
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ClientId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ClientId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        ClientId::new(&text).ok_or_else(|| D::Error::custom("a client id is 1 to 32 of A-Z a-z 0-9"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_to_thirty_two_letters_and_digits() {
        for good in ["a", "Z9", &"x".repeat(32)] {
            assert_eq!(ClientId::new(good).expect("an id").as_str(), good);
        }
        for bad in ["", " a", "a-b", "ä", "a\0", &"x".repeat(33)] {
            assert_eq!(ClientId::new(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn an_id_reads_back_from_its_text_and_nothing_else_does() {
        let id = ClientId::new("a1").expect("an id");
        assert_eq!(serde_json::from_str::<ClientId>("\"a1\"").expect("an id"), id);
        assert!(serde_json::from_str::<ClientId>("\"a b\"").is_err());
        assert_eq!(serde_json::to_string(&id).expect("a text"), "\"a1\"");
        assert_eq!(format!("{id:?}"), "a1");
    }
}
