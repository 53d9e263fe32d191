//! What happened, as the journal keeps it. An event's body is one JSON object with one key, the kind; decimals are text.

use serde::{Deserialize, Serialize};

use crate::desk::accepted::Accepted;
use crate::desk::client_id::ClientId;
use crate::desk::trade_id::TradeId;
use crate::risk::{Assets, Breach, Breaches, Clause, Instrument, Limits, Reason};
use crate::units::{Money, Now, Price, Qty, Side};
use crate::view::Doubt;

/// How long an order may live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tif {
    /// Immediate or cancel: what cannot be filled at once is cancelled. Market orders are always this.
    Ioc,
    /// Good till cancelled: what cannot be filled at once rests at the limit.
    Gtc,
}

/// An order as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRequest {
    /// Buy or sell.
    pub side: Side,
    /// Base quantity, > 0.
    pub quantity: Qty,
    /// Worst price; `None` for a market order.
    pub limit: Option<Price>,
    /// Life of the order.
    pub tif: Tif,
    /// The order must reduce the position, and may then pass a halt or a loss latch.
    pub reduce: bool,
    /// The owner's name for it, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
}

impl OrderRequest {
    /// The same order without its owner's name for it.
    pub fn anonymous(self) -> OrderRequest {
        OrderRequest { client_id: None, ..self }
    }
}

/// What a journal belongs to; it is opened as nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// `simulated` or the name of a testnet.
    pub execution: String,
    /// The traded venue.
    pub venue: String,
    /// The venue's symbol.
    pub symbol: String,
    /// Names of its assets.
    #[serde(flatten)]
    pub assets: Assets,
}

/// A new journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// Version of the event bodies, 1.
    pub version: u32,
    /// What the journal belongs to.
    #[serde(flatten)]
    pub profile: Profile,
}

/// A process took up the journal with these rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Version of the program.
    pub build: String,
    /// Seed of the simulated executor.
    pub seed: u64,
    /// Limits in force.
    pub limits: Limits,
    /// The venue's filters in force.
    pub instrument: Instrument,
    /// The venue keeps orders while no process runs: what may have left is asked for, and ends by its word alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub memory: bool,
}

/// An order was refused; nothing left the desk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The order as asked for.
    pub request: OrderRequest,
    /// Every rule that it broke, in the order of the checks.
    pub breaches: Vec<Breach>,
    /// The largest quantity that would have passed, where a smaller order could.
    pub largest: Option<Qty>,
    /// What the user was told.
    pub sentence: String,
}

impl Refused {
    /// Words the refusal: one sentence with all breaches; a latch or a halt names the way out, a book that is not
    /// synchronised its `doubt`.
    pub fn new(
        request: OrderRequest,
        breaches: &Breaches,
        largest: Option<Qty>,
        halt: Option<&Halt>,
        doubt: Doubt,
        assets: &Assets,
    ) -> Refused {
        let clause = |breach| clause(breach, halt, doubt, assets);
        let mut clauses: Vec<String> = breaches.rows().iter().map(clause).collect();
        if let Some(first) = clauses.first_mut() {
            first[..1].make_ascii_uppercase();
        }
        let stopped = breaches.rows().iter().any(|breach| matches!(breach.code, Reason::Halted | Reason::DailyLoss));
        let way_out = if stopped { "; use `flatten` or `reduce`" } else { "" };
        let sentence = format!("Order rejected: {}{way_out}.", clauses.join("; "));
        Refused { request, breaches: breaches.rows().to_vec(), largest, sentence }
    }
}

fn clause(breach: &Breach, halt: Option<&Halt>, doubt: Doubt, assets: &Assets) -> String {
    let words = Clause(breach, assets);
    match (breach.code, halt) {
        (Reason::Halted, Some(halt)) => format!("trading is halted ({}: {})", halt.cause, halt.detail),
        (Reason::BookUnsynced, _) if doubt != Doubt::None => format!("{words} ({})", doubt.word()),
        _ => words.to_string(),
    }
}

/// One price of a fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trade {
    /// Price, slippage included.
    pub price: Price,
    /// Quantity, > 0.
    pub quantity: Qty,
    /// Fee, ≥ 0.
    pub fee: Money,
    /// The venue's name for it, by which it counts once; `None` from an executor that reports exactly once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<TradeId>,
}

/// Nobody knows whether the venue has an order: no answer came. It keeps its reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unanswered {
    /// The order.
    pub order: u64,
    /// Its side.
    pub side: Side,
    /// Quantity that may still be filled, > 0.
    pub quantity: Qty,
}

/// What is left of an order rests at its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rested {
    /// The order.
    pub order: u64,
    /// Its side.
    pub side: Side,
    /// Quantity at rest, > 0.
    pub quantity: Qty,
    /// Its price.
    pub limit: Option<Price>,
}

/// Where the difference to the mid at the decision came from; the parts add up to `total` exactly. Above zero costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slippage {
    /// Paid beyond the mid at the decision.
    pub total: Money,
    /// Mid at arrival to the best price at arrival.
    pub spread: Money,
    /// Best price at arrival to the levels that were taken.
    pub depth: Money,
    /// Mid at the decision to mid at arrival.
    pub delay: Money,
    /// The configured extra slippage.
    pub model: Money,
}

/// Fills of one report with their receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filled {
    /// The order.
    pub order: u64,
    /// Its side.
    pub side: Side,
    /// Quantity that the order asked for.
    pub quantity: Qty,
    /// Quantity of this report.
    pub filled: Qty,
    /// The order is complete.
    pub done: bool,
    /// Prices taken, in order.
    pub trades: Vec<Trade>,
    /// Sum of price × quantity.
    pub cost: Money,
    /// `cost ÷ filled`, half-even at 10⁻⁸. For display; `cost` is exact.
    pub average: Price,
    /// The order rested and was taken.
    pub maker: bool,
    /// Mid at the decision, half-even at 10⁻⁸.
    pub decision_mid: Price,
    /// Mid at arrival, half-even at 10⁻⁸.
    pub arrival_mid: Price,
    /// Simulated travel time, ns.
    pub delay_ns: i64,
    /// From the decision to this report, ns.
    pub elapsed_ns: i64,
    /// Where the cost came from.
    pub slippage: Slippage,
    /// A limit that the order passed at its decision and that the market moved it over.
    pub drift: Option<Reason>,
    /// Profit realised by this report, fees not counted.
    pub realised: Money,
    /// Fees of this report.
    pub fee: Money,
}

/// Why trades are booked beside the orders of this desk; each also stops trading, under the same code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StrayCause {
    /// More than was open of the order; it completed by what was open, and this is the rest.
    Overfill,
    /// The order had ended.
    FillAfterEnd,
    /// The order had not left.
    FillBeforeRelease,
    /// Of no order, or of a number that was never given.
    ForeignFill,
    /// The order is on the other side.
    WrongSide,
}

impl StrayCause {
    /// The stable text form, `FILL_AFTER_END` and the like; a halt bears it as its cause.
    pub fn code(self) -> String {
        serde_json::to_value(self).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// Trades that the venue reports and that no open order accounts for: position and money move by the whole of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stray {
    /// The order that the report names, if it names one.
    pub order: Option<u64>,
    /// The venue's side.
    pub side: Side,
    /// Sum of the trades' quantities, > 0.
    pub quantity: Qty,
    /// Prices taken, in order.
    pub trades: Vec<Trade>,
    /// Sum of price × quantity.
    pub cost: Money,
    /// `cost ÷ quantity`, half-even at 10⁻⁸.
    pub average: Price,
    /// Profit realised by them, fees not counted.
    pub realised: Money,
    /// Fees of them.
    pub fee: Money,
    /// Why they are strays.
    pub cause: StrayCause,
}

/// How an order ended without being complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// By us, by the venue's rules for its life, or because the market could not be trusted.
    Canceled,
    /// By the venue.
    Rejected,
    /// By the venue's clock.
    Expired,
}

/// An order ended without being complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The order.
    pub order: u64,
    /// Its side.
    pub side: Side,
    /// Quantity that the order asked for.
    pub quantity: Qty,
    /// Quantity that was filled before.
    pub filled: Qty,
    /// How it ended.
    pub state: End,
    /// Why.
    pub reason: Reason,
}

/// Trading stopped until a person resumes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// `OPERATOR`, `JOURNAL`, `THREAD`, `EXECUTOR`, the code of a stray fill and the like.
    pub cause: String,
    /// In words.
    pub detail: String,
}

impl Halt {
    /// A halt by this cause.
    pub fn new(cause: &str, detail: impl Into<String>) -> Halt {
        Halt { cause: cause.into(), detail: detail.into() }
    }
}

/// Everything that can happen. `evolve` is total over it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the payloads are documented
pub enum Event {
    Opened(Opened),
    Started(Box<Started>),
    Accepted(Accepted),
    Refused(Box<Refused>),
    /// Leaves for the executor now.
    Released {
        order: u64,
    },
    /// Rests at its limit.
    Resting(Rested),
    Unknown(Unanswered),
    Filled(Box<Filled>),
    Stray(Box<Stray>),
    CancelRequested {
        order: u64,
        reason: Reason,
    },
    Ended(Ended),
    /// The closing price of the open position, once a minute.
    Marked {
        price: Price,
    },
    /// A UTC day began with this equity.
    DayStarted {
        day: i64,
        start_equity: Money,
    },
    /// The day's loss reached the limit.
    LossLatched {
        day: i64,
        loss: Money,
    },
    Halted(Halt),
    Resumed {},
    /// The wall clock moved by this against the monotonic one; no day begins until a person resumes.
    ClockJumped {
        by_ns: i64,
    },
    /// A run began with other limits than the one before.
    LimitsChanged {
        old: Box<Limits>,
        new: Box<Limits>,
    },
}

/// An event with its place in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamped {
    /// Number in the journal, from 1, without gaps.
    pub seq: u64,
    /// When.
    pub now: Now,
    /// What.
    pub event: Event,
}

impl Event {
    /// The body's text.
    pub fn body(&self) -> String {
        serde_json::to_string(self).expect("an event has only text keys and finite values")
    }

    /// Reads a body back. The error says what was expected and where.
    pub fn parse(body: &[u8]) -> Result<Event, String> {
        serde_json::from_slice(body).map_err(|error| error.to_string())
    }
}
