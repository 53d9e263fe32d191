//! The socket that Rust owns.
