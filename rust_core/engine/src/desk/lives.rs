//! The life of an order after it left: what each report of the executor does to it.

use crate::desk::State;
use crate::desk::event::{End, Ended, Event, Rested};
use crate::desk::orders::OpenOrder;
use crate::desk::receipt::{Report, filled};
use crate::risk::Reason;
use crate::units::Now;

/// Writes what follows from a report.
pub(super) fn report(state: &State, report: &Report, now: Now, events: &mut Vec<Event>) {
    let order = match report {
        Report::Resting { order } | Report::Ended { order, .. } => *order,
        Report::Filled(execution) => execution.order,
    };
    let open = state.orders.get(order).unwrap_or_else(|| panic!("report for order {order}, which is not open"));
    events.push(match report {
        Report::Resting { order } => Event::Resting(Rested {
            order: *order,
            side: open.request.side,
            quantity: open.remaining(),
            limit: open.request.limit,
        }),
        Report::Ended { state, reason, .. } => ended(open, *state, *reason),
        Report::Filled(execution) => Event::Filled(Box::new(filled(state, open, execution, now))),
    });
}

/// The event of an order that ends without being complete.
pub(super) fn ended(open: &OpenOrder, state: End, reason: Reason) -> Event {
    let OpenOrder { order, request, filled, .. } = *open;
    Event::Ended(Ended { order, side: request.side, quantity: request.quantity, filled, state, reason })
}
