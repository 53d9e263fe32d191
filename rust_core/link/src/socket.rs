//! Opening a connection: resolve, connect and shake hands before one deadline, interruptible all the way.

use crate::clock::now_ns;
use crate::tls::Tls;
use crate::wake::{Ready, Waker, wait, wait_writable};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;

/// Where to connect.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint<'a> {
    /// Name or address; the certificate must be for it.
    pub host: &'a str,
    /// TCP port.
    pub port: u16,
    /// TLS. Without it only loopback addresses are connected to.
    pub tls: bool,
    /// PEM file with roots that are trusted beside the system's.
    pub ca_file: Option<&'a Path>,
}

impl Endpoint<'_> {
    /// The addresses of the host, as the system finds them; without TLS those of loopback alone.
    pub(crate) fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let mut found: Vec<SocketAddr> = (bare(self.host), self.port).to_socket_addrs()?.collect();
        if !self.tls {
            found.retain(|address| address.ip().is_loopback());
            if found.is_empty() {
                let text = format!("{}: without TLS only loopback addresses are connected to", self.host);
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
            }
        }
        Ok(found)
    }
}

/// An open, non-blocking connection.
#[derive(Debug)]
pub enum Stream {
    /// To a loopback address.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<Tls>),
}

impl Stream {
    /// Resolves the name, which keeps the system's own time limit, and connects before `deadline_ns` (monotonic) unless
    /// `waker` stops it.
    ///
    /// # Errors
    /// `TimedOut`, `Interrupted` (stopped), `PermissionDenied` (plain beyond loopback), `InvalidData` (TLS or certificate
    /// refused), `InvalidInput` (host, `ca_file`), or the network's own.
    pub fn connect(endpoint: &Endpoint<'_>, waker: &Waker, deadline_ns: i64) -> io::Result<Stream> {
        Stream::reach(endpoint, &endpoint.resolve()?, waker, deadline_ns)
    }

    /// [`Stream::connect`] for a name that is resolved.
    pub(crate) fn reach(
        endpoint: &Endpoint<'_>,
        addresses: &[SocketAddr],
        waker: &Waker,
        deadline_ns: i64,
    ) -> io::Result<Stream> {
        let tcp = connect_any(addresses, waker, deadline_ns)?;
        tcp.set_nodelay(true)?;
        if !endpoint.tls {
            return Ok(Stream::Plain(tcp));
        }
        let mut stream = Stream::Tls(Box::new(Tls::new(tcp, bare(endpoint.host), endpoint.ca_file)?));
        stream.shake_hands(waker, deadline_ns)?;
        Ok(stream)
    }

    /// The socket underneath.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => &tls.tcp,
        }
    }

    /// Reads what is there; 0 is the end.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there, and the connection's own.
    #[inline]
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(tcp) => tcp.read(into),
            Stream::Tls(tls) => tls.read(into),
        }
    }

    /// Writes as much as is taken.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is taken, and the connection's own.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(tcp) => tcp.write(bytes),
            Stream::Tls(tls) => match tls.write(bytes)? {
                0 if !bytes.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
                count => Ok(count),
            },
        }
    }

    /// Writes what is held back; true when the kernel has everything.
    ///
    /// # Errors
    /// The connection's.
    pub fn flush(&mut self) -> io::Result<bool> {
        match self {
            Stream::Plain(_) => Ok(true),
            Stream::Tls(tls) => tls.flush(),
        }
    }

    /// Whether a read gives bytes although the socket may be silent.
    #[inline]
    pub fn has_plaintext(&self) -> bool {
        matches!(self, Stream::Tls(tls) if tls.has_plaintext())
    }

    /// Waits for the socket, the waker or the deadline.
    ///
    /// # Errors
    /// `TimedOut`, `Interrupted` when stopped.
    pub fn wait(&self, waker: &Waker, write: bool, deadline_ns: i64) -> io::Result<Ready> {
        wait_until(self.tcp(), waker, write, deadline_ns)
    }

    /// Ends the connection both ways.
    pub fn close(&mut self) {
        if let Stream::Tls(tls) = self {
            tls.close();
        }
        let _already_gone = self.tcp().shutdown(Shutdown::Both);
    }

    fn shake_hands(&mut self, waker: &Waker, deadline_ns: i64) -> io::Result<()> {
        let Stream::Tls(tls) = self else { return Ok(()) };
        while !tls.flush()? || tls.is_handshaking() {
            wait_until(&tls.tcp, waker, tls.wants_write(), deadline_ns)?;
            match tls.advance() {
                Ok(true) => {}
                Ok(false) => {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed during the TLS handshake"));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// `[::1]` as it stands in a URL → `::1`.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

/// Tries the addresses in turn; each gets an equal share of the time that is left before the next one is tried beside it.
/// None is given up before the deadline: where every answer takes longer than a share, one still comes.
fn connect_any(addresses: &[SocketAddr], waker: &Waker, deadline_ns: i64) -> io::Result<TcpStream> {
    let mut tried =
        Tried { open: Vec::new(), last: io::Error::new(io::ErrorKind::NotFound, "the name has no address") };
    for (index, address) in addresses.iter().enumerate() {
        let left = (addresses.len() - index) as i64;
        let share_ns = (deadline_ns - now_ns()) / left;
        match begin(*address) {
            Ok(tcp) => tried.open.push((*address, tcp)),
            Err(error) => {
                tried.last = named(address, &error);
                continue;
            }
        }
        if let Some(tcp) = tried.first(waker, now_ns() + share_ns)? {
            return Ok(tcp);
        }
    }
    while !tried.open.is_empty() && now_ns() < deadline_ns {
        if let Some(tcp) = tried.first(waker, deadline_ns)? {
            return Ok(tcp);
        }
    }
    Err(tried.open.last().map_or(tried.last, |(address, _)| named(address, &late())))
}

/// Connections under way, and why the last of those that failed did.
struct Tried {
    open: Vec<(SocketAddr, TcpStream)>,
    last: io::Error,
}

impl Tried {
    /// The first that is connected; none once the newest has failed or `until_ns` has come.
    fn first(&mut self, waker: &Waker, until_ns: i64) -> io::Result<Option<TcpStream>> {
        let newest = self.open.last().map(|(address, _)| *address);
        while newest.is_some() && self.open.last().map(|(address, _)| *address) == newest {
            let sockets: Vec<&TcpStream> = self.open.iter().map(|(_, tcp)| tcp).collect();
            let ready = wait_writable(&sockets, waker, until_ns - now_ns())?;
            if waker.stopped() {
                return Err(io::Error::new(io::ErrorKind::Interrupted, "stopped"));
            }
            if let Some(index) = ready.iter().position(|&ready| ready) {
                let (address, tcp) = self.open.remove(index);
                match tcp.take_error()? {
                    None => return Ok(Some(tcp)),
                    Some(error) => self.last = named(&address, &error),
                }
            } else if now_ns() >= until_ns {
                return Ok(None);
            }
        }
        Ok(None)
    }
}

fn named(address: &SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{address}: {error}"))
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer before the deadline")
}

/// A connection that is open, or on its way to be.
fn begin(address: SocketAddr) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    let tcp = TcpStream::from(socket);
    tcp.set_nonblocking(true)?;
    match rustix::net::connect(&tcp, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(tcp),
        Err(error) => Err(error.into()),
    }
}

fn wait_until(tcp: &TcpStream, waker: &Waker, write: bool, deadline_ns: i64) -> io::Result<Ready> {
    let ready = wait(tcp, waker, write, deadline_ns - now_ns())?;
    if waker.stopped() {
        return Err(io::Error::new(io::ErrorKind::Interrupted, "stopped"));
    }
    if !ready.readable && !ready.writable && now_ns() >= deadline_ns {
        return Err(late());
    }
    Ok(ready)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;
    use std::time::Duration;

    const MS: i64 = 1_000_000;

    #[test]
    fn an_address_that_answers_later_than_its_share_of_the_time_is_still_taken() {
        // A full backlog drops who asks to connect. The first asks again after 1 s and finds room; the second, which was
        // dropped at 0.6 s, would do so too late.
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        rustix::net::listen(&listener, 0).expect("the shortest backlog");
        let address = listener.local_addr().expect("bound");
        let _fills = TcpStream::connect(address).expect("the one that fits");
        let (deadline_ns, waker) = (now_ns() + 1_200 * MS, Waker::new().expect("descriptors"));
        let connecting = thread::spawn(move || connect_any(&[address; 2], &waker, deadline_ns).map(drop));
        thread::sleep(Duration::from_millis(650));
        let _room = listener.accept().expect("the one that filled it");
        connecting.join().expect("no panic").expect("the first");
    }

    #[test]
    fn an_address_that_refuses_costs_the_next_one_no_time_though_an_earlier_one_still_hangs() {
        let full = TcpListener::bind("127.0.0.1:0").expect("loopback");
        rustix::net::listen(&full, 0).expect("the shortest backlog");
        let hangs = full.local_addr().expect("bound");
        let _fills = TcpStream::connect(hangs).expect("the one that fits");
        let refuses = TcpListener::bind("127.0.0.1:0").expect("loopback").local_addr().expect("bound");
        let answers = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let addresses = [hangs, refuses, refuses, answers.local_addr().expect("bound")];
        let (began_ns, waker) = (now_ns(), Waker::new().expect("descriptors"));
        let tcp = connect_any(&addresses, &waker, began_ns + 2_000 * MS).expect("the last");
        assert_eq!(tcp.peer_addr().expect("connected"), addresses[3]);
        assert!((450 * MS..1_000 * MS).contains(&(now_ns() - began_ns)));
        let error = connect_any(&addresses[..3], &waker, now_ns() + 300 * MS).expect_err("nobody answers");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
        assert!(error.to_string().starts_with(&hangs.to_string()), "{error}");
    }

    #[test]
    fn a_stop_ends_connects_that_hang() {
        let full = TcpListener::bind("127.0.0.1:0").expect("loopback");
        rustix::net::listen(&full, 0).expect("the shortest backlog");
        let hangs = full.local_addr().expect("bound");
        let _fills = TcpStream::connect(hangs).expect("the one that fits");
        let waker = std::sync::Arc::new(Waker::new().expect("descriptors"));
        let theirs = std::sync::Arc::clone(&waker);
        let connecting = thread::spawn(move || connect_any(&[hangs; 3], &theirs, now_ns() + 30_000 * MS));
        thread::sleep(Duration::from_millis(50));
        waker.stop();
        assert_eq!(connecting.join().expect("no panic").expect_err("stopped").kind(), io::ErrorKind::Interrupted);
    }
}
