//! What the reader of Binance's binary streams accepts, passes over and refuses.

mod wire;

use engine::units::{DecimalError, Price, Qty};
use engine::view::Level;
use engine::wire::{MAX_FRAME_TRADES, Message, Print, Refusal, Span, Venue, WireError};
use proptest::prelude::*;
use wire::{Dialect, level, print};

const SBE: Dialect = Dialect { venue: Venue::BinanceSbe, symbol: "BTCUSDT" };

// Built by hand from the schema: 83532.15 x 1.53981 / 83532.16 x 0.42 at id 75000000001; ids 75000000002..=5 with one
// bid removed and two asks; one trade.
const TOP: &str = "3200112701000000dbc5ae5e385c0600012e597611000000fefbbf757f00000000007d59020000000000c0757f000000000010a40000000000000742544355534454";
const DIFF: &str = "1a00132701000000dbc5ae5e385c0600022e597611000000052e597611000000fefb10000100bf757f0000000000000000000000000010000200c0757f000000000010a400000000000014767f000000000001000000000000000742544355534454";
const TRADES: &str = "1200102701000000dbc5ae5e385c06004cc5ae5e385c0600fefb1900010000000500000000000000c0757f00000000006400000000000000010742544355534454";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

/// A frame of version 0: root block, then what follows it, then the symbol.
fn frame(template: u16, root: &[u8], rest: &[u8]) -> Vec<u8> {
    let header = [root.len() as u16, template, 1, 0].map(u16::to_le_bytes).concat();
    [header.as_slice(), root, rest, b"\x07BTCUSDT"].concat()
}

fn top_of(price: i64, exponent: i8) -> Vec<u8> {
    let numbers = [price, 1, price, 1].map(i64::to_le_bytes).concat();
    let exponents = [exponent.to_le_bytes()[0], (-8_i8).to_le_bytes()[0]];
    frame(10_001, &[&[0; 8], 5_i64.to_le_bytes().as_slice(), &exponents, &numbers].concat(), &[])
}

fn diff_of(first: i64, last: i64, groups: &[u8]) -> Vec<u8> {
    let root = [[0; 8], first.to_le_bytes(), last.to_le_bytes()].concat();
    frame(10_003, &[root.as_slice(), &[0xF8, 0xF8]].concat(), groups)
}

/// A group: size header with 16 bits each, entries of `length` bytes.
fn group(length: u16, levels: &[(i64, i64)]) -> Vec<u8> {
    let mut group = [length, levels.len() as u16].map(u16::to_le_bytes).concat();
    for (price, quantity) in levels {
        let mut entry = [price.to_le_bytes(), quantity.to_le_bytes()].concat();
        entry.resize(usize::from(length), 0xEE);
        group.extend(entry);
    }
    group
}

#[test]
fn the_frames_of_the_schema_are_read() {
    let top =
        Message::Top { version: 75_000_000_001, bid: level("83532.15", "1.53981"), ask: level("83532.16", "0.42") };
    assert_eq!(SBE.message(bytes(TOP)), Ok(top));
    let (message, scratch) = SBE.scan(bytes(DIFF));
    assert_eq!(message, Ok(Message::Depth(Span::overlapping(75_000_000_002, 75_000_000_005))));
    assert_eq!(scratch.bids, [level("83532.15", "0")]);
    assert_eq!(scratch.asks, [level("83532.16", "0.42"), level("83533", "0.00001")]);
    let (message, scratch) = SBE.scan(bytes(TRADES));
    assert_eq!((message, scratch.trades), (Ok(Message::Trades), vec![print("83532.16", "0.001", true)]));
}

#[test]
fn longer_blocks_of_a_later_version_are_passed_over() {
    let mut top = bytes(TOP);
    top.splice(58..58, [0xEE; 5]);
    (top[0], top[6]) = (55, 1);
    assert_eq!(SBE.message(&top), SBE.message(bytes(TOP)));
    top.extend([1, 2, 3]);
    assert_eq!(SBE.message(&top), SBE.message(bytes(TOP)), "data behind the symbol");
    for length in [16, 17, 40] {
        let groups = [group(length, &[(7, 8)]), group(length, &[(9, 1), (10, 0)])].concat();
        let (message, scratch) = SBE.scan(diff_of(3, 4, &groups));
        let of = |price, quantity| Level { price: Price(price), quantity: Qty(quantity) };
        assert_eq!(message, Ok(Message::Depth(Span::overlapping(3, 4))), "{length}");
        assert_eq!((scratch.bids, scratch.asks), (vec![of(7, 8)], vec![of(9, 1), of(10, 0)]), "{length}");
    }
    let entry = [5_i64.to_le_bytes(), 7_i64.to_le_bytes(), 8_i64.to_le_bytes()].concat();
    let group = [&[27, 0, 1, 0, 0, 0], entry.as_slice(), &[0, 0xEE, 0xEE]].concat();
    let (message, scratch) = SBE.scan(frame(10_000, &[[0; 16].as_slice(), &[0xF8, 0xF8]].concat(), &group));
    let print = Print { price: Price(7), quantity: Qty(8), buyer_is_maker: false };
    assert_eq!((message, scratch.trades), (Ok(Message::Trades), vec![print]));
}

#[test]
fn empty_groups_and_several_trades_are_read() {
    let (message, scratch) = SBE.scan(diff_of(3, 3, &[group(16, &[]), group(0, &[])].concat()));
    assert_eq!(message, Ok(Message::Depth(Span::overlapping(3, 3))));
    assert!(scratch.bids.is_empty() && scratch.asks.is_empty());
    let entry = |price: i64| [&[0; 8], price.to_le_bytes().as_slice(), &[1, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
    let group = [[25, 0, 2, 0, 0, 0].to_vec(), entry(1), entry(2)].concat();
    let (message, scratch) = SBE.scan(frame(10_000, &[[0; 16].as_slice(), &[0xF8, 0xF8]].concat(), &group));
    assert_eq!(message, Ok(Message::Trades));
    assert_eq!(scratch.trades.iter().map(|print| print.price.0).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn exponents_are_exact_and_nothing_is_rounded() {
    for (mantissa, exponent, expected) in [
        (8_353_215, -2, Ok(8_353_215_000_000)),
        (5, -8, Ok(5)),
        (50, -9, Ok(5)),
        (51, -9, Err(DecimalError::Malformed)),
        (1, -9, Err(DecimalError::Malformed)),
        (500_000_000_000_000_000, -25, Ok(5)),
        (1_000_000_000_000_000_000, -26, Ok(1)),
        (i64::MAX, -26, Err(DecimalError::Malformed)),
        (1_000_000_000_000_000_000, -27, Err(DecimalError::Malformed)),
        (1, i8::MIN, Err(DecimalError::Malformed)),
        (0, i8::MIN, Ok(0)),
        (0, i8::MAX, Ok(0)),
        (i64::MAX, -8, Ok(i64::MAX)),
        (92_233_720_368, 0, Ok(9_223_372_036_800_000_000)),
        (92_233_720_369, 0, Err(DecimalError::TooLarge)),
        (9, 10, Ok(9_000_000_000_000_000_000)),
        (10, 10, Err(DecimalError::TooLarge)),
        (1, 11, Err(DecimalError::TooLarge)),
        (1, i8::MAX, Err(DecimalError::TooLarge)),
        (-1, -8, Err(DecimalError::Malformed)),
        (i64::MIN, 10, Err(DecimalError::Malformed)),
    ] {
        let expected = match expected {
            // Read as exactly 0, which no price may be.
            Ok(0) => Err(WireError::NoPrice("price")),
            other => other.map_err(|error| WireError::Number { field: "price", error }),
        };
        let found = SBE.message(top_of(mantissa, exponent)).map_err(|refusal| refusal.error);
        let price = found.map(|message| match message {
            Message::Top { bid, .. } => bid.price.0,
            other => panic!("{other:?}"),
        });
        assert_eq!(price, expected, "{mantissa}e{exponent}");
    }
}

#[test]
fn what_is_not_of_the_schema_is_refused_with_the_reason() {
    let with = |hex: &str, at: usize, byte: u8| {
        let mut frame = bytes(hex);
        frame[at] = byte;
        frame
    };
    let (levels, none) = (group(16, &[(1, 1)]), group(16, &[]));
    for (frame, error, may_be_depth) in [
        (with(DIFF, 4, 2), WireError::Unknown("schemaId"), true),
        (with(DIFF, 5, 1), WireError::Unknown("schemaId"), true),
        (with(DIFF, 0, 25), WireError::Missing("blockLength"), true),
        (with(TOP, 0, 49), WireError::Missing("blockLength"), false),
        (with(TRADES, 26, 24), WireError::Missing("blockLength"), false),
        (with(TRADES, 56, 2), WireError::Unknown("isBuyerMaker"), false),
        (with(TRADES, 30, 1), WireError::TooManyTrades, false),
        (diff_of(5, 4, &[none.clone(), none.clone()].concat()), WireError::Backward { first_id: 5, last_id: 4 }, true),
        (diff_of(-1, 4, &[none.clone(), none.clone()].concat()), WireError::Missing("firstBookUpdateId"), true),
        (diff_of(3, 4, &[group(16, &[(0, 1)]), none.clone()].concat()), WireError::NoPrice("bids"), true),
        (diff_of(3, 4, &[levels.clone(), group(15, &[(1, 1)])].concat()), WireError::Missing("blockLength"), true),
        (
            diff_of(3, 4, &[levels, group(16, &[(1, -1)])].concat()),
            WireError::Number { field: "asks", error: DecimalError::Malformed },
            true,
        ),
        (b"".to_vec(), WireError::Unknown("schemaId"), true),
        (b"garbage!".to_vec(), WireError::Unknown("schemaId"), true),
    ] {
        assert_eq!(SBE.message(&frame), Err(Refusal { error, may_be_depth }), "{frame:02x?}");
    }
    let longer = [bytes(DIFF), vec![0]].concat();
    assert_eq!(SBE.error(&longer), WireError::Syntax { at: longer.len() - 1 });
}

#[test]
fn a_group_cannot_claim_more_than_the_frame_holds() {
    let mut trades = bytes(TRADES);
    trades[28..32].copy_from_slice(&(MAX_FRAME_TRADES as u32).to_le_bytes());
    assert!(matches!(SBE.error(&trades), WireError::Syntax { .. }));
    trades[28..32].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(SBE.error(&trades), WireError::TooManyTrades);
    let claims = [&[16, 0, 0xFF, 0xFF], [0; 64].as_slice()].concat();
    assert!(SBE.message(diff_of(3, 4, &claims)).is_err());
}

#[test]
fn other_symbols_and_partial_depth_are_nothing_for_us() {
    let mut other = bytes(DIFF);
    let at = other.len() - 7;
    other[at] = b'E';
    assert_eq!(SBE.message(&other), Ok(Message::Unrelated("another symbol")));
    let mut partial = bytes(DIFF);
    partial[2] = 0x12;
    assert_eq!(SBE.message(&partial), Ok(Message::Unrelated("partial depth")));
}

#[test]
fn a_template_that_is_not_known_is_passed_over_like_any_unknown_event_if_it_is_whole() {
    let mut new = bytes(DIFF);
    new[2] = 0x14;
    assert_eq!(SBE.message(&new), Ok(Message::Unrelated("unknown event")));
    let refusal = Refusal { error: WireError::Syntax { at: 8 }, may_be_depth: true };
    assert_eq!(SBE.message(&new[..20]), Err(refusal));
}

#[test]
fn texts_on_the_same_socket_are_answers_and_notices() {
    for (text, expected) in [
        (r#"{"result":null,"id":1}"#, Message::Reply { accepted: true }),
        (r#" {"code":2,"msg":"Invalid request","id":1}"#, Message::Reply { accepted: false }),
        (r#"{"e":"serverShutdown","E":1770123456789}"#, Message::Shutdown),
        (r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}"#, Message::Shutdown),
        (r#"{"u":1,"s":"BTCUSDT","b":"1.0","B":"1.0","a":"2.0","A":"1.0"}"#, Message::Unrelated("market data as text")),
    ] {
        assert_eq!(SBE.message(text), Ok(expected), "{text}");
    }
    // A block of 123 bytes begins like an object: not the first byte decides.
    let mut long = bytes(TOP);
    long.splice(58..58, [0; 73]);
    long[0] = 123;
    assert_eq!(SBE.message(&long), SBE.message(bytes(TOP)));
}

#[test]
fn a_snapshot_is_the_one_of_the_text_streams() {
    let body = r#"{"lastUpdateId":160,"bids":[["1.0","2"]],"asks":[]}"#;
    assert_eq!(SBE.snapshot(body), Ok(160));
}

#[test]
fn every_cut_of_a_frame_is_refused() {
    for hex in [TOP, DIFF, TRADES] {
        let frame = bytes(hex);
        for cut in 0..frame.len() {
            assert!(SBE.message(&frame[..cut]).is_err(), "{hex} cut at {cut}");
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = SBE.scan(&bytes);
        for template in 9_999..10_005_u16 {
            let header = [50, template, 1, 0].map(u16::to_le_bytes).concat();
            let _ = SBE.scan([header, bytes.clone()].concat());
        }
    }

    #[test]
    fn a_damaged_frame_is_read_or_refused_but_never_longer_than_it_is(which in 0..3_usize, at in 0..100_usize, byte in any::<u8>()) {
        let mut frame = bytes([TOP, DIFF, TRADES][which]);
        let at = at % frame.len();
        frame[at] = byte;
        let (_, scratch) = SBE.scan(&frame);
        prop_assert!((scratch.bids.len() + scratch.asks.len()) * 16 <= frame.len());
    }

    #[test]
    fn levels_of_any_exact_size_are_read(levels in prop::collection::vec((1..i64::MAX, 0..i64::MAX), 0..40)) {
        let (message, scratch) = SBE.scan(diff_of(1, 2, &[group(16, &levels), group(16, &[])].concat()));
        prop_assert_eq!(message, Ok(Message::Depth(Span::overlapping(1, 2))));
        let expected: Vec<Level> = levels.iter().map(|&(p, q)| Level { price: Price(p), quantity: Qty(q) }).collect();
        prop_assert_eq!(scratch.bids, expected);
    }
}

#[test]
fn reading_a_frame_allocates_nothing() {
    [TOP, DIFF, TRADES].map(bytes).iter().for_each(|frame| SBE.reads_without_allocating(frame));
}
