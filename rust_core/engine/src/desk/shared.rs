//! The desk as threads share it: one short lock for decisions, a bounded ring to the journal, one wake-up.
//!
//! Lock order: `journal`, then `desk` for the swap of two pointers. No caller holds the GIL's needs inside: nothing here
//! touches Python, waits for I/O or blocks while the desk is locked.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::control::Control;
use crate::desk::{
    Command, Desk, Halt, OPEN_MAX, OpenOrder, Opened, OrderRequest, Outcome, Refused, Report, Stamped, Started,
};
use crate::published::Published;
use crate::queue::Queue;
use crate::risk::{Assets, Breach, Breaches, Limits, Loosened, Reason};
use crate::sync::{Mutex, MutexGuard, hold};
use crate::units::{Now, Qty, Side};
use crate::view::{Doubt, TopOfBook, View};
use crate::wake::Signal;

/// Events that may wait for the journal. The last quarter is kept for what already left the desk.
pub const RING: usize = 8_192;

struct Deciding {
    desk: Desk,
    events: Queue<Stamped>,
    view: View,
}

/// A desk shared by the terminal, the journal thread, the executor and the clock.
pub struct SharedDesk {
    deciding: Mutex<Deciding>,
    journal: Mutex<VecDeque<Stamped>>,
    ready: Signal,
    published: Arc<Published>,
}

impl SharedDesk {
    /// Shares `desk`, which prices on what `published` shows.
    pub fn new(desk: Desk, published: Arc<Published>) -> SharedDesk {
        let (events, journal) = Queue::new(RING);
        SharedDesk {
            deciding: Mutex::new(Deciding { desk, events, view: View::default() }),
            journal: Mutex::new(journal),
            ready: Signal::default(),
            published,
        }
    }

    /// The market that the desk prices on.
    pub fn published(&self) -> &Arc<Published> {
        &self.published
    }

    /// True once a panic broke the desk: every later order is refused with `ENGINE_FAULT`.
    pub fn faulted(&self) -> bool {
        self.lock().is_none()
    }

    /// Decides an order at once; also returns the number of the newest event then, 0 where none was written. What
    /// follows is told only after that number is [`SharedDesk::committed`].
    pub fn submit(&self, request: &OrderRequest, now: Now) -> (Outcome, u64) {
        let (outcome, seq) = self.decide(request, now);
        if seq > 0 {
            self.ready.raise();
        }
        (outcome, seq)
    }

    fn decide(&self, request: &OrderRequest, now: Now) -> (Outcome, u64) {
        let Some(mut deciding) = self.lock() else { return (fault(request), 0) };
        let deciding = &mut *deciding;
        if deciding.events.spare() < RING / 4 + OPEN_MAX {
            return (full(request, deciding.events.spare()), 0);
        }
        if let Err(capped) = deciding.desk.attempt(now) {
            return (refusal(request, capped), 0);
        }
        self.published.view_for(request.side, request.quantity, &mut deciding.view);
        let outcome = deciding.run(&Command::Submit(*request), now);
        (outcome, deciding.desk.state.seq)
    }

    /// The verdict on an order, changing nothing.
    pub fn check(&self, request: &OrderRequest, now: Now) -> Outcome {
        let Some(mut deciding) = self.lock() else { return fault(request) };
        let Deciding { desk, view, .. } = &mut *deciding;
        if let Err(capped) = desk.attempt_left(now) {
            return refusal(request, capped);
        }
        self.published.view_for(request.side, request.quantity, view);
        desk.check(request, now, view)
    }

    /// Runs any other command. Panics if the ring to the journal has no room: capacity is taken at the decision.
    pub fn command(&self, command: &Command, now: Now) -> Outcome {
        self.command_at(command, now).0
    }

    /// [`SharedDesk::command`], with the number of the newest event then.
    pub fn command_at(&self, command: &Command, now: Now) -> (Outcome, u64) {
        let Some(mut deciding) = self.lock() else { return (Outcome::Withheld(Reason::EngineFault), 0) };
        self.published.view_for(Side::Buy, Qty(0), &mut deciding.view);
        let before = deciding.desk.state.seq;
        let outcome = deciding.run(command, now);
        let seq = deciding.desk.state.seq;
        drop(deciding);
        if seq > before {
            self.ready.raise();
        }
        (outcome, seq)
    }

    /// Lets trading go on after a halt. Refused while the journal cannot keep up: whoever halts and resumes without end
    /// must not fill the ring that fills need.
    pub fn resume(&self, now: Now) -> (Outcome, u64) {
        match self.read(|desk, _| desk.health.journal) {
            None => (Outcome::Withheld(Reason::EngineFault), 0),
            Some(false) => (Outcome::Withheld(Reason::JournalUnhealthy), 0),
            Some(true) if self.spare() < RING / 2 => (Outcome::Withheld(Reason::QueueFull), 0),
            Some(true) => self.command_at(&Command::Resume, now),
        }
    }

    /// Right before sending. Panics if the order's intent is not durable yet.
    pub fn release(&self, order: u64, now: Now) -> Outcome {
        self.command(&Command::Release { order }, now)
    }

    /// Values the position, unless the journal is so far behind that its ring has no room to spare: a loss that trips asks
    /// orders to end, and a halt after it must still find room.
    pub fn mark(&self, now: Now) {
        if self.spare() > OPEN_MAX + RING / 8 {
            self.command(&Command::Mark, now);
        }
    }

    /// Hands a report of the executor to the desk.
    pub fn report(&self, report: Report, now: Now) {
        self.command(&Command::Report(report), now);
    }

    /// Slots of the ring that are free: an executor holds its reports back while there are few.
    pub fn spare(&self) -> usize {
        self.lock().map_or(0, |deciding| deciding.events.spare())
    }

    /// The limits of a run to begin that allow more than those of the run before.
    pub fn loosened(&self, limits: &Limits) -> Vec<Loosened> {
        let compared = self.read(|desk, _| (desk.state.runs > 0).then(|| limits.loosened(&desk.state.limits)));
        compared.flatten().unwrap_or_default()
    }

    /// Begins a journal or takes it up; returns the orders that live on: the simulator puts them back to rest, a venue
    /// with a memory is asked about them. Looser limits than those of the run before need `loosen`.
    pub fn start(&self, opened: Opened, started: Started, loosen: bool, now: Now) -> Result<Vec<OpenOrder>, String> {
        let looser = self.loosened(&started.limits);
        if !looser.is_empty() && !loosen && Control::LooserLimits.on() {
            return Err(format!("limits allow more than before and are not confirmed: {}", listed(&looser)));
        }
        let known = self.lock().ok_or("the engine has failed")?.desk.state.profile.clone();
        match known {
            None => drop(self.command(&Command::Open(opened), now)),
            Some(known) if known != opened.profile => {
                let (is, wanted) = (&known, &opened.profile);
                return Err(format!(
                    "the journal belongs to {} {} {}, not to {} {} {}",
                    is.execution, is.venue, is.symbol, wanted.execution, wanted.venue, wanted.symbol
                ));
            }
            Some(_) => {}
        }
        self.command(&Command::Start(Box::new(started)), now);
        let deciding = self.lock().ok_or("the engine has failed")?;
        Ok(deciding.desk.state.orders.iter().copied().collect())
    }

    /// Folds one event of the journal, before [`SharedDesk::start`].
    pub fn recover(&self, stamped: &Stamped) -> Result<(), String> {
        self.lock().ok_or("the engine has failed")?.desk.recover(stamped)
    }

    /// Waits up to `timeout` for events and takes up to `most` of them, oldest first.
    pub fn next_events(&self, most: usize, timeout: Duration) -> Vec<Stamped> {
        let mut taken = self.take(most);
        // The signal may still be up for events that were taken before it was raised: then there is nothing, once.
        while taken.is_empty() && !timeout.is_zero() && self.ready.wait(timeout) {
            taken = self.take(most);
        }
        taken
    }

    fn take(&self, most: usize) -> Vec<Stamped> {
        let mut journal = hold(&self.journal);
        // Events are whole or absent, so those of a desk that a panic broke still belong in the journal.
        let count = hold(&self.deciding).events.hand_over(&mut journal, most);
        journal.drain(..count).collect()
    }

    /// Everything up to `seq` is durable.
    pub fn committed(&self, seq: u64) {
        if let Some(mut deciding) = self.lock() {
            let known = deciding.desk.committed;
            assert!(known <= seq && seq <= deciding.desk.state.seq, "committed {seq} after {known}");
            deciding.desk.committed = seq;
        }
    }

    /// Says whether the journal can be written.
    pub fn set_journal(&self, healthy: bool) {
        if let Some(mut deciding) = self.lock() {
            deciding.desk.health.journal = healthy;
        }
    }

    /// Says whether the executor takes orders.
    pub fn set_executor(&self, ready: bool) {
        if let Some(mut deciding) = self.lock() {
            deciding.desk.health.executor = ready;
        }
    }

    /// Stops trading at once and asks for the end of every open order; returns the number of the newest event then.
    pub fn halt(&self, cause: &str, detail: &str, now: Now) -> u64 {
        self.command_at(&Command::Halt(Halt { cause: cause.into(), detail: detail.into() }), now).1
    }

    /// Reads the desk and the top of book under the lock.
    pub fn read<T>(&self, reader: impl FnOnce(&Desk, &TopOfBook) -> T) -> Option<T> {
        let top = self.published.top();
        self.lock().map(|deciding| reader(&deciding.desk, &top))
    }

    fn lock(&self) -> Option<MutexGuard<'_, Deciding>> {
        self.deciding.lock().ok()
    }
}

impl Deciding {
    fn run(&mut self, command: &Command, now: Now) -> Outcome {
        let Deciding { desk, events, view } = self;
        if let Command::Release { order } = command {
            let newest_durable = desk.committed;
            assert!(
                newest_durable >= desk.state.intent_of(*order),
                "order {order} released before its intent was durable"
            );
        }
        desk.run(command, now, view, |stamped| events.push(stamped))
    }
}

fn listed(looser: &[Loosened]) -> String {
    let one = |Loosened { name, old, new }: &Loosened| format!("{name} {old} -> {new}");
    looser.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn fault(request: &OrderRequest) -> Outcome {
    refusal(request, Breach { code: Reason::EngineFault, value: 0, limit: 0, headroom: 0 })
}

fn full(request: &OrderRequest, slots: usize) -> Outcome {
    let (value, limit) = ((RING - slots) as i128, (RING * 3 / 4 - OPEN_MAX) as i128);
    refusal(request, Breach { code: Reason::QueueFull, value, limit, headroom: 0 })
}

/// The answer to an order that reached no rule of the desk: one reason, and no event.
fn refusal(request: &OrderRequest, breach: Breach) -> Outcome {
    let mut breaches = Breaches::default();
    breaches.add(breach.code, breach.value, breach.limit, breach.headroom);
    let assets = Assets { base: "BTC".into(), quote: "USDT".into() };
    Outcome::Refused(Box::new(Refused::new(*request, &breaches, None, None, Doubt::None, &assets)))
}
