//! The life of an order after its acceptance: what a report of the executor does to it, whatever came before.
//!
//! Accepted → Pending → Sent → (Unknown ⇄ Resting) → exactly one of Filled, Canceled, Rejected, Expired.
//!
//! | the order | resting | unknown | filled | ended |
//! |---|---|---|---|---|
//! | was never given | fault | fault | stray: FOREIGN_FILL | fault |
//! | Pending | fault | fault | stray: FILL_BEFORE_RELEASE | fault |
//! | Sent | rests | unknown | fills | ends |
//! | Unknown | rests | old news | fills; Sent, if some is left | ends |
//! | Resting | old news | unknown | fills | ends |
//! | has ended | old news | old news | stray: FILL_AFTER_END | old news |
//!
//! - Old news writes nothing and is counted in [`Desk::duplicates`](crate::desk::Desk). So is a fill all of whose trades
//!   were booked before; of any other fill only the new trades count. Trades without an id are always new.
//! - A stray is booked like any other trade, so that position and money stay the venue's; it takes nothing from a
//!   reservation, and it stops trading under its code. So does what a fill has beyond the open quantity (OVERFILL: the
//!   order completes by what was open), and a fill on the other side than the order's (WRONG_SIDE).
//! - A fault changes no order and no money, and stops trading with the cause EXECUTOR. An order that may not rest and is
//!   said to, and a fill with figures that no market has, are faults too.
//! - "No answer" is never "failed": an Unknown order keeps its reservation until the venue's record says otherwise. A new
//!   process knows no more of a venue with a memory: what may have left is Unknown then, also where the journal ends
//!   before the order's leaving.

use crate::desk::decide::{Outcome, cancel_where};
use crate::desk::event::{End, Ended, Event, Halt, Rested, Stray, StrayCause, Tif, Trade, Unanswered};
use crate::desk::orders::{OpenOrder, Phase};
use crate::desk::receipt::{Execution, Report, Sums, filled};
use crate::desk::{Seen, State, TradeId};
use crate::ledger::Ledger;
use crate::risk::Reason;
use crate::units::{E8, Money, Now, Qty, Side};

/// A report of more than ten million coins is broken; far below it, no sum of ours overflows at any price.
const MOST: i64 = 10_000_000 * E8;

/// Where an order stands when a report meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// No number of this desk.
    Never,
    Open(Phase),
    Ended,
}

/// What a report does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// The order goes on, or ends, as reported.
    Applies,
    OldNews,
    Stray(StrayCause),
    /// It cannot be true; why.
    Fault(&'static str),
}

/// The table above.
fn effect(standing: Standing, report: &Report) -> Effect {
    use Report::{Ended, Filled, Resting, Unknown};
    match (standing, report) {
        (Standing::Open(Phase::Sent | Phase::Unknown), Resting { .. })
        | (Standing::Open(Phase::Sent | Phase::Resting), Unknown { .. })
        | (Standing::Open(Phase::Sent | Phase::Unknown | Phase::Resting), Filled(_) | Ended { .. }) => Effect::Applies,
        (Standing::Open(Phase::Resting), Resting { .. })
        | (Standing::Open(Phase::Unknown), Unknown { .. })
        | (Standing::Ended, Resting { .. } | Unknown { .. } | Ended { .. }) => Effect::OldNews,
        (Standing::Never, Filled(_)) => Effect::Stray(StrayCause::ForeignFill),
        (Standing::Open(Phase::Pending), Filled(_)) => Effect::Stray(StrayCause::FillBeforeRelease),
        (Standing::Ended, Filled(_)) => Effect::Stray(StrayCause::FillAfterEnd),
        (Standing::Never, Resting { .. } | Unknown { .. } | Ended { .. }) => Effect::Fault("was never given"),
        (Standing::Open(Phase::Pending), Resting { .. } | Unknown { .. } | Ended { .. }) => {
            Effect::Fault("has not left")
        }
    }
}

/// Writes what follows from a report. Total: no report, however wrong, panics.
pub(super) fn report(state: &State, report: &Report, now: Now, events: &mut Vec<Event>) -> Outcome {
    match report {
        Report::Filled(execution) => return fill(state, report, &fresh(&state.trades, execution), now, events),
        Report::Resting { order } | Report::Unknown { order } | Report::Ended { order, .. } => {
            match effect(standing(state, Some(*order)), report) {
                Effect::Applies => apply(state, *order, report, events),
                Effect::OldNews => return Outcome::Duplicate,
                Effect::Fault(why) => fault(state, format!("order {order} {}, but {why}", said(report)), events),
                Effect::Stray(cause) => unreachable!("{cause:?} without a fill"),
            }
        }
    }
    Outcome::Done
}

fn standing(state: &State, order: Option<u64>) -> Standing {
    let given = order.filter(|order| (1..=state.orders.newest).contains(order));
    let open = given.and_then(|order| state.orders.get(order));
    match (given, open) {
        (None, _) => Standing::Never,
        (Some(_), None) => Standing::Ended,
        (Some(_), Some(open)) => Standing::Open(open.state),
    }
}

fn said(report: &Report) -> &'static str {
    match report {
        Report::Resting { .. } => "is reported resting",
        Report::Unknown { .. } => "is reported without an answer",
        Report::Filled(_) => "is reported filled",
        Report::Ended { .. } => "is reported ended",
    }
}

fn apply(state: &State, order: u64, report: &Report, events: &mut Vec<Event>) {
    let open = state.orders.get(order).unwrap_or_else(|| panic!("order {order} is open"));
    let OpenOrder { request, .. } = open;
    let (side, quantity, limit) = (request.side, open.remaining(), request.limit);
    match report {
        Report::Resting { .. } if request.tif == Tif::Ioc => {
            fault(state, format!("order {order} {}, but may not rest", said(report)), events);
        }
        Report::Resting { .. } => events.push(Event::Resting(Rested { order, side, quantity, limit })),
        Report::Unknown { .. } => events.push(unanswered(open)),
        Report::Ended { state, reason, .. } => events.push(ended(open, *state, *reason)),
        Report::Filled(_) => unreachable!("fills have a way of their own"),
    }
}

/// The execution without the trades that were booked before.
fn fresh(seen: &Seen, execution: &Execution) -> Execution {
    let mut kept = Vec::with_capacity(execution.trades.len());
    for trade in &execution.trades {
        let booked = |id: TradeId| seen.contains(id.as_str()) || kept.iter().any(|kept: &Trade| kept.id == Some(id));
        if !trade.id.is_some_and(booked) {
            kept.push(*trade);
        }
    }
    part(execution, kept)
}

/// The execution with some of its trades. What the levels cost is known of the whole alone: a part counts at its own cost.
fn part(whole: &Execution, trades: Vec<Trade>) -> Execution {
    let own = || Money(trades.iter().map(|trade| trade.price.times(trade.quantity).0).sum());
    let level_cost = if trades == whole.trades { whole.level_cost } else { own() };
    Execution { trades, level_cost, ..whole.clone() }
}

fn fill(state: &State, report: &Report, execution: &Execution, now: Now, events: &mut Vec<Event>) -> Outcome {
    if execution.trades.is_empty() {
        return Outcome::Duplicate;
    }
    let named = execution.order.map_or("no order".into(), |order| format!("order {order}"));
    if !possible(&state.ledger, execution) {
        fault(state, format!("{named} {}, but with impossible figures", said(report)), events);
        return Outcome::Done;
    }
    match (effect(standing(state, execution.order), report), execution.order.and_then(|order| state.orders.get(order)))
    {
        (Effect::Applies, Some(open)) if open.request.side == execution.side => {
            fill_open(state, open, execution, now, events);
        }
        (Effect::Applies, _) => stray(state, state.ledger, StrayCause::WrongSide, execution, events),
        (Effect::Stray(cause), _) => stray(state, state.ledger, cause, execution, events),
        (effect @ (Effect::OldNews | Effect::Fault(_)), _) => unreachable!("a fill is {effect:?}"),
    }
    Outcome::Done
}

/// Figures that no sum of ours overflows on, and that the ledger can book.
fn possible(ledger: &Ledger, execution: &Execution) -> bool {
    let money = |amount: Money| (0..=i128::from(i64::MAX) * i128::from(MOST)).contains(&amount.0);
    let sane = |trade: &Trade| trade.price.0 > 0 && (1..=MOST).contains(&trade.quantity.0) && money(trade.fee);
    let quantity: i128 = execution.trades.iter().map(|trade| i128::from(trade.quantity.0)).sum();
    let position = i128::from(ledger.position.0) + i128::from(execution.side.sign()) * quantity;
    execution.trades.iter().all(sane)
        && quantity <= MOST.into()
        && position.abs() <= 100 * i128::from(MOST)
        && money(execution.level_cost)
        && execution.bid.0 >= 0
        && execution.ask.0 >= 0
}

/// A fill of an open order. What is beyond the open quantity is a stray.
fn fill_open(state: &State, open: &OpenOrder, execution: &Execution, now: Now, events: &mut Vec<Event>) {
    let (inside, beyond) = split(&execution.trades, open.remaining());
    let inside = part(execution, inside);
    events.push(Event::Filled(Box::new(filled(state, open, &inside, now))));
    if !beyond.is_empty() {
        let mut ledger = state.ledger;
        Sums::of(&mut ledger, execution.side, &inside.trades);
        stray(state, ledger, StrayCause::Overfill, &part(execution, beyond), events);
    }
}

/// Trades up to a quantity, and the rest. The fee of a trade that is cut goes whole with its first part.
fn split(trades: &[Trade], open: Qty) -> (Vec<Trade>, Vec<Trade>) {
    let (mut inside, mut beyond, mut left) = (Vec::with_capacity(trades.len()), Vec::new(), open.0);
    for trade in trades {
        let first = trade.quantity.0.min(left);
        let rest = Qty(trade.quantity.0 - first);
        left -= first;
        if first > 0 {
            inside.push(Trade { quantity: Qty(first), ..*trade });
        }
        if rest.0 > 0 {
            let fee = if first > 0 { Money(0) } else { trade.fee };
            beyond.push(Trade { quantity: rest, fee, ..*trade });
        }
    }
    (inside, beyond)
}

/// Books trades that no open order accounts for, on the ledger as it will be, and stops trading.
fn stray(state: &State, mut ledger: Ledger, cause: StrayCause, execution: &Execution, events: &mut Vec<Event>) {
    let Execution { order, side, ref trades, .. } = *execution;
    let sums = Sums::of(&mut ledger, side, trades);
    let Sums { quantity, cost, fee, realised } = sums;
    let (average, trades) = (sums.average(), trades.clone());
    events.push(Event::Stray(Box::new(Stray { order, side, quantity, trades, cost, average, realised, fee, cause })));
    let word = if side == Side::Buy { "buy" } else { "sell" };
    let what = format!("{word} of {quantity} {}", state.assets().base);
    let detail = match order {
        None => format!("{what}, which names no order"),
        Some(order) => format!("{what} of order {order}, {}", why(cause)),
    };
    let complete = order.filter(|_| cause == StrayCause::Overfill);
    halt(state, cause.code(), detail, complete.as_slice(), events);
}

fn why(cause: StrayCause) -> &'static str {
    match cause {
        StrayCause::Overfill => "beyond what was open",
        StrayCause::FillAfterEnd => "which had ended",
        StrayCause::FillBeforeRelease => "which had not left",
        StrayCause::ForeignFill => "which this desk never gave",
        StrayCause::WrongSide => "which is on the other side",
    }
}

fn fault(state: &State, detail: String, events: &mut Vec<Event>) {
    halt(state, "EXECUTOR".into(), detail, &[], events);
}

/// Stops trading and asks for the end of every open order but those that the events before end.
fn halt(state: &State, cause: String, detail: String, complete: &[u64], events: &mut Vec<Event>) {
    if state.halted.is_none() {
        events.push(Event::Halted(Halt { cause, detail }));
    }
    cancel_where(state, Reason::Halted, complete, events);
}

/// A new process: what a venue without a memory did not have at rest has ended. With a memory nothing ends; what left,
/// or may have left after the journal's last word, is unknown.
pub(super) fn take_up(state: &State, memory: bool, events: &mut Vec<Event>) {
    events.extend(state.orders.iter().filter_map(|open| match (memory, open.state) {
        (false, Phase::Resting) if open.cancel.is_none() => None,
        (false, Phase::Pending | Phase::Sent | Phase::Unknown | Phase::Resting) => {
            Some(ended(open, End::Canceled, open.cancel.unwrap_or(Reason::Restart)))
        }
        (true, Phase::Pending | Phase::Sent) => Some(unanswered(open)),
        (true, Phase::Unknown | Phase::Resting) => None,
    }));
}

fn unanswered(open: &OpenOrder) -> Event {
    Event::Unknown(Unanswered { order: open.order, side: open.request.side, quantity: open.remaining() })
}

/// The event of an order that ends without being complete.
pub(super) fn ended(open: &OpenOrder, state: End, reason: Reason) -> Event {
    let OpenOrder { order, request, filled, .. } = *open;
    Event::Ended(Ended { order, side: request.side, quantity: request.quantity, filled, state, reason })
}
