//! TLS by rustls with the `ring` provider: system roots, one optional extra root, host name always checked.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

/// Pieces taken from the socket in one read: rustls takes 4 KiB at a time, and the largest record has a bit over 16.
const PIECES_MAX: usize = 5;

/// A TLS connection over a non-blocking socket.
#[derive(Debug)]
pub struct Tls {
    pub(crate) tcp: TcpStream,
    tls: ClientConnection,
    plaintext: usize, // decrypted bytes not yet read
}

impl Tls {
    /// A connection whose handshake has not begun. `host` is the name, or the address, that the certificate must show.
    ///
    /// # Errors
    /// No roots, an unreadable `ca_file`, or a host that is no name.
    pub fn new(tcp: TcpStream, host: &str, ca_file: Option<&Path>) -> io::Result<Tls> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(refused)?
            .with_root_certificates(roots(ca_file)?)
            .with_no_client_auth();
        let name = ServerName::try_from(host.to_owned()).map_err(|error| invalid(&format!("{host}: {error}")))?;
        Ok(Tls { tcp, tls: ClientConnection::new(Arc::new(config), name).map_err(refused)?, plaintext: 0 })
    }

    /// Whether the handshake still goes on.
    pub fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Whether encrypted bytes wait for the socket.
    pub fn wants_write(&self) -> bool {
        self.tls.wants_write()
    }

    /// Whether decrypted bytes are there, which no poll of the socket tells.
    pub fn has_plaintext(&self) -> bool {
        self.plaintext > 0
    }

    /// Writes what is encrypted; true when nothing is left.
    ///
    /// # Errors
    /// The socket's, other than that it is full.
    pub fn flush(&mut self) -> io::Result<bool> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.tcp) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Reads one piece from the socket and decrypts it. False at the end of the stream.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; `InvalidData` when the peer breaks TLS or its certificate is refused.
    pub fn advance(&mut self) -> io::Result<bool> {
        if self.tls.read_tls(&mut self.tcp)? == 0 {
            return Ok(false);
        }
        let state = self.tls.process_new_packets();
        let flushed = self.flush(); // an alert too must reach the peer
        self.plaintext = state.map_err(refused)?.plaintext_bytes_to_read();
        flushed?;
        Ok(true)
    }

    /// Reads decrypted bytes; 0 at the end of the stream. Takes a few pieces from the socket at most: records that hold
    /// no bytes for us may come without end, and whoever reads has a deadline and a stop to look at in between.
    ///
    /// # Errors
    /// As [`Tls::advance`], `WouldBlock` also where those pieces held nothing for us; `UnexpectedEof` when the stream
    /// ends without TLS's own end mark.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        for _ in 0..PIECES_MAX {
            match self.take(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.advance()?,
                taken => return taken,
            };
        }
        self.take(into)
    }

    fn take(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.tls.reader().read(into)?;
        self.plaintext -= count.min(self.plaintext);
        Ok(count)
    }

    /// Encrypts as much of `bytes` as rustls will hold, and writes what the socket takes.
    ///
    /// # Errors
    /// The socket's, other than that it is full.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.tls.writer().write(bytes)?;
        self.flush()?;
        Ok(count)
    }

    /// Says goodbye in TLS's own way, as far as the socket takes it.
    pub fn close(&mut self) {
        self.tls.send_close_notify();
        let _best_effort = self.flush();
    }
}

fn roots(ca_file: Option<&Path>) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        for certificate in extra_roots(path)? {
            roots.add(certificate).map_err(|error| invalid(&format!("{}: {error}", path.display())))?;
        }
    }
    if roots.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "no root certificates: install ca-certificates"));
    }
    Ok(roots)
}

fn extra_roots(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| invalid(&format!("ca_file {}: {error}", path.display())))?;
    if found.is_empty() {
        return Err(invalid(&format!("ca_file {} holds no certificate", path.display())));
    }
    Ok(found)
}

fn refused(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("TLS: {error}"))
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
