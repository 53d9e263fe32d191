//! Binance's combined streams, spot and futures, decoded by serde_json: names borrowed, numbers left as text.
#![allow(dead_code, reason = "a decoder decodes what its reader may not need")]

use serde::Deserialize;

#[derive(Deserialize)]
struct Message<'a, D> {
    #[serde(borrow)]
    stream: &'a str,
    data: D,
}

#[derive(Deserialize)]
struct Ticker<'a> {
    u: u64,
    s: &'a str,
    b: &'a str,
    #[serde(rename = "B")]
    bid_size: &'a str,
    a: &'a str,
    #[serde(rename = "A")]
    ask_size: &'a str,
}

#[derive(Deserialize)]
struct Depth<'a> {
    e: &'a str,
    #[serde(rename = "E")]
    event_ms: u64,
    s: &'a str,
    #[serde(rename = "U")]
    first: u64,
    u: u64,
    pu: Option<u64>,
    #[serde(borrow)]
    b: Vec<[&'a str; 2]>,
    a: Vec<[&'a str; 2]>,
}

pub fn ticker(frame: &[u8]) -> usize {
    serde_json::from_slice(frame).map_or(0, |message: Message<'_, Ticker<'_>>| message.data.b.len())
}

pub fn depth(frame: &[u8]) -> usize {
    let message: Result<Message<'_, Depth<'_>>, _> = serde_json::from_slice(frame);
    message.map_or(0, |message| message.data.b.len() + message.data.a.len())
}
