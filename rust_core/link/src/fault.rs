//! What a server can do wrong on a connection.

use std::fmt;

/// A breach that ends the connection; the numbers say what was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// RFC 6455 was broken.
    Protocol(&'static str),
    /// The reason of a close frame is not UTF-8.
    CloseText,
    /// A text message is not UTF-8, where the connection checks it.
    Text,
    /// A message is larger than this connection takes, at most [`MESSAGE_MAX`](crate::frame::MESSAGE_MAX).
    TooLarge {
        /// Bytes announced or gathered.
        bytes: u64,
    },
    /// A message comes in more parts than this connection takes.
    Fragments {
        /// How many it takes.
        most: u32,
    },
}

impl Fault {
    /// The close code that tells the server, RFC 6455 section 7.4.
    pub fn close_code(self) -> u16 {
        match self {
            Fault::Protocol(_) => 1002,
            Fault::CloseText | Fault::Text => 1007,
            Fault::TooLarge { .. } | Fault::Fragments { .. } => 1009,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Protocol(what) => write!(out, "WebSocket protocol: {what}"),
            Fault::CloseText => write!(out, "WebSocket protocol: the reason of the close is not UTF-8"),
            Fault::Text => write!(out, "WebSocket protocol: a text message is not UTF-8"),
            Fault::TooLarge { bytes } => write!(out, "message of {bytes} bytes, more than is taken"),
            Fault::Fragments { most } => write!(out, "message in over {most} fragments"),
        }
    }
}

impl std::error::Error for Fault {}
