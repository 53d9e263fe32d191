//! What an executor reports, and the receipt of a fill.

use crate::desk::State;
use crate::desk::event::{End, Filled, Slippage, Trade};
use crate::desk::orders::OpenOrder;
use crate::ledger::Ledger;
use crate::risk::Reason;
use crate::units::{Money, Now, Price, Qty, Side, div_half_even};

/// What an executor says of an order of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// It rests at its limit.
    Resting {
        /// The order.
        order: u64,
    },
    /// No answer came: a timeout, an error of the venue, a connection that died within the send.
    Unknown {
        /// The order.
        order: u64,
    },
    /// It was filled, in part or whole; or something else was, on the same account.
    Filled(Execution),
    /// It ended without being complete.
    Ended {
        /// The order.
        order: u64,
        /// How.
        state: End,
        /// Why.
        reason: Reason,
    },
}

/// A fill as the executor reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// The order, if the venue names one of ours.
    pub order: Option<u64>,
    /// The venue's side.
    pub side: Side,
    /// Prices taken, slippage included.
    pub trades: Vec<Trade>,
    /// What the same quantity cost at the levels' own prices.
    pub level_cost: Money,
    /// Best bid at arrival.
    pub bid: Price,
    /// Best ask at arrival.
    pub ask: Price,
    /// The order rested and was taken.
    pub maker: bool,
    /// Travel time, ns.
    pub delay_ns: i64,
}

/// The event of a fill: what was taken, how long it took, and where the cost came from.
pub fn filled(state: &State, open: &OpenOrder, execution: &Execution, now: Now) -> Filled {
    let sums = Sums::of(&mut { state.ledger }, open.request.side, &execution.trades);
    let Sums { quantity, cost, fee, realised } = sums;
    Filled {
        order: open.order,
        side: open.request.side,
        quantity: open.request.quantity,
        filled: quantity,
        done: quantity == open.remaining(),
        trades: execution.trades.clone(),
        cost,
        average: sums.average(),
        maker: execution.maker,
        decision_mid: mid(open.bid, open.ask),
        arrival_mid: mid(execution.bid, execution.ask),
        delay_ns: execution.delay_ns,
        elapsed_ns: elapsed_ns(state, open, now),
        slippage: slippage(open, execution, quantity, cost),
        drift: drift(state, open, cost),
        realised,
        fee,
    }
}

/// Since the decision.
fn elapsed_ns(state: &State, open: &OpenOrder, now: Now) -> i64 {
    since(state, open, open.accepted, now).max(0)
}

/// From a moment of the order's life to `now`, ns. The monotonic clock of an earlier run is not this one's, so its orders
/// go by UTC.
pub(super) fn since(state: &State, open: &OpenOrder, then: Now, now: Now) -> i64 {
    let this_run = open.intent > state.run_began;
    if this_run { now.mono_ns - then.mono_ns } else { now.utc_ns - then.utc_ns }
}

fn mid(bid: Price, ask: Price) -> Price {
    Price(i64::try_from(div_half_even(i128::from(bid.0) + i128::from(ask.0), 2)).unwrap_or(i64::MAX))
}

/// Splits the cost beyond the decision's mid. The parts are differences of one chain, so they add up exactly.
fn slippage(open: &OpenOrder, execution: &Execution, quantity: Qty, cost: Money) -> Slippage {
    let sign = i128::from(open.request.side.sign());
    let best = if open.request.side == Side::Buy { execution.ask } else { execution.bid };
    let at = |price: Price| price.times(quantity).0;
    let (decided, arrived) = (at(mid(open.bid, open.ask)), at(mid(execution.bid, execution.ask)));
    let part = |worse: i128, better: i128| Money((worse - better) * sign);
    Slippage {
        total: part(cost.0, decided),
        spread: part(at(best), arrived),
        depth: part(execution.level_cost.0, at(best)),
        delay: part(arrived, decided),
        model: part(cost.0, execution.level_cost.0),
    }
}

/// A limit that held at the decision and that the market has moved the order over.
fn drift(state: &State, open: &OpenOrder, cost: Money) -> Option<Reason> {
    (open.cost.0 + cost.0 > state.limits.order_notional.0).then_some(Reason::NotionalExceedsMax)
}

/// What trades add up to.
pub(super) struct Sums {
    pub(super) quantity: Qty,
    pub(super) cost: Money,
    pub(super) fee: Money,
    pub(super) realised: Money,
}

impl Sums {
    /// Books trades in a ledger of the caller's own and adds them up.
    pub(super) fn of(ledger: &mut Ledger, side: Side, trades: &[Trade]) -> Sums {
        let mut sums = Sums { quantity: Qty(0), cost: Money(0), fee: Money(0), realised: Money(0) };
        for trade in trades {
            sums.quantity.0 += trade.quantity.0;
            sums.cost.0 += trade.price.times(trade.quantity).0;
            sums.fee.0 += trade.fee.0;
            sums.realised.0 += ledger.apply(side, trade.price, trade.quantity, trade.fee).0;
        }
        sums
    }

    /// `cost ÷ quantity`, half-even.
    pub(super) fn average(&self) -> Price {
        Price(i64::try_from(div_half_even(self.cost.0, self.quantity.0.into())).unwrap_or(i64::MAX))
    }
}
