//! OKX's checksum of a book: CRC32 over the best 25 levels of both sides in turn, `bid price:bid size:ask price:…`.
//!
//! Source: OKX API guide, "Checksum". The venue takes its own texts; the shortest decimal without trailing zeros gives
//! the same in all 290 checksums of a real session.

use std::io::Write;

use crc32fast::Hasher;

use crate::view::Level;

const LEVELS: usize = 25;
/// Two decimals of at most 20 characters and two colons, for each side of each level.
const ROOM: usize = LEVELS * 2 * 42;

/// The checksum of levels given best first.
pub(super) fn of(mut bids: impl Iterator<Item = Level>, mut asks: impl Iterator<Item = Level>) -> i32 {
    let mut room = [0; ROOM];
    let mut left = room.as_mut_slice();
    for _ in 0..LEVELS {
        for level in [bids.next(), asks.next()].into_iter().flatten() {
            write!(left, "{}:{}:", level.price, level.quantity).expect("the room is enough");
        }
    }
    let unused = left.len();
    let mut hasher = Hasher::new();
    // Without the last colon.
    hasher.update(&room[..(ROOM - unused).saturating_sub(1)]);
    hasher.finalize() as i32
}
