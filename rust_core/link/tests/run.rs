//! Whole connections over loopback: what ends them, and how soon.

mod wire;

use link::asking::Standing;
use link::clock::now_ns;
use link::frame::MESSAGE_MAX;
use link::run::{Ended, Flow, Plan, Reason, Sink, run};
use link::socket::{Endpoint, Stream};
use link::wake::Waker;
use link::watch::Patience;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use wire::{CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, announced, client_frames, frame};

/// Keeps what it is told; text "book" counts as book data, "lost" as a doubt that only a subscription ends, "bye" tells
/// that another connection has taken over.
struct Kept {
    messages: Sender<Vec<u8>>,
    wakes: Sender<()>,
    book_ns: i64,
    standing: Standing,
}

impl Sink for Kept {
    fn on_message(&mut self, payload: &[u8], recv_ns: i64) -> Flow {
        match payload {
            b"book" => (self.book_ns, self.standing) = (recv_ns, Standing::Live),
            b"lost" => self.standing = Standing::NeedsSubscription,
            _ => {}
        }
        let _test_over = self.messages.send(payload.to_vec());
        if payload == b"bye" { Flow::Replaced } else { Flow::Continue }
    }

    fn last_book_ns(&self) -> i64 {
        self.book_ns
    }

    fn standing(&self) -> Standing {
        self.standing
    }

    fn on_age(&mut self) {
        let _test_over = self.messages.send(b"aged".to_vec());
    }

    fn on_wake(&mut self) -> Flow {
        let _test_over = self.wakes.send(());
        Flow::Continue
    }
}

struct Running {
    server: TcpStream,
    waker: Arc<Waker>,
    messages: Receiver<Vec<u8>>,
    wakes: Receiver<()>,
    thread: JoinHandle<Ended>,
}

impl Running {
    fn send(&mut self, bytes: &[u8]) {
        self.server.write_all(bytes).expect("the client reads");
    }

    /// The end, and every client frame that was still to be read.
    fn ended(mut self) -> (Ended, Vec<(u8, Vec<u8>)>) {
        let ended = self.thread.join().expect("no panic");
        let mut bytes = Vec::new();
        let _cut_is_fine = self.server.read_to_end(&mut bytes);
        (ended, client_frames(&bytes))
    }
}

fn plan() -> Plan {
    Plan {
        opening: vec![],
        resubscribe: vec!["again".to_owned()],
        keep_alive: None,
        message_max: MESSAGE_MAX,
        patience: Patience::default(),
        life_ns: i64::MAX,
    }
}

fn start(plan: Plan) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    let waker = Arc::new(Waker::new().expect("descriptors"));
    let (messages, received) = channel();
    let (wakes, woken) = channel();
    let theirs = Arc::clone(&waker);
    let thread = thread::spawn(move || {
        let mut stream = Stream::connect(&plain(port), &theirs, now_ns() + 5_000_000_000).expect("connects");
        run(
            &mut stream,
            &[],
            &theirs,
            &plan,
            &mut Kept { messages, wakes, book_ns: i64::MIN, standing: Standing::Waiting },
        )
    });
    let (server, _) = listener.accept().expect("a client");
    Running { server, waker, messages: received, wakes: woken, thread }
}

fn plain(port: u16) -> Endpoint<'static> {
    Endpoint { host: "127.0.0.1", port, tls: false, ca_file: None }
}

#[test]
fn messages_are_handed_over_in_order_and_a_stop_ends_the_run_at_once_with_a_close_frame() {
    let mut running = start(plan());
    running.send(&[frame(FIN | TEXT, b"one"), frame(FIN | TEXT, b"two")].concat());
    assert_eq!(running.messages.recv().expect("first"), b"one");
    assert_eq!(running.messages.recv().expect("second"), b"two");
    let began = Instant::now();
    running.waker.stop();
    let (ended, frames) = running.ended();
    assert!(began.elapsed() < Duration::from_millis(500));
    assert_eq!((ended.reason, frames), (Reason::Stopped, vec![(FIN | CLOSE, 1000_u16.to_be_bytes().to_vec())]));
}

#[test]
fn a_burst_of_6500_frames_in_one_write_is_handed_over_whole_and_in_order() {
    let mut running = start(plan());
    let frames: Vec<u8> =
        (0..6_500).flat_map(|number| frame(FIN | TEXT, format!("{number:0>142}").as_bytes())).collect();
    running.send(&frames);
    for number in 0..6_500 {
        let message = running.messages.recv_timeout(Duration::from_secs(5)).expect("none is lost");
        assert_eq!(message, format!("{number:0>142}").as_bytes());
    }
    running.waker.stop();
    running.ended();
}

#[test]
fn a_wake_reaches_the_sink_without_ending_the_run() {
    let running = start(plan());
    running.wakes.recv().expect("once at the start");
    running.waker.wake();
    running.wakes.recv().expect("for the wake");
    running.waker.stop();
    assert_eq!(running.ended().0.reason, Reason::Stopped);
}

#[test]
fn a_ping_is_answered_and_a_close_is_echoed_and_named() {
    let mut running = start(plan());
    running.send(&frame(FIN | PING, b"20s"));
    let mut pong = [0; 9];
    running.server.read_exact(&mut pong).expect("a pong");
    assert_eq!(client_frames(&pong), [(FIN | PONG, b"20s".to_vec())]);
    running.send(&frame(FIN | CLOSE, &[&1001_u16.to_be_bytes()[..], b"bye"].concat()));
    let (ended, frames) = running.ended();
    assert_eq!((ended.reason, ended.detail.as_str()), (Reason::Closed, "1001 bye"));
    assert_eq!(frames, [(FIN | CLOSE, 1001_u16.to_be_bytes().to_vec())]);
}

#[test]
fn a_message_that_drips_in_by_bytes_is_ended_five_seconds_after_its_first() {
    let mut running = start(plan());
    let message = frame(FIN | TEXT, &[b'x'; 125]);
    let began = Instant::now();
    for byte in &message {
        if running.server.write_all(&[*byte]).is_err() || running.thread.is_finished() {
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    let took = began.elapsed();
    assert_eq!(running.ended().0.reason, Reason::Deadline);
    assert!((4_900..6_500).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn hostile_sizes_and_breaches_are_refused_at_once_with_their_close_code() {
    let fragments = [frame(TEXT, b"a"), frame(CONTINUATION, b"b").repeat(5_000)].concat();
    let cases = [
        (announced(1 << 40), Reason::TooLarge, 1009_u16),
        (fragments, Reason::TooLarge, 1009),
        (vec![FIN | TEXT, 0x81, 1, 2, 3, 4, 5], Reason::Protocol, 1002),
        (frame(FIN | 0x40 | TEXT, b"x"), Reason::Protocol, 1002),
    ];
    for (bytes, reason, code) in cases {
        let mut running = start(plan());
        let began = Instant::now();
        let _cut_while_writing = running.server.write_all(&bytes);
        let ended = running.thread.join().expect("no panic");
        assert!(began.elapsed() < Duration::from_millis(1_500), "{reason:?} took {:?}", began.elapsed());
        assert_eq!(ended.reason, reason);
        let mut head = [0; 8];
        if running.server.read_exact(&mut head).is_ok() {
            assert_eq!(client_frames(&head), [(FIN | CLOSE, code.to_be_bytes().to_vec())]);
        }
    }
}

#[test]
fn a_cut_at_any_byte_ends_the_run_and_never_makes_half_a_message() {
    let bytes = [frame(FIN | TEXT, b"first"), frame(TEXT, b"sec"), frame(FIN | CONTINUATION, b"ond")].concat();
    for cut in 0..=bytes.len() {
        let mut running = start(plan());
        running.send(&bytes[..cut]);
        drop(running.server);
        let ended = running.thread.join().expect("no panic");
        assert!(matches!(ended.reason, Reason::Closed | Reason::Io), "{ended:?}");
        let seen: Vec<Vec<u8>> = running.messages.iter().collect();
        let whole = usize::from(cut >= 7) + usize::from(cut == bytes.len());
        assert_eq!(seen, [&b"first"[..], b"second"][..whole]);
    }
}

#[test]
fn silence_is_pinged_then_resubscribed_then_ended_as_quiet() {
    let mut running = start(Plan { patience: Patience { quiet_ns: 3_900_000_000, ..Patience::default() }, ..plan() });
    running.server.set_read_timeout(Some(Duration::from_secs(8))).expect("a timeout");
    let began = Instant::now();
    let mut seen = Vec::new();
    let mut bytes = [0; 64];
    while let Ok(count @ 1..) = running.server.read(&mut bytes) {
        for (first, payload) in client_frames(&bytes[..count]) {
            seen.push((began.elapsed().as_millis(), first, payload));
            if first == FIN | PING {
                running.send(&frame(FIN | PONG, b""));
            }
        }
    }
    assert_eq!(running.thread.join().expect("no panic").reason, Reason::Quiet);
    assert!(seen[0].1 == FIN | PING && (950..1_900).contains(&seen[0].0), "{seen:?}");
    let again: Vec<_> = seen.iter().filter(|(_, first, _)| *first == FIN | TEXT).collect();
    assert!(again.len() == 1 && again[0].2 == b"again" && again[0].0 >= 2_950, "{seen:?}");
}

#[test]
fn a_server_that_falls_silent_altogether_is_left_after_five_seconds() {
    let mut running = start(plan());
    running.send(&frame(FIN | TEXT, b"book"));
    let began = Instant::now();
    let (ended, _) = running.ended();
    assert_eq!(ended.reason, Reason::NoPong);
    assert!((4_900..6_500).contains(&began.elapsed().as_millis()));
}

#[test]
fn a_connection_that_was_replaced_ends_as_planned_and_hands_over_nothing_more() {
    let mut running = start(plan());
    running.send(&[frame(FIN | TEXT, b"bye"), frame(FIN | TEXT, b"never seen")].concat());
    assert_eq!(running.messages.recv().expect("the last"), b"bye");
    let ended = running.thread.join().expect("no panic");
    assert_eq!((ended.reason, ended.reason.planned()), (Reason::Replaced, true));
    assert!(running.messages.try_recv().is_err());
}

#[test]
fn a_connection_that_reached_its_age_says_so_once_and_goes_on() {
    let mut running = start(Plan { life_ns: 50_000_000, ..plan() });
    assert_eq!(running.messages.recv_timeout(Duration::from_secs(2)).expect("its age"), b"aged");
    running.send(&frame(FIN | TEXT, b"still there"));
    assert_eq!(running.messages.recv_timeout(Duration::from_secs(2)).expect("a message"), b"still there");
    running.waker.stop();
    assert_eq!(running.ended().0.reason, Reason::Stopped);
}

#[test]
fn opening_texts_come_first_and_a_keep_alive_whenever_nothing_was_said_for_its_time() {
    let opening = vec!["one".to_owned(), "two".to_owned()];
    let mut running = start(Plan { opening, keep_alive: Some(("ping".to_owned(), 200_000_000)), ..plan() });
    let began = Instant::now();
    let mut bytes = [0; 38]; // nine for either opening text, ten for either keep-alive
    running.server.read_exact(&mut bytes).expect("four texts");
    let texts: Vec<Vec<u8>> = client_frames(&bytes).into_iter().map(|(_, payload)| payload).collect();
    assert_eq!(texts, [&b"one"[..], b"two", b"ping", b"ping"]);
    assert!((350..1_200).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    running.waker.stop();
    running.ended();
}

#[test]
fn a_book_that_needs_a_subscription_gets_it_at_once() {
    let mut running = start(plan());
    running.send(&frame(FIN | TEXT, b"lost"));
    let mut bytes = [0; 11];
    running.server.set_read_timeout(Some(Duration::from_millis(900))).expect("a timeout");
    running.server.read_exact(&mut bytes).expect("a text before the first ping");
    assert_eq!(client_frames(&bytes), [(FIN | TEXT, b"again".to_vec())]);
    running.waker.stop();
    running.ended();
}

#[test]
fn a_message_above_the_bound_of_the_venue_is_refused_whole_or_in_parts() {
    let parts = [frame(TEXT, &[b'x'; 600]), frame(FIN | CONTINUATION, &[b'x'; 500])].concat();
    for bytes in [announced(1_025), parts, frame(FIN | TEXT, &[b'x'; 1_025])] {
        let mut running = start(Plan { message_max: 1_024, ..plan() });
        running.send(&[frame(FIN | TEXT, &[b'y'; 1_024]), bytes].concat());
        assert_eq!(running.messages.recv().expect("the largest").len(), 1_024);
        assert_eq!(running.thread.join().expect("no panic").reason, Reason::TooLarge);
    }
}

#[test]
fn a_server_that_never_reads_does_not_block_the_run() {
    let mut running = start(plan());
    for number in 0..2_000_u32 {
        running.send(&frame(FIN | PING, &[number as u8; 125]));
    }
    running.send(&frame(FIN | TEXT, b"mark"));
    assert_eq!(running.messages.recv_timeout(Duration::from_secs(2)).expect("still handed over"), b"mark");
    running.waker.stop();
    running.ended();
}
