//! A simulated exchange as a pure object: orders travel, arrive on the book of that moment, fill, rest or end.
//!
//! What it knows of reality: a delay drawn from (seed, order number); the real depth at arrival; size that it took
//! stays taken until the venue shows another size at that price; an order at rest is filled only when the opposite
//! top reaches its price or a trade goes through it. What it does not know is in `docs/simulation.md`.

use crate::desk::{BookTrust, End, Execution, OrderRequest, Report, Tif, Trade, trust};
use crate::published::Trade as Print;
use crate::risk::{Rate, Reason};
use crate::units::{Money, Now, Price, Qty, Side};
use crate::view::{Level, Sync, View};

/// How the simulated venue behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Delays are drawn from (seed, order number) alone.
    pub seed: u64,
    /// Shortest travel time, ns.
    pub min_delay_ns: i64,
    /// Longest travel time, ns, ≥ the shortest.
    pub max_delay_ns: i64,
    /// Moves every taken price against the order, apart from depth.
    pub slippage: Rate,
    /// Fee of an order that takes.
    pub taker_fee: Rate,
    /// Fee of an order that rested.
    pub maker_fee: Rate,
    /// Age from which the book is too old to fill on, ns.
    pub stale_after_ns: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cargo {
    Order(OrderRequest),
    Cancel(Reason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Travelling {
    due_ns: i64,
    delay_ns: i64,
    order: u64,
    cargo: Cargo,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Resting {
    order: u64,
    side: Side,
    limit: Price,
    remaining: Qty,
    since_ns: i64,
}

/// Size that own orders took at a price, the size that they saw there, and the newest book of which they took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Taken {
    side: Side,
    price: Price,
    quantity: Qty,
    seen: Qty,
    update_id: u64,
}

/// The simulated exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulator {
    rules: Rules,
    travelling: Vec<Travelling>,
    resting: Vec<Resting>,
    taken: Vec<Taken>,
}

impl Simulator {
    /// An exchange with nothing in it.
    pub fn new(rules: Rules) -> Simulator {
        assert!(0 <= rules.min_delay_ns && rules.min_delay_ns <= rules.max_delay_ns, "delays {rules:?}");
        Simulator { rules, travelling: Vec::new(), resting: Vec::new(), taken: Vec::new() }
    }

    /// Sends an order; returns when it arrives, monotonic ns.
    pub fn accept(&mut self, order: u64, request: &OrderRequest, now: Now) -> i64 {
        self.send(order, Cargo::Order(*request), delay_ns(&self.rules, order), now)
    }

    /// Sends a cancel, which travels by itself and can lose to the fill; returns when it arrives, monotonic ns.
    pub fn cancel(&mut self, order: u64, reason: Reason, now: Now) -> i64 {
        self.send(order, Cargo::Cancel(reason), delay_ns(&self.rules, !order), now)
    }

    /// Puts the rest of an order of an earlier run back to rest.
    pub fn rest(&mut self, order: u64, request: &OrderRequest, remaining: Qty, now: Now) {
        let limit = request.limit.expect("only limit orders rest");
        self.resting.push(Resting { order, side: request.side, limit, remaining, since_ns: now.mono_ns });
    }

    fn send(&mut self, order: u64, cargo: Cargo, delay_ns: i64, now: Now) -> i64 {
        let due_ns = now.mono_ns + delay_ns;
        self.travelling.push(Travelling { due_ns, delay_ns, order, cargo });
        due_ns
    }

    /// When the next order or cancel arrives, monotonic ns.
    pub fn next_due(&self) -> Option<i64> {
        self.travelling.iter().map(|travelling| travelling.due_ns).min()
    }

    /// The highest resting buy and the lowest resting sell: what the feed watches for a cross.
    pub fn resting_bounds(&self) -> (Option<Price>, Option<Price>) {
        let of = |side| self.resting.iter().filter(move |resting| resting.side == side).map(|resting| resting.limit);
        (of(Side::Buy).max(), of(Side::Sell).min())
    }

    /// Lets everything happen that is due at `now` on this view, with the trades printed since the last call.
    pub fn due(&mut self, now: Now, view: &View, prints: &[Print], reports: &mut Vec<Report>) {
        self.refresh_taken(view);
        let trust = trust(&view.top, now, self.rules.stale_after_ns);
        while let Some(arrived) = self.next_arrived(now) {
            match arrived.cargo {
                Cargo::Order(request) => self.arrive(&arrived, &request, trust, now, view, reports),
                Cargo::Cancel(reason) => self.arrive_cancel(arrived.order, reason, reports),
            }
        }
        if trust == BookTrust::Live {
            self.cross(view, prints, reports);
        }
    }

    /// Takes the next arrival out of the air: the earliest, and of equals the one that was sent first. One at a time,
    /// so that a cancel still finds an order that is due after it in the same step.
    fn next_arrived(&mut self, now: Now) -> Option<Travelling> {
        let due = self.travelling.iter().enumerate().filter(|(_, sent)| sent.due_ns <= now.mono_ns);
        let (index, _) = due.min_by_key(|(index, sent)| (sent.due_ns, *index))?;
        Some(self.travelling.remove(index))
    }

    fn arrive(
        &mut self,
        sent: &Travelling,
        request: &OrderRequest,
        trust: BookTrust,
        now: Now,
        view: &View,
        reports: &mut Vec<Report>,
    ) {
        let order = sent.order;
        if let Some(reason) = trust.reason() {
            return reports.push(Report::Ended { order, state: End::Canceled, reason });
        }
        let filled = self.take(sent, request, view, reports);
        let remaining = Qty(request.quantity.0 - filled.0);
        match (remaining.0, request.tif, request.limit) {
            (0, _, _) => {}
            (_, Tif::Gtc, Some(limit)) => {
                self.resting.push(Resting { order, side: request.side, limit, remaining, since_ns: now.mono_ns });
                reports.push(Report::Resting { order });
            }
            (_, _, limit) => {
                let reason = if limit.is_some() { Reason::IocRemainder } else { Reason::NoLiquidity };
                reports.push(Report::Ended { order, state: End::Canceled, reason });
            }
        }
    }

    /// Walks the levels that the order may take, less what own orders took there before.
    fn take(&mut self, sent: &Travelling, request: &OrderRequest, view: &View, reports: &mut Vec<Report>) -> Qty {
        let mut trades = Vec::new();
        let (mut open, mut level_cost) = (request.quantity, Money(0));
        for level in view.takes(request.side) {
            if open.0 == 0 || !within(request, level.price) {
                break;
            }
            let quantity = Qty(self.available(request.side, level).0.min(open.0));
            if quantity.0 > 0 {
                trades.push(self.trade(request, level, quantity));
                level_cost.0 += level.price.times(quantity).0;
                open.0 -= quantity.0;
                self.note_taken(request.side, level, quantity, view.top.update_id);
            }
        }
        let filled = Qty(request.quantity.0 - open.0);
        if filled.0 > 0 {
            let (bid, ask) = (view.top.bid.price, view.top.ask.price);
            let (order, side, delay_ns, maker) = (Some(sent.order), request.side, sent.delay_ns, false);
            reports.push(Report::Filled(Execution { order, side, trades, level_cost, bid, ask, maker, delay_ns }));
        }
        filled
    }

    /// A taken level as a trade: slipped, but never beyond the limit.
    fn trade(&self, request: &OrderRequest, level: &Level, quantity: Qty) -> Trade {
        let slipped = self.rules.slippage.against(request.side, level.price);
        let price = match (request.limit, request.side) {
            (None, _) => slipped,
            (Some(limit), Side::Buy) => slipped.min(limit),
            (Some(limit), Side::Sell) => slipped.max(limit),
        };
        Trade { price, quantity, fee: self.rules.taker_fee.of(price.times(quantity)), id: None }
    }

    fn arrive_cancel(&mut self, order: u64, reason: Reason, reports: &mut Vec<Report>) {
        let resting = self.resting.iter().position(|resting| resting.order == order);
        let flying =
            self.travelling.iter().position(|sent| sent.order == order && matches!(sent.cargo, Cargo::Order(_)));
        match (resting, flying) {
            (Some(index), _) => drop(self.resting.remove(index)),
            (None, Some(index)) => drop(self.travelling.remove(index)),
            (None, None) => return, // it lost to the fill
        }
        reports.push(Report::Ended { order, state: End::Canceled, reason });
    }

    /// Fills resting orders, best price first, from the opposite top and from trades that went through them.
    fn cross(&mut self, view: &View, prints: &[Print], reports: &mut Vec<Report>) {
        let mut left: Vec<Print> = prints.to_vec();
        let mut resting = std::mem::take(&mut self.resting);
        resting.sort_by_key(|resting| (-resting.side.sign() * resting.limit.0, resting.order));
        for order in &mut resting {
            let open = order.remaining;
            order.remaining.0 -= self.take_top(order, view).0;
            order.remaining.0 -= take_prints(order, &mut left).0;
            if order.remaining < open {
                reports.push(self.maker_fill(order, Qty(open.0 - order.remaining.0), view));
            }
        }
        resting.retain(|order| order.remaining.0 > 0);
        self.resting = resting;
    }

    fn take_top(&mut self, order: &Resting, view: &View) -> Qty {
        let mut filled = 0;
        for level in view.takes(order.side) {
            let reached = (order.limit.0 - level.price.0) * order.side.sign() >= 0;
            let quantity = self.available(order.side, level).0.min(order.remaining.0 - filled);
            if !reached || filled == order.remaining.0 {
                break;
            }
            if quantity > 0 {
                self.note_taken(order.side, level, Qty(quantity), view.top.update_id);
                filled += quantity;
            }
        }
        Qty(filled)
    }

    fn maker_fill(&self, order: &Resting, quantity: Qty, view: &View) -> Report {
        let cost = order.limit.times(quantity);
        let trade = Trade { price: order.limit, quantity, fee: self.rules.maker_fee.of(cost), id: None };
        let (bid, ask) = (view.top.bid.price, view.top.ask.price);
        let (order, side, trades) = (Some(order.order), order.side, vec![trade]);
        Report::Filled(Execution { order, side, trades, level_cost: cost, bid, ask, maker: true, delay_ns: 0 })
    }

    fn available(&self, side: Side, level: &Level) -> Qty {
        let taken = self.taken.iter().find(|taken| taken.side == side && taken.price == level.price);
        Qty((level.quantity.0 - taken.map_or(0, |taken| taken.quantity.0)).max(0))
    }

    fn note_taken(&mut self, side: Side, level: &Level, quantity: Qty, update_id: u64) {
        match self.taken.iter_mut().find(|taken| taken.side == side && taken.price == level.price) {
            Some(taken) => {
                taken.quantity.0 += quantity.0;
                taken.update_id = update_id;
            }
            None => self.taken.push(Taken { side, price: level.price, quantity, seen: level.quantity, update_id }),
        }
    }

    /// Forgets what was taken where another book shows another size at that price, or none: a smaller id is that of a venue
    /// that counts anew. A book that is not synchronised shows nothing, which says nothing.
    fn refresh_taken(&mut self, view: &View) {
        if view.top.sync != Sync::Live {
            return;
        }
        self.taken.retain(|taken| {
            let level = view.takes(taken.side).iter().find(|level| level.price == taken.price);
            let shown = level.map_or(0, |level| level.quantity.0);
            view.top.update_id == taken.update_id || shown == taken.seen.0
        });
    }
}

fn within(request: &OrderRequest, price: Price) -> bool {
    request.limit.is_none_or(|limit| (limit.0 - price.0) * request.side.sign() >= 0)
}

/// Takes what trades strictly through the limit offer; a trade serves each quantity once.
fn take_prints(order: &Resting, prints: &mut [Print]) -> Qty {
    let mut filled = 0;
    for print in prints.iter_mut().filter(|print| print.recv_ns >= order.since_ns) {
        if (order.limit.0 - print.price.0) * order.side.sign() > 0 {
            let quantity = print.quantity.0.min(order.remaining.0 - filled);
            print.quantity.0 -= quantity;
            filled += quantity;
        }
    }
    Qty(filled)
}

/// Uniform in `[min, max]`, a function of (seed, number) alone: SplitMix64 (Steele, Lea, Flood 2014) as the hash.
fn delay_ns(rules: &Rules, number: u64) -> i64 {
    let mut word = rules.seed.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^= word >> 31;
    let span = u128::from((rules.max_delay_ns - rules.min_delay_ns) as u64) + 1;
    rules.min_delay_ns + ((u128::from(word) * span) >> 64) as i64
}

#[cfg(test)]
mod tests;
