//! When a connection is too silent: a pure watch over times that it is told. Rule 11 of the desk's freshness.

use crate::run::Reason;

const SECOND_NS: i64 = 1_000_000_000;
/// Silence of the book streams after which the server is pinged, each second anew.
const PING_NS: i64 = SECOND_NS;
/// Silence of the book streams after which a server that answers is asked to subscribe again, once.
const RESUBSCRIBE_NS: i64 = 3 * SECOND_NS;
/// Silence of everything, pongs included, after which the connection is dead.
const DEAD_NS: i64 = 5 * SECOND_NS;

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
    quiet_reconnect_ns: i64,
    bytes_ns: i64,
    pinged_ns: Option<i64>, // first ping of this silence
    next_ping_ns: i64,
    resubscribed: bool,
}

impl Watch {
    /// A connection that begins at `now_ns`, wants a successor after `life_ns`, and ends after `quiet_reconnect_ns` without
    /// book data.
    pub fn new(now_ns: i64, life_ns: i64, quiet_reconnect_ns: i64) -> Watch {
        Watch {
            began_ns: now_ns,
            life_end_ns: Some(now_ns.saturating_add(life_ns)),
            quiet_reconnect_ns,
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
        if silence < PING_NS {
            (self.pinged_ns, self.resubscribed) = (None, false);
            return None;
        }
        if now_ns - self.bytes_ns >= DEAD_NS {
            return Some(Due::End(Reason::NoPong));
        }
        if silence >= self.quiet_reconnect_ns {
            return Some(Due::End(Reason::Quiet));
        }
        if silence >= RESUBSCRIBE_NS && !self.resubscribed && self.answered() {
            self.resubscribed = true;
            return Some(Due::Resubscribe);
        }
        if self.pinged_ns.is_none() || now_ns >= self.next_ping_ns {
            self.pinged_ns = self.pinged_ns.or(Some(now_ns));
            self.next_ping_ns = now_ns + PING_NS;
            return Some(Due::Ping);
        }
        None
    }

    /// When to look again, after [`Watch::due`] said `None` at `now_ns`.
    pub fn next_ns(&self, now_ns: i64, book_ns: i64) -> i64 {
        let book_ns = book_ns.max(self.began_ns);
        let next = match self.pinged_ns {
            None => book_ns + PING_NS,
            Some(_) => self.next_ping_ns.min(book_ns + self.quiet_reconnect_ns).min(self.bytes_ns + DEAD_NS),
        };
        let resubscribe_ns = book_ns + RESUBSCRIBE_NS;
        let next = if resubscribe_ns > now_ns { next.min(resubscribe_ns) } else { next };
        next.min(self.life_end_ns.unwrap_or(i64::MAX))
    }

    fn answered(&self) -> bool {
        self.pinged_ns.is_some_and(|pinged_ns| self.bytes_ns > pinged_ns)
    }
}
