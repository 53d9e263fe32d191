//! One connection's hold on a book: it leads, or prepares to, and gives its place back however it ends.

use std::sync::Arc;

use engine::market::{Applied, Market};
use engine::succession::Seat;
use link::asking::Standing;
use link::run::{Flow, Sink};

use crate::book::Book;

/// Drives a book while it lives. Without a connection that takes its place, the book is unsynced when it goes.
pub(crate) struct Driver<'a> {
    book: &'a Book,
    seat: Seat,
    wants_snapshot: bool,
    standing: Standing,
    /// When the newest frame came that was worth something to the book.
    book_ns: i64,
    /// What the venue said when it last refused a request of this connection.
    denied: Option<String>,
}

/// What a market needs from its connection, and when it last got something.
struct Needs {
    snapshot: bool,
    standing: Standing,
    recv_ns: i64,
}

fn needs(market: &Market) -> Needs {
    let standing = match (market.is_live(), market.wants_subscription()) {
        (true, _) => Standing::Live,
        (false, true) => Standing::NeedsSubscription,
        (false, false) => Standing::Waiting,
    };
    Needs { snapshot: market.wants_snapshot(), standing, recv_ns: market.top().recv_ns }
}

impl<'a> Driver<'a> {
    pub(crate) fn new(book: &'a Book, waker: &Arc<link::wake::Waker>) -> Driver<'a> {
        let (waker, seat) = (Arc::clone(waker), book.succession().enter(|id| book.recorded().begin(id)));
        book.mailbox().open(seat.id(), Box::new(move || waker.wake()));
        Driver { book, seat, wants_snapshot: false, standing: Standing::Waiting, book_ns: i64::MIN, denied: None }
    }

    /// What the venue said when it last refused a request of this connection.
    pub(crate) fn denied(&self) -> Option<&str> {
        self.denied.as_deref()
    }

    /// Tops keep a live book fresh. Without one they prove nothing: they also come where the depth, or the snapshot that
    /// it waits for, never does; there only a frame that was `kept` for a snapshot counts.
    #[inline]
    fn state(&mut self, needs: Needs, kept: bool) {
        if kept || self.standing == Standing::Live || needs.standing == Standing::Live {
            self.book_ns = needs.recv_ns;
        }
        self.standing = needs.standing;
        if self.wants_snapshot != needs.snapshot {
            self.wants_snapshot = needs.snapshot;
            self.book.mailbox().set_wanted(self.seat.id(), needs.snapshot);
        }
    }

    /// Takes over from the lead, if it is time to.
    fn succeed(&mut self) {
        let recorded = self.book.recorded();
        let in_order = recorded.in_order();
        if let Some(replaced) = self.book.succession().succeed(&mut self.seat) {
            // Its own frames come after this, by this thread; of the replaced one none is taken any more.
            recorded.takeover(self.seat.id());
            drop(in_order);
            self.book.mailbox().wake(replaced);
            self.book.succession_changed();
        }
    }
}

impl Drop for Driver<'_> {
    fn drop(&mut self) {
        self.book.mailbox().close(self.seat.id());
        let recorded = self.book.recorded();
        let note = |next: Option<u64>| {
            next.into_iter().for_each(|id| recorded.takeover(id));
            recorded.end(self.seat.id());
        };
        let in_order = recorded.in_order();
        let next = self.book.succession().leave(&self.seat, note);
        drop(in_order);
        if let Some(next) = next {
            self.book.mailbox().wake(next);
        }
        self.book.succession_changed();
    }
}

impl Sink for Driver<'_> {
    #[inline]
    fn on_message(&mut self, payload: &[u8], recv_ns: i64) -> Flow {
        let (book, id) = (self.book, self.seat.id());
        let took = book.succession().write(&mut self.seat, |market| {
            book.recorded().frame(id, payload, recv_ns);
            let applied = book.ingest_timed(market, payload, recv_ns);
            (applied, needs(market))
        });
        let Some((applied, needs)) = took else { return Flow::Replaced };
        self.state(needs, applied == Applied::Buffered);
        match applied {
            Applied::Shutdown => self.on_age(),
            Applied::Control { accepted: false } => self.denied = Some(book.venue().denial(payload)),
            _ => {}
        }
        if self.seat.own_published().is_some() {
            self.succeed();
        }
        Flow::Continue
    }

    fn last_book_ns(&self) -> i64 {
        self.book_ns
    }

    fn standing(&self) -> Standing {
        self.standing
    }

    fn on_age(&mut self) {
        self.book.succession().want_successor(&self.seat);
        self.book.succession_changed();
    }

    fn on_wake(&mut self) -> Flow {
        let (book, seat) = (self.book, &mut self.seat);
        book.mailbox().take(seat.id(), |body| {
            let id = seat.id();
            let took = book.succession().write(seat, |market| {
                book.recorded().snapshot(id, body);
                book.offer(market, body);
                market.wants_snapshot()
            });
            took.unwrap_or(false)
        });
        let Some(now) = book.succession().write(seat, |market| needs(market)) else { return Flow::Replaced };
        // The mailbox was told by `take`; what it was told before is out of date.
        self.wants_snapshot = !now.snapshot;
        self.state(now, false);
        self.succeed();
        Flow::Continue
    }
}
