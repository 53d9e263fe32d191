//! The head of a WebSocket frame (RFC 6455 section 5.2): read from a server, written to it.

use crate::fault::Fault;

/// Largest message taken, bytes: fragments together, head not counted. A Coinbase snapshot is 5 MB in one frame.
pub const MESSAGE_MAX: usize = 16 << 20;
/// Longest head that a server may send, bytes: two, and an eight-byte length. Servers do not mask.
pub const HEAD_MAX: usize = 10;
/// Largest payload of a control frame, bytes.
pub const CONTROL_MAX: usize = 125;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// A further part of the message under way.
    Continuation,
    /// Text, or its first part.
    Text,
    /// Bytes, or their first part.
    Binary,
    /// The peer closes.
    Close,
    /// The peer wants a pong with the same payload.
    Ping,
    /// The answer to our ping.
    Pong,
}

impl Opcode {
    fn of(nibble: u8) -> Result<Opcode, Fault> {
        match nibble {
            0x0 => Ok(Opcode::Continuation),
            0x1 => Ok(Opcode::Text),
            0x2 => Ok(Opcode::Binary),
            0x8 => Ok(Opcode::Close),
            0x9 => Ok(Opcode::Ping),
            0xA => Ok(Opcode::Pong),
            _ => Err(Fault::Protocol("unknown opcode")),
        }
    }

    fn nibble(self) -> u8 {
        match self {
            Opcode::Continuation => 0x0,
            Opcode::Text => 0x1,
            Opcode::Binary => 0x2,
            Opcode::Close => 0x8,
            Opcode::Ping => 0x9,
            Opcode::Pong => 0xA,
        }
    }

    fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }
}

/// A checked head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The message ends with this frame.
    pub fin: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// Bytes of the head itself, 2, 4 or 10.
    pub head_len: usize,
    /// Bytes of the payload, at most [`MESSAGE_MAX`].
    pub payload_len: usize,
}

impl Head {
    /// Reads the head at the start of `bytes`; `None` when more bytes are needed.
    ///
    /// # Errors
    /// Whatever RFC 6455 forbids a server (no extension is ever negotiated, so every RSV bit is wrong), and a payload
    /// that is announced larger than [`MESSAGE_MAX`], before a byte of it is stored.
    #[inline]
    pub fn read(bytes: &[u8]) -> Result<Option<Head>, Fault> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(Fault::Protocol("RSV bit set without an extension"));
        }
        if second & 0x80 != 0 {
            return Err(Fault::Protocol("masked frame from a server"));
        }
        let (fin, opcode) = (first & 0x80 != 0, Opcode::of(first & 0x0F)?);
        let short = usize::from(second & 0x7F);
        if opcode.is_control() && (!fin || short > CONTROL_MAX) {
            return Err(Fault::Protocol("control frame fragmented or longer than 125 bytes"));
        }
        let (head_len, payload_len) = match short {
            126 => match rest.first_chunk::<2>() {
                Some(length) => (4, usize::from(u16::from_be_bytes(*length))),
                None => return Ok(None),
            },
            127 => match rest.first_chunk::<8>() {
                Some(length) => (HEAD_MAX, long_length(*length)?),
                None => return Ok(None),
            },
            _ => (2, short),
        };
        Ok(Some(Head { fin, opcode, head_len, payload_len }))
    }
}

fn long_length(bytes: [u8; 8]) -> Result<usize, Fault> {
    let announced = u64::from_be_bytes(bytes);
    if announced >> 63 != 0 {
        return Err(Fault::Protocol("length with the top bit set"));
    }
    usize::try_from(announced).ok().filter(|&length| length <= MESSAGE_MAX).ok_or(Fault::TooLarge { bytes: announced })
}

/// Appends one unfragmented client frame with its payload masked.
pub fn write(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: [u8; 4]) {
    out.push(0x80 | opcode.nibble());
    match payload.len() {
        short @ 0..=125 => out.push(0x80 | short as u8),
        middle @ 126..=0xFFFF => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(middle as u16).to_be_bytes());
        }
        long => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// Mask keys from a counter: they keep proxies from mistaking payload for HTTP, and hide nothing.
#[derive(Debug)]
pub struct Masks(u64);

impl Masks {
    /// Keys that follow from `seed`.
    pub fn new(seed: u64) -> Masks {
        Masks(seed)
    }

    /// The next key (splitmix64).
    pub fn next_key(&mut self) -> [u8; 4] {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((word ^ (word >> 31)) as u32).to_be_bytes()
    }
}
