//! The records of a recording: what a book was fed, in the order in which it was fed, as bytes that a person can read.
//!
//! One record is `kind recv_ns connection length payload` and a line feed. The payload has exactly `length` bytes, so a
//! binary one may hold anything; a text frame makes the record one line.

use std::fmt;
use std::io::Write as _;

/// No record begins with more than this many bytes of kind and numbers.
const HEAD_MAX: usize = 80;
/// Longest payload that is believed: more than any message or answer that the program takes.
const PAYLOAD_MAX: usize = 64 << 20;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A frame as the venue sent it.
    Frame = 0,
    /// The body of a snapshot request, when it was offered to the book.
    Snapshot = 1,
    /// A connection began to feed a book.
    Begin = 2,
    /// A connection ended.
    End = 3,
    /// The book of this connection, which began beside another, became the book.
    Takeover = 4,
    /// Records were lost here; the payload says how many, and of how many bytes.
    Lost = 5,
    /// The live book as the records before this one left it; the payload is a checkpoint.
    Book = 6,
    /// The first record of a run of the program; the payload says whose frames these are.
    Run = 7,
    /// The first record of a run's later segments; its payload is that of the run.
    Segment = 8,
    /// A fetched book said something else than the live one, which is unsynced for that.
    Diverged = 9,
}

impl Kind {
    /// Every kind, by its number.
    pub const ALL: [Kind; 10] = [
        Kind::Frame,
        Kind::Snapshot,
        Kind::Begin,
        Kind::End,
        Kind::Takeover,
        Kind::Lost,
        Kind::Book,
        Kind::Run,
        Kind::Segment,
        Kind::Diverged,
    ];

    /// The word in a recording.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Frame => "frame",
            Kind::Snapshot => "snapshot",
            Kind::Begin => "begin",
            Kind::End => "end",
            Kind::Takeover => "takeover",
            Kind::Lost => "lost",
            Kind::Book => "book",
            Kind::Run => "run",
            Kind::Segment => "segment",
            Kind::Diverged => "diverged",
        }
    }

    fn of(word: &[u8]) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.word().as_bytes() == word)
    }
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it is.
    pub kind: Kind,
    /// When it was received or happened, monotonic ns.
    pub recv_ns: i64,
    /// The connection it came on, counted from 1; 0 for none.
    pub connection: u32,
    /// A frame, a body, or the numbers that belong to the kind.
    pub payload: &'a [u8],
}

/// These bytes are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadRecord;

impl fmt::Display for BadRecord {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("not a record of a recording")
    }
}

impl std::error::Error for BadRecord {}

impl<'a> Record<'a> {
    /// Appends the record to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let Record { kind, recv_ns, connection, payload } = self;
        // Writing to a Vec cannot fail.
        let _ = write!(out, "{} {recv_ns} {connection} {} ", kind.word(), payload.len());
        out.extend_from_slice(payload);
        out.push(b'\n');
    }

    /// The record at the start of `bytes` and its length with the line feed; none if its end is not there yet.
    pub fn read(bytes: &'a [u8]) -> Result<Option<(Record<'a>, usize)>, BadRecord> {
        let head = &bytes[..bytes.len().min(HEAD_MAX)];
        let mut parts = head.splitn(5, |&byte| byte == b' ');
        let (Some(word), Some(recv_ns), Some(connection), Some(length), Some(rest)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return if head.len() < HEAD_MAX { Ok(None) } else { Err(BadRecord) };
        };
        let kind = Kind::of(word).ok_or(BadRecord)?;
        let (recv_ns, connection) = (number(recv_ns)?, number(connection)?);
        let length: usize = number(length)?;
        let start = head.len() - rest.len();
        if length > PAYLOAD_MAX {
            return Err(BadRecord);
        }
        match bytes.get(start + length) {
            None => Ok(None),
            Some(b'\n') => {
                let payload = &bytes[start..start + length];
                Ok(Some((Record { kind, recv_ns, connection, payload }, start + length + 1)))
            }
            Some(_) => Err(BadRecord),
        }
    }
}

fn number<T: std::str::FromStr>(text: &[u8]) -> Result<T, BadRecord> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(BadRecord)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(record: &Record<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        record.write(&mut out);
        out
    }

    #[test]
    fn a_text_frame_is_one_line_that_a_person_can_read() {
        let record = Record { kind: Kind::Frame, recv_ns: 12, connection: 3, payload: b"{\"u\":7}" };
        assert_eq!(written(&record), b"frame 12 3 7 {\"u\":7}\n");
    }

    #[test]
    fn every_kind_and_any_payload_comes_back_as_it_was() {
        let every_byte: Vec<u8> = (0..=255).collect();
        for kind in Kind::ALL {
            for payload in [&b""[..], b"\n", b" \n \n", &every_byte] {
                let record = Record { kind, recv_ns: -5, connection: u32::MAX, payload };
                let bytes = written(&record);
                assert_eq!(Record::read(&bytes), Ok(Some((record, bytes.len()))));
            }
        }
    }

    #[test]
    fn a_record_whose_end_is_missing_is_neither_there_nor_wrong() {
        let bytes = written(&Record { kind: Kind::Snapshot, recv_ns: 1, connection: 1, payload: b"abc" });
        for end in 0..bytes.len() {
            assert_eq!(Record::read(&bytes[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for bytes in [
            &b"frame 1 1 3 abcd\n"[..],
            b"fame 1 1 3 abc\n",
            b"frame x 1 3 abc\n",
            b"frame 1 -1 3 abc\n",
            b"frame 1 1 99999999999 abc\n",
            &[b'x'; 100],
        ] {
            assert_eq!(Record::read(bytes), Err(BadRecord));
        }
    }
}
