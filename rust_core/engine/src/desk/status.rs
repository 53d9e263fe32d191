//! The desk on one page, as JSON: what every view shows.

use serde_json::{Value, json};

use crate::desk::permit::trust;
use crate::desk::{Desk, OpenOrder};
use crate::latency::{Histogram, Signed};
use crate::units::{Now, Price, SECOND_NS, Side, format_decimal};
use crate::view::TopOfBook;

/// Builds the page. Decimals are text, times are ns, slippage is in basis points.
pub fn status(desk: &Desk, now: Now, top: &TopOfBook) -> Value {
    let state = &desk.state;
    let mark = state.closing_price(top);
    json!({
        "profile": state.profile,
        "runs": state.runs,
        "seed": state.seed,
        "seq": state.seq,
        "position": state.ledger.position,
        "entry": state.ledger.entry(state.instrument.tick),
        "cash": state.ledger.cash,
        "cost": state.ledger.cost,
        "realised": state.ledger.realised,
        "unrealised": unrealised(desk, mark),
        "fees": state.ledger.fees,
        "equity": state.ledger.equity(mark),
        "day": day(desk, mark),
        "halted": state.halted,
        "loss_latched": state.loss_latched,
        "clock_suspect": state.clock_suspect,
        "attempts_capped": desk.attempts_capped,
        "permit": {
            "journal": desk.health.journal,
            "executor": desk.health.executor,
            "book": trust(top, now, state.limits.stale_after_ns),
        },
        "limits": state.limits,
        "instrument": state.instrument,
        "room": room(desk, now, mark),
        "counts": {
            "accepted": state.counts.accepted,
            "refused": state.counts.refused,
            "filled": state.counts.filled,
            "canceled": state.counts.canceled,
            "open": state.orders.count(),
        },
        "duplicates": desk.duplicates,
        "last_refusal": state.last_refusal,
        "open_orders": state.orders.iter().map(order).collect::<Vec<_>>(),
        "latency": {"execution": quantiles(&state.execution), "total": quantiles(&state.total)},
        "slippage_bps": slippage(&state.slippage),
    })
}

fn unrealised(desk: &Desk, mark: Option<Price>) -> Value {
    match (desk.state.ledger.position.0, mark) {
        (0, _) => json!("0"),
        (_, Some(mark)) => json!(desk.state.ledger.unrealised(mark)),
        (_, None) => Value::Null,
    }
}

fn day(desk: &Desk, mark: Option<Price>) -> Value {
    let loss = desk.state.day_loss(mark).0;
    json!({"number": desk.state.day, "start_equity": desk.state.day_start, "pnl": format_decimal(-loss, 16)})
}

fn room(desk: &Desk, now: Now, mark: Option<Price>) -> Value {
    let limits = &desk.state.limits;
    let used = i64::try_from(desk.state.recent.within(now, SECOND_NS).count()).unwrap_or(i64::MAX);
    let loss = desk.state.day_loss(mark).0.max(0);
    json!({
        "buy": desk.room(Side::Buy),
        "sell": desk.room(Side::Sell),
        "orders_now": (i64::from(limits.orders_per_second) - used).max(0),
        "daily_loss": format_decimal(if desk.state.loss_latched { 0 } else { (limits.daily_loss.0 - loss).max(0) }, 16),
    })
}

fn order(open: &OpenOrder) -> Value {
    json!({
        "order": open.order,
        "side": open.request.side,
        "quantity": open.request.quantity,
        "filled": open.filled,
        "limit": open.request.limit,
        "tif": open.request.tif,
        "reduce": open.request.reduce,
        "client_id": open.request.client_id,
        "state": open.state,
        "canceling": open.cancel,
    })
}

/// p50, p90, p99, p99.9, max and count of a latency histogram, ns.
pub fn quantiles(histogram: &Histogram) -> Value {
    let row = histogram.summary();
    json!({
        "p50_ns": row.p50, "p90_ns": row.p90, "p99_ns": row.p99, "p999_ns": row.p999, "max_ns": row.max, "count": row.count,
    })
}

fn slippage(signed: &Signed) -> Value {
    let bps = |thousandths: i64| format_decimal(i128::from(thousandths), 3);
    let row = signed.summary();
    json!({
        "p50": bps(row.p50), "p90": bps(row.p90), "p99": bps(row.p99), "p999": bps(row.p999), "max": bps(row.max), "count": row.count,
    })
}
