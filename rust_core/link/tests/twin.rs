//! Our deframer against tungstenite, used without I/O: the same messages from the same bytes, however they are cut.

mod wire;

use link::session::{Event, Session};
use link::terms::{Terms, Text};
use proptest::prelude::*;
use std::io;
use tungstenite::protocol::{Role, WebSocket};
use wire::reads::Reads;
use wire::{CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, frame};

/// What either side saw: messages, then how it ended.
#[derive(Debug, PartialEq, Default)]
struct Seen {
    messages: Vec<Vec<u8>>,
    closed: Option<u16>,
    refused: bool,
}

fn ours(reads: &[&[u8]]) -> Seen {
    let terms = Terms { text: Text::Checked, ..Terms::default() };
    let (mut session, mut seen) = (Session::new(1, &[], 0).on(terms), Seen::default());
    for read in reads {
        session.space()[..read.len()].copy_from_slice(read);
        session.filled(read.len(), 0);
        loop {
            match session.next_event() {
                Ok(Some(Event::Text(payload) | Event::Binary(payload))) => seen.messages.push(payload.to_vec()),
                Ok(Some(Event::Closed { code, .. })) => return Seen { closed: Some(code), ..seen },
                Ok(None) => break,
                Err(_) => return Seen { refused: true, ..seen },
            }
        }
    }
    seen
}

fn theirs(reads: &[&[u8]]) -> Seen {
    use tungstenite::{Error, Message};
    let reads = Reads::of(reads);
    let (mut socket, mut seen) = (WebSocket::from_raw_socket(reads, Role::Client, None), Seen::default());
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => seen.messages.push(text.as_bytes().to_vec()),
            Ok(Message::Binary(bytes)) => seen.messages.push(bytes.to_vec()),
            Ok(Message::Close(close)) => {
                return Seen { closed: Some(close.map_or(1005, |close| close.code.into())), ..seen };
            }
            Ok(_) => {}
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return seen,
            Err(_) => return Seen { refused: true, ..seen },
        }
    }
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => proptest::collection::vec(b' '..b'~', 0..160),
        1 => (65_530_usize..65_540).prop_map(|size| vec![b'x'; size]),
    ]
}

fn control() -> impl Strategy<Value = Vec<u8>> {
    (prop_oneof![Just(PING), Just(PONG)], proptest::collection::vec(any::<u8>(), 0..126))
        .prop_map(|(opcode, payload)| frame(FIN | opcode, &payload))
}

/// One message in one or more fragments, control frames between them.
fn message() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec((text(), proptest::option::weighted(0.2, control())), 1..4).prop_map(|parts| {
        let last = parts.len() - 1;
        let mut out = Vec::new();
        for (index, (payload, control)) in parts.into_iter().enumerate() {
            let opcode = if index == 0 { TEXT } else { CONTINUATION };
            out.extend(frame(opcode | if index == last { FIN } else { 0 }, &payload));
            out.extend(control.unwrap_or_default());
        }
        out
    })
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let close = proptest::option::weighted(0.3, prop_oneof![Just(1000_u16), Just(1001), Just(1012), Just(4000)]);
    (proptest::collection::vec(message(), 0..6), close).prop_map(|(messages, close)| {
        let mut out = messages.concat();
        out.extend(close.map(|code| frame(FIN | CLOSE, &code.to_be_bytes())).unwrap_or_default());
        out
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn valid_streams_give_the_same_messages_however_they_are_cut(
        bytes in stream(), cuts in proptest::collection::vec(1_usize..200, 1..40),
    ) {
        let (mut reads, mut rest) = (Vec::new(), bytes.as_slice());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (read, after) = rest.split_at((*cut).min(rest.len()));
            reads.push(read);
            rest = after;
        }
        prop_assert_eq!(ours(&reads), theirs(&reads));
    }

    #[test]
    fn a_valid_stream_cut_in_two_at_every_boundary_gives_the_same_messages(bytes in message()) {
        let whole = theirs(&[&bytes]);
        for cut in 0..=bytes.len().min(400) {
            let (head, tail) = bytes.split_at(cut);
            let reads: Vec<&[u8]> = head.chunks(16_384).chain(tail.chunks(16_384)).collect();
            prop_assert_eq!(&ours(&reads).messages, &whole.messages);
        }
    }

    #[test]
    fn no_bytes_make_the_session_panic_or_give_more_than_they_hold(
        bytes in proptest::collection::vec(prop_oneof![Just(0x81_u8), Just(0x00), Just(0x7E), any::<u8>()], 0..600),
        size in 1_usize..50,
    ) {
        let reads: Vec<&[u8]> = bytes.chunks(size).collect();
        prop_assert!(ours(&reads).messages.concat().len() <= bytes.len());
    }

    #[test]
    fn a_broken_stream_is_refused_by_us_whenever_tungstenite_refuses_it(
        mut bytes in stream(), at in any::<prop::sample::Index>(), bit in 0_u8..8,
    ) {
        prop_assume!(!bytes.is_empty());
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let reads: Vec<&[u8]> = bytes.chunks(1_000).collect();
        let (mut ours, theirs) = (ours(&reads), theirs(&reads));
        // 1014 is in IANA's registry of close codes, but not among those that tungstenite knows.
        if (ours.closed, theirs.closed) == (Some(1014), Some(1002)) {
            ours.closed = theirs.closed;
        }
        // Ours may refuse where tungstenite still waits: heads are judged before their payload came, text as it comes.
        prop_assert!(ours.refused || ours == theirs, "{:?} {:?}", ours, theirs);
    }
}
