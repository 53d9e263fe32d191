//! Open orders and the exposure that they reserve.

use serde::Serialize;

use crate::desk::accepted::Accepted;
use crate::desk::event::{OrderRequest, Tif};
use crate::risk::Reason;
use crate::units::{Money, Now, Price, Qty, Side};

/// Most orders that may be open at once; the executor's queue is at least as long.
pub const OPEN_MAX: usize = 1_024;

/// Where an open order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Accepted; its intent may not be durable yet.
    Pending,
    /// Left for the venue.
    Sent,
    /// Left, or may have left, and no answer came. Only a record of the venue leads out.
    Unknown,
    /// Rests in the venue's book.
    Resting,
}

/// An order without an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OpenOrder {
    /// Number of the order.
    pub order: u64,
    /// What was asked for.
    #[serde(flatten)]
    pub request: OrderRequest,
    /// Quantity filled so far, below `request.quantity`.
    pub filled: Qty,
    /// Cost of what was filled so far.
    pub cost: Money,
    /// Where it is.
    pub state: Phase,
    /// Why a cancel was asked for, if one was.
    pub cancel: Option<Reason>,
    /// Best bid at the decision.
    pub bid: Price,
    /// Best ask at the decision.
    pub ask: Price,
    /// Time of the decision.
    pub accepted: Now,
    /// Number of the event that accepted it.
    pub intent: u64,
    /// Time of leaving for the venue.
    pub released: Option<Now>,
}

impl OpenOrder {
    /// Quantity still open, > 0.
    pub fn remaining(&self) -> Qty {
        Qty(self.request.quantity.0 - self.filled.0)
    }
}

/// All open orders by number, and the sum of their open quantity on each side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Orders {
    open: Vec<OpenOrder>,
    /// Open buys: pending, sent, unknown and resting.
    pub buys: Qty,
    /// Open sells: pending, sent, unknown and resting.
    pub sells: Qty,
    /// Open orders that must reduce the position.
    pub reducing: usize,
    /// Highest limit of the open buys that may rest.
    #[serde(skip)]
    highest_buy: Option<Price>,
    /// Lowest limit of the open sells that may rest.
    #[serde(skip)]
    lowest_sell: Option<Price>,
    /// Number of the newest order; 0 before the first.
    pub newest: u64,
}

impl Default for Orders {
    fn default() -> Orders {
        Orders {
            open: Vec::with_capacity(OPEN_MAX),
            buys: Qty(0),
            sells: Qty(0),
            reducing: 0,
            highest_buy: None,
            lowest_sell: None,
            newest: 0,
        }
    }
}

impl Orders {
    /// Every open order, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &OpenOrder> {
        self.open.iter()
    }

    /// Number of open orders, ≤ [`OPEN_MAX`].
    pub fn count(&self) -> usize {
        self.open.len()
    }

    /// The open order of that number.
    pub fn get(&self, order: u64) -> Option<&OpenOrder> {
        self.index(order).map(|index| &self.open[index])
    }

    /// Open quantity on `side`.
    pub fn reserved(&self, side: Side) -> Qty {
        match side {
            Side::Buy => self.buys,
            Side::Sell => self.sells,
        }
    }

    /// The best limit of the open orders of `side` that rest or may come to rest.
    pub fn best_resting(&self, side: Side) -> Option<Price> {
        match side {
            Side::Buy => self.highest_buy,
            Side::Sell => self.lowest_sell,
        }
    }

    /// Takes in an accepted order and reserves its quantity.
    pub fn add(&mut self, accepted: &Accepted, now: Now, intent: u64) {
        assert!(self.open.len() < OPEN_MAX, "{} open orders", self.open.len());
        assert!(accepted.order > self.newest, "order {} after {}", accepted.order, self.newest);
        self.newest = accepted.order;
        self.reserve(accepted.request.side, accepted.request.quantity.0);
        self.reducing += usize::from(accepted.request.reduce);
        self.open.push(OpenOrder {
            order: accepted.order,
            request: accepted.request,
            filled: Qty(0),
            cost: Money(0),
            state: Phase::Pending,
            cancel: None,
            bid: accepted.bid,
            ask: accepted.ask,
            accepted: now,
            intent,
            released: None,
        });
        if accepted.request.tif == Tif::Gtc {
            self.note_resting(accepted.request.side);
        }
    }

    /// Finds the best resting limit of a side anew: O(open orders), only where a resting order comes or goes.
    fn note_resting(&mut self, side: Side) {
        let may_rest = |open: &&OpenOrder| open.request.side == side && open.request.tif == Tif::Gtc;
        let limits = self.open.iter().filter(may_rest).filter_map(|open| open.request.limit);
        match side {
            Side::Buy => self.highest_buy = limits.max(),
            Side::Sell => self.lowest_sell = limits.min(),
        }
    }

    /// The open order of that number, for a change. Panics if it is not open: events name only open orders.
    pub fn get_mut(&mut self, order: u64) -> &mut OpenOrder {
        let index = self.index(order).unwrap_or_else(|| panic!("order {order} is not open"));
        &mut self.open[index]
    }

    /// Books a fill: the reservation of what was filled is released; a complete order leaves the table. A fill shows that
    /// the venue has the order: it is unknown no longer.
    pub fn fill(&mut self, order: u64, quantity: Qty, cost: Money) -> OpenOrder {
        let open = self.get_mut(order);
        assert!(quantity.0 > 0 && quantity <= open.remaining(), "fill of {quantity}, open {}", open.remaining());
        open.filled.0 += quantity.0;
        open.cost.0 += cost.0;
        if open.state == Phase::Unknown {
            open.state = Phase::Sent;
        }
        let after = *open;
        self.reserve(after.request.side, -quantity.0);
        if after.remaining().0 == 0 {
            self.remove(order);
        }
        after
    }

    /// Removes an order that ended and releases the rest of its reservation.
    pub fn end(&mut self, order: u64) -> OpenOrder {
        let ended = self.remove(order);
        self.reserve(ended.request.side, -ended.remaining().0);
        ended
    }

    fn remove(&mut self, order: u64) -> OpenOrder {
        let index = self.index(order).unwrap_or_else(|| panic!("order {order} is not open"));
        let removed = self.open.remove(index);
        self.reducing -= usize::from(removed.request.reduce);
        if removed.request.tif == Tif::Gtc {
            self.note_resting(removed.request.side);
        }
        removed
    }

    fn reserve(&mut self, side: Side, change: i64) {
        let reserved = match side {
            Side::Buy => &mut self.buys,
            Side::Sell => &mut self.sells,
        };
        reserved.0 += change;
        assert!(reserved.0 >= 0, "reserved {reserved} after a change of {change}");
    }

    fn index(&self, order: u64) -> Option<usize> {
        self.open.binary_search_by_key(&order, |open| open.order).ok()
    }
}
