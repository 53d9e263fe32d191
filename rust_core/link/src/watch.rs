//! When a connection is too silent: a pure watch over times that it is told. Rule 11 of the desk's freshness.

use crate::run::Reason;

const SECOND_NS: i64 = 1_000_000_000;

/// How long each kind of silence may last, ns. The default is what a venue's links run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Of the book streams: then the server is pinged, and as often again.
    pub ping_ns: i64,
    /// Of the book streams: then a server that answers is asked to subscribe again, once.
    pub resubscribe_ns: i64,
    /// Of everything, pongs included: then the connection is dead.
    pub dead_ns: i64,
    /// From a message's first byte to its last.
    pub message_ns: i64,
    /// Of the book streams, whatever else comes: then the connection is ended.
    pub quiet_ns: i64,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            ping_ns: SECOND_NS,
            resubscribe_ns: 3 * SECOND_NS,
            dead_ns: 5 * SECOND_NS,
            message_ns: 5 * SECOND_NS,
            quiet_ns: 10 * SECOND_NS,
        }
    }
}

impl Patience {
    /// All of it `divisor` times as short; 0 counts as 1.
    #[must_use]
    pub fn divided(self, divisor: u32) -> Patience {
        let shorter = |ns: i64| ns / i64::from(divisor.max(1));
        Patience {
            ping_ns: shorter(self.ping_ns),
            resubscribe_ns: shorter(self.resubscribe_ns),
            dead_ns: shorter(self.dead_ns),
            message_ns: shorter(self.message_ns),
            quiet_ns: shorter(self.quiet_ns),
        }
    }
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Send a ping.
    Ping,
    /// Send the resubscribe text.
    Resubscribe,
    /// Tell that a successor is wanted: the venue will cut this connection soon. Said once.
    Successor,
    /// End the connection.
    End(Reason),
}

/// Times of one connection, monotonic ns.
#[derive(Debug)]
pub struct Watch {
    began_ns: i64,
    life_end_ns: Option<i64>, // until it was said
    patience: Patience,
    bytes_ns: i64,
    pinged_ns: Option<i64>, // first ping of this silence
    next_ping_ns: i64,
    resubscribed: bool,
}

impl Watch {
    /// A connection that begins at `now_ns` and wants a successor after `life_ns`.
    pub fn new(now_ns: i64, life_ns: i64, patience: Patience) -> Watch {
        Watch {
            began_ns: now_ns,
            life_end_ns: Some(now_ns.saturating_add(life_ns)),
            patience,
            bytes_ns: now_ns,
            pinged_ns: None,
            next_ping_ns: 0,
            resubscribed: false,
        }
    }

    /// Bytes of any kind came.
    pub fn heard(&mut self, now_ns: i64) {
        self.bytes_ns = now_ns;
    }

    /// The one thing due now, if any; ask again until `None`. `book_ns` is when the last book frame came.
    pub fn due(&mut self, now_ns: i64, book_ns: i64) -> Option<Due> {
        let silence = now_ns - book_ns.max(self.began_ns);
        if self.life_end_ns.take_if(|end_ns| now_ns >= *end_ns).is_some() {
            return Some(Due::Successor);
        }
        if silence < self.patience.ping_ns {
            (self.pinged_ns, self.resubscribed) = (None, false);
            return None;
        }
        if now_ns - self.bytes_ns >= self.patience.dead_ns {
            return Some(Due::End(Reason::NoPong));
        }
        if silence >= self.patience.quiet_ns {
            return Some(Due::End(Reason::Quiet));
        }
        if silence >= self.patience.resubscribe_ns && !self.resubscribed && self.answered() {
            self.resubscribed = true;
            return Some(Due::Resubscribe);
        }
        if self.pinged_ns.is_none() || now_ns >= self.next_ping_ns {
            self.pinged_ns = self.pinged_ns.or(Some(now_ns));
            self.next_ping_ns = now_ns + self.patience.ping_ns;
            return Some(Due::Ping);
        }
        None
    }

    /// When to look again, after [`Watch::due`] said `None` at `now_ns`.
    pub fn next_ns(&self, now_ns: i64, book_ns: i64) -> i64 {
        let (book_ns, patience) = (book_ns.max(self.began_ns), self.patience);
        let next = match self.pinged_ns {
            None => book_ns + patience.ping_ns,
            Some(_) => self.next_ping_ns.min(book_ns + patience.quiet_ns).min(self.bytes_ns + patience.dead_ns),
        };
        let resubscribe_ns = book_ns + patience.resubscribe_ns;
        let next = if resubscribe_ns > now_ns { next.min(resubscribe_ns) } else { next };
        next.min(self.life_end_ns.unwrap_or(i64::MAX))
    }

    fn answered(&self) -> bool {
        self.pinged_ns.is_some_and(|pinged_ns| self.bytes_ns > pinged_ns)
    }
}
