//! Bybit's and OKX's books decoded by serde_json: names borrowed, numbers left as text.
#![allow(dead_code, reason = "a decoder decodes what its reader may not need")]

use serde::Deserialize;

#[derive(Deserialize)]
struct Bybit<'a> {
    topic: &'a str,
    ts: u64,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    data: BybitBook<'a>,
    cts: u64,
}

#[derive(Deserialize)]
struct BybitBook<'a> {
    s: &'a str,
    #[serde(borrow)]
    b: Vec<[&'a str; 2]>,
    a: Vec<[&'a str; 2]>,
    u: u64,
    seq: u64,
}

#[derive(Deserialize)]
struct Okx<'a> {
    #[serde(borrow)]
    arg: OkxArg<'a>,
    action: Option<&'a str>,
    data: [OkxBook<'a>; 1],
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OkxArg<'a> {
    channel: &'a str,
    inst_id: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OkxBook<'a> {
    #[serde(borrow)]
    asks: Vec<[&'a str; 4]>,
    bids: Vec<[&'a str; 4]>,
    ts: &'a str,
    checksum: Option<i64>,
    prev_seq_id: Option<i64>,
    seq_id: i64,
}

pub fn bybit(frame: &[u8]) -> usize {
    serde_json::from_slice(frame).map_or(0, |message: Bybit<'_>| message.data.b.len() + message.data.a.len())
}

pub fn okx(frame: &[u8]) -> usize {
    serde_json::from_slice(frame).map_or(0, |message: Okx<'_>| message.data[0].bids.len() + message.data[0].asks.len())
}
