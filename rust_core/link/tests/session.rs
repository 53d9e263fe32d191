//! The session by tables: what is taken, what is refused and with which close code.

mod wire;

use link::fault::Fault;
use link::frame::MESSAGE_MAX;
use link::session::{Event, Session};
use link::terms::FRAGMENTS_MAX;
use wire::{CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, announced, client_frames, frame};

fn session() -> Session {
    Session::new(1, &[], 0)
}

type Close = Option<(u16, String)>;

/// Feeds all bytes in reads of at most `chunk` bytes; the messages, and how it ended.
fn feed(session: &mut Session, bytes: &[u8], chunk: usize) -> (Vec<Vec<u8>>, Result<Close, Fault>) {
    let mut messages = Vec::new();
    for part in bytes.chunks(chunk) {
        let mut rest = part;
        while !rest.is_empty() {
            let room = session.space();
            let count = rest.len().min(room.len());
            room[..count].copy_from_slice(&rest[..count]);
            session.filled(count, 7);
            rest = &rest[count..];
            loop {
                match session.next_event() {
                    Ok(Some(Event::Text(payload) | Event::Binary(payload))) => messages.push(payload.to_vec()),
                    Ok(Some(Event::Closed { code, reason })) => return (messages, Ok(Some((code, reason.to_owned())))),
                    Ok(None) => break,
                    Err(fault) => return (messages, Err(fault)),
                }
            }
        }
    }
    (messages, Ok(None))
}

#[test]
fn breaches_end_the_connection_with_the_code_that_the_rfc_names() {
    let cases: &[(&str, Vec<u8>, u16)] = &[
        ("RSV1", frame(FIN | 0x40 | TEXT, b"x"), 1002),
        ("RSV2", frame(FIN | 0x20 | TEXT, b"x"), 1002),
        ("RSV3", frame(FIN | 0x10 | TEXT, b"x"), 1002),
        ("opcode 3", frame(FIN | 0x3, b"x"), 1002),
        ("opcode 7", frame(FIN | 0x7, b"x"), 1002),
        ("opcode 11", frame(FIN | 0xB, b"x"), 1002),
        ("opcode 15", frame(FIN | 0xF, b"x"), 1002),
        ("masked", vec![FIN | TEXT, 0x81, 1, 2, 3, 4, b'x'], 1002),
        ("fragmented ping", frame(PING, b"x"), 1002),
        ("long ping", frame(FIN | PING, &[0; 126]), 1002),
        ("long pong", frame(FIN | PONG, &[0; 70_000]), 1002),
        ("fragmented close", frame(CLOSE, &1000_u16.to_be_bytes()), 1002),
        ("continuation of nothing", frame(FIN | CONTINUATION, b"x"), 1002),
        ("text inside text", [frame(TEXT, b"a"), frame(FIN | TEXT, b"b")].concat(), 1002),
        ("length with the top bit", announced(1 << 63), 1002),
        ("2^40 bytes announced", announced(1 << 40), 1009),
        ("one byte too many announced", announced(MESSAGE_MAX as u64 + 1), 1009),
        ("close of one byte", frame(FIN | CLOSE, &[3]), 1002),
        ("close text not UTF-8", frame(FIN | CLOSE, &[0x03, 0xE8, 0xFF]), 1007),
    ];
    for (name, bytes, code) in cases {
        for chunk in [1, bytes.len()] {
            let (_, ended) = feed(&mut session(), bytes, chunk);
            assert_eq!(ended.expect_err(name).close_code(), *code, "{name} in reads of {chunk}");
        }
    }
}

#[test]
fn close_codes_that_may_not_be_sent_are_refused_and_the_others_are_echoed() {
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535_u16] {
        let (_, ended) = feed(&mut session(), &frame(FIN | CLOSE, &code.to_be_bytes()), 64);
        assert_eq!(ended.expect_err("a bad code").close_code(), 1002, "{code}");
    }
    for code in [1000, 1001, 1003, 1007, 1008, 1011, 1012, 1014, 3000, 4999_u16] {
        let mut session = session();
        let body = [&code.to_be_bytes()[..], b"bye"].concat();
        let (_, ended) = feed(&mut session, &frame(FIN | CLOSE, &body), 64);
        assert_eq!(ended, Ok(Some((code, "bye".to_owned()))));
        assert_eq!(client_frames(session.outgoing()), [(FIN | CLOSE, code.to_be_bytes().to_vec())]);
    }
}

#[test]
fn a_close_without_code_is_answered_without_code() {
    let mut session = session();
    assert_eq!(feed(&mut session, &frame(FIN | CLOSE, b""), 64).1, Ok(Some((1005, String::new()))));
    assert_eq!(client_frames(session.outgoing()), [(FIN | CLOSE, vec![])]);
}

#[test]
fn messages_of_every_length_class_come_whole_at_every_cut_of_their_heads() {
    let sizes = [0, 1, 125, 126, 127, 65_535, 65_536, 200_000];
    let bytes: Vec<u8> = sizes.iter().flat_map(|&size| frame(FIN | TEXT, &vec![b'm'; size])).collect();
    for chunk in [1, 2, 3, 7, 1_000, 16_384, bytes.len()] {
        let (messages, ended) = feed(&mut session(), &bytes, chunk);
        assert_eq!((messages.iter().map(Vec::len).collect::<Vec<_>>(), ended), (sizes.to_vec(), Ok(None)), "{chunk}");
    }
}

#[test]
fn a_message_may_be_as_large_as_the_cap_and_one_byte_more_in_fragments_is_too_large() {
    let largest = vec![b'x'; MESSAGE_MAX];
    let (messages, ended) = feed(&mut session(), &frame(FIN | TEXT, &largest), 1 << 16);
    assert_eq!((messages[0].len(), ended), (MESSAGE_MAX, Ok(None)));
    let parts = [frame(TEXT, &largest), frame(FIN | CONTINUATION, b"x")].concat();
    let (messages, ended) = feed(&mut session(), &parts, 1 << 16);
    assert_eq!((messages.len(), ended), (0, Err(Fault::TooLarge { bytes: MESSAGE_MAX as u64 + 1 })));
}

#[test]
fn a_message_may_come_in_4096_fragments_and_not_in_one_more() {
    let mut bytes = frame(TEXT, b"a");
    for _ in 2..FRAGMENTS_MAX {
        bytes.extend(frame(CONTINUATION, b"b"));
    }
    let whole = [bytes.clone(), frame(FIN | CONTINUATION, b"c")].concat();
    assert_eq!(feed(&mut session(), &whole, 4_096).0[0].len(), FRAGMENTS_MAX as usize);
    bytes.extend(frame(CONTINUATION, b"b"));
    bytes.extend(frame(CONTINUATION, b"b"));
    assert_eq!(feed(&mut session(), &bytes, 4_096).1, Err(Fault::Fragments { most: FRAGMENTS_MAX }));
}

#[test]
fn pings_inside_a_fragmented_message_leave_it_whole() {
    let bytes = [frame(TEXT, b"one "), frame(FIN | PING, b"?"), frame(FIN | CONTINUATION, b"two")].concat();
    for chunk in 1..bytes.len() {
        assert_eq!(feed(&mut session(), &bytes, chunk), (vec![b"one two".to_vec()], Ok(None)));
    }
}

#[test]
fn the_newest_ping_is_echoed_and_a_flood_gets_three_answers_a_second() {
    let mut session = session();
    let flood: Vec<u8> = (0..100_000_u32).flat_map(|n| frame(FIN | PING, &n.to_be_bytes())).collect();
    assert_eq!(feed(&mut session, &flood, 16_384).1, Ok(None));
    for ms in 0..1_000 {
        session.answer(ms * 1_000_000);
        let again = frame(FIN | PING, &[9; 125]);
        assert_eq!(feed(&mut session, &again, 200).1, Ok(None));
    }
    let pongs = client_frames(session.outgoing());
    assert_eq!(pongs[0], (FIN | PONG, 99_999_u32.to_be_bytes().to_vec()));
    assert_eq!((pongs.len(), pongs[1].1.len()), (3, 125));
}

#[test]
fn a_message_under_way_remembers_when_its_first_byte_came() {
    let mut session = session();
    let whole = frame(FIN | TEXT, b"hello");
    let put = |session: &mut Session, bytes: &[u8], now_ns: i64| {
        session.space()[..bytes.len()].copy_from_slice(bytes);
        session.filled(bytes.len(), now_ns);
        while session.next_event().expect("valid").is_some() {}
        session.began_ns()
    };
    assert_eq!(put(&mut session, &whole, 1), None);
    assert_eq!(put(&mut session, &whole[..1], 2), Some(2));
    assert_eq!(put(&mut session, &whole[1..3], 3), Some(2));
    assert_eq!(put(&mut session, &[&whole[3..], &whole[..2]].concat(), 4), Some(4));
    assert_eq!(put(&mut session, &whole[2..], 5), None);
    assert_eq!(put(&mut session, &frame(TEXT, b"part"), 6), Some(6));
    assert_eq!(put(&mut session, &frame(FIN | PING, b""), 7), Some(6));
    assert_eq!(put(&mut session, &frame(FIN | CONTINUATION, b""), 8), None);
}

#[test]
fn client_frames_are_masked_with_keys_that_change() {
    let mut session = session();
    session.send_text("hello");
    session.send_text(&"x".repeat(300));
    session.send_ping();
    let out = session.outgoing().to_vec();
    assert_ne!(out[2..6], out[6 + 5 + 4..6 + 5 + 8], "two frames, two keys");
    let frames = client_frames(&out);
    assert_eq!((frames[0].1.as_slice(), frames[1].1.len(), frames[2].0), (&b"hello"[..], 300, FIN | PING));
    session.sent(out.len());
    assert!(session.outgoing().is_empty());
}

#[test]
fn bytes_that_came_with_the_upgrade_are_the_first_message() {
    let mut session = Session::new(1, &frame(FIN | TEXT, b"early"), 0);
    assert_eq!(session.next_event(), Ok(Some(Event::Text(b"early"))));
}
