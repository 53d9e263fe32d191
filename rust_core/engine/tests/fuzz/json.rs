//! JSON read by serde_json into a tree that keeps the order of keys and every key that stands there twice.

use std::fmt;

use engine::units::{Price, Qty};
use engine::view::Level;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Why a dull decoder cannot give a message.
pub type No = &'static str;

#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Id(u64),
    Negative(i64),
    /// `-0`, which some readers of integers take for 0; serde_json tells it from 0 but not from `-0.0`.
    MinusZero,
    /// Any other number that is no integer of 64 bits.
    Odd,
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Json, D::Error> {
        from.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Id(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Negative(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(if value == 0.0 && value.is_sign_negative() { Json::MinusZero } else { Json::Odd })
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut out = Vec::new();
        while let Some(value) = list.next_element()? {
            out.push(value);
        }
        Ok(Json::List(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Json, A::Error> {
        let mut out = Vec::new();
        while let Some(field) = object.next_entry()? {
            out.push(field);
        }
        Ok(Json::Object(out))
    }
}

impl Json {
    /// The one value of a key; `Null` stands for itself, absence is `None`, and two of a key are refused.
    pub fn get(&self, key: &str) -> Result<Option<&Json>, No> {
        let Json::Object(fields) = self else { return Err("no object") };
        let mut found = fields.iter().filter(|(name, _)| name == key).map(|(_, value)| value);
        match (found.next(), found.next()) {
            (_, Some(_)) => Err("a key twice"),
            (first, None) => Ok(first),
        }
    }

    pub fn text(&self, key: &str) -> Result<Option<&str>, No> {
        Ok(self.get(key)?.and_then(Json::as_text))
    }

    pub fn as_text(&self) -> Option<&str> {
        if let Json::Text(text) = self { Some(text) } else { None }
    }

    pub fn id(&self, key: &str) -> Result<u64, No> {
        match self.get(key)? {
            Some(Json::Id(id)) if *id <= i64::MAX as u64 => Ok(*id),
            _ => Err("no id"),
        }
    }

    pub fn e8(&self, key: &str) -> Result<i64, No> {
        e8(self.get(key)?)
    }

    pub fn list(&self, key: &str) -> Result<&[Json], No> {
        match self.get(key)? {
            Some(Json::List(list)) => Ok(list),
            _ => Err("no list"),
        }
    }

    /// The levels of a side.
    pub fn levels(&self, key: &str) -> Result<Vec<Level>, No> {
        let level = |row: &Json| match row {
            Json::List(row) if row.len() >= 2 => priced(e8(row.first())?, e8(row.get(1))?),
            _ => Err("no level"),
        };
        self.list(key)?.iter().map(level).collect()
    }

    /// Whether a key stands twice in any object.
    pub fn doubles(&self) -> bool {
        match self {
            Json::List(list) => list.iter().any(Json::doubles),
            Json::Object(fields) => {
                let mut keys: Vec<&str> = fields.iter().map(|(key, _)| key.as_str()).collect();
                keys.sort_unstable();
                keys.windows(2).any(|pair| pair[0] == pair[1]) || fields.iter().any(|(_, value)| value.doubles())
            }
            _ => false,
        }
    }

    /// Whether there is a number that the tree cannot tell exactly.
    pub fn vague(&self) -> bool {
        match self {
            Json::List(list) => list.iter().any(Json::vague),
            Json::Object(fields) => fields.iter().any(|(_, value)| value.vague()),
            _ => *self == Json::MinusZero,
        }
    }

    /// How deep lists and objects are nested.
    pub fn depth(&self) -> usize {
        match self {
            Json::List(list) => 1 + list.iter().map(Json::depth).max().unwrap_or(0),
            Json::Object(fields) => 1 + fields.iter().map(|(_, value)| value.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }
}

pub fn level(price: i64, quantity: i64) -> Level {
    Level { price: Price(price), quantity: Qty(quantity) }
}

/// A level of a book must have a price.
pub fn priced(price: i64, quantity: i64) -> Result<Level, No> {
    if price == 0 { Err("no price") } else { Ok(level(price, quantity)) }
}

/// The best level of a side that holds one or none.
pub fn best(levels: &[Level]) -> Result<Level, No> {
    match levels {
        [] => Ok(Level::default()),
        [one] => Ok(*one),
        _ => Err("more than one level"),
    }
}

/// A text of `digits{1,12}(.digits{1,8})` as an exact integer of 10⁻⁸.
pub fn e8(value: Option<&Json>) -> Result<i64, No> {
    let text = value.and_then(Json::as_text).ok_or("no text")?;
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str, most: usize| {
        (1..=most).contains(&part.len()) && part.chars().all(|letter| letter.is_ascii_digit())
    };
    if !digits(whole, 12) || !digits(decimals, 8) {
        return Err("no decimal");
    }
    let all: i128 = format!("{whole}{decimals:0<8}").parse().map_err(|_| "no decimal")?;
    i64::try_from(all).map_err(|_| "too large")
}
