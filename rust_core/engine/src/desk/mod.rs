//! The desk: commands → events → state. `decide` makes every decision and changes nothing; `evolve` changes and
//! decides nothing. Recovery is `evolve` over the journal.

mod accepted;
mod client_id;
mod decide;
mod event;
mod evolve;
mod judge;
mod lives;
mod orders;
mod permit;
mod receipt;
mod seen;
mod shared;
mod status;
mod trade_id;

pub use accepted::Accepted;
pub use client_id::{CLIENT_ID_MAX, ClientId};
pub use decide::{Command, Outcome, decide};
pub use event::{
    End, Ended, Event, Filled, Halt, Opened, OrderRequest, Profile, Refused, Rested, Slippage, Stamped, Started, Stray,
    StrayCause, Tif, Trade, Unanswered,
};
pub use evolve::evolve;
pub use orders::{OPEN_MAX, OpenOrder, Orders, Phase};
pub use permit::{BookTrust, Health, trust};
pub use receipt::{Execution, Report};
pub use seen::Seen;
pub use shared::{RING, SharedDesk};
pub use status::{quantiles, status};
pub use trade_id::TradeId;

use serde::Serialize;

use crate::control::Control;
use crate::latency::{Histogram, Signed};
use crate::ledger::Ledger;
use crate::limits::{REPEAT_MAX_NS, RUNAWAY_NS};
use crate::risk::{Assets, Breach, Instrument, Limits, Rate, Reason};
use crate::units::{Money, Now, Price, Qty, SECOND_NS};
use crate::view::{Sync, TopOfBook, View};
use crate::window::Window;

/// Accepted orders that are remembered: at the cap of 50 a second, those of the longest window and more.
const RECENT_MAX: usize = 1_000;
/// How far wall and monotonic clock may part between two commands.
const CLOCK_TOLERANCE_NS: i64 = 2 * SECOND_NS;

/// Orders and reports counted over the journal's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Orders accepted.
    pub accepted: u64,
    /// Orders refused by a rule.
    pub refused: u64,
    /// Orders that ended complete.
    pub filled: u64,
    /// Orders that ended otherwise.
    pub canceled: u64,
}

/// Everything that the journal determines. Equal after any restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct State {
    /// What the journal belongs to; `None` before its first event.
    pub profile: Option<Profile>,
    /// Processes that took up the journal so far.
    pub runs: u64,
    /// Number of the event with which the newest of them began.
    pub run_began: u64,
    /// Seed of the simulated executor in this run.
    pub seed: u64,
    /// Limits in force.
    pub limits: Limits,
    /// The venue's filters in force.
    pub instrument: Instrument,
    /// Position and money.
    pub ledger: Ledger,
    /// Orders without an end.
    pub orders: Orders,
    /// Accepted orders of the last ten seconds.
    pub recent: Window<OrderRequest>,
    /// Refusals of the last ten seconds, since the last resume.
    pub refusals: Window<()>,
    /// Client ids of all accepted orders.
    pub client_ids: Seen,
    /// The UTC day that the loss is counted for; `None` before the first event.
    pub day: Option<i64>,
    /// Equity at its start.
    pub day_start: Money,
    /// The day's loss reached the limit.
    pub loss_latched: bool,
    /// The loss at which it did.
    pub latched_loss: Money,
    /// Trading is stopped until a person resumes it.
    pub halted: Option<Halt>,
    /// The wall clock jumped, and no person has said since that it is right: no new day begins.
    pub clock_suspect: bool,
    /// The newest journaled closing price.
    pub mark: Option<Price>,
    /// UTC time of it.
    pub marked_ns: i64,
    /// Names of every booked trade that the venue gave one.
    pub trades: Seen,
    /// Totals.
    pub counts: Counts,
    /// Sentence of the newest refusal.
    pub last_refusal: Option<String>,
    /// From leaving to each report, ns.
    pub execution: Histogram,
    /// From the decision to each report, ns.
    pub total: Histogram,
    /// Slippage against the mid at the decision, 10⁻³ basis points.
    pub slippage: Signed,
    /// Number of the newest event.
    pub seq: u64,
}

impl State {
    /// A desk that nothing happened to yet.
    pub fn new(limits: Limits, instrument: Instrument) -> State {
        State {
            profile: None,
            runs: 0,
            run_began: 0,
            seed: 0,
            limits,
            instrument,
            ledger: Ledger::default(),
            orders: Orders::default(),
            recent: Window::new(RECENT_MAX, REPEAT_MAX_NS),
            refusals: Window::new(Limits::caps().runaway_refusals as usize, RUNAWAY_NS),
            client_ids: Seen::default(),
            day: None,
            day_start: Money(0),
            loss_latched: false,
            latched_loss: Money(0),
            halted: None,
            clock_suspect: false,
            mark: None,
            marked_ns: 0,
            trades: Seen::default(),
            counts: Counts::default(),
            last_refusal: None,
            execution: Histogram::default(),
            total: Histogram::default(),
            slippage: Signed::default(),
            seq: 0,
        }
    }

    /// The price at which the position could be closed now: bid if long, ask if short; the newest mark where the book
    /// is unsynchronised, crossed or one-sided.
    pub fn closing_price(&self, top: &TopOfBook) -> Option<Price> {
        let side = if self.ledger.position.0 >= 0 { top.bid } else { top.ask };
        let known = top.sync == Sync::Live && top.uncrossed();
        if known { Some(side.price) } else { self.mark }
    }

    /// The day's loss at `mark`, below zero for a profit. An unknown mark counts the open position at its cost.
    pub fn day_loss(&self, mark: Option<Price>) -> Money {
        let closed = Money(self.ledger.realised.0 - self.ledger.fees.0);
        Money(self.day_start.0 - self.ledger.equity(mark).unwrap_or(closed).0)
    }

    /// The canonical text of the state: equal text, equal state. Its hash is the state's hash.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("a state has only text keys and finite values")
    }

    /// Number of the event that accepted an open order; 0 if it is not open.
    pub fn intent_of(&self, order: u64) -> u64 {
        self.orders.get(order).map_or(0, |open| open.intent)
    }

    fn assets(&self) -> Assets {
        self.profile
            .as_ref()
            .map_or_else(|| Assets { base: "BTC".into(), quote: "USDT".into() }, |profile| profile.assets.clone())
    }
}

/// The state with what surrounds it: health, extra slippage, the newest time seen, the newest durable event.
#[derive(Debug, Clone)]
pub struct Desk {
    /// Journaled state.
    pub state: State,
    /// Health of the parts around.
    pub health: Health,
    /// Extra slippage that decisions reckon with.
    pub slippage: Rate,
    /// Number of the newest durable event.
    pub committed: u64,
    /// Reports of this process that told nothing new and wrote nothing.
    pub duplicates: u64,
    /// Submits that the attempts cap turned away, in this run.
    pub attempts_capped: u64,
    attempts: Window<()>,
    seen: Now,
    /// Wall clock less monotonic clock at the newest command of this run.
    offset_ns: Option<i64>,
    scratch: Vec<Event>,
}

impl Desk {
    /// A desk with an empty journal.
    pub fn new(limits: Limits, instrument: Instrument, slippage: Rate, health: Health) -> Desk {
        Desk {
            state: State::new(limits, instrument),
            health,
            slippage,
            committed: 0,
            duplicates: 0,
            attempts_capped: 0,
            attempts: Window::new(Limits::caps().attempts_per_second as usize, SECOND_NS),
            seen: Now::default(),
            offset_ns: None,
            scratch: Vec::with_capacity(2 * OPEN_MAX),
        }
    }

    /// Folds one event of the journal. Errors if its number does not follow.
    pub fn recover(&mut self, stamped: &Stamped) -> Result<(), String> {
        if stamped.seq != self.state.seq + 1 {
            return Err(format!("event {} follows event {}", stamped.seq, self.state.seq));
        }
        evolve(&mut self.state, &stamped.event, stamped.now);
        self.committed = stamped.seq;
        // Only a resume after a jump of the clock was stamped earlier than the event before it: believed then and now.
        self.seen.utc_ns = stamped.now.utc_ns;
        Ok(())
    }

    /// Decides `command` and applies what follows; `emit` is handed every event with its number and time.
    /// A clock that steps back is held at the newest time seen, until a person resumes who believes it as it is.
    pub fn run(&mut self, command: &Command, asked: Now, view: &View, mut emit: impl FnMut(Stamped)) -> Outcome {
        let jumped = self.clock_jump(asked);
        self.offset_ns = Some(asked.offset_ns());
        let mut now = self.seen.max(asked);
        if let Some(by_ns) = jumped {
            self.dispatch(&Command::ClockJump { by_ns }, now, view, &mut emit);
        }
        if self.state.clock_suspect && *command == Command::Resume {
            now.utc_ns = asked.utc_ns;
        }
        self.seen = now;
        self.dispatch(&Command::NewDay, now, view, &mut emit);
        let outcome = self.dispatch(command, now, view, &mut emit);
        self.duplicates += u64::from(outcome == Outcome::Duplicate);
        if self.state.orders.reducing > 0 {
            self.dispatch(&Command::EndSuperfluous, now, view, &mut emit);
        }
        outcome
    }

    /// By how much the wall clock moved against the monotonic one since the command before, where that is too much.
    fn clock_jump(&self, now: Now) -> Option<i64> {
        let by_ns = now.offset_ns() - self.offset_ns?;
        Some(by_ns).filter(|by_ns| by_ns.abs() > CLOCK_TOLERANCE_NS)
    }

    /// Takes one of the second's attempts; a submit that finds none is only counted, and this is its answer.
    pub fn attempt(&mut self, now: Now) -> Result<(), Breach> {
        let now = self.seen.max(now);
        let free = self.attempt_left(now);
        match free {
            Ok(()) => self.attempts.add(now, ()),
            Err(_) => self.attempts_capped += 1,
        }
        free
    }

    /// What [`Desk::attempt`] would say, taking nothing.
    pub fn attempt_left(&self, now: Now) -> Result<(), Breach> {
        let (now, limit) = (self.seen.max(now), self.state.limits.attempts_per_second);
        let wait_ns = self.attempts.wait_ns(now, SECOND_NS, limit);
        if wait_ns == 0 || !Control::Attempts.on() {
            return Ok(());
        }
        let (value, headroom) = (i128::from(limit) + 1, judge::wait_ms(wait_ns));
        Err(Breach { code: Reason::Attempts, value, limit: limit.into(), headroom })
    }

    fn dispatch(&mut self, command: &Command, now: Now, view: &View, emit: &mut impl FnMut(Stamped)) -> Outcome {
        let mut events = std::mem::take(&mut self.scratch);
        let outcome = decide(self, command, now, view, &mut events);
        for event in events.drain(..) {
            evolve(&mut self.state, &event, now);
            emit(Stamped { seq: self.state.seq, now, event });
        }
        self.scratch = events;
        outcome
    }

    /// The verdict on an order, changing nothing.
    pub fn check(&self, request: &OrderRequest, now: Now, view: &View) -> Outcome {
        if self.time_tells_more(now) {
            let mut then = self.clone();
            then.run(&Command::NewDay, now, view, |_| {});
            return then.judged(request, now, view);
        }
        self.judged(request, now, view)
    }

    /// A command at `now` would first begin a day or find the clock jumped.
    fn time_tells_more(&self, now: Now) -> bool {
        let trusted = !self.state.clock_suspect;
        let new_day = || self.state.day.is_some_and(|day| day < self.seen.max(now).utc_day());
        trusted && (self.clock_jump(now).is_some() || new_day())
    }

    fn judged(&self, request: &OrderRequest, now: Now, view: &View) -> Outcome {
        let now = self.seen.max(now);
        match judge::verdict(self, request, now, view) {
            Ok(accepted) => Outcome::Accepted { order: accepted.order },
            Err(refused) => Outcome::Refused(refused),
        }
    }

    /// Quantity of `side` that the position limit still allows, reservations counted.
    pub fn room(&self, side: crate::units::Side) -> Qty {
        let used = self.state.ledger.position.0 * side.sign() + self.state.orders.reserved(side).0;
        Qty((self.state.limits.position.0 - used).max(0))
    }
}

#[cfg(test)]
mod tests;
