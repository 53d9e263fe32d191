//! The life of a connection after its upgrade: poll, read, deframe, hand over, answer; until something ends it.

use crate::asking::{Asking, Standing, Subscription};
use crate::clock::now_ns;
use crate::fault::Fault;
use crate::session::{Event, Session};
use crate::socket::Stream;
use crate::terms::Terms;
use crate::wake::{Waker, wait};
use crate::watch::{Due, Patience, Watch};
use std::fmt::Display;
use std::io;

/// Who takes the messages. Called on the thread that runs the connection; must not block.
pub trait Sink {
    /// One whole message, received at `recv_ns` (monotonic).
    fn on_message(&mut self, payload: &[u8], recv_ns: i64) -> Flow;
    /// When the newest frame was received that keeps the book fresh, or brings it nearer to being live, monotonic ns;
    /// [`i64::MIN`] before the first.
    fn last_book_ns(&self) -> i64;
    /// How the book stands that this connection feeds.
    fn standing(&self) -> Standing;
    /// The connection has reached the age at which it should be replaced. Said once.
    fn on_age(&mut self);
    /// The waker was used: take what was left to be taken. Also called once at the start.
    fn on_wake(&mut self) -> Flow;
}

/// What the sink wants after a message or a wake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// The next one.
    Continue,
    /// Another connection does this one's work now: end it, as planned.
    Replaced,
}

/// How a connection is to be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Texts that are sent first.
    pub opening: Vec<String>,
    /// Texts that subscribe again; empty: none are sent.
    pub resubscribe: Vec<String>,
    /// A text that is sent when nothing was sent for so many ns.
    pub keep_alive: Option<(String, i64)>,
    /// Largest message taken, bytes.
    pub message_max: usize,
    /// How long silence, or a message, may last.
    pub patience: Patience,
    /// The age at which a connection wants a successor, ns.
    pub life_ns: i64,
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// By [`Waker::stop`].
    Stopped,
    /// The server closed it, with or without a close frame.
    Closed,
    /// Alive, but no book data for too long.
    Quiet,
    /// Nothing at all for too long, not even a pong.
    NoPong,
    /// Its book never became live again, however often it was asked for.
    Unsynced,
    /// Another connection does its work.
    Replaced,
    /// A message was not whole in time.
    Deadline,
    /// A message or its number of fragments was too large.
    TooLarge,
    /// The server broke the WebSocket protocol.
    Protocol,
    /// The network failed.
    Io,
}

impl Reason {
    /// The word that Python sees.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Stopped => "stopped",
            Reason::Closed => "closed",
            Reason::Quiet => "quiet",
            Reason::NoPong => "no_pong",
            Reason::Unsynced => "unsynced",
            Reason::Replaced => "replaced",
            Reason::Deadline => "deadline",
            Reason::TooLarge => "too_large",
            Reason::Protocol => "protocol",
            Reason::Io => "io",
        }
    }

    /// Nothing was lost by it: another connection was there before.
    pub fn planned(self) -> bool {
        self == Reason::Replaced
    }
}

/// The end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Why.
    pub reason: Reason,
    /// The numbers or words behind it; may be empty. One line: what a server says in its close cannot end it.
    pub detail: String,
}

impl Ended {
    fn new(reason: Reason, detail: impl Display) -> Ended {
        Ended { reason, detail: detail.to_string().replace(char::is_control, "\u{FFFD}") }
    }
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Ended {
        let reason = match fault {
            Fault::Protocol(_) | Fault::CloseText | Fault::Text => Reason::Protocol,
            Fault::TooLarge { .. } | Fault::Fragments { .. } => Reason::TooLarge,
        };
        Ended::new(reason, fault)
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Ended {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Ended::new(Reason::Closed, "cut without a close frame"),
            _ => Ended::new(Reason::Io, error),
        }
    }
}

/// Runs the connection until it ends, and closes it. `received` are bytes that came behind the response head.
pub fn run(stream: &mut Stream, received: &[u8], waker: &Waker, plan: &Plan, sink: &mut impl Sink) -> Ended {
    let began_ns = now_ns();
    let seed = (began_ns as u64).rotate_left(32) ^ std::ptr::from_ref(stream).addr() as u64;
    let terms = Terms { message_max: plan.message_max, ..Terms::default() };
    let session = Session::new(seed, received, began_ns).on(terms);
    let watch = Watch::new(began_ns, plan.life_ns, plan.patience);
    let subscription = Subscription::new();
    let mut connection =
        Connection { stream, session, waker, plan, watch, subscription, said_ns: began_ns, now_ns: began_ns };
    let ended = connection.live(sink);
    connection.stream.close();
    ended
}

struct Connection<'a> {
    stream: &'a mut Stream,
    session: Session,
    waker: &'a Waker,
    plan: &'a Plan,
    watch: Watch,
    subscription: Subscription,
    /// When a text was last sent, or the connection began.
    said_ns: i64,
    now_ns: i64,
}

impl Connection<'_> {
    fn live(&mut self, sink: &mut impl Sink) -> Ended {
        self.say(&self.plan.opening);
        let mut turned = self.wake(sink);
        while turned.is_ok() {
            turned = self.turn(sink);
        }
        turned.expect_err("the loop ends with an end")
    }

    /// Hands over what is there, does what is due, then waits and reads once.
    fn turn(&mut self, sink: &mut impl Sink) -> Result<(), Ended> {
        self.hand_over(sink)?;
        self.keep_watch(sink)?;
        self.session.answer(self.now_ns);
        let unsent = self.flush()?;
        let until_ns = self.next_ns(sink);
        let timeout_ns = if self.stream.has_plaintext() { 0 } else { until_ns - self.now_ns };
        let ready = wait(self.stream.tcp(), self.waker, unsent, timeout_ns)?;
        if ready.woken {
            self.woken(sink)?;
        }
        let count = if ready.readable || self.stream.has_plaintext() { self.read()? } else { None };
        self.now_ns = now_ns();
        if let Some(count) = count {
            self.session.filled(count, self.now_ns);
            self.watch.heard(self.now_ns);
        }
        Ok(())
    }

    #[inline]
    fn hand_over(&mut self, sink: &mut impl Sink) -> Result<(), Ended> {
        let ended = loop {
            match self.session.next_event() {
                Ok(Some(Event::Text(payload) | Event::Binary(payload))) => {
                    match sink.on_message(payload, self.now_ns) {
                        Flow::Continue => {}
                        Flow::Replaced => break Ended::new(Reason::Replaced, ""),
                    }
                }
                Ok(None) => return Ok(()),
                Ok(Some(Event::Closed { code, reason })) => {
                    let ended = Ended::new(Reason::Closed, format_args!("{code} {reason}").to_string().trim_end());
                    let _best_effort = self.flush();
                    return Err(ended);
                }
                Err(fault) => return Err(self.end(fault.close_code(), fault.into())),
            }
        };
        Err(self.end(1000, ended))
    }

    fn keep_watch(&mut self, sink: &mut impl Sink) -> Result<(), Ended> {
        if self.waker.stopped() {
            return Err(self.end(1000, Ended::new(Reason::Stopped, "")));
        }
        if self.now_ns >= self.message_due_ns() {
            let late = format!("message not whole {} ms after its first byte", ms(self.plan.patience.message_ns));
            return Err(self.end(1008, Ended::new(Reason::Deadline, late)));
        }
        while let Some(due) = self.watch.due(self.now_ns, sink.last_book_ns()) {
            match due {
                Due::Ping => self.session.send_ping(),
                Due::Resubscribe => self.subscription.fell_quiet(),
                Due::Successor => sink.on_age(),
                Due::End(reason) => return Err(self.end(1000, Ended::new(reason, silence(reason, self.plan)))),
            }
        }
        self.keep_up(sink.standing())
    }

    /// Subscribes again and says that we are there, when it is time to.
    fn keep_up(&mut self, standing: Standing) -> Result<(), Ended> {
        match self.subscription.due(self.now_ns, standing) {
            Some(Asking::Send) => self.say(&self.plan.resubscribe),
            Some(Asking::GiveUp) => {
                let ended = Ended::new(Reason::Unsynced, "no live book after three subscriptions");
                return Err(self.end(1000, ended));
            }
            None => {}
        }
        if let Some((text, _)) = &self.plan.keep_alive
            && self.now_ns >= self.keep_alive_ns()
        {
            self.say(std::slice::from_ref(text));
        }
        Ok(())
    }

    fn say(&mut self, texts: &[String]) {
        for text in texts {
            self.session.send_text(text);
            self.said_ns = self.now_ns;
        }
    }

    fn keep_alive_ns(&self) -> i64 {
        self.plan.keep_alive.as_ref().map_or(i64::MAX, |(_, every_ns)| self.said_ns.saturating_add(*every_ns))
    }

    fn woken(&mut self, sink: &mut impl Sink) -> Result<(), Ended> {
        if self.waker.stopped() {
            return Err(self.end(1000, Ended::new(Reason::Stopped, "")));
        }
        self.wake(sink)
    }

    fn wake(&mut self, sink: &mut impl Sink) -> Result<(), Ended> {
        match sink.on_wake() {
            Flow::Continue => Ok(()),
            Flow::Replaced => Err(self.end(1000, Ended::new(Reason::Replaced, ""))),
        }
    }

    fn next_ns(&self, sink: &impl Sink) -> i64 {
        let watch_ns = self.watch.next_ns(self.now_ns, sink.last_book_ns());
        let asking_ns = self.subscription.due_ns(sink.standing()).min(self.keep_alive_ns());
        watch_ns.min(self.message_due_ns()).min(asking_ns).min(self.session.answer_due_ns().unwrap_or(i64::MAX))
    }

    fn message_due_ns(&self) -> i64 {
        self.session.began_ns().map_or(i64::MAX, |began_ns| began_ns + self.plan.patience.message_ns)
    }

    fn read(&mut self) -> Result<Option<usize>, Ended> {
        match self.stream.read(self.session.space()) {
            Ok(0) => Err(Ended::new(Reason::Closed, "cut without a close frame")),
            Ok(count) => Ok(Some(count)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what the socket takes; true when something is left.
    fn flush(&mut self) -> Result<bool, Ended> {
        while !self.session.outgoing().is_empty() {
            match self.stream.write(self.session.outgoing()) {
                Ok(count) => self.session.sent(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(!self.stream.flush()?)
    }

    /// Tells the server why, as far as the socket takes it without waiting.
    fn end(&mut self, close_code: u16, ended: Ended) -> Ended {
        self.session.close(close_code);
        let _best_effort = self.flush();
        ended
    }
}

fn silence(reason: Reason, plan: &Plan) -> String {
    match reason {
        Reason::Quiet => format!("no book data for {} ms", ms(plan.patience.quiet_ns)),
        Reason::NoPong => format!("no byte for {} ms, not even a pong", ms(plan.patience.dead_ns)),
        _ => String::new(),
    }
}

fn ms(ns: i64) -> i64 {
    ns / 1_000_000
}
