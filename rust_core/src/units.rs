//! Exact decimals for Python: text ⇄ integers of 10⁻⁸.

use engine::units::{Price, div_half_even, format_decimal};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Reads decimal text as an integer of 10⁻⁸.
///
/// The text is 1 to 12 digits, then optionally a dot and 1 to 8 digits: no sign, no exponent, no blanks.
/// Raises ValueError for any other text and for values above 92233720368.54775807.
#[pyfunction]
pub(crate) fn parse_e8(text: &str) -> PyResult<i64> {
    engine::units::parse_e8(text.as_bytes()).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Writes an integer of 10⁻⁸ as the shortest exact decimal text, without trailing zeros.
#[pyfunction]
pub(crate) fn format_e8(value: i64) -> String {
    Price(value).to_string()
}

/// Writes an integer of 10⁻⁸ with exactly `decimals` decimals (0 to 8), rounded half-even.
///
/// Raises ValueError for other `decimals`.
#[pyfunction]
pub(crate) fn format_fixed(value_e8: i64, decimals: usize) -> PyResult<String> {
    let dropped = 8_usize.checked_sub(decimals).ok_or_else(|| PyValueError::new_err("decimals must be 0 to 8"))?;
    let rounded = div_half_even(i128::from(value_e8), 10_i128.pow(dropped as u32));
    Ok(padded(rounded, decimals))
}

/// `value` × 10⁻ᵈᵉᶜⁱᵐᵃˡˢ with all its decimals.
fn padded(value: i128, decimals: usize) -> String {
    let shortest = format_decimal(value, decimals);
    let (whole, fraction) = shortest.split_once('.').unwrap_or((&shortest, ""));
    let dot = if decimals > 0 { "." } else { "" };
    format!("{whole}{dot}{fraction:0<decimals$}")
}
