//! A venue's name for one trade, stored inline so that a trade stays a plain value.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// 1 to 40 visible ASCII characters, unique within a venue. Its text form is the name itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TradeId {
    /// In `[1, 40]`.
    length: u8,
    /// The characters, then zeros.
    bytes: [u8; TradeId::LONGEST],
}

impl TradeId {
    /// Most characters of a name.
    pub const LONGEST: usize = 40;

    /// The name; `None` where it is empty, too long, or holds anything but visible ASCII.
    pub fn new(text: &str) -> Option<TradeId> {
        let fits = (1..=TradeId::LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        let length = u8::try_from(text.len()).ok().filter(|_| fits)?;
        let mut bytes = [0; TradeId::LONGEST];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Some(TradeId { length, bytes })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).expect("visible ASCII")
    }
}

impl fmt::Debug for TradeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Serialize for TradeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for TradeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TradeId, D::Error> {
        let text = String::deserialize(deserializer)?;
        TradeId::new(&text).ok_or_else(|| {
            serde::de::Error::custom(format!("a trade id is 1 to 40 visible ASCII characters: {text:?}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trade_id_reads_back_and_a_malformed_one_is_none() {
        let longest = "x".repeat(40);
        for text in ["1", "a-7/Z", &longest] {
            let id = TradeId::new(text).expect("an id");
            let body = serde_json::to_string(&id).expect("a text");
            assert_eq!((id.as_str(), body.as_str()), (text, format!("{text:?}").as_str()));
            assert_eq!(serde_json::from_str::<TradeId>(&body).expect("the same"), id);
        }
        for text in ["", "a b", "ä", "a\n", &"x".repeat(41)] {
            assert_eq!(TradeId::new(text), None, "{text:?}");
            assert!(serde_json::from_str::<TradeId>(&serde_json::json!(text).to_string()).is_err());
        }
    }
}
