//! The event of an accepted order.

use serde::{Deserialize, Serialize};

use crate::desk::client_id::ClientId;
use crate::desk::event::{OrderRequest, Tif};
use crate::units::{Money, Price, Qty, Side};

/// An order passed every check and holds its reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "AcceptedText")]
pub struct Accepted {
    /// Number of the order, from 1, never reused.
    pub order: u64,
    /// The order.
    #[serde(flatten)]
    pub request: OrderRequest,
    /// What it would have cost at the decision.
    pub notional: Money,
    /// Best bid at the decision.
    pub bid: Price,
    /// Best ask at the decision.
    pub ask: Price,
}

/// [`Accepted`] as it is read: one flat object, which needs no second look at its fields.
#[derive(Deserialize)]
struct AcceptedText {
    order: u64,
    side: Side,
    quantity: Qty,
    limit: Option<Price>,
    tif: Tif,
    reduce: bool,
    #[serde(default)]
    client_id: Option<ClientId>,
    notional: Money,
    bid: Price,
    ask: Price,
}

impl From<AcceptedText> for Accepted {
    fn from(text: AcceptedText) -> Accepted {
        let AcceptedText { order, side, quantity, limit, tif, reduce, client_id, notional, bid, ask } = text;
        let request = OrderRequest { side, quantity, limit, tif, reduce, client_id };
        Accepted { order, request, notional, bid, ask }
    }
}
