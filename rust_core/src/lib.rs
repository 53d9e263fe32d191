//! pytrader._core: convert, call, convert.

use pyo3::prelude::*;

/// Rust core of pytrader.
#[pymodule(gil_used = true)]
mod _core {}
