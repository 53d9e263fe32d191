//! Every decision of the desk. Reads the state, writes events, changes nothing.

use crate::control::Control;
use crate::desk::event::{End, Event, Halt, Opened, OrderRequest, Refused, Started};
use crate::desk::judge::verdict;
use crate::desk::lives::{self, ended};
use crate::desk::orders::{OpenOrder, Phase};
use crate::desk::receipt::Report;
use crate::desk::{Desk, State, permit};
use crate::limits::RUNAWAY_NS;
use crate::risk::{Breaches, Reason};
use crate::units::{Money, Now, Qty, SECOND_NS, Side, format_decimal};
use crate::view::View;

/// How often an open position is marked in the journal.
const MARK_EVERY_NS: i64 = 60 * SECOND_NS;

/// What the desk can be asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // the payloads are documented
pub enum Command {
    /// The first event of a journal.
    Open(Opened),
    /// A process takes up the journal: orders that no venue remembers end.
    Start(Box<Started>),
    /// The wall clock moved by this against the monotonic one, more than clocks drift.
    ClockJump {
        by_ns: i64,
    },
    /// Begins the UTC day of `now`, if it is a new one.
    NewDay,
    /// Asks for the end of orders that must reduce the position and, with all others counted, no longer would.
    EndSuperfluous,
    Submit(OrderRequest),
    /// Asks for the end of one open order.
    Cancel {
        order: u64,
        reason: Reason,
    },
    /// Asks for the end of every open order.
    CancelAll {
        reason: Reason,
    },
    /// Right before sending: the permit is asked again.
    Release {
        order: u64,
    },
    Report(Report),
    /// Values the position; alone it can trip the loss latch.
    Mark,
    Halt(Halt),
    Resume,
}

/// The answer to a command, at once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // the payloads are documented
pub enum Outcome {
    /// Done, or nothing to do.
    Done,
    Accepted {
        order: u64,
    },
    Refused(Box<Refused>),
    /// A cancel named an order that is not open.
    NotOpen {
        order: u64,
    },
    /// The order may be sent.
    Released,
    /// A report told nothing new; nothing was written.
    Duplicate,
    /// The order may not be sent and has ended.
    Withheld(Reason),
}

/// Decides `command` and writes what follows from it.
pub fn decide(desk: &Desk, command: &Command, now: Now, view: &View, events: &mut Vec<Event>) -> Outcome {
    match command {
        Command::Open(opened) => events.push(Event::Opened(opened.clone())),
        Command::Start(started) => start(&desk.state, started, events),
        Command::ClockJump { by_ns } => clock_jump(&desk.state, *by_ns, events),
        Command::NewDay => new_day(&desk.state, now, events),
        Command::EndSuperfluous => end_superfluous(&desk.state, events),
        Command::Submit(request) => return submit(desk, request, now, view, events),
        Command::Cancel { order, reason } => return cancel(&desk.state, *order, *reason, events),
        Command::CancelAll { reason } => cancel_where(&desk.state, *reason, &[], events),
        Command::Release { order } => return release(desk, *order, now, view, events),
        Command::Report(report) => return lives::report(&desk.state, report, now, events),
        Command::Mark => mark(desk, now, view, events),
        Command::Halt(halt) => stop(&desk.state, halt, events),
        Command::Resume => resume(&desk.state, events),
    }
    Outcome::Done
}

/// The rules of this run, then what became of the orders of the last.
fn start(state: &State, started: &Started, events: &mut Vec<Event>) {
    events.push(Event::Started(Box::new(started.clone())));
    if state.runs > 0 && state.limits != started.limits {
        events.push(Event::LimitsChanged { old: Box::new(state.limits), new: Box::new(started.limits) });
    }
    lives::take_up(state, started.memory, events);
    make_up(state, started.memory, events);
}

/// A run that failed or was killed may have saved a jump of the clock without its halt, or a halt without the requests
/// that follow from it: this run writes them. Only an order that must reduce rests under a halt by right.
fn make_up(state: &State, memory: bool, events: &mut Vec<Event>) {
    if state.clock_suspect && state.halted.is_none() {
        events.push(Event::Halted(Halt::new("CLOCK", "the wall clock had jumped when the last run ended")));
    }
    if state.clock_suspect || state.halted.is_some() {
        let stays = |open: &&OpenOrder| open.request.reduce || !(memory || open.state == Phase::Resting);
        let kept: Vec<u64> = state.orders.iter().filter(stays).map(|open| open.order).collect();
        cancel_where(state, Reason::Halted, &kept, events);
    }
}

/// A wall clock that jumps could reopen a day: trading halts, and no day begins until a person resumes.
fn clock_jump(state: &State, by_ns: i64, events: &mut Vec<Event>) {
    if state.clock_suspect || !Control::ClockJump.on() {
        return;
    }
    events.push(Event::ClockJumped { by_ns });
    let by = format_decimal(by_ns.into(), 9);
    stop(state, &Halt::new("CLOCK", format!("the wall clock jumped by {by} s against the monotonic clock")), events);
}

/// The day never goes back, nor on by a clock that is not trusted. It starts at the equity of the newest journaled mark.
fn new_day(state: &State, now: Now, events: &mut Vec<Event>) {
    let day = now.utc_day();
    if state.profile.is_some() && !state.clock_suspect && state.day.is_none_or(|known| day > known) {
        let closed = Money(state.ledger.realised.0 - state.ledger.fees.0);
        let start_equity = state.ledger.equity(state.mark).unwrap_or(closed);
        events.push(Event::DayStarted { day, start_equity });
    }
}

fn submit(desk: &Desk, request: &OrderRequest, now: Now, view: &View, events: &mut Vec<Event>) -> Outcome {
    match verdict(desk, request, now, view) {
        Ok(accepted) => {
            events.push(Event::Accepted(accepted));
            Outcome::Accepted { order: accepted.order }
        }
        Err(refused) => {
            events.push(Event::Refused(refused.clone()));
            runaway(&desk.state, now, events);
            Outcome::Refused(refused)
        }
    }
}

/// Too many refusals in a row are a program gone wrong: the one just written may be the last.
fn runaway(state: &State, now: Now, events: &mut Vec<Event>) {
    let limit = state.limits.runaway_refusals;
    let before = state.refusals.within(now, RUNAWAY_NS).count();
    if before + 1 >= limit as usize && state.halted.is_none() && Control::Runaway.on() {
        let seconds = RUNAWAY_NS / SECOND_NS;
        stop(state, &Halt::new("RUNAWAY", format!("{limit} refusals in {seconds} s")), events);
    }
}

fn cancel(state: &State, order: u64, reason: Reason, events: &mut Vec<Event>) -> Outcome {
    let Some(open) = state.orders.get(order) else { return Outcome::NotOpen { order } };
    if open.cancel.is_none() {
        events.push(Event::CancelRequested { order, reason });
    }
    Outcome::Done
}

/// Asks for the end of every open order whose number is not in `kept` (in order).
pub(super) fn cancel_where(state: &State, reason: Reason, kept: &[u64], events: &mut Vec<Event>) {
    let wanted = |open: &&OpenOrder| open.cancel.is_none() && kept.binary_search(&open.order).is_err();
    let requests = state.orders.iter().filter(wanted);
    events.extend(requests.map(|open| Event::CancelRequested { order: open.order, reason }));
}

/// The oldest open orders that together at most close the position.
fn closing_orders(state: &State) -> Vec<u64> {
    let mut closable = i128::from(state.ledger.position.0.abs());
    let closes = |open: &&OpenOrder| open.request.side.sign() * state.ledger.position.0.signum() < 0;
    let fits = |open: &&OpenOrder| {
        closable -= i128::from(open.remaining().0);
        closable >= 0
    };
    state.orders.iter().filter(closes).filter(fits).map(|open| open.order).collect()
}

/// An order marked to reduce must do so with all others of its side counted before it, the oldest marked ones first.
fn end_superfluous(state: &State, events: &mut Vec<Event>) {
    for side in [Side::Buy, Side::Sell] {
        let marked = || state.orders.iter().filter(|open| open.request.reduce && open.request.side == side);
        let mut reserved = state.orders.reserved(side).0 - marked().map(|open| open.remaining().0).sum::<i64>();
        for open in marked() {
            let still = permit::reduces(state.ledger.position, Qty(reserved), side, open.remaining());
            reserved += open.remaining().0;
            if !still && open.cancel.is_none() && open.state != Phase::Pending {
                events.push(Event::CancelRequested { order: open.order, reason: Reason::NotReducing });
            }
        }
    }
}

fn release(desk: &Desk, order: u64, now: Now, view: &View, events: &mut Vec<Event>) -> Outcome {
    let state = &desk.state;
    let Some(open) = state.orders.get(order) else { return Outcome::NotOpen { order } };
    assert!(open.state == Phase::Pending, "order {order} was released before");
    let withheld = open.cancel.or_else(|| {
        let mut breaches = Breaches::default();
        let side = open.request.side;
        let others = Qty(state.orders.reserved(side).0 - open.remaining().0);
        let reducing = permit::reduces(state.ledger.position, others, side, open.remaining());
        if open.request.reduce && !reducing {
            breaches.flag(Reason::NotReducing);
        }
        permit::check(state, &desk.health, now, &view.top, open.request.reduce && reducing, &mut breaches);
        breaches.rows().first().map(|breach| breach.code)
    });
    match withheld {
        None => {
            events.push(Event::Released { order });
            Outcome::Released
        }
        Some(reason) => {
            events.push(ended(open, End::Canceled, reason));
            Outcome::Withheld(reason)
        }
    }
}

/// Values the position at its closing side: trips the loss latch, and journals the price once a minute and after a
/// fill. A book that cannot be traded on values nothing.
fn mark(desk: &Desk, now: Now, view: &View, events: &mut Vec<Event>) {
    let state = &desk.state;
    let trust = permit::trust(&view.top, now, state.limits.stale_after_ns);
    let Some(loss) = permit::loss_now(state, trust, &view.top) else { return };
    if !state.loss_latched && loss.0 >= state.limits.daily_loss.0 {
        let day = state.day.unwrap_or_else(|| now.utc_day());
        events.push(Event::LossLatched { day, loss });
        cancel_where(state, Reason::DailyLoss, &closing_orders(state), events);
    }
    if let Some(price) = state.closing_price(&view.top).filter(|_| state.ledger.position.0 != 0) {
        // A mark of a time that has not come is one of a clock that was set right since.
        if !(0..MARK_EVERY_NS).contains(&(now.utc_ns - state.marked_ns)) {
            events.push(Event::Marked { price });
        }
    }
}

/// Stops trading and asks for the end of every open order. The first cause stays until a person resumes.
fn stop(state: &State, halt: &Halt, events: &mut Vec<Event>) {
    if state.halted.is_none() {
        events.push(Event::Halted(halt.clone()));
    }
    cancel_where(state, Reason::Halted, &[], events);
}

fn resume(state: &State, events: &mut Vec<Event>) {
    if state.halted.is_some() {
        events.push(Event::Resumed {});
    }
}
