//! A bounded tape of records from the thread that drives a book to the one that writes a recording.
//!
//! Whoever appends never waits for the reader and allocates nothing: what finds no room is counted, and a mark in its
//! place says how much is missing. The bytes travel in atomic words, so that a mistake here could only lose them.

use std::time::Duration;

use crate::record::{Kind, Record};
use crate::sync::{AtomicU64, Condvar, Mutex, Ordering, hold, wait_while};

/// Words of a record before its payload: kind and connection, time, length.
const HEAD: usize = 3;
/// Words kept from frames and snapshots for the ends of connections and for marks, which a replay cannot do without.
const RESERVE: usize = if cfg!(loom) { 8 } else { 512 };
/// How long the reader sleeps before it looks again: the writer never wakes it.
const SLICE: Duration = Duration::from_millis(20);

/// A position of its own cache line, counted in words since the start.
#[derive(Debug)]
#[repr(align(64))]
struct Position(AtomicU64);

impl Default for Position {
    fn default() -> Position {
        Position(AtomicU64::new(0))
    }
}

impl Position {
    #[inline]
    fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    #[inline]
    fn set(&self, words: u64) {
        self.0.store(words, Ordering::Release);
    }
}

/// What only whoever appends touches.
#[derive(Debug, Default)]
struct Writer {
    head: u64,
    /// The reader's position when it was last looked at.
    tail_seen: u64,
    /// Records and bytes lost since the last mark, and when the first of them was received.
    missed: u64,
    missed_bytes: u64,
    missed_since_ns: i64,
    /// Among them is the beginning, the end or the takeover of a connection.
    missed_turn: bool,
}

/// The tape. Several threads may append, one after the other; one reads.
#[derive(Debug)]
pub struct Tape {
    words: Box<[AtomicU64]>,
    head: Position,
    tail: Position,
    writer: Mutex<Writer>,
    reading: Mutex<()>,
    lost: Position,
    lost_bytes: Position,
    finished: Mutex<bool>,
    changed: Condvar,
}

impl Tape {
    /// A tape that holds `capacity` bytes, rounded up to a power of two; all of them are allocated now.
    pub fn new(capacity: usize) -> Tape {
        let words = capacity.div_ceil(8).max(4 * RESERVE).next_power_of_two();
        Tape {
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
            head: Position::default(),
            tail: Position::default(),
            writer: Mutex::new(Writer::default()),
            reading: Mutex::new(()),
            lost: Position::default(),
            lost_bytes: Position::default(),
            finished: Mutex::new(false),
            changed: Condvar::new(),
        }
    }

    /// Appends a record, or counts it where there is no room.
    #[inline]
    pub fn append(&self, record: &Record<'_>) {
        self.append_by(&mut hold(&self.writer), record);
    }

    /// Nothing more will be appended: leaves the mark of what was lost last, and ends the reader's waits.
    pub fn finish(&self) {
        self.mark(&mut hold(&self.writer), 0);
        *hold(&self.finished) = true;
        self.changed.notify_all();
    }

    /// Records lost since the start, and their bytes.
    pub fn lost(&self) -> (u64, u64) {
        (self.lost.get(), self.lost_bytes.get())
    }

    /// Waits until `bytes` lie on the tape, it is finished, or `timeout` has passed.
    pub fn wait(&self, bytes: usize, timeout: Duration) {
        let mut left = timeout;
        while !left.is_zero() && self.head.get() - self.tail.get() < bytes.div_ceil(8) as u64 {
            let slice = left.min(SLICE);
            if *wait_while(&self.changed, hold(&self.finished), slice, |finished| !*finished) {
                return;
            }
            left -= slice;
        }
    }

    /// Moves whole records to `out` until that has `most` bytes or more; returns how many records those were.
    pub fn take(&self, out: &mut Vec<u8>, most: usize) -> usize {
        let _alone = hold(&self.reading);
        let (mut tail, head) = (self.tail.get(), self.head.get());
        let (mut payload, mut count) = (Vec::new(), 0);
        while tail < head && out.len() < most {
            tail = self.read(tail, &mut payload, out);
            self.tail.set(tail);
            count += 1;
        }
        count
    }

    #[inline]
    fn append_by(&self, writer: &mut Writer, record: &Record<'_>) {
        let words = HEAD + record.payload.len().div_ceil(8);
        let data = matches!(record.kind, Kind::Frame | Kind::Snapshot);
        let needed = words + if data { RESERVE } else { 0 };
        if (writer.missed == 0 || self.mark(writer, needed)) && self.fits(writer, needed) {
            self.put(writer, record);
        } else {
            self.miss(writer, record);
        }
    }

    #[cold]
    fn miss(&self, writer: &mut Writer, record: &Record<'_>) {
        if writer.missed == 0 {
            writer.missed_since_ns = record.recv_ns;
        }
        writer.missed += 1;
        writer.missed_bytes += record.payload.len() as u64;
        writer.missed_turn |= matches!(record.kind, Kind::Begin | Kind::End | Kind::Takeover);
        self.lost.set(self.lost.get() + 1);
        self.lost_bytes.set(self.lost_bytes.get() + record.payload.len() as u64);
    }

    /// Puts the mark of what is missing, if something is and `words` more fit behind it. Where connections changed
    /// meanwhile, a takeover by none says that it is not known which one feeds the book.
    #[cold]
    fn mark(&self, writer: &mut Writer, words: usize) -> bool {
        if writer.missed == 0 || !self.fits(writer, words + HEAD + 2 + HEAD) {
            return false;
        }
        let mut payload = [0; 16];
        payload[..8].copy_from_slice(&writer.missed.to_le_bytes());
        payload[8..].copy_from_slice(&writer.missed_bytes.to_le_bytes());
        let recv_ns = writer.missed_since_ns;
        self.put(writer, &Record { kind: Kind::Lost, recv_ns, connection: 0, payload: &payload });
        if std::mem::take(&mut writer.missed_turn) {
            self.put(writer, &Record { kind: Kind::Takeover, recv_ns, connection: 0, payload: b"" });
        }
        (writer.missed, writer.missed_bytes) = (0, 0);
        true
    }

    #[inline]
    fn fits(&self, writer: &mut Writer, words: usize) -> bool {
        let enough = |tail: u64| words as u64 <= self.words.len() as u64 - (writer.head - tail);
        if enough(writer.tail_seen) {
            return true;
        }
        let tail = self.tail.get();
        let fits = enough(tail);
        writer.tail_seen = tail;
        fits
    }

    #[inline]
    fn put(&self, writer: &mut Writer, record: &Record<'_>) {
        let Record { kind, recv_ns, connection, payload } = *record;
        let head = [u64::from(connection) << 8 | kind as u64, recv_ns as u64, payload.len() as u64];
        for (index, word) in (writer.head..).zip(head) {
            self.words[self.at(index)].store(word, Ordering::Relaxed);
        }
        let start = self.at(writer.head + HEAD as u64);
        let first = payload.len().min(8 * (self.words.len() - start));
        store(&self.words[start..], &payload[..first]);
        store(&self.words, &payload[first..]);
        writer.head += (HEAD + payload.len().div_ceil(8)) as u64;
        self.head.set(writer.head);
    }

    /// Renders the record at `tail` and returns the position behind it.
    fn read(&self, tail: u64, payload: &mut Vec<u8>, out: &mut Vec<u8>) -> u64 {
        let word = |index: u64| self.words[self.at(index)].load(Ordering::Relaxed);
        let (first, recv_ns, length) = (word(tail), word(tail + 1) as i64, word(tail + 2));
        let start = tail + HEAD as u64;
        let end = start + length.div_ceil(8);
        payload.clear();
        for index in start..end {
            payload.extend_from_slice(&word(index).to_le_bytes());
        }
        payload.truncate(length as usize);
        let kind = Kind::ALL[(first & 0xff) as usize];
        if kind == Kind::Lost {
            let text = format!(r#"{{"records":{},"bytes":{}}}"#, word(start), word(start + 1));
            *payload = text.into_bytes();
        }
        Record { kind, recv_ns, connection: (first >> 8) as u32, payload }.write(out);
        end
    }

    #[inline]
    fn at(&self, index: u64) -> usize {
        index as usize & (self.words.len() - 1)
    }
}

/// Stores bytes in words, the last one filled up with zeros.
#[inline]
fn store(words: &[AtomicU64], bytes: &[u8]) {
    let mut chunks = bytes.chunks_exact(8);
    for (word, chunk) in words.iter().zip(&mut chunks) {
        word.store(u64::from_le_bytes(chunk.try_into().unwrap_or_default()), Ordering::Relaxed);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        words[bytes.len() / 8].store(u64::from_le_bytes(last), Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn frame(recv_ns: i64, payload: &[u8]) -> Record<'_> {
        Record { kind: Kind::Frame, recv_ns, connection: 1, payload }
    }

    fn taken(tape: &Tape) -> Vec<u8> {
        let mut out = Vec::new();
        tape.take(&mut out, usize::MAX);
        out
    }

    #[test]
    fn records_come_out_as_they_were_put_in_whatever_their_length() {
        let tape = Tape::new(1 << 14);
        let bytes: Vec<u8> = (0..=255).cycle().take(3_000).collect();
        for round in 0..200_usize {
            let payload = &bytes[round..round + (round * 37) % 2_000];
            let mut expected = Vec::new();
            let begin = Record { kind: Kind::Begin, recv_ns: 5, connection: round as u32 + 1, payload: b"" };
            tape.append(&begin);
            tape.append(&frame(round as i64, payload));
            begin.write(&mut expected);
            frame(round as i64, payload).write(&mut expected);
            assert_eq!(taken(&tape), expected, "{round}");
        }
        assert_eq!(tape.lost(), (0, 0));
    }

    #[test]
    fn what_finds_no_room_is_counted_and_marked_where_it_is_missing() {
        let tape = Tape::new(16_384);
        let payload = [7; 800];
        (0..40).for_each(|index| tape.append(&frame(index, &payload)));
        let (lost, bytes) = tape.lost();
        assert!(lost > 20 && bytes == 800 * lost, "{lost}");
        let kept = 40 - lost as i64;
        tape.append(&Record { kind: Kind::End, recv_ns: 99, connection: 1, payload: b"" });
        let mut expected = Vec::new();
        (0..kept).for_each(|index| frame(index, &payload).write(&mut expected));
        expected.extend(format!("lost {kept} 0 {} ", 21 + lost.to_string().len() + bytes.to_string().len()).bytes());
        expected.extend(format!("{{\"records\":{lost},\"bytes\":{bytes}}}\nend 99 1 0 \n").bytes());
        assert_eq!(String::from_utf8_lossy(&taken(&tape)), String::from_utf8_lossy(&expected));
        tape.append(&frame(100, b"x"));
        assert_eq!(taken(&tape), b"frame 100 1 1 x\n");
    }

    #[test]
    fn a_finished_tape_ends_waits_and_holds_the_last_mark() {
        let tape = Tape::new(16_384);
        tape.append(&frame(1, &[0; 100_000]));
        tape.finish();
        tape.wait(1, Duration::from_secs(60));
        assert_eq!(taken(&tape), b"lost 1 0 28 {\"records\":1,\"bytes\":100000}\n");
    }

    #[test]
    fn a_reader_beside_the_writer_gets_every_byte_in_order_or_a_mark() {
        let tape = Tape::new(1 << 15);
        let all: u64 = 100_000;
        let (mut out, mut next, mut lost) = (Vec::new(), 0, 0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let payload = [1; 300];
                (0..all).for_each(|index| tape.append(&frame(index as i64, &payload[..index as usize % 300])));
                tape.finish();
            });
            while next < all {
                out.clear();
                tape.take(&mut out, 4_096);
                let mut rest = &out[..];
                while let Ok(Some((record, length))) = Record::read(rest) {
                    assert_eq!(record.recv_ns, next as i64);
                    if record.kind == Kind::Lost {
                        let text = std::str::from_utf8(record.payload).unwrap_or_default();
                        let count: u64 = text[11..text.find(',').unwrap_or(11)].parse().unwrap_or_default();
                        (next, lost) = (next + count, lost + count);
                    } else {
                        assert_eq!(record.payload, &[1; 300][..next as usize % 300]);
                        next += 1;
                    }
                    rest = &rest[length..];
                }
                assert!(rest.is_empty());
            }
        });
        assert_eq!(tape.lost().0, lost);
    }
}
