//! One WebSocket connection after its upgrade, without I/O: bytes in, messages and bytes out. Time is an argument.
//!
//! The deframer is our own because it costs less and promises more. Measured by `cargo bench -p link` over the same
//! bytes in reads of 16 KiB (2-core VM, medians): a bookTicker frame of 146 bytes 9.9 ns, by tungstenite without I/O
//! 57 ns, which would be two fifths of the frame's path (decode and apply: about 85 ns); a depth frame of 6.5 kB 186 ns
//! against 692 ns. tungstenite copies every payload; a message here stands in the read buffer unless it came in
//! fragments. It also has no bound on fragments and does not say when a message began, which the deadline needs.
//! `tests/twin.rs` holds the two against each other on random streams.

use crate::fault::Fault;
use crate::frame::{self, CONTROL_MAX, Head, MESSAGE_MAX, Masks, Opcode};
use crate::inbox::Inbox;
use crate::terms::{Pongs, Terms, Text, whole_characters};
use std::ops::Range;

/// Unsent bytes above which a pong is not worth adding: the peer has stopped reading.
const OUTGOING_MAX: usize = 64 << 10;
/// A joined message above this gives its memory back when the next one starts.
const JOINED_KEPT: usize = 1 << 20;

/// What the server sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole text message, in place unless it came in fragments. UTF-8 if the [`Terms`] have it checked.
    Text(&'a [u8]),
    /// A whole binary message, likewise.
    Binary(&'a [u8]),
    /// The server closed in good form; our answer is already outgoing. Nothing follows.
    Closed {
        /// Its code, 1005 when it gave none.
        code: u16,
        /// Its words.
        reason: &'a str,
    },
}

impl<'a> Event<'a> {
    #[inline]
    fn message(text: bool, payload: &'a [u8]) -> Event<'a> {
        if text { Event::Text(payload) } else { Event::Binary(payload) }
    }
}

enum Whole {
    InPlace(Range<usize>),
    Joined,
}

#[derive(Debug)]
struct Pong {
    length: usize,
    payload: [u8; CONTROL_MAX],
}

/// State of one connection. After an `Err` or a [`Event::Closed`] it is spent.
#[derive(Debug)]
pub struct Session {
    inbox: Inbox,
    joined: Vec<u8>,
    fragments: u32, // frames of the message under way so far, 0 = none under way
    text: bool,     // the message under way began as text
    judged: usize,  // its first bytes that are known to be whole characters
    terms: Terms,
    began_ns: Option<i64>,
    filled_ns: i64,
    pong: Option<Pong>,
    next_pong_ns: i64,
    outgoing: Vec<u8>,
    masks: Masks,
}

impl Session {
    /// A connection just upgraded; `received` are bytes that came behind the response head, at `now_ns`.
    pub fn new(seed: u64, received: &[u8], now_ns: i64) -> Session {
        Session {
            inbox: Inbox::new(received),
            joined: Vec::new(),
            fragments: 0,
            text: false,
            judged: 0,
            terms: Terms::default(),
            began_ns: None,
            filled_ns: now_ns,
            pong: None,
            next_pong_ns: i64::MIN,
            outgoing: Vec::with_capacity(1 << 10),
            masks: Masks::new(seed),
        }
    }

    /// The connection on other terms than the default.
    pub fn on(self, terms: Terms) -> Session {
        Session { terms: Terms { message_max: terms.message_max.min(MESSAGE_MAX), ..terms }, ..self }
    }

    /// Room for the next read, at least 16 KiB.
    pub fn space(&mut self) -> &mut [u8] {
        self.inbox.space()
    }

    /// `count` bytes were read into the room at `now_ns`.
    pub fn filled(&mut self, count: usize, now_ns: i64) {
        self.inbox.filled(count);
        self.filled_ns = now_ns;
    }

    /// The next thing received; `None` when more bytes are needed.
    ///
    /// # Errors
    /// A [`Fault`] of the server; [`Session::close`] with its code is then the right answer.
    #[inline]
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, Fault> {
        loop {
            let Some((head, payload)) = self.take_frame()? else { return self.judge_part().map(|()| None) };
            match head.opcode {
                Opcode::Text | Opcode::Binary | Opcode::Continuation => match self.data(head, payload)? {
                    Some(Whole::InPlace(range)) => {
                        return Ok(Some(Event::message(head.opcode == Opcode::Text, self.inbox.slice(range))));
                    }
                    Some(Whole::Joined) => return Ok(Some(Event::message(self.text, &self.joined))),
                    None => {}
                },
                Opcode::Ping => self.note_ping(payload),
                Opcode::Pong => self.settle(),
                Opcode::Close => return self.closed(payload).map(Some),
            }
        }
    }

    /// When the first byte of the message (or control frame) under way arrived; `None` between messages.
    pub fn began_ns(&self) -> Option<i64> {
        self.began_ns
    }

    /// Puts the pong that is due among the outgoing bytes: see [`Pongs::Newest`]. By default at most three a second.
    pub fn answer(&mut self, now_ns: i64) {
        let Pongs::Newest { every_ns } = self.terms.pongs else { return };
        if now_ns < self.next_pong_ns {
            return;
        }
        let Some(pong) = self.pong.take() else { return };
        self.next_pong_ns = now_ns + every_ns;
        if self.outgoing.len() < OUTGOING_MAX {
            self.send(Opcode::Pong, &pong.payload[..pong.length]);
        }
    }

    /// When [`Session::answer`] has something to do.
    pub fn answer_due_ns(&self) -> Option<i64> {
        self.pong.as_ref().map(|_| self.next_pong_ns)
    }

    /// Queues a text message.
    pub fn send_text(&mut self, text: &str) {
        self.send(Opcode::Text, text.as_bytes());
    }

    /// Queues a binary message.
    pub fn send_binary(&mut self, bytes: &[u8]) {
        self.send(Opcode::Binary, bytes);
    }

    /// Queues a ping without payload.
    pub fn send_ping(&mut self) {
        self.send(Opcode::Ping, &[]);
    }

    /// Queues a close frame with `code`.
    pub fn close(&mut self, code: u16) {
        self.send(Opcode::Close, &code.to_be_bytes());
    }

    /// Bytes to write.
    pub fn outgoing(&self) -> &[u8] {
        &self.outgoing
    }

    /// The first `count` outgoing bytes were written.
    pub fn sent(&mut self, count: usize) {
        self.outgoing.drain(..count);
    }

    fn send(&mut self, opcode: Opcode, payload: &[u8]) {
        let mask = self.masks.next_key();
        frame::write(&mut self.outgoing, opcode, payload, mask);
    }

    #[inline]
    fn take_frame(&mut self) -> Result<Option<(Head, Range<usize>)>, Fault> {
        if let Some(head) = Head::read(self.inbox.waiting())? {
            self.check_order(head)?;
            if self.inbox.waiting().len() >= head.head_len + head.payload_len {
                self.inbox.take(head.head_len);
                return Ok(Some((head, self.inbox.take(head.payload_len))));
            }
        }
        if self.began_ns.is_none() && !self.inbox.waiting().is_empty() {
            self.began_ns = Some(self.filled_ns);
        }
        Ok(None)
    }

    /// Judges a head before its payload is waited for: the order of fragments, and their sum and number.
    #[inline]
    fn check_order(&self, head: Head) -> Result<(), Fault> {
        let under_way = self.fragments > 0;
        match head.opcode {
            Opcode::Continuation if !under_way => Err(Fault::Protocol("continuation of no message")),
            Opcode::Text | Opcode::Binary if under_way => Err(Fault::Protocol("new message inside a fragmented one")),
            Opcode::Continuation if self.fragments >= self.terms.fragments_max => {
                Err(Fault::Fragments { most: self.terms.fragments_max })
            }
            Opcode::Continuation if self.joined.len() + head.payload_len > self.terms.message_max => {
                Err(Fault::TooLarge { bytes: (self.joined.len() + head.payload_len) as u64 })
            }
            _ if head.payload_len > self.terms.message_max => Err(Fault::TooLarge { bytes: head.payload_len as u64 }),
            _ => Ok(()),
        }
    }

    #[inline]
    fn data(&mut self, head: Head, payload: Range<usize>) -> Result<Option<Whole>, Fault> {
        if head.fin && self.fragments == 0 {
            self.began_ns = None;
            if head.opcode == Opcode::Text && self.terms.text == Text::Checked {
                self.judge_in_place(payload.clone())?;
            }
            return Ok(Some(Whole::InPlace(payload)));
        }
        self.join(head, payload)?;
        if !head.fin {
            self.began_ns = self.began_ns.or(Some(self.filled_ns));
            return Ok(None);
        }
        self.fragments = 0;
        self.began_ns = None;
        Ok(Some(Whole::Joined))
    }

    #[inline(never)]
    fn join(&mut self, head: Head, payload: Range<usize>) -> Result<(), Fault> {
        if self.fragments == 0 {
            self.joined.clear();
            self.joined.shrink_to(JOINED_KEPT);
            self.text = head.opcode == Opcode::Text;
        }
        self.fragments += 1;
        self.joined.extend_from_slice(self.inbox.slice(payload));
        if self.text && self.terms.text == Text::Checked {
            self.judge_joined(head.fin)?;
        }
        Ok(())
    }

    /// Judges what follows the bytes that were judged as they arrived, to the end of the message.
    #[inline(never)]
    fn judge_in_place(&mut self, payload: Range<usize>) -> Result<(), Fault> {
        let rest = payload.start + std::mem::take(&mut self.judged)..payload.end;
        let left = rest.len() - whole_characters(self.inbox.slice(rest))?;
        if left > 0 { Err(Fault::Text) } else { Ok(()) }
    }

    fn judge_joined(&mut self, ends: bool) -> Result<(), Fault> {
        self.judged += whole_characters(&self.joined[self.judged..])?;
        if !ends {
            return Ok(());
        }
        if std::mem::take(&mut self.judged) < self.joined.len() { Err(Fault::Text) } else { Ok(()) }
    }

    /// Judges what has arrived of a frame. A frame that begins inside a character is judged when it is whole.
    ///
    /// It reads the head again: handed on from where it was read, it would cost every whole frame 3 ns.
    #[cold]
    fn judge_part(&mut self) -> Result<(), Fault> {
        if self.terms.text != Text::Checked {
            return Ok(());
        }
        let Some(head) = Head::read(self.inbox.waiting())? else { return Ok(()) };
        let (text, before) = match head.opcode {
            Opcode::Text => (true, 0),
            Opcode::Continuation => (self.text, self.joined.len()),
            _ => return Ok(()),
        };
        if text && self.judged >= before {
            let arrived = &self.inbox.waiting()[head.head_len..];
            self.judged += whole_characters(&arrived[self.judged - before..])?;
        }
        Ok(())
    }

    /// A whole control frame does not count as the start of a message.
    fn settle(&mut self) {
        if self.fragments == 0 {
            self.began_ns = None;
        }
    }

    fn note_ping(&mut self, payload: Range<usize>) {
        let mut pong = Pong { length: payload.len(), payload: [0; CONTROL_MAX] };
        pong.payload[..pong.length].copy_from_slice(self.inbox.slice(payload));
        match self.terms.pongs {
            Pongs::Newest { .. } => self.pong = Some(pong),
            Pongs::Each if self.outgoing.len() < OUTGOING_MAX => self.send(Opcode::Pong, &pong.payload[..pong.length]),
            Pongs::Each => {}
        }
        self.settle();
    }

    fn closed(&mut self, payload: Range<usize>) -> Result<Event<'_>, Fault> {
        if payload.is_empty() {
            self.send(Opcode::Close, &[]);
            return Ok(Event::Closed { code: 1005, reason: "" });
        }
        let Some(&code) = self.inbox.slice(payload.clone()).first_chunk::<2>() else {
            return Err(Fault::Protocol("close frame of one byte"));
        };
        let code = u16::from_be_bytes(code);
        if !may_be_sent(code) {
            return Err(Fault::Protocol("close code that may not be sent"));
        }
        let words = payload.start + 2..payload.end;
        std::str::from_utf8(self.inbox.slice(words.clone())).map_err(|_| Fault::CloseText)?;
        self.close(code);
        let reason = std::str::from_utf8(self.inbox.slice(words)).unwrap_or_default();
        Ok(Event::Closed { code, reason })
    }
}

/// RFC 6455 section 7.4 and the registry: 1004 to 1006 and 1015 are never on the wire.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
