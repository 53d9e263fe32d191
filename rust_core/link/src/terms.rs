//! What one connection takes and how it answers. A venue's links run on the default.

use crate::fault::Fault;
use crate::frame::MESSAGE_MAX;

/// Most frames that one message may come in, by default.
pub const FRAGMENTS_MAX: u32 = 4_096;
/// Least time between two pongs by default, ns: with a ping a second and a resubscribe they stay inside Binance's five
/// messages a second.
const PONG_EVERY_NS: i64 = 350_000_000;

/// Caps and choices that hold for the life of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Largest message taken, bytes; more than [`MESSAGE_MAX`] counts as that.
    pub message_max: usize,
    /// Most frames that one message may come in, at least 1.
    pub fragments_max: u32,
    /// How pings are answered.
    pub pongs: Pongs,
    /// Who judges whether text is UTF-8.
    pub text: Text,
}

/// How pings are answered. RFC 6455 section 5.5.3 allows both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pongs {
    /// Of several only the newest, because venues count what a client sends.
    Newest {
        /// Least time between two pongs, ns.
        every_ns: i64,
    },
    /// Each one as it is met.
    Each,
}

/// Who judges whether text is UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// Whoever takes the message: a decoder judges each frame anyway (frames come from files too), counts a bad one and
    /// goes on, where a connection would be lost. The check is paid for once.
    LeftToTaker,
    /// The connection, which fails at the first wrong byte that has arrived: RFC 6455 section 8.1.
    Checked,
}

impl Default for Terms {
    fn default() -> Terms {
        let pongs = Pongs::Newest { every_ns: PONG_EVERY_NS };
        Terms { message_max: MESSAGE_MAX, fragments_max: FRAGMENTS_MAX, pongs, text: Text::LeftToTaker }
    }
}

/// How many of `bytes`, from the first, are whole characters; the rest, at most 3 bytes, may begin one.
///
/// # Errors
/// [`Fault::Text`] at a byte that can stand in no UTF-8 there, whatever follows.
pub(crate) fn whole_characters(bytes: &[u8]) -> Result<usize, Fault> {
    if bytes.is_ascii() {
        return Ok(bytes.len()); // most of what is sent, and several times faster than the decoding below
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.len()),
        Err(error) if error.error_len().is_none() => Ok(error.valid_up_to()),
        Err(_) => Err(Fault::Text),
    }
}
