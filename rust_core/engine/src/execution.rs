//! The simulated venue as a thread drives it: an inbox of orders and cancels, the simulator, and a wait that ends at
//! the next arrival, at a cross of a resting order, or at a message.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::desk::{OPEN_MAX, OpenOrder, OrderRequest, Outcome, Report, SharedDesk};
use crate::published::Trade;
use crate::risk::Reason;
use crate::simulate::{Rules, Simulator};
use crate::units::Now;
use crate::view::View;
use crate::wake::{CrossWatch, Signal};

/// How long to leave a journal that is behind alone before looking again.
const HELD_BACK: Duration = Duration::from_millis(10);

enum Message {
    Order(u64, OrderRequest),
    Cancel(u64, Reason),
    Rest(OpenOrder),
}

struct Exchange {
    simulator: Simulator,
    inbox: VecDeque<Message>,
    view: View,
    prints: Vec<Trade>,
    cursor: u64,
    reports: Vec<Report>,
}

/// A simulated venue between a desk and the published market. Reaches no network.
pub struct SimulatedVenue {
    exchange: Mutex<Exchange>,
    desk: Arc<SharedDesk>,
    signal: Arc<Signal>,
    watch: Arc<CrossWatch>,
}

impl SimulatedVenue {
    /// A venue that fills `desk`'s orders on the market that the desk prices on.
    pub fn new(rules: Rules, desk: Arc<SharedDesk>, watch: Arc<CrossWatch>) -> SimulatedVenue {
        let exchange = Exchange {
            simulator: Simulator::new(rules),
            inbox: VecDeque::with_capacity(2 * OPEN_MAX),
            view: View::default(),
            prints: Vec::new(),
            cursor: desk.published().trades.end(),
            reports: Vec::new(),
        };
        let signal = watch.signal();
        SimulatedVenue { exchange: Mutex::new(exchange), desk, signal, watch }
    }

    /// Takes an accepted order whose intent is durable.
    pub fn submit(&self, order: u64, request: OrderRequest) {
        self.send(Message::Order(order, request));
    }

    /// Takes a request to cancel.
    pub fn cancel(&self, order: u64, reason: Reason) {
        self.send(Message::Cancel(order, reason));
    }

    /// Puts an order of an earlier run back to rest.
    pub fn rest(&self, open: OpenOrder) {
        self.send(Message::Rest(open));
    }

    /// Wakes the thread that waits in [`SimulatedVenue::wait`].
    pub fn wake(&self) {
        self.signal.raise();
    }

    /// Waits until something is to be done at the venue, at most `longest`. `now` is the time of the call.
    pub fn wait(&self, now: Now, longest: Duration) {
        if self.held_back() {
            self.signal.wait(longest.min(HELD_BACK));
            return;
        }
        let due_ns = self.lock().simulator.next_due();
        let until_due = due_ns.map_or(longest, |due| Duration::from_nanos((due - now.mono_ns).max(0) as u64));
        if !until_due.is_zero() {
            self.signal.wait(longest.min(until_due));
        }
    }

    /// When the next order or cancel arrives, monotonic ns.
    pub fn next_due(&self) -> Option<i64> {
        self.lock().simulator.next_due()
    }

    /// Does what is due at `now` and reports it; returns the number of reports.
    pub fn step(&self, now: Now) -> usize {
        if self.held_back() {
            return 0;
        }
        let mut exchange = self.lock();
        let exchange = &mut *exchange;
        while let Some(message) = exchange.inbox.pop_front() {
            self.deliver(&mut exchange.simulator, message, now);
        }
        self.desk.published().view(&mut exchange.view);
        exchange.prints.clear();
        exchange.cursor = self.desk.published().trades.read_since(exchange.cursor, &mut exchange.prints).cursor;
        exchange.simulator.due(now, &exchange.view, &exchange.prints, &mut exchange.reports);
        let (highest_buy, lowest_sell) = exchange.simulator.resting_bounds();
        self.watch.set(highest_buy, lowest_sell);
        self.look_again();
        let count = exchange.reports.len();
        exchange.reports.drain(..).for_each(|report| self.desk.report(report, now));
        count
    }

    /// The journal is behind. One step may write two events of each open order (without a delay it leaves and arrives at
    /// once) and a few more for those that are filled in part; after it a halt must still find room to ask every order to
    /// end.
    fn held_back(&self) -> bool {
        self.desk.spare() < 3 * OPEN_MAX + OPEN_MAX / 4
    }

    /// A top that came while the bounds were being stated was compared with the old ones.
    fn look_again(&self) {
        let top = self.desk.published().top();
        if top.uncrossed() {
            self.watch.on_top(top.bid.price, top.ask.price);
        }
    }

    fn deliver(&self, simulator: &mut Simulator, message: Message, now: Now) {
        match message {
            Message::Order(order, request) => {
                if self.desk.release(order, now) == Outcome::Released {
                    simulator.accept(order, &request, now);
                }
            }
            Message::Cancel(order, reason) => drop(simulator.cancel(order, reason, now)),
            Message::Rest(open) => simulator.rest(open.order, &open.request, open.remaining(), now),
        }
    }

    fn send(&self, message: Message) {
        let mut exchange = self.lock();
        assert!(exchange.inbox.len() < 2 * OPEN_MAX, "more messages than open orders");
        exchange.inbox.push_back(message);
        drop(exchange);
        self.signal.raise();
    }

    fn lock(&self) -> MutexGuard<'_, Exchange> {
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
