//! pytrader._core: convert, call, convert.

mod book;
mod clock;
mod denials;
mod desk;
mod driver;
mod link;
mod mailbox;
mod replay;
mod rules;
mod simulator;
mod tape;
mod units;

use pyo3::prelude::*;

/// Rust core of pytrader.
#[pymodule(gil_used = true)]
mod _core {
    #[pymodule_export]
    use crate::book::{Book, Top};
    #[pymodule_export]
    use crate::desk::{Desk, EngineFault, Verdict};
    #[pymodule_export]
    use crate::link::{Ended, Link, Waker};
    #[pymodule_export]
    use crate::replay::Replay;
    #[pymodule_export]
    use crate::simulator::Simulator;
    #[pymodule_export]
    use crate::tape::Tape;
    #[pymodule_export]
    use crate::units::{format_e8, format_fixed, parse_e8};
}
