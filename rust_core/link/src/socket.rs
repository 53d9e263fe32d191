//! Opening a connection: resolve, connect and shake hands before one deadline, interruptible all the way.

use crate::clock::now_ns;
use crate::tls::Tls;
use crate::wake::{Ready, Waker, wait};
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

/// An open, non-blocking connection.
#[derive(Debug)]
pub enum Stream {
    /// To a loopback address.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<Tls>),
}

impl Stream {
    /// Connects before `deadline_ns` (monotonic) unless `waker` stops it. Resolving the name is the system's and keeps
    /// the system's own time limit.
    ///
    /// # Errors
    /// `TimedOut`, `Interrupted` (stopped), `PermissionDenied` (plain beyond loopback), `InvalidData` (TLS or certificate
    /// refused), `InvalidInput` (host, `ca_file`), or the network's own.
    pub fn connect(endpoint: &Endpoint<'_>, waker: &Waker, deadline_ns: i64) -> io::Result<Stream> {
        let tcp = connect_any(&addresses(endpoint)?, waker, deadline_ns)?;
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

fn addresses(endpoint: &Endpoint<'_>) -> io::Result<Vec<SocketAddr>> {
    let mut found: Vec<SocketAddr> = (bare(endpoint.host), endpoint.port).to_socket_addrs()?.collect();
    if !endpoint.tls {
        found.retain(|address| address.ip().is_loopback());
        if found.is_empty() {
            let text = format!("{}: without TLS only loopback addresses are connected to", endpoint.host);
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
    }
    Ok(found)
}

/// Tries the addresses in turn; each gets an equal share of the time that is left.
fn connect_any(addresses: &[SocketAddr], waker: &Waker, deadline_ns: i64) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (index, address) in addresses.iter().enumerate() {
        let left = (addresses.len() - index) as i64;
        let share_ns = (deadline_ns - now_ns()) / left;
        match connect_one(*address, waker, now_ns() + share_ns) {
            Ok(tcp) => return Ok(tcp),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => last = io::Error::new(error.kind(), format!("{address}: {error}")),
        }
    }
    Err(last)
}

fn connect_one(address: SocketAddr, waker: &Waker, deadline_ns: i64) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    let tcp = TcpStream::from(socket);
    tcp.set_nonblocking(true)?;
    match rustix::net::connect(&tcp, &address) {
        Ok(()) => return Ok(tcp),
        Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    while !wait_until(&tcp, waker, true, deadline_ns)?.writable {}
    match tcp.take_error()? {
        None => Ok(tcp),
        Some(error) => Err(error),
    }
}

fn wait_until(tcp: &TcpStream, waker: &Waker, write: bool, deadline_ns: i64) -> io::Result<Ready> {
    let ready = wait(tcp, waker, write, deadline_ns - now_ns())?;
    if waker.stopped() {
        return Err(io::Error::new(io::ErrorKind::Interrupted, "stopped"));
    }
    if !ready.readable && !ready.writable && now_ns() >= deadline_ns {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer before the deadline"));
    }
    Ok(ready)
}
