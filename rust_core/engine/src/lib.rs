//! pytrader's pure core: bytes of a venue → book → view; commands → decisions → events → state.
//!
//! Nothing here knows Python, does I/O, reads a clock or starts a thread. Time is an argument ([`units::Now`]),
//! money is an integer, and the same inputs give the same events on every machine.

pub mod book;
pub mod breach;
pub mod control;
pub mod desk;
pub mod execution;
pub mod latency;
pub mod ledger;
pub mod limits;
pub mod market;
pub mod published;
pub mod queue;
pub mod record;
pub mod replay;
pub mod ring;
pub mod risk;
pub mod seqlock;
pub mod simulate;
pub mod succession;
mod sync;
pub mod tape;
pub mod units;
pub mod view;
pub mod wake;
pub mod window;
pub mod wire;
