//! The most telling cases of the public Autobahn suite without its server: fragments, control frames inside them, UTF-8,
//! pings, kinds. The group of the suite stands beside each. The suite itself: `make soak-autobahn`.

mod wire;

use link::fault::Fault;
use link::session::{Event, Session};
use link::terms::{Pongs, Terms, Text};
use proptest::prelude::*;
use wire::{BINARY, CONTINUATION, FIN, PING, PONG, TEXT, client_frames, frame};

const GREEK: &str = "Hello-µ@ßöäüàá-κόσμε-\u{10FFFF}!!";

type Message = (u8, Vec<u8>);

fn checked() -> Session {
    Session::new(1, &[], 0).on(Terms { text: Text::Checked, ..Terms::default() })
}

/// Feeds reads of at most `chunk` bytes: the messages with their kinds, and the fault with the bytes read before it.
fn feed(session: &mut Session, bytes: &[u8], chunk: usize) -> (Vec<Message>, Option<(usize, Fault)>) {
    let (mut messages, mut read) = (Vec::new(), 0);
    for part in bytes.chunks(chunk.min(16_384)) {
        session.space()[..part.len()].copy_from_slice(part);
        session.filled(part.len(), 0);
        read += part.len();
        loop {
            match session.next_event() {
                Ok(Some(Event::Text(payload))) => messages.push((TEXT, payload.to_vec())),
                Ok(Some(Event::Binary(payload))) => messages.push((BINARY, payload.to_vec())),
                Ok(Some(Event::Closed { .. })) => panic!("nothing here closes"),
                Ok(None) => break,
                Err(fault) => return (messages, Some((read, fault))),
            }
        }
    }
    (messages, None)
}

/// One message in these parts, with `between` after each but the last.
fn fragments(kind: u8, parts: &[&[u8]], between: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let (first, last) = (index == 0, index + 1 == parts.len());
        out.extend(frame(if first { kind } else { CONTINUATION } | if last { FIN } else { 0 }, part));
        out.extend(if last { &[] } else { between });
    }
    out
}

fn singles(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.chunks(1).collect()
}

#[test]
fn fragments_at_every_byte_with_control_frames_inside_give_the_message_unfragmented() {
    // 5.3 to 5.8, 5.19, 6.2, 6.3
    let control = [frame(FIN | PING, b"?"), frame(FIN | PONG, &[0xFF; 125]), frame(FIN | PING, b"")].concat();
    for kind in [TEXT, BINARY] {
        let whole = feed(&mut checked(), &frame(FIN | kind, GREEK.as_bytes()), 64).0;
        assert_eq!(whole, [(kind, GREEK.as_bytes().to_vec())]);
        let mut ways = vec![fragments(kind, &singles(GREEK.as_bytes()), &control)];
        for cut in 0..=GREEK.len() {
            let (head, tail) = GREEK.as_bytes().split_at(cut);
            ways.extend([fragments(kind, &[head, tail], &control), fragments(kind, &[head, b"", tail], b"")]);
        }
        for (way, chunk) in ways.iter().flat_map(|way| [1, 2, 3, 7, 16_384].map(|chunk| (way, chunk))) {
            assert_eq!(feed(&mut checked(), way, chunk), (whole.clone(), None), "reads of {chunk}");
        }
    }
}

#[test]
fn a_message_keeps_the_kind_that_its_first_frame_named() {
    // 1.1, 1.2, 5.18
    let bytes = [
        fragments(BINARY, &[b"\xFF", b"\xC0"], b""),
        fragments(TEXT, &[b"a", b"b"], b""),
        frame(FIN | BINARY, b"\xFE"),
        frame(FIN | TEXT, b""),
    ]
    .concat();
    let kinds = [(BINARY, b"\xFF\xC0".to_vec()), (TEXT, b"ab".to_vec()), (BINARY, b"\xFE".to_vec()), (TEXT, vec![])];
    for chunk in [1, 2, 1_000] {
        assert_eq!(feed(&mut checked(), &bytes, chunk), (kinds.to_vec(), None));
    }
}

#[test]
fn text_that_is_no_utf_8_ends_the_connection_with_1007_however_it_is_cut() {
    // 6.3, 6.6, 6.8, 6.10 to 6.21
    let wrong: [&[u8]; 14] = [
        b"\x80",                                               // a continuation byte alone
        b"\xFE",                                               // in no character
        b"\xC3",                                               // a character's first byte and the end
        b"\xE2\x82",                                           // a character without its last byte
        b"\xF0\x9F\x98",                                       // likewise
        b"\xC0\xAF",                                           // longer than need be
        b"\xE0\x80\xAF",                                       // likewise
        b"\xF0\x80\x80\xAF",                                   // likewise
        b"\xF8\x88\x80\x80\x80",                               // five bytes
        b"\xFC\x84\x80\x80\x80\x80",                           // six bytes
        b"\xF4\x90\x80\x80",                                   // above U+10FFFF
        b"\xED\xA0\x80",                                       // a surrogate
        b"\xED\xAD\xBF\xED\xBF\xBF",                           // a pair of them
        "κόσμε".as_bytes().split_last().expect("not empty").1, // an end inside a word
    ];
    for bytes in wrong {
        let text = [b"Hello-", bytes].concat();
        for way in [frame(FIN | TEXT, &text), fragments(TEXT, &singles(&text), &frame(FIN | PING, b"?"))] {
            for chunk in [1, 2, 1_000] {
                let (messages, fault) = feed(&mut checked(), &way, chunk);
                let fault = fault.map(|(_, fault)| (fault, fault.close_code()));
                assert_eq!((messages.len(), fault), (0, Some((Fault::Text, 1007))), "{bytes:?}");
            }
        }
    }
}

#[test]
fn a_wrong_byte_is_refused_before_the_rest_of_its_message_or_frame_came() {
    // 6.4: `F4` could begin a character, `F4 90` none
    let (fine, wrong, rest) = ("κόσμε\u{7F}\u{10FFFF}".as_bytes(), &b"\xF4\x90"[..], &b"\x80\x80edited"[..]);
    let text = [fine, wrong, rest].concat();
    let at_once = 2 + fine.len() + 2; // the head, and up to the byte that is wrong
    let chopped = frame(FIN | TEXT, &text);
    assert_eq!(feed(&mut checked(), &chopped, 1), (vec![], Some((at_once, Fault::Text))));
    let parts = [frame(TEXT, fine), frame(CONTINUATION, &[wrong, rest].concat())].concat();
    assert_eq!(feed(&mut checked(), &parts, 1), (vec![], Some((at_once + 2, Fault::Text))));
}

#[test]
fn text_is_left_to_the_decoder_unless_the_terms_say_otherwise() {
    let mut session = Session::new(1, &[], 0);
    let bytes = [frame(FIN | TEXT, b"\xFF"), fragments(TEXT, &[b"\xC0", b"\xC0"], b"")].concat();
    let all = vec![(TEXT, b"\xFF".to_vec()), (TEXT, b"\xC0\xC0".to_vec())];
    assert_eq!(feed(&mut session, &bytes, 1), (all, None));
}

#[test]
fn each_of_many_pings_is_answered_where_that_is_asked_for_until_the_peer_stops_reading() {
    // 2.10, 2.11
    let mut session = Session::new(1, &[], 0).on(Terms { pongs: Pongs::Each, ..Terms::default() });
    let pings: Vec<u8> = (0..10_u8).flat_map(|n| frame(FIN | PING, &[n])).collect();
    assert_eq!(feed(&mut session, &pings, 4), (vec![], None));
    let pongs: Vec<Message> = (0..10_u8).map(|n| (FIN | PONG, vec![n])).collect();
    assert_eq!((client_frames(session.outgoing()), session.answer_due_ns()), (pongs, None));
    let flood = frame(FIN | PING, &[9; 125]).repeat(10_000);
    assert_eq!(feed(&mut session, &flood, 16_384), (vec![], None));
    assert!((65_000..66_000).contains(&session.outgoing().len()), "bounded");
}

#[test]
fn a_message_comes_in_as_many_fragments_as_the_terms_allow() {
    // 9.3, 9.4: 4 MiB in frames of 64 bytes
    let parts = vec![&[b'*'; 64][..]; 65_536];
    let most = |fragments_max| Session::new(1, &[], 0).on(Terms { fragments_max, ..Terms::default() });
    let bytes = fragments(TEXT, &parts, b"");
    assert_eq!(feed(&mut most(65_536), &bytes, 16_384).0[0].1.len(), 4 << 20);
    let (_, fault) = feed(&mut most(65_535), &bytes, 16_384);
    assert_eq!(fault.map(|(_, fault)| fault), Some(Fault::Fragments { most: 65_535 }));
}

#[test]
fn binary_messages_are_sent_as_such_with_lengths_of_every_class() {
    // 1.2
    let mut session = checked();
    let payloads = [vec![], vec![0xFF; 125], vec![0xFE; 126], vec![0; 65_535]];
    payloads.iter().for_each(|payload| session.send_binary(payload));
    let sent = payloads.map(|payload| (FIN | BINARY, payload));
    assert_eq!(client_frames(session.outgoing()), sent);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn text_is_taken_just_when_it_is_utf_8_and_refused_at_the_first_byte_that_cannot_be(
        bytes in prop_oneof![
            proptest::collection::vec(prop_oneof![Just(b'a'), 0x80_u8..0xC0, 0xC0_u8..=0xFF], 1..12),
            "\\PC{1,12}".prop_map(String::into_bytes),
        ],
    ) {
        let parts = fragments(TEXT, &singles(&bytes), b"");
        let refused = (1..=bytes.len()).find(|&end| {
            let judged = std::str::from_utf8(&bytes[..end]);
            judged.is_err_and(|error| error.error_len().is_some() || end == bytes.len())
        });
        let expected = refused.map(|end| (end * 3, Fault::Text)); // each byte in a frame of three
        let messages = if expected.is_none() { vec![(TEXT, bytes.clone())] } else { vec![] };
        prop_assert_eq!(feed(&mut checked(), &parts, 1), (messages.clone(), expected));
        for chunk in [1, 3, 16_384] {
            let (taken, fault) = feed(&mut checked(), &frame(FIN | TEXT, &bytes), chunk);
            prop_assert_eq!((taken, fault.map(|(_, fault)| fault)), (messages.clone(), expected.map(|(_, fault)| fault)));
        }
    }
}
