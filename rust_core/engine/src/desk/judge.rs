//! The verdict on an order: every rule asked, in the fixed order, and the largest size that would pass.

use crate::control::Control;
use crate::desk::accepted::Accepted;
use crate::desk::event::{OrderRequest, Refused};
use crate::desk::orders::OPEN_MAX;
use crate::desk::{Desk, State, permit};
use crate::risk::{self, Band, Breaches, Quote, Reason};
use crate::units::{Money, Now, Price, Qty, SECOND_NS, Side};
use crate::view::View;

/// The event that submitting `request` now would give.
pub fn verdict(desk: &Desk, request: &OrderRequest, now: Now, view: &View) -> Result<Accepted, Box<Refused>> {
    let mut breaches = Breaches::default();
    let notional = judge(desk, request, now, view, &mut breaches);
    if !breaches.is_empty() {
        return Err(refused(desk, request, now, view, &breaches));
    }
    let (bid, ask) = (view.top.bid.price, view.top.ask.price);
    Ok(Accepted { order: desk.state.orders.newest + 1, request: *request, notional, bid, ask })
}

/// Runs every check in the fixed order: shape, permit, rate, notional, position, price. Returns the notional.
fn judge(desk: &Desk, request: &OrderRequest, now: Now, view: &View, breaches: &mut Breaches) -> Money {
    let state = &desk.state;
    shape(state, request, breaches);
    client_id(state, request, breaches);
    let reserved = state.orders.reserved(request.side);
    let reducing = permit::reduces(state.ledger.position, reserved, request.side, request.quantity);
    if request.reduce && !reducing && Control::Reducing.on() {
        breaches.flag(Reason::NotReducing);
    }
    permit::check(state, &desk.health, now, &view.top, request.reduce && reducing, breaches);
    if state.orders.count() >= OPEN_MAX && Control::QueueFull.on() {
        breaches.add(Reason::QueueFull, state.orders.count() as i128, OPEN_MAX as i128, 0);
    }
    rate(state, now, breaches);
    repeated(state, request, now, breaches);
    let quote = risk::quote(view, request.side, request.quantity, request.limit, desk.slippage);
    notional(state, request, &quote, view, breaches);
    position(state, request, breaches);
    price(state, request.side, &quote, view, breaches);
    quote.cost
}

fn shape(state: &State, request: &OrderRequest, breaches: &mut Breaches) {
    let instrument = &state.instrument;
    let quantity = request.quantity;
    if Control::QuantityBounds.on() {
        if quantity < instrument.min_quantity || quantity.0 <= 0 {
            breaches.add(Reason::BadQuantity, quantity.0.into(), instrument.min_quantity.0.into(), 0);
        } else if quantity > instrument.max_quantity {
            breaches.add(Reason::BadQuantity, quantity.0.into(), instrument.max_quantity.0.into(), 0);
        }
    }
    if quantity.0 % instrument.step.0 != 0 && Control::LotStep.on() {
        breaches.add(Reason::BadStep, quantity.0.into(), instrument.step.0.into(), 0);
    }
    match request.limit {
        Some(limit) if (limit.0 <= 0 || limit.0 % instrument.tick.0 != 0) && Control::PriceTick.on() => {
            breaches.add(Reason::BadTick, limit.0.into(), instrument.tick.0.into(), 0);
        }
        _ => {}
    }
}

fn client_id(state: &State, request: &OrderRequest, breaches: &mut Breaches) {
    let Some(id) = request.client_id else { return };
    if state.client_ids.contains(id.as_bytes()) && Control::DuplicateId.on() {
        breaches.flag(Reason::DuplicateId);
    }
}

fn rate(state: &State, now: Now, breaches: &mut Breaches) {
    let limit = state.limits.orders_per_second;
    let wait_ns = state.recent.wait_ns(now, SECOND_NS, limit);
    if wait_ns > 0 && Control::OrderRate.on() {
        let accepted = state.recent.within(now, SECOND_NS).count() as i128;
        breaches.add(Reason::RateLimit, accepted + 1, limit.into(), wait_ms(wait_ns));
    }
}

/// A wait in whole ms, rounded up.
pub fn wait_ms(wait_ns: i64) -> i128 {
    (i128::from(wait_ns) + 999_999) / 1_000_000
}

fn repeated(state: &State, request: &OrderRequest, now: Now, breaches: &mut Breaches) {
    let window_ns = state.limits.repeat_window_ns;
    if window_ns == 0 || !Control::RepeatedOrder.on() {
        return;
    }
    let asked = request.anonymous();
    if let Some(same) = state.recent.within(now, window_ns).find(|stamp| stamp.what == asked) {
        let age_ns = now.mono_ns - same.at.mono_ns;
        let ms = |ns: i64| i128::from(ns / 1_000_000);
        breaches.add(Reason::RepeatedOrder, ms(age_ns), ms(window_ns), wait_ms(window_ns - age_ns));
    }
}

fn notional(state: &State, request: &OrderRequest, quote: &Quote, view: &View, breaches: &mut Breaches) {
    let (least, limit) = (state.instrument.min_notional, state.limits.order_notional);
    // Over a lost connection nothing has a price, so that nothing is too little.
    let priced = quote.worst.is_some() || request.quantity.0 <= 0;
    if quote.cost < least && priced && view.top.uncrossed() && Control::MinNotional.on() {
        breaches.add(Reason::MinNotional, quote.cost.0, least.0, 0);
    }
    if quote.cost > limit && Control::OrderNotional.on() {
        breaches.add(Reason::NotionalExceedsMax, quote.cost.0, limit.0, limit.0);
    }
}

fn position(state: &State, request: &OrderRequest, breaches: &mut Breaches) {
    let (side, limit) = (request.side, i128::from(state.limits.position.0));
    let sign = i128::from(side.sign());
    let used = i128::from(state.ledger.position.0) * sign + i128::from(state.orders.reserved(side).0);
    let would_be = used + i128::from(request.quantity.0);
    let (code, control) = match side {
        Side::Buy => (Reason::PositionLimitLong, Control::PositionLong),
        Side::Sell => (Reason::PositionLimitShort, Control::PositionShort),
    };
    if would_be > limit && control.on() {
        breaches.add(code, would_be * sign, limit, limit - used);
    }
}

/// The worst price against the book and against own resting orders.
fn price(state: &State, side: Side, quote: &Quote, view: &View, breaches: &mut Breaches) {
    let Some(worst) = quote.worst else { return };
    let band = Band::new(view, side, state.limits.price_band);
    if view.top.uncrossed() && band.excludes(worst) && Control::PriceBand.on() {
        breaches.add(Reason::PriceBand, worst.0.into(), band.edge(), 0);
    }
    let meets = |own: &Price| if side == Side::Buy { worst >= *own } else { worst <= *own };
    if let Some(own) = state.orders.best_resting(side.opposite()).filter(meets).filter(|_| Control::SelfMatch.on()) {
        breaches.add(Reason::SelfMatch, worst.0.into(), own.0.into(), 0);
    }
}

fn refused(desk: &Desk, request: &OrderRequest, now: Now, view: &View, breaches: &Breaches) -> Box<Refused> {
    let largest = breaches.only_about_size().then(|| largest(desk, request, now, view)).flatten();
    let state = &desk.state;
    Box::new(Refused::new(*request, breaches, largest, state.halted.as_ref(), view.top.doubt, &state.assets()))
}

/// The largest quantity that passes the notional, the position limit and the price band, cut to a whole lot; `None`
/// where even that does not pass, such as what is too small for the venue.
fn largest(desk: &Desk, request: &OrderRequest, now: Now, view: &View) -> Option<Qty> {
    let (limits, side) = (&desk.state.limits, request.side);
    let band = Band::new(view, side, limits.price_band);
    let affordable = match (request.limit, side) {
        (None, _) => risk::affordable(view.takes(side), limits.order_notional, desk.slippage, &band),
        (Some(limit), Side::Buy) => at_price(limits.order_notional, limit),
        (Some(limit), Side::Sell) => at_price(limits.order_notional, limit.max(view.top.bid.price)),
    };
    let size = affordable.min(desk.room(side)).min(desk.state.instrument.max_quantity);
    let quantity = Qty(size.0 - size.0 % desk.state.instrument.step.0);
    let mut breaches = Breaches::default();
    judge(desk, &OrderRequest { quantity, ..*request }, now, view, &mut breaches);
    breaches.is_empty().then_some(quantity)
}

fn at_price(budget: Money, price: Price) -> Qty {
    Qty(i64::try_from(budget.0 / i128::from(price.0.max(1))).unwrap_or(i64::MAX))
}
