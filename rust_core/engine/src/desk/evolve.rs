//! How each event changes the state. Decides nothing: live and replayed state go through the same lines.

use crate::control::Control;
use crate::desk::State;
use crate::desk::event::{Event, Filled, Started, Stray, StrayCause, Trade};
use crate::desk::orders::Phase;
use crate::desk::receipt::since;
use crate::units::{Money, Now, Qty, Side};

/// Applies one event. Panics if the event contradicts the state: that is our fault, never the market's.
pub fn evolve(state: &mut State, event: &Event, now: Now) {
    state.seq += 1;
    match event {
        Event::Opened(opened) => state.profile = Some(opened.profile.clone()),
        Event::Started(started) => start(state, started, now),
        Event::Accepted(accepted) => {
            state.orders.add(accepted, now, state.seq);
            state.recent.add(now, accepted.request.anonymous());
            state.counts.accepted += 1;
            if let Some(id) = accepted.request.client_id {
                let new = state.client_ids.insert(id.as_str());
                assert!(new || !Control::DuplicateId.on(), "client id {id:?} was used before");
            }
        }
        Event::Refused(refused) => {
            state.refusals.add(now, ());
            state.counts.refused += 1;
            state.last_refusal = Some(refused.sentence.clone());
        }
        Event::Released { order } => {
            let open = state.orders.get_mut(*order);
            assert!(open.state == Phase::Pending, "order {order} left twice");
            (open.state, open.released) = (Phase::Sent, Some(now));
        }
        Event::Resting(rested) => {
            let open = state.orders.get_mut(rested.order);
            assert!(matches!(open.state, Phase::Sent | Phase::Unknown), "order {} rests", rested.order);
            open.state = Phase::Resting;
        }
        Event::Unknown(unanswered) => lose_sight(state, unanswered.order),
        Event::Filled(filled) => fill(state, filled, now),
        Event::Stray(stray) => take_stray(state, stray),
        Event::CancelRequested { order, reason } => state.orders.get_mut(*order).cancel = Some(*reason),
        Event::Ended(ended) => {
            let open = state.orders.end(ended.order);
            assert!(open.filled == ended.filled, "order {} ended with {} filled", ended.order, open.filled);
            state.counts.canceled += 1;
        }
        Event::Marked { price } => (state.mark, state.marked_ns) = (Some(*price), now.utc_ns),
        Event::DayStarted { day, start_equity } => start_day(state, *day, *start_equity),
        Event::LossLatched { loss, .. } => (state.loss_latched, state.latched_loss) = (true, *loss),
        Event::Halted(halt) => state.halted = Some(halt.clone()),
        Event::Resumed {} => {
            (state.halted, state.clock_suspect) = (None, false);
            state.refusals.clear();
        }
        Event::ClockJumped { .. } => state.clock_suspect = true,
        Event::LimitsChanged { new, .. } => assert!(**new == state.limits, "{new:?} are not in force"),
    }
}

fn start(state: &mut State, started: &Started, now: Now) {
    state.runs += 1;
    state.run_began = state.seq;
    (state.seed, state.limits, state.instrument) = (started.seed, started.limits, started.instrument);
    state.recent.rebase(now);
    state.refusals.rebase(now);
}

fn start_day(state: &mut State, day: i64, start_equity: Money) {
    assert!(state.day.is_none_or(|known| day > known), "day {day} after {:?}", state.day);
    (state.day, state.day_start) = (Some(day), start_equity);
    (state.loss_latched, state.latched_loss) = (false, Money(0));
}

/// An order of this run has left; one of an earlier run may have, without its leaving being journaled.
fn lose_sight(state: &mut State, order: u64) {
    let run_began = state.run_began;
    let open = state.orders.get_mut(order);
    let earlier = open.state == Phase::Pending && open.intent < run_began;
    assert!(earlier || matches!(open.state, Phase::Sent | Phase::Resting), "order {order} is out of sight");
    open.state = Phase::Unknown;
}

/// Books trades; returns their quantity and the profit that they realised. A trade is the newest price known; the next
/// mark of the clock replaces it at once.
fn book(state: &mut State, side: Side, trades: &[Trade]) -> (Qty, Money) {
    let (mut quantity, mut realised) = (0, 0);
    for trade in trades {
        quantity += trade.quantity.0;
        realised += state.ledger.apply(side, trade.price, trade.quantity, trade.fee).0;
    }
    (state.mark, state.marked_ns) = (trades.last().map(|trade| trade.price), 0);
    (Qty(quantity), Money(realised))
}

/// Uses the names of the trades up.
fn note(state: &mut State, trades: &[Trade]) {
    for id in trades.iter().filter_map(|trade| trade.id) {
        assert!(state.trades.insert(id.as_str()), "trade {id:?} counted twice");
    }
}

fn fill(state: &mut State, filled: &Filled, now: Now) {
    note(state, &filled.trades);
    let booked = book(state, filled.side, &filled.trades);
    assert!(booked == (filled.filled, filled.realised), "order {} booked {booked:?}", filled.order);
    let open = state.orders.fill(filled.order, filled.filled, filled.cost);
    assert!(open.request.side == filled.side && open.state != Phase::Pending, "order {} filled", filled.order);
    assert!(filled.done == (open.remaining().0 == 0), "order {} done {}", filled.order, filled.done);
    state.counts.filled += u64::from(filled.done);
    let mid = filled.decision_mid.times(filled.filled).0;
    if !filled.maker {
        let travelled = since(state, &open, open.released.unwrap_or(open.accepted), now);
        state.execution.record(u64::try_from(travelled).unwrap_or(0));
        state.total.record(u64::try_from(filled.elapsed_ns).unwrap_or(0));
        state.slippage.record(i64::try_from(filled.slippage.total.0 * 10_000_000 / mid.max(1)).unwrap_or(i64::MAX));
    }
}

fn take_stray(state: &mut State, stray: &Stray) {
    assert_cause(state, stray);
    // A trade that an order and its overfill share was named by the order's fill, right before.
    let shared = stray.cause == StrayCause::Overfill && names_known(state, &stray.trades[..1]);
    note(state, &stray.trades[usize::from(shared)..]);
    let booked = book(state, stray.side, &stray.trades);
    assert!(booked == (stray.quantity, stray.realised), "stray of order {:?} booked {booked:?}", stray.order);
}

fn names_known(state: &State, trades: &[Trade]) -> bool {
    trades.iter().all(|trade| trade.id.is_some_and(|id| state.trades.contains(id.as_str())))
}

/// The order that a stray names stands as its cause says.
fn assert_cause(state: &State, stray: &Stray) {
    let given = stray.order.filter(|order| (1..=state.orders.newest).contains(order));
    let open = given.and_then(|order| state.orders.get(order));
    let holds = match stray.cause {
        StrayCause::ForeignFill => given.is_none(),
        StrayCause::Overfill | StrayCause::FillAfterEnd => given.is_some() && open.is_none(),
        StrayCause::FillBeforeRelease => open.is_some_and(|open| open.state == Phase::Pending),
        StrayCause::WrongSide => {
            open.is_some_and(|open| open.state != Phase::Pending && open.request.side != stray.side)
        }
    };
    assert!(holds, "stray of order {:?} for {:?}", stray.order, stray.cause);
}
