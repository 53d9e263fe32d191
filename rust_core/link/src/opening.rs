//! A connection during its HTTP upgrade, which websocket-client drives through a socket-like face.

use crate::clock::now_ns;
use crate::socket::{Endpoint, Stream};
use crate::wake::Waker;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// What an upgrade may take from a server, bytes; a head has a few hundred.
pub const UPGRADE_MAX: usize = 64 << 10;

/// One deadline holds for the whole opening, not for each read: a head that drips cannot stretch it.
#[derive(Debug)]
pub struct Opening {
    stream: Stream,
    waker: Arc<Waker>,
    timeout_ns: i64,
    deadline_ns: i64,
    held: Vec<u8>, // received and not yet asked for
    received: usize,
    receive_max: usize,
}

impl Opening {
    /// Connects; connect, TLS and upgrade together may take `timeout_ns` and receive `receive_max` bytes. The time runs
    /// from when the name is resolved: a resolver whose first server is down would use it up, at every try.
    ///
    /// # Errors
    /// As [`Stream::connect`].
    pub fn connect(
        endpoint: &Endpoint<'_>,
        waker: Arc<Waker>,
        timeout_ns: i64,
        receive_max: usize,
    ) -> io::Result<Opening> {
        Opening::connect_to(|| endpoint.resolve(), endpoint, waker, timeout_ns, receive_max)
    }

    fn connect_to(
        resolve: impl FnOnce() -> io::Result<Vec<SocketAddr>>,
        endpoint: &Endpoint<'_>,
        waker: Arc<Waker>,
        timeout_ns: i64,
        receive_max: usize,
    ) -> io::Result<Opening> {
        let addresses = resolve()?;
        let deadline_ns = now_ns() + timeout_ns;
        let stream = Stream::reach(endpoint, &addresses, &waker, deadline_ns)?;
        Ok(Opening { stream, waker, timeout_ns, deadline_ns, held: Vec::new(), received: 0, receive_max })
    }

    /// Time given to the opening, ns.
    pub fn timeout_ns(&self) -> i64 {
        self.timeout_ns
    }

    /// Gives the rest of the opening `timeout_ns` from now.
    pub fn set_timeout(&mut self, timeout_ns: i64) {
        self.timeout_ns = timeout_ns;
        self.deadline_ns = now_ns() + timeout_ns;
    }

    /// The socket, for its number.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// At least one and at most `count` bytes; none at the end of the stream.
    ///
    /// # Errors
    /// `TimedOut`, `Interrupted` (stopped), `InvalidData` (over `receive_max`), or the connection's.
    pub fn recv(&mut self, count: usize) -> io::Result<Vec<u8>> {
        if self.held.is_empty() {
            self.fill()?;
        }
        let rest = self.held.split_off(count.min(self.held.len()));
        Ok(std::mem::replace(&mut self.held, rest))
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// `TimedOut`, `Interrupted` (stopped), or the connection's.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(true)?,
                Err(error) => return Err(error),
            }
        }
        while !self.stream.flush()? {
            self.wait(true)?;
        }
        Ok(bytes.len())
    }

    /// Ends the connection.
    pub fn close(mut self) {
        self.stream.close();
    }

    /// The connection with what came behind the response head.
    pub fn into_parts(self) -> (Stream, Vec<u8>) {
        (self.stream, self.held)
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut bytes = [0; 16 << 10];
        let count = loop {
            match self.stream.read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(false)?,
                done => break done?,
            }
        };
        self.received += count;
        if self.received > self.receive_max {
            let text = format!("over {} bytes received", self.receive_max);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        self.held.extend_from_slice(&bytes[..count]);
        Ok(())
    }

    fn wait(&self, write: bool) -> io::Result<()> {
        if now_ns() >= self.deadline_ns {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "not done before the deadline"));
        }
        self.stream.wait(&self.waker, write, self.deadline_ns).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn a_name_that_takes_longer_than_the_whole_opening_to_resolve_is_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("bound");
        let endpoint = Endpoint { host: "127.0.0.1", port: address.port(), tls: true, ca_file: None };
        let slow = || {
            thread::sleep(Duration::from_millis(300));
            Ok(vec![address])
        };
        let waker = Arc::new(Waker::new().expect("descriptors"));
        let began_ns = now_ns();
        let error = Opening::connect_to(slow, &endpoint, waker, 200_000_000, UPGRADE_MAX).expect_err("a mute server");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(now_ns() - began_ns >= 500_000_000, "the time ran while the name was resolved");
        assert!(listener.accept().is_ok());
    }
}
