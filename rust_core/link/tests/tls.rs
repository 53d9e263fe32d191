//! TLS as a hostile server may speak it.

use link::clock::now_ns;
use link::socket::{Endpoint, Stream};
use link::wake::Waker;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Makes a root, and a leaf for 127.0.0.1, in a folder of their own.
fn certificates(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    let make = |name: &str, more: &str| {
        let words = format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={name} \
             -keyout {name}.key -out {name}.pem {more}"
        );
        let made = Command::new("openssl").args(words.split_whitespace()).current_dir(&folder).output();
        assert!(made.expect("openssl").status.success());
    };
    make("root", "");
    make(
        "leaf",
        "-addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE -CA root.pem -CAkey root.key",
    );
    folder
}

/// A server's side that sends `tickets` session tickets behind the handshake: records that hold nothing for a reader.
fn server(folder: &Path, tickets: usize) -> ServerConnection {
    let chain =
        CertificateDer::pem_file_iter(folder.join("leaf.pem")).expect("a file").map(|found| found.expect("one"));
    let key = PrivateKeyDer::from_pem_file(folder.join("leaf.key")).expect("a key");
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain.collect(), key)
        .expect("a pair");
    config.send_tls13_tickets = tickets;
    ServerConnection::new(Arc::new(config)).expect("a server")
}

fn unread(tcp: &TcpStream) -> u64 {
    rustix::io::ioctl_fionread(tcp).expect("a socket")
}

#[test]
fn a_read_comes_back_however_many_records_without_a_byte_for_it_are_there() {
    let folder = certificates("records");
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    let mut tls = server(&folder, 600);
    let serving = thread::spawn(move || {
        let mut client = listener.accept().expect("a client").0;
        while tls.is_handshaking() || tls.wants_write() {
            tls.complete_io(&mut client).expect("the client reads");
        }
        client // still open
    });
    let root = folder.join("root.pem");
    let endpoint = Endpoint { host: "127.0.0.1", port, tls: true, ca_file: Some(&root) };
    let waker = Waker::new().expect("descriptors");
    let mut stream = Stream::connect(&endpoint, &waker, now_ns() + 5_000_000_000).expect("connects");
    let began = Instant::now();
    while unread(stream.tcp()) < 40_000 && began.elapsed() < Duration::from_secs(5) {
        thread::sleep(Duration::from_millis(1));
    }
    assert!(unread(stream.tcp()) >= 40_000, "the tickets are there");
    assert_eq!(stream.read(&mut [0; 100]).expect_err("nothing to read").kind(), ErrorKind::WouldBlock);
    assert!(unread(stream.tcp()) > 10_000, "the reader looked at all of them");
    serving.join().expect("no panic");
}
