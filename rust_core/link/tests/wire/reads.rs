//! What arrived, as a socket that never blocks hands it out.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

/// Each piece is read as it came, or in parts; behind the last one, and behind an empty one, nothing has come yet.
pub struct Reads(VecDeque<Vec<u8>>);

impl Reads {
    pub fn of(pieces: &[&[u8]]) -> Reads {
        Reads(pieces.iter().map(|piece| piece.to_vec()).collect())
    }
}

impl Read for Reads {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(mut next) = self.0.pop_front().filter(|next| !next.is_empty()) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let count = next.len().min(into.len());
        into[..count].copy_from_slice(&next[..count]);
        if count < next.len() {
            self.0.push_front(next.split_off(count));
        }
        Ok(count)
    }
}

impl Write for Reads {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
