//! Bybit v5 spot, from the venue's pages.

use engine::units::{Price, Qty};
use engine::wire::{Join, Message, Print, Span};

use super::json::{Json, No, best};
use super::{Body, Said};

const MOST_TRADES: usize = 4_096;

/// The topic's kind and the rest of its name.
fn topic(name: &str) -> Option<(&'static str, &str)> {
    ["orderbook.1.", "orderbook.50.", "orderbook.200.", "orderbook.1000.", "publicTrade."]
        .into_iter()
        .find_map(|known| name.strip_prefix(known).map(|rest| (known, rest)))
        .map(|(known, rest)| match known {
            "orderbook.1." => ("top", rest),
            "publicTrade." => ("trades", rest),
            _ => ("book", rest),
        })
}

/// The message, and whether the frame is certainly one of depth.
pub fn read(json: &Json, symbol: &str) -> (Result<Said, No>, bool) {
    match json.text("topic") {
        Err(reason) => (Err(reason), false),
        Ok(None) => (without_topic(json), false),
        Ok(Some(name)) => match topic(name) {
            Some((kind, about)) if about == symbol => (body(json, kind, symbol), kind == "book"),
            _ => (all_once(json).map(|()| Said::unrelated()), false),
        },
    }
}

/// Fields that decide what a frame is must not stand there twice, even where they turn out to decide nothing.
fn all_once(json: &Json) -> Result<(), No> {
    ["data", "type", "op", "success", "retCode"].iter().try_for_each(|key| json.get(key).map(drop))
}

fn without_topic(json: &Json) -> Result<Said, No> {
    all_once(json)?;
    let (op, success, code) = (json.get("op")?, json.get("success")?, json.get("retCode")?);
    if op.is_none() && success.is_none() && code.is_none() {
        return Ok(Said::unrelated());
    }
    let done = success.is_none_or(|success| *success == Json::Bool(true));
    let accepted = done && code.is_none_or(|code| *code == Json::Id(0));
    Ok(Said::only(Message::Reply { accepted }))
}

fn body(json: &Json, kind: &str, symbol: &str) -> Result<Said, No> {
    if kind == "trades" {
        return trades(json.list("data")?, symbol);
    }
    let data = json.get("data")?.ok_or("no data")?;
    let (bids, asks) = (data.levels("b")?, data.levels("a")?);
    let whole = match json.text("type")? {
        Some("snapshot") => true,
        Some("delta") => false,
        _ => return Err("no type"),
    };
    if data.text("s")? != Some(symbol) {
        return Err("no symbol");
    }
    let (u, version) = (data.id("u")?, data.id("seq")?);
    match (kind, whole) {
        ("top", true) => Ok(Said::only(Message::Top { version, bid: best(&bids)?, ask: best(&asks)? })),
        ("top", false) => Err("part of a top"),
        _ if whole || u == 1 => Ok(Said::book(Message::Snapshot { id: u, version, checksum: None }, bids, asks)),
        _ => {
            let span = Span { first_id: u, last_id: u, join: Join::Exact, version, checksum: None };
            Ok(Said::book(Message::Depth(span), bids, asks))
        }
    }
}

fn trades(rows: &[Json], symbol: &str) -> Result<Said, No> {
    let mut out = Vec::new();
    for row in rows {
        if row.text("s")? != Some(symbol) {
            return Err("no symbol");
        }
        let buyer_is_maker = match row.text("S")? {
            Some("Buy") => false,
            Some("Sell") => true,
            _ => return Err("no side"),
        };
        let print = Print { price: Price(row.e8("p")?), quantity: Qty(row.e8("v")?), buyer_is_maker };
        match row.get("BT")? {
            _ if print.price.0 == 0 => return Err("no price"),
            Some(Json::Bool(true)) => {}
            None | Some(Json::Bool(false)) => out.push(print),
            _ => return Err("no block"),
        }
    }
    if out.len() > MOST_TRADES { Err("too many") } else { Ok(Said::trades(out)) }
}

/// `GET /v5/market/orderbook`.
pub fn snapshot(json: &Json) -> Body {
    let result = json.get("result")?.ok_or("no result")?;
    if json.get("retCode")? != Some(&Json::Id(0)) {
        return Err("no success");
    }
    Ok((result.id("seq")?, result.levels("b")?, result.levels("a")?))
}
