//! How each event changes the state. Decides nothing: live and replayed state go through the same lines.

use crate::control::Control;
use crate::desk::State;
use crate::desk::event::{Event, Filled, Started};
use crate::desk::orders::Phase;
use crate::units::{Money, Now};

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
        Event::Resting(rested) => state.orders.get_mut(rested.order).state = Phase::Resting,
        Event::Filled(filled) => fill(state, filled, now),
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

fn fill(state: &mut State, filled: &Filled, now: Now) {
    let mut realised = 0;
    for trade in &filled.trades {
        realised += state.ledger.apply(filled.side, trade.price, trade.quantity, trade.fee).0;
    }
    assert!(realised == filled.realised.0, "order {} realised {realised}", filled.order);
    let open = state.orders.fill(filled.order, filled.filled, filled.cost);
    assert!(filled.done == (open.remaining().0 == 0), "order {} done {}", filled.order, filled.done);
    state.counts.filled += u64::from(filled.done);
    // A trade is the newest price known; the next mark of the clock replaces it at once.
    (state.mark, state.marked_ns) = (filled.trades.last().map(|trade| trade.price), 0);
    let mid = filled.decision_mid.times(filled.filled).0;
    if !filled.maker {
        let travelled = now.mono_ns - open.released.map_or(open.accepted.mono_ns, |released| released.mono_ns);
        state.execution.record(u64::try_from(travelled).unwrap_or(0));
        state.total.record(u64::try_from(filled.elapsed_ns).unwrap_or(0));
        state.slippage.record(i64::try_from(filled.slippage.total.0 * 10_000_000 / mid.max(1)).unwrap_or(i64::MAX));
    }
}
