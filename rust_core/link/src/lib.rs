//! The socket that Rust owns: TCP, TLS, WebSocket frames, deadlines. Knows no market and no Python.
//!
//! ```text
//! socket (TCP) ─ tls ─► opening (HTTP upgrade, driven from outside) ─► run (poll, deadlines, wake) ─► Sink (the caller's)
//!                                                                       session (frames, no I/O); watch (silence),
//!                                                                       asking (subscriptions): times in, what is due out
//! ```
//! There is no switch that turns a certificate check off, and without TLS only loopback addresses are connected to.

pub mod asking;
pub mod clock;
pub mod fault;
pub mod frame;
mod inbox;
pub mod opening;
pub mod run;
pub mod session;
pub mod socket;
pub mod terms;
pub mod tls;
pub mod wake;
pub mod watch;
