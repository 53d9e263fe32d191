//! Coinbase's level2 channel decoded by serde_json: names borrowed, numbers left as text.
#![allow(dead_code, reason = "a decoder decodes what its reader may not need")]

use serde::Deserialize;

#[derive(Deserialize)]
struct Message<'a> {
    channel: &'a str,
    timestamp: &'a str,
    sequence_num: u64,
    #[serde(borrow)]
    events: Vec<Event<'a>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    product_id: &'a str,
    #[serde(borrow)]
    updates: Vec<Update<'a>>,
}

#[derive(Deserialize)]
struct Update<'a> {
    side: &'a str,
    event_time: &'a str,
    price_level: &'a str,
    new_quantity: &'a str,
}

pub fn depth(frame: &[u8]) -> usize {
    let message: Result<Message<'_>, _> = serde_json::from_slice(frame);
    message.map_or(0, |message| message.events.iter().map(|event| event.updates.len()).sum())
}
