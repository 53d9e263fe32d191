//! Waking the executor: a flag that can be waited for, and the two prices that make it worth raising.

use std::sync::Arc;
use std::time::Duration;

use crate::sync::{AtomicI64, Condvar, Mutex, Ordering, fence, hold, wait_while};
use crate::units::Price;

/// A flag that one thread raises and another waits for. Raising it twice before the wait counts once.
#[derive(Debug, Default)]
pub struct Signal {
    raised: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    /// Raises the flag and wakes whoever waits. A flag that is up already has woken them.
    pub fn raise(&self) {
        // A bool cannot be left half-written, so a panic elsewhere does not spoil it.
        if !std::mem::replace(&mut *hold(&self.raised), true) {
            self.changed.notify_all();
        }
    }

    /// Waits until the flag is raised or `timeout` has passed. Clears the flag; true = it was raised.
    pub fn wait(&self, timeout: Duration) -> bool {
        let mut flag = wait_while(&self.changed, hold(&self.raised), timeout, |raised| !*raised);
        std::mem::take(&mut *flag)
    }
}

/// Raises a [`Signal`] when the market crosses a resting order.
///
/// The executor states the highest resting buy and the lowest resting sell; the feed compares and nearly always
/// does nothing. Both prices are hints: the executor looks at the book itself before it fills anything.
#[derive(Debug)]
pub struct CrossWatch {
    highest_buy: AtomicI64,
    lowest_sell: AtomicI64,
    signal: Arc<Signal>,
}

impl CrossWatch {
    /// A watch without resting orders.
    pub fn new(signal: Arc<Signal>) -> CrossWatch {
        CrossWatch { highest_buy: AtomicI64::new(i64::MIN), lowest_sell: AtomicI64::new(i64::MAX), signal }
    }

    /// The signal that a cross raises.
    pub fn signal(&self) -> Arc<Signal> {
        self.signal.clone()
    }

    /// States the resting orders. After this call look at the book once: an earlier top was compared with the old prices.
    pub fn set(&self, highest_buy: Option<Price>, lowest_sell: Option<Price>) {
        self.highest_buy.store(highest_buy.map_or(i64::MIN, |price| price.0), Ordering::Relaxed);
        self.lowest_sell.store(lowest_sell.map_or(i64::MAX, |price| price.0), Ordering::Relaxed);
        // With the fence in `crosses`: either the feed sees these prices, or the caller's look at the book sees the
        // feed's top. Without the pair both could miss each other.
        fence(Ordering::SeqCst);
    }

    /// Calls `test` with the highest buy and the lowest sell, after the top or trade was published.
    #[inline]
    fn crosses(&self, test: impl FnOnce(i64, i64) -> bool) -> bool {
        fence(Ordering::SeqCst);
        test(self.highest_buy.load(Ordering::Relaxed), self.lowest_sell.load(Ordering::Relaxed))
    }

    /// Raises the signal if the best ask is at or below the highest buy, or the best bid at or above the lowest sell.
    #[inline]
    pub fn on_top(&self, bid: Price, ask: Price) {
        if self.crosses(|highest_buy, lowest_sell| ask.0 <= highest_buy || bid.0 >= lowest_sell) {
            self.signal.raise();
        }
    }

    /// Raises the signal if a trade went strictly through a resting order's price.
    #[inline]
    pub fn on_trade(&self, price: Price) {
        if self.crosses(|highest_buy, lowest_sell| price.0 < highest_buy || price.0 > lowest_sell) {
            self.signal.raise();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn raised(act: impl Fn(&CrossWatch)) -> bool {
        let signal = Arc::new(Signal::default());
        let watch = CrossWatch::new(Arc::clone(&signal));
        watch.set(Some(Price(100)), Some(Price(200)));
        act(&watch);
        signal.wait(Duration::ZERO)
    }

    #[test]
    fn a_top_that_touches_a_resting_order_raises_and_one_beside_it_does_not() {
        assert!(raised(|watch| watch.on_top(Price(99), Price(100))));
        assert!(raised(|watch| watch.on_top(Price(200), Price(201))));
        assert!(!raised(|watch| watch.on_top(Price(199), Price(101))));
    }

    #[test]
    fn a_trade_raises_only_strictly_through_the_price() {
        assert!(raised(|watch| watch.on_trade(Price(99))) && raised(|watch| watch.on_trade(Price(201))));
        assert!(!raised(|watch| watch.on_trade(Price(100))) && !raised(|watch| watch.on_trade(Price(200))));
    }

    #[test]
    fn without_resting_orders_nothing_raises() {
        assert!(!raised(|watch| {
            watch.set(None, None);
            watch.on_top(Price(i64::MAX - 1), Price(0));
            watch.on_trade(Price(0));
        }));
    }

    #[test]
    fn a_raise_wakes_the_waiting_thread_and_is_cleared_by_the_wait() {
        let signal = Arc::new(Signal::default());
        let waiter = std::thread::spawn({
            let signal = Arc::clone(&signal);
            move || signal.wait(Duration::from_secs(30))
        });
        signal.raise();
        assert!(waiter.join().expect("the waiter ends"));
        assert!(!signal.wait(Duration::ZERO));
    }
}
