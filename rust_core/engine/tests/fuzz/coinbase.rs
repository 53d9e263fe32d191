//! Coinbase Advanced Trade, from the venue's pages.

use engine::units::{Price, Qty};
use engine::view::Level;
use engine::wire::{Join, Message, Print, Span};

use super::Said;
use super::json::{Json, No, priced};

const MOST_TRADES: usize = 4_096;

/// The message, and whether the frame is certainly one of depth.
pub fn read(json: &Json, symbol: &str) -> (Result<Said, No>, bool) {
    let is_depth = matches!(json.text("channel"), Ok(Some("l2_data")));
    (message(json, symbol), is_depth)
}

fn message(json: &Json, symbol: &str) -> Result<Said, No> {
    let sequence = json.get("sequence_num")?.map(|_| json.id("sequence_num")).transpose()?;
    if json.text("type")? == Some("error") {
        return Ok(Said::only(Message::Reply { accepted: false }));
    }
    let channel = match json.get("channel")? {
        None => return Ok(Said::unrelated()),
        Some(channel) => channel.as_text().ok_or("no channel")?,
    };
    let sequence = sequence.ok_or("no number")?;
    match channel {
        "l2_data" => book(json.list("events")?, symbol, sequence),
        "market_trades" => trades(json.list("events")?, symbol),
        "subscriptions" => Ok(Said::only(Message::Reply { accepted: true })),
        _ => Ok(Said::unrelated()),
    }
}

fn is_snapshot(event: &Json) -> Result<bool, No> {
    match event.text("type")? {
        Some("snapshot") => Ok(true),
        Some("update") => Ok(false),
        _ => Err("no type"),
    }
}

fn book(events: &[Json], symbol: &str, sequence: u64) -> Result<Said, No> {
    let (mut bids, mut asks, mut ours, mut whole) = (Vec::<Level>::new(), Vec::<Level>::new(), false, false);
    for event in events {
        if event.text("product_id")?.ok_or("no product")? != symbol {
            continue;
        }
        ours = true;
        if is_snapshot(event)? {
            whole = true;
            bids.clear();
            asks.clear();
        }
        for row in event.list("updates")? {
            let level = priced(row.e8("price_level")?, row.e8("new_quantity")?)?;
            match row.text("side")? {
                Some("bid") => bids.push(level),
                Some("offer") => asks.push(level),
                _ => return Err("no side"),
            }
        }
    }
    let numbers = (sequence, sequence);
    let message = match (ours, whole) {
        (false, _) => return Ok(Said::unrelated()),
        (_, true) => Message::Snapshot { id: numbers.0, version: numbers.1, checksum: None },
        _ => Message::Depth(Span {
            first_id: sequence,
            last_id: sequence,
            join: Join::Unnumbered,
            version: sequence,
            checksum: None,
        }),
    };
    Ok(Said::book(message, bids, asks))
}

/// A batch comes newest first; a snapshot is what happened before the subscription.
fn trades(events: &[Json], symbol: &str) -> Result<Said, No> {
    let mut out = Vec::new();
    for event in events {
        let rows = event.list("trades")?;
        if is_snapshot(event)? {
            continue;
        }
        let mut of_event = Vec::new();
        for row in rows {
            if row.text("product_id")?.ok_or("no product")? != symbol {
                continue;
            }
            let buyer_is_maker = match row.text("side")? {
                Some("BUY") => true,
                Some("SELL") => false,
                _ => return Err("no side"),
            };
            let (price, quantity) = (Price(row.e8("price")?), Qty(row.e8("size")?));
            if price.0 == 0 {
                return Err("no price");
            }
            of_event.push(Print { price, quantity, buyer_is_maker });
        }
        of_event.reverse();
        out.extend(of_event);
    }
    match out.len() {
        0 => Ok(Said::unrelated()),
        1..=MOST_TRADES => Ok(Said::trades(out)),
        _ => Err("too many"),
    }
}
