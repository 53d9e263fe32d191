//! Binance spot and USD-M, from the venue's pages: streams combined or raw, and the REST depth.

use engine::units::{Price, Qty};
use engine::view::Level;
use engine::wire::{Message, Print, Span};

use super::json::{Json, No, level};
use super::{Body, Said};

const EVENTS: [(&str, &str); 4] =
    [("depthUpdate", "depth"), ("bookTicker", "top"), ("trade", "trade"), ("serverShutdown", "shutdown")];
const DEPTHS: [&str; 5] = ["@depth", "@depth@0ms", "@depth@100ms", "@depth@500ms", "@depth@1000ms"];

/// The fields of the payload, whether it is wrapped or not.
pub fn payload(json: &Json) -> Result<Json, No> {
    let Json::Object(outer) = json else { return Err("no object") };
    let mut fields = outer.clone();
    if let Some(Json::Object(inner)) = json.get("data")? {
        fields.extend(inner.clone());
    }
    Ok(Json::Object(fields))
}

/// What the frame is about, as its event or its stream says.
fn kind(stream: Option<&str>, fields: &Json) -> Result<&'static str, No> {
    if let Some(event) = fields.get("e")? {
        let known = EVENTS.iter().find(|(name, _)| event.as_text() == Some(name));
        return Ok(known.map_or("unknown", |(_, kind)| *kind));
    }
    if let Some(name) = stream {
        let stem = name.find('@').map_or(name, |at| &name[at..]);
        return Ok(match stem {
            "@bookTicker" => "top",
            "@trade" => "trade",
            "!serverShutdown" => "shutdown",
            _ if DEPTHS.contains(&stem) => "depth",
            _ => "unknown",
        });
    }
    let has = |key: &&str| fields.get(key).map(|value| value.is_some());
    let all = ["u", "b", "B", "a", "A"].iter().map(has).collect::<Result<Vec<bool>, No>>()?;
    let any = ["result", "error", "code", "id"].iter().map(has).collect::<Result<Vec<bool>, No>>()?;
    Ok(if all.iter().all(|&has| has) {
        "top"
    } else if any.iter().any(|&has| has) {
        "reply"
    } else {
        "unknown"
    })
}

/// The message, and whether the frame is certainly one of depth.
pub fn read(json: &Json, symbol: &str, futures: bool) -> (Result<Said, No>, bool) {
    let found = payload(json).and_then(|fields| Ok((kind(json.text("stream")?, &fields)?, fields)));
    match found {
        Ok((kind, fields)) => {
            // Where the stream's name says something else than the event, nothing is certain.
            let named = json.text("stream").ok().flatten().is_none_or(|name| name.contains("@depth"));
            (message(kind, &fields, symbol, futures), kind == "depth" && named)
        }
        Err(reason) => (Err(reason), false),
    }
}

fn message(kind: &str, fields: &Json, symbol: &str, futures: bool) -> Result<Said, No> {
    match kind {
        "unknown" => return Ok(Said::unrelated()),
        "shutdown" => return Ok(Said::only(Message::Shutdown)),
        "reply" => {
            let accepted = fields.get("error")?.is_none() && fields.get("code")?.is_none();
            return Ok(Said::only(Message::Reply { accepted }));
        }
        _ => {}
    }
    if fields.text("s")?.ok_or("no symbol")? != symbol {
        return Ok(Said::unrelated());
    }
    match kind {
        "top" => top(fields),
        "trade" => trade(fields),
        _ => depth(fields, futures),
    }
}

/// An empty side has neither price nor quantity.
fn side(fields: &Json, price: &str, quantity: &str) -> Result<Level, No> {
    match (fields.e8(price)?, fields.e8(quantity)?) {
        (0, 1..) => Err("a quantity without a price"),
        (price, quantity) => Ok(level(price, quantity)),
    }
}

fn top(fields: &Json) -> Result<Said, No> {
    let (bid, ask) = (side(fields, "b", "B")?, side(fields, "a", "A")?);
    Ok(Said::only(Message::Top { version: fields.id("u")?, bid, ask }))
}

fn trade(fields: &Json) -> Result<Said, No> {
    if fields.text("X")?.is_some_and(|kind| kind != "MARKET") {
        return Ok(Said::unrelated());
    }
    let (price, quantity) = (Price(fields.e8("p")?), Qty(fields.e8("q")?));
    match fields.get("m")? {
        _ if price.0 == 0 => Err("no price"),
        Some(&Json::Bool(buyer_is_maker)) => Ok(Said::trades(vec![Print { price, quantity, buyer_is_maker }])),
        _ => Err("no maker"),
    }
}

fn depth(fields: &Json, futures: bool) -> Result<Said, No> {
    let (first, last) = (fields.id("U")?, fields.id("u")?);
    let span = if futures { Span::exactly_after(fields.id("pu")?, last) } else { Span::overlapping(first, last) };
    if first > last || span.first_id > last {
        return Err("backward");
    }
    Ok(Said::book(Message::Depth(span), fields.levels("b")?, fields.levels("a")?))
}

/// `GET /api/v3/depth`.
pub fn snapshot(json: &Json) -> Body {
    Ok((json.id("lastUpdateId")?, json.levels("bids")?, json.levels("asks")?))
}
