//! Streams of frames, whole and damaged, cut anyhow: our session beside tungstenite with the same bounds.
//!
//! An input is made from its seed alone: `SEED=n FUZZ=1` repeats it.

#[path = "../../engine/tests/fuzz/dice.rs"]
mod dice;
mod wire;

use std::io;

use dice::Dice;
use link::session::{Event, Session};
use link::terms::Terms;
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};
use tungstenite::{Error, Message};
use wire::reads::Reads;
use wire::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, frame};

/// Inputs in `make test`.
const USUAL: u64 = 4_000;
/// Bytes of the window while nothing large is under way.
const WINDOW: usize = 64 << 10;
/// Unsent bytes at which no more pongs are added, and the largest frame of ours.
const OUTGOING: usize = (64 << 10) + 200;

/// What either side saw: messages, then how it ended.
#[derive(Debug, PartialEq, Default, Clone)]
struct Seen {
    messages: Vec<Vec<u8>>,
    closed: Option<u16>,
    refused: bool,
    /// Refused because a text, perhaps one that is not all there, is no UTF-8.
    not_text: bool,
}

impl Seen {
    fn brief(&self) -> String {
        let sizes: Vec<usize> = self.messages.iter().map(Vec::len).collect();
        format!("messages of {sizes:?} bytes, closed {:?}, refused {}", self.closed, self.refused)
    }
}

/// Feeds the reads to a session and checks its bounds at every step.
fn ours(reads: &[&[u8]], most: usize) -> Seen {
    let terms = Terms { message_max: most, ..Terms::default() };
    let (mut session, mut seen) = (Session::new(1, &[], 0).on(terms), Seen::default());
    for (now, read) in (0..).zip(reads) {
        let space = session.space();
        assert!(space.len() <= (2 * (most + 16)).max(WINDOW) + (16 << 10), "the window grew to {}", space.len());
        space[..read.len()].copy_from_slice(read);
        session.filled(read.len(), now);
        loop {
            match session.next_event() {
                Ok(Some(Event::Text(payload) | Event::Binary(payload))) => {
                    assert!(payload.len() <= most, "a message of {} bytes", payload.len());
                    seen.messages.push(payload.to_vec());
                }
                Ok(Some(Event::Closed { code, .. })) => return Seen { closed: Some(code), ..seen },
                Ok(None) => break,
                Err(_) => return Seen { refused: true, ..seen },
            }
        }
        session.answer(now * 1_000_000_000);
        assert!(session.outgoing().len() <= OUTGOING, "{} bytes to send", session.outgoing().len());
        assert!(session.began_ns().is_none_or(|began| began <= now));
    }
    seen
}

fn theirs(bytes: &[u8], most: usize) -> Seen {
    let bounds =
        WebSocketConfig::default().max_message_size(Some(most)).max_frame_size(Some(most)).read_buffer_size(4 << 10);
    let reads = Reads::of(&[bytes]);
    let mut socket = WebSocket::from_raw_socket(reads, Role::Client, Some(bounds));
    let mut seen = Seen::default();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => seen.messages.push(text.as_bytes().to_vec()),
            Ok(Message::Binary(bytes)) => seen.messages.push(bytes.to_vec()),
            Ok(Message::Close(close)) => {
                return Seen { closed: Some(close.map_or(1005, |close| close.code.into())), ..seen };
            }
            Ok(_) => {}
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return seen,
            Err(Error::Utf8(..)) => return Seen { refused: true, not_text: true, ..seen },
            Err(_) => return Seen { refused: true, ..seen },
        }
    }
}

fn payload(dice: &mut Dice, most: usize) -> Vec<u8> {
    let size = match dice.below(12) {
        0 => 120 + dice.below(12),
        1 => most.saturating_sub(dice.below(4)) + dice.below(3),
        2 if dice.once_in(40) => 65_530 + dice.below(12),
        _ => dice.below(60),
    };
    (0..size).map(|_| b' ' + dice.below(95) as u8).collect()
}

/// One message in one or more parts, control frames between them.
fn message(dice: &mut Dice, most: usize, out: &mut Vec<u8>) {
    let parts = 1 + if dice.once_in(3) { dice.below(4) } else { 0 };
    for part in 0..parts {
        let opcode = if part > 0 { CONTINUATION } else { *dice.pick(&[TEXT, TEXT, BINARY]) };
        let fin = if part + 1 == parts { FIN } else { 0 };
        out.extend(frame(opcode | fin, &payload(dice, most)));
        if dice.once_in(5) {
            let size = dice.below(126);
            let control: Vec<u8> = (0..size).map(|_| dice.word() as u8).collect();
            out.extend(frame(FIN | *dice.pick(&[PING, PONG]), &control));
        }
    }
}

fn stream(dice: &mut Dice, most: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..dice.below(6) {
        message(dice, most, &mut out);
    }
    if dice.once_in(4) {
        let code = *dice.pick(&[1000_u16, 1001, 1005, 1006, 1012, 1013, 1015, 2999, 4000, 5000]);
        let words: &[&[u8]] = &[b"", b"bye", b"\xFF"];
        out.extend(frame(FIN | CLOSE, &[&code.to_be_bytes(), *dice.pick(words)].concat()));
    }
    if dice.once_in(4) {
        let noise = dice.below(200);
        out.extend((0..noise).map(|_| *dice.pick(&[0x81, 0x00, 0x7E, 0x7F, 0x89, 0x01, 0xFF, b'x'])));
    }
    out
}

/// Damages up to four places.
fn damage(dice: &mut Dice, bytes: &mut Vec<u8>) {
    let times = if dice.once_in(2) { 0 } else { 1 + dice.below(4) };
    for _ in 0..times {
        if bytes.is_empty() {
            break;
        }
        let at = dice.below(bytes.len());
        let end = (at + dice.below(30)).min(bytes.len());
        match dice.below(6) {
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes[at] = dice.word() as u8,
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => bytes.insert(at, dice.word() as u8),
            _ => {
                let chunk = bytes[at..end].to_vec();
                bytes.splice(at..at, chunk);
            }
        }
    }
}

fn cut<'a>(dice: &mut Dice, mut bytes: &'a [u8]) -> Vec<&'a [u8]> {
    let usual = *dice.pick(&[1, 3, 50, 500, 16 << 10]);
    let mut reads = Vec::new();
    while !bytes.is_empty() {
        let (read, rest) = bytes.split_at((1 + dice.below(usual)).min(bytes.len()));
        reads.push(read);
        bytes = rest;
    }
    reads
}

/// Both saw the same, but for what they are allowed to see differently.
fn agree(ours: &Seen, theirs: &Seen) -> bool {
    // 1014 is in IANA's registry of close codes, but not among those that tungstenite knows.
    let ours = match (ours.closed, theirs.closed) {
        (Some(1014), Some(1002)) => &Seen { closed: theirs.closed, ..ours.clone() },
        _ => ours,
    };
    if ours == theirs {
        return true;
    }
    let start = |a: &Seen, b: &Seen| b.messages.starts_with(&a.messages);
    // Heads are judged before their payload came. Whether a text is UTF-8 is the decoder's business here.
    (ours.refused && start(ours, theirs)) || (theirs.not_text && start(theirs, ours))
}

#[test]
fn a_session_reads_any_stream_as_tungstenite_does_within_its_bounds() {
    let mut told = 0_u64;
    dice::run("session", USUAL, |seed| {
        let mut dice = Dice::new(seed);
        let most = *dice.pick(&[100_usize, 300, 5_000, 1 << 20]);
        let mut bytes = stream(&mut dice, most.min(5_000));
        damage(&mut dice, &mut bytes);
        let reads = cut(&mut dice, &bytes);
        let (ours, theirs) = (ours(&reads, most), theirs(&bytes, most));
        assert!(
            agree(&ours, &theirs),
            "seed {seed}, most {most}
ours {}
theirs {}",
            ours.brief(),
            theirs.brief()
        );
        told += u64::from(!ours.messages.is_empty());
    });
    assert!(told >= dice::count(USUAL) / 4 || dice::count(USUAL) < 100, "only {told} inputs held a message");
}
