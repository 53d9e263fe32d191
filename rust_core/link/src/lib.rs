//! The socket that Rust owns: TCP, TLS, WebSocket frames, deadlines. Knows no market and no Python.
//!
//! ```text
//! socket (TCP) ── tls ──► session (frames, no I/O) ──► Sink (the caller's)      run: poll, freshness, deadlines, wake
//! ```
//! There is no switch that turns a certificate check off, and plain `ws://` reaches loopback addresses only.

pub mod fault;
pub mod frame;
mod inbox;
pub mod session;
