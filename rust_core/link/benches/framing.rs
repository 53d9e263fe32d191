//! What the deframer costs per frame beside tungstenite used without I/O: the same bytes in the same reads.
//!
//! bookTicker frames of 146 bytes and depth frames of 6.5 kB, 4 MiB of each, in reads of 16 KiB.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use link::session::{Event, Session};
use std::hint::black_box;
use std::io::{self, Read, Write};
use tungstenite::protocol::{Role, WebSocket};

const READ: usize = 16 << 10;

fn frames(payload: usize) -> (Vec<u8>, u64) {
    let head =
        if payload < 126 { vec![0x81, payload as u8] } else { vec![0x81, 126, (payload >> 8) as u8, payload as u8] };
    let frame = [head, vec![b'7'; payload]].concat();
    let count = (4 << 20) / frame.len();
    (frame.repeat(count), count as u64)
}

fn ours(bytes: &[u8]) -> usize {
    let (mut session, mut sum) = (Session::new(1, &[], 0), 0);
    for read in bytes.chunks(READ) {
        session.space()[..read.len()].copy_from_slice(read);
        session.filled(read.len(), 0);
        while let Ok(Some(Event::Text(payload))) = session.next_event() {
            sum += black_box(payload).len();
        }
    }
    sum
}

struct Reads<'a>(&'a [u8]);

impl Read for Reads<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.0.len().min(into.len()).min(READ);
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        into[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

impl Write for Reads<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn theirs(bytes: &[u8]) -> usize {
    let (mut socket, mut sum) = (WebSocket::from_raw_socket(Reads(bytes), Role::Client, None), 0);
    while let Ok(message) = socket.read() {
        sum += black_box(message).len();
    }
    sum
}

fn framing(criterion: &mut Criterion) {
    for (name, payload) in [("bookTicker", 142), ("depth100", 6_500)] {
        let (bytes, count) = frames(payload);
        assert_eq!(ours(&bytes), theirs(&bytes));
        let mut group = criterion.benchmark_group(format!("framing/{name}"));
        group.throughput(Throughput::Elements(count)).sample_size(20);
        group.bench_function("ours", |bencher| bencher.iter(|| ours(black_box(&bytes))));
        group.bench_function("tungstenite", |bencher| bencher.iter(|| theirs(black_box(&bytes))));
        group.finish();
    }
}

criterion_group!(benches, framing);
criterion_main!(benches);
