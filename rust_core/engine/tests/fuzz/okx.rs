//! OKX v5 public channels, from the venue's guide.

use engine::units::{Price, Qty};
use engine::wire::{Join, Message, Print, Span};

use super::json::{Json, No, best};
use super::{Body, Said};

const MOST_TRADES: usize = 4_096;

/// The message, and whether the frame is certainly one of depth.
pub fn read(json: &Json, symbol: &str) -> (Result<Said, No>, bool) {
    match json.text("event") {
        Err(reason) => (Err(reason), false),
        Ok(Some(event)) => (notice(json, event), false),
        Ok(None) => {
            let is_depth = matches!(channel(json), Ok(Some("books")));
            (pushed(json, symbol), is_depth)
        }
    }
}

fn notice(json: &Json, event: &str) -> Result<Said, No> {
    Ok(match event {
        "subscribe" | "unsubscribe" => Said::only(Message::Reply { accepted: true }),
        "error" | "channel-conn-count-error" => Said::only(Message::Reply { accepted: false }),
        "notice" if json.text("code")? == Some("64008") => Said::only(Message::Shutdown),
        _ => Said::unrelated(),
    })
}

fn channel(json: &Json) -> Result<Option<&str>, No> {
    match json.get("arg")? {
        Some(arg @ Json::Object(_)) => arg.text("channel"),
        _ => Ok(None),
    }
}

fn pushed(json: &Json, symbol: &str) -> Result<Said, No> {
    let kind = channel(json)?.filter(|name| ["books", "bbo-tbt", "trades"].contains(name));
    let Some(kind) = kind else { return Ok(Said::unrelated()) };
    let arg = json.get("arg")?.ok_or("no arg")?;
    if arg.text("instId")?.ok_or("no symbol")? != symbol {
        return Ok(Said::unrelated());
    }
    let rows = json.list("data")?;
    match (kind, rows) {
        ("trades", rows) => trades(rows, symbol),
        (_, [row]) => book(kind, json.text("action")?, row),
        _ => Err("not one row"),
    }
}

fn trades(rows: &[Json], symbol: &str) -> Result<Said, No> {
    let trade = |row: &Json| {
        let (price, quantity) = (Price(row.e8("px")?), Qty(row.e8("sz")?));
        let buyer_is_maker = match row.text("side")? {
            Some("buy") => false,
            Some("sell") => true,
            _ => return Err("no side"),
        };
        let right = price.0 > 0 && row.text("instId")? == Some(symbol);
        if right { Ok(Print { price, quantity, buyer_is_maker }) } else { Err("no trade of ours") }
    };
    let out = rows.iter().map(trade).collect::<Result<Vec<Print>, No>>()?;
    if out.len() > MOST_TRADES { Err("too many") } else { Ok(Said::trades(out)) }
}

fn checksum(row: &Json) -> Result<Option<i32>, No> {
    let sent = match row.get("checksum")? {
        None | Some(Json::MinusZero) => return Ok(None),
        Some(Json::Id(sent)) => i32::try_from(*sent),
        Some(Json::Negative(sent)) => i32::try_from(*sent),
        _ => return Err("no checksum"),
    };
    // 0 says that there is none.
    sent.map(|sent| Some(sent).filter(|&sent| sent != 0)).map_err(|_| "no checksum")
}

fn book(kind: &str, action: Option<&str>, row: &Json) -> Result<Said, No> {
    let (bids, asks, checksum) = (row.levels("bids")?, row.levels("asks")?, checksum(row)?);
    let previous = match row.get("prevSeqId")? {
        None | Some(Json::Negative(-1)) => None,
        Some(_) => Some(row.id("prevSeqId")?),
    };
    let numbered = row.get("prevSeqId")?.is_some() || row.get("seqId")?.is_some();
    let id = if numbered { Some(row.id("seqId")?) } else { None };
    if kind == "bbo-tbt" {
        let version = id.ok_or("no id")?;
        return Ok(Said::only(Message::Top { version, bid: best(&bids)?, ask: best(&asks)? }));
    }
    if id.is_none() && checksum.is_none() {
        return Err("nothing would show a gap");
    }
    let message = match (action, id, previous) {
        (Some("snapshot"), id, _) => Message::Snapshot { id: id.unwrap_or(0), version: id.unwrap_or(0), checksum },
        (Some("update"), Some(id), Some(previous)) => {
            Message::Depth(Span { checksum, ..Span::exactly_after(previous, id) })
        }
        (Some("update"), None, _) => {
            Message::Depth(Span { first_id: 0, last_id: 0, join: Join::Unnumbered, version: 0, checksum })
        }
        _ => return Err("no action, or no link"),
    };
    Ok(Said::book(message, bids, asks))
}

/// `GET /api/v5/market/books`.
pub fn snapshot(json: &Json) -> Body {
    let [row] = json.list("data")? else { return Err("not one row") };
    if json.text("code")? != Some("0") {
        return Err("no success");
    }
    Ok((row.id("seqId")?, row.levels("bids")?, row.levels("asks")?))
}
