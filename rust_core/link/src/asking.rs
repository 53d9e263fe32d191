//! What we say unasked after the upgrade: pure pacing over times that it is told.

const SECOND_NS: i64 = 1_000_000_000;
/// Least time between two subscriptions, ns.
const AGAIN_NS: i64 = 5 * SECOND_NS;
/// Subscriptions without a live book in between, after which the next one would be as vain.
const ASKED_MAX: u32 = 3;

/// How the book of a connection stands, as far as the connection can do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is live.
    Live,
    /// It will be live, or needs something that the connection cannot give.
    Waiting,
    /// Only a new subscription can make it live.
    NeedsSubscription,
}

/// What is to be done about the subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// Send the texts that subscribe again.
    Send,
    /// It was asked often enough in vain: end the connection.
    GiveUp,
}

/// When a connection subscribes again, and when it says that it is still there. Times are monotonic ns.
#[derive(Debug)]
pub struct Subscription {
    asked_ns: Option<i64>,
    in_vain: u32,
    quiet: bool,
}

impl Subscription {
    /// Nothing asked yet beyond the opening texts.
    pub fn new() -> Subscription {
        Subscription { asked_ns: None, in_vain: 0, quiet: false }
    }

    /// The streams fell silent: to subscribe again is worth a try.
    pub fn fell_quiet(&mut self) {
        self.quiet = true;
    }

    /// What is due now, if anything. A silence that falls within 5 s of the last subscription has had its answer.
    pub fn due(&mut self, now_ns: i64, standing: Standing) -> Option<Asking> {
        if standing == Standing::Live {
            self.in_vain = 0;
        }
        let wanted = std::mem::take(&mut self.quiet) || standing == Standing::NeedsSubscription;
        if !wanted || now_ns < self.next_ns() {
            return None;
        }
        if self.in_vain == ASKED_MAX {
            return Some(Asking::GiveUp);
        }
        self.asked_ns = Some(now_ns);
        self.in_vain += 1;
        Some(Asking::Send)
    }

    /// When a book that needs a subscription is due for one.
    pub fn due_ns(&self, standing: Standing) -> i64 {
        if standing == Standing::NeedsSubscription { self.next_ns() } else { i64::MAX }
    }

    fn next_ns(&self) -> i64 {
        self.asked_ns.map_or(i64::MIN, |asked_ns| asked_ns + AGAIN_NS)
    }
}

impl Default for Subscription {
    fn default() -> Subscription {
        Subscription::new()
    }
}
