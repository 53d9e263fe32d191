//! Opening a connection: what is refused, one deadline over all of it, and a stop from outside.

use link::clock::now_ns;
use link::opening::{Opening, UPGRADE_MAX};
use link::socket::{Endpoint, Stream};
use link::wake::Waker;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const MS: i64 = 1_000_000;

fn waker() -> Arc<Waker> {
    Arc::new(Waker::new().expect("descriptors"))
}

fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    (listener, port)
}

#[test]
fn without_tls_only_loopback_is_connected_to() {
    for host in ["192.0.2.1", "[2001:db8::1]", "0.0.0.0"] {
        let endpoint = Endpoint { host, port: 80, tls: false, ca_file: None };
        let error = Stream::connect(&endpoint, &waker(), now_ns() + 1_000 * MS).expect_err(host);
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{host}");
    }
}

#[test]
fn a_closed_port_is_refused_at_once_and_the_address_is_named() {
    let (listener, port) = listener();
    drop(listener);
    let endpoint = Endpoint { host: "127.0.0.1", port, tls: false, ca_file: None };
    let error = Stream::connect(&endpoint, &waker(), now_ns() + 5_000 * MS).expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
}

#[test]
fn a_tls_handshake_that_stalls_ends_at_the_deadline() {
    let (_listener, port) = listener();
    let endpoint = Endpoint { host: "127.0.0.1", port, tls: true, ca_file: None };
    let began = Instant::now();
    let error = Stream::connect(&endpoint, &waker(), now_ns() + 200 * MS).expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    assert!(began.elapsed() < Duration::from_millis(2_000));
}

#[test]
fn a_tls_handshake_that_the_server_breaks_off_is_an_error_wherever_it_does() {
    // A whole handshake message's head, and less; the rest never comes.
    for answer in [&b""[..], b"\x16", b"\x16\x03\x03\x00\x7a\x02\x00"] {
        let (listener, port) = listener();
        let server = thread::spawn(move || {
            let mut client = listener.accept().expect("a client").0;
            assert!(client.read(&mut [0; 4096]).expect("its hello") > 0);
            client.write_all(answer).expect("written");
        });
        let endpoint = Endpoint { host: "127.0.0.1", port, tls: true, ca_file: None };
        let began = Instant::now();
        let error = Stream::connect(&endpoint, &waker(), now_ns() + 5_000 * MS).expect_err("broken off");
        assert_ne!(error.kind(), ErrorKind::TimedOut, "{error}");
        assert!(began.elapsed() < Duration::from_millis(2_000));
        server.join().expect("no panic");
    }
}

#[test]
fn a_server_that_speaks_no_tls_is_never_taken_in_plain_text() {
    let (listener, port) = listener();
    let server = thread::spawn(move || {
        let mut client = listener.accept().expect("a client").0;
        assert!(client.read(&mut [0; 4096]).expect("its hello") > 0);
        client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").expect("written");
        client
    });
    let endpoint = Endpoint { host: "127.0.0.1", port, tls: true, ca_file: None };
    let error = Stream::connect(&endpoint, &waker(), now_ns() + 2_000 * MS).expect_err("no TLS");
    assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    server.join().expect("no panic");
}

#[test]
fn a_stop_ends_a_handshake_that_hangs() {
    let (_listener, port) = listener();
    let waker = waker();
    let theirs = Arc::clone(&waker);
    let opening = thread::spawn(move || {
        let endpoint = Endpoint { host: "127.0.0.1", port, tls: true, ca_file: None };
        Stream::connect(&endpoint, &theirs, now_ns() + 30_000 * MS).expect_err("stopped").kind()
    });
    waker.stop();
    assert_eq!(opening.join().expect("no panic"), ErrorKind::Interrupted);
}

#[test]
fn a_stop_reaches_every_wait_that_shares_the_waker() {
    let (_listener, port) = listener();
    let waker = waker();
    let waits: Vec<_> = std::iter::repeat_with(|| Arc::clone(&waker))
        .take(4)
        .map(|theirs| {
            thread::spawn(move || {
                let endpoint = Endpoint { host: "127.0.0.1", port, tls: false, ca_file: None };
                let mut opening = Opening::connect(&endpoint, theirs, 30_000 * MS, UPGRADE_MAX)?;
                opening.recv(1)
            })
        })
        .collect();
    waker.stop();
    for wait in waits {
        assert_eq!(wait.join().expect("no panic").expect_err("stopped").kind(), ErrorKind::Interrupted);
    }
}

#[test]
fn a_response_head_that_drips_cannot_stretch_the_deadline() {
    let (listener, port) = listener();
    let server = thread::spawn(move || {
        let mut client = listener.accept().expect("a client").0;
        while client.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let endpoint = Endpoint { host: "127.0.0.1", port, tls: false, ca_file: None };
    let mut opening = Opening::connect(&endpoint, waker(), 300 * MS, UPGRADE_MAX).expect("connects");
    let began = Instant::now();
    let error = loop {
        if let Err(error) = opening.recv(1) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!((200..2_000).contains(&began.elapsed().as_millis()));
    opening.close();
    server.join().expect("no panic");
}

#[test]
fn a_response_head_over_64_kib_is_refused() {
    let (listener, port) = listener();
    let server = thread::spawn(move || {
        let mut client = listener.accept().expect("a client").0;
        while client.write_all(&[b'x'; 4096]).is_ok() {}
    });
    let endpoint = Endpoint { host: "127.0.0.1", port, tls: false, ca_file: None };
    let mut opening = Opening::connect(&endpoint, waker(), 5_000 * MS, UPGRADE_MAX).expect("connects");
    let mut taken = 0;
    let error = loop {
        match opening.recv(4096) {
            Ok(bytes) => taken += bytes.len(),
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind(), taken <= 64 << 10), (ErrorKind::InvalidData, true));
    opening.close();
    server.join().expect("no panic");
}

#[test]
fn what_came_behind_the_head_is_kept_for_the_run() {
    let (listener, port) = listener();
    let server =
        thread::spawn(move || listener.accept().expect("a client").0.write_all(b"head\r\nframe").expect("written"));
    let endpoint = Endpoint { host: "127.0.0.1", port, tls: false, ca_file: None };
    let mut opening = Opening::connect(&endpoint, waker(), 2_000 * MS, UPGRADE_MAX).expect("connects");
    assert_eq!(opening.recv(2).expect("bytes"), b"he");
    let mut head = Vec::new();
    while head.len() < 4 {
        head.extend(opening.recv(4 - head.len()).expect("bytes"));
    }
    server.join().expect("no panic");
    let (_, held) = opening.into_parts();
    assert_eq!((head.as_slice(), b"frame".starts_with(&held)), (&b"ad\r\n"[..], true));
}
