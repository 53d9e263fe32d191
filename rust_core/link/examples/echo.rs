//! A client for the public Autobahn suite, built on this crate as a venue's link is: `echo PORT` runs every case of a
//! fuzzing server on loopback, sends each message back, and asks for the report. `tests/soak_autobahn.py` starts both.
//!
//! It differs from a venue's link in its [`Terms`]: text is checked here because no decoder follows, every ping is
//! answered, and a message may come in as many frames as the suite likes (65,536). And it waits for the server to hang
//! up, as RFC 6455 section 7.1.1 asks a client to.

use link::clock::now_ns;
use link::frame::MESSAGE_MAX;
use link::opening::{Opening, UPGRADE_MAX};
use link::session::{Event, Session};
use link::socket::{Endpoint, Stream};
use link::terms::{Pongs, Terms, Text};
use link::wake::{Waker, wait};
use std::error::Error;
use std::io;
use std::sync::Arc;

const OPENING_NS: i64 = 5_000_000_000;
/// The suite takes seconds for some cases; a server silent for so long has gone.
const SILENCE_NS: i64 = 60_000_000_000;
const TERMS: Terms =
    Terms { message_max: MESSAGE_MAX, fragments_max: u32::MAX, pongs: Pongs::Each, text: Text::Checked };

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let port = std::env::args().nth(1).ok_or("echo PORT")?.parse()?;
    let count: u32 = String::from_utf8(talk(port, "/getCaseCount")?)?.parse()?;
    for case in 1..=count {
        talk(port, &format!("/runCase?case={case}&agent=pytrader"))?;
    }
    talk(port, "/updateReports?agent=pytrader").map(drop)
}

/// Echoes until the connection ends; the last message that came.
fn talk(port: u16, path: &str) -> Outcome<Vec<u8>> {
    let waker = Arc::new(Waker::new()?);
    let endpoint = Endpoint { host: "127.0.0.1", port, tls: false, ca_file: None };
    let mut opening = Opening::connect(&endpoint, Arc::clone(&waker), OPENING_NS, UPGRADE_MAX)?;
    let received = upgrade(&mut opening, port, path)?;
    let (stream, rest) = opening.into_parts();
    let session = Session::new(now_ns() as u64, &[received, rest].concat(), now_ns()).on(TERMS);
    let mut peer = Peer { stream, session, waker, last: Vec::new() };
    peer.echo()?;
    peer.hear_out()?;
    Ok(peer.last)
}

/// Asks for the WebSocket; the bytes that came behind the response head. In the product websocket-client does this.
fn upgrade(opening: &mut Opening, port: u16, path: &str) -> Outcome<Vec<u8>> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    opening.send(request.as_bytes())?;
    let mut head = Vec::new();
    let end = loop {
        let more = opening.recv(4_096)?;
        if more.is_empty() {
            return Err("hung up during the upgrade".into());
        }
        head.extend(more);
        if let Some(at) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
    };
    if !head.starts_with(b"HTTP/1.1 101 ") {
        return Err("no upgrade".into());
    }
    Ok(head.split_off(end))
}

struct Peer {
    stream: Stream,
    session: Session,
    waker: Arc<Waker>,
    last: Vec<u8>,
}

impl Peer {
    /// Sends every message back until one side closes or the server breaks the protocol.
    fn echo(&mut self) -> io::Result<()> {
        loop {
            match self.session.next_event() {
                Ok(Some(Event::Text(text))) => {
                    self.last = text.to_vec();
                    self.session.send_text(std::str::from_utf8(&self.last).expect("checked by the session"));
                }
                Ok(Some(Event::Binary(bytes))) => {
                    self.last = bytes.to_vec();
                    self.session.send_binary(&self.last);
                }
                Ok(Some(Event::Closed { .. })) => return Ok(()),
                Ok(None) => {
                    if !self.read()? {
                        return Ok(());
                    }
                }
                Err(fault) => {
                    self.session.close(fault.close_code());
                    return Ok(());
                }
            }
        }
    }

    /// Sends what is left and waits for the server to hang up, deaf to what it says.
    fn hear_out(&mut self) -> io::Result<()> {
        while self.read()? {}
        self.stream.close();
        Ok(())
    }

    /// Writes what is outgoing and reads once; false when the server hung up.
    fn read(&mut self) -> io::Result<bool> {
        let deadline_ns = now_ns() + SILENCE_NS;
        loop {
            if let Err(error) = self.flush() {
                return if gone(&error) { Ok(false) } else { Err(error) };
            }
            let unsent = !self.session.outgoing().is_empty();
            wait(self.stream.tcp(), &self.waker, unsent, deadline_ns - now_ns())?;
            match self.stream.read(self.session.space()) {
                Ok(count) => {
                    self.session.filled(count, now_ns());
                    return Ok(count > 0);
                }
                Err(error) if gone(&error) => return Ok(false),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Err(error) if now_ns() >= deadline_ns => return Err(error),
                Err(_) => {}
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.session.outgoing().is_empty() {
            match self.stream.write(self.session.outgoing()) {
                Ok(count) => self.session.sent(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}
