//! A recording as the engine sees it: what an append allocates, and records through a replay.

use allocation_counter::measure;
use engine::record::{Kind, Record};
use engine::replay::Replay;
use engine::tape::Tape;
use engine::view::{Doubt, Sync};
use engine::wire::Venue;

fn depth(first: u64, last: u64, bid: &str) -> Vec<u8> {
    let head = r#"{"e":"depthUpdate","E":1,"s":"BTCUSDT""#;
    format!(r#"{head},"U":{first},"u":{last},"b":[["{bid}","1"]],"a":[["200","3"]]}}"#).into_bytes()
}

fn snapshot(id: u64) -> Vec<u8> {
    format!(r#"{{"lastUpdateId":{id},"bids":[["90","1"]],"asks":[["210","2"]]}}"#).into_bytes()
}

/// Records as text, each received one ns after the one before.
#[derive(Default)]
struct Story(Vec<u8>, i64);

impl Story {
    fn tell(mut self, kind: Kind, connection: u32, payload: &[u8]) -> Story {
        self.1 += 1;
        Record { kind, recv_ns: self.1, connection, payload }.write(&mut self.0);
        self
    }

    fn begun() -> Story {
        Story::default()
            .tell(Kind::Run, 0, b"{}")
            .tell(Kind::Begin, 1, b"")
            .tell(Kind::Frame, 1, &depth(5, 6, "100"))
            .tell(Kind::Snapshot, 1, &snapshot(4))
            .tell(Kind::Frame, 1, &depth(7, 8, "101"))
    }
}

fn played(story: &Story) -> Replay {
    let mut replay = Replay::new(Venue::Binance, "BTCUSDT", false);
    assert_eq!(replay.play(&story.0), Ok(story.0.len()));
    replay
}

fn best(replay: &Replay) -> (Sync, u64, i64) {
    let top = replay.market().top();
    (top.sync, top.update_id, top.bid.price.0 / 100_000_000)
}

#[test]
fn an_append_allocates_nothing_whether_there_is_room_or_not() {
    let (tape, frame) = (Tape::new(1 << 16), [7; 146]);
    let counted = measure(|| {
        for recv_ns in 0..2_000 {
            tape.append(&Record { kind: Kind::Frame, recv_ns, connection: 1, payload: &frame });
        }
    });
    assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
    assert!(tape.lost().0 > 1_000);
}

#[test]
fn records_go_through_the_market_in_their_order() {
    let replay = played(&Story::begun());
    assert_eq!(best(&replay), (Sync::Live, 8, 101));
    assert_eq!(best(&played(&Story::begun().tell(Kind::End, 1, b""))).0, Sync::Desynced);
}

#[test]
fn a_connection_beside_the_first_takes_over_without_an_unsynced_moment() {
    let story = Story::begun()
        .tell(Kind::Begin, 2, b"")
        .tell(Kind::Frame, 2, &depth(9, 9, "102"))
        .tell(Kind::Frame, 1, &depth(9, 9, "102"))
        .tell(Kind::Snapshot, 2, &snapshot(8));
    assert_eq!(best(&played(&story)), (Sync::Live, 9, 102));
    let story = story.tell(Kind::Takeover, 2, b"").tell(Kind::End, 1, b"").tell(Kind::Frame, 2, &depth(10, 10, "103"));
    let replay = played(&story);
    assert_eq!(best(&replay), (Sync::Live, 10, 103));
    assert_eq!(replay.market().counters().takeovers.get(), 1);
    assert_eq!(best(&played(&story.tell(Kind::End, 2, b""))).0, Sync::Desynced);
}

#[test]
fn a_takeover_whose_beginning_was_lost_unsyncs_instead_of_inventing() {
    let story = Story::begun().tell(Kind::Begin, 2, b"").tell(Kind::Lost, 0, b"{}").tell(Kind::Takeover, 2, b"");
    assert_eq!(best(&played(&story)).0, Sync::Desynced);
}

#[test]
fn what_another_connection_was_sent_behind_a_loss_does_not_reach_the_book_of_the_first() {
    let story = Story::begun()
        .tell(Kind::Begin, 2, b"")
        .tell(Kind::Frame, 2, &depth(9, 9, "102"))
        .tell(Kind::Lost, 0, b"{}")
        .tell(Kind::Frame, 1, &depth(20, 20, "104"))
        .tell(Kind::Frame, 2, &depth(30, 30, "105"))
        .tell(Kind::Snapshot, 2, &snapshot(29))
        .tell(Kind::Frame, 1, &depth(21, 21, "106"))
        .tell(Kind::Snapshot, 1, &snapshot(19));
    let replay = played(&story);
    assert_eq!((best(&replay), replay.market().counters().gaps.get()), ((Sync::Live, 21, 106), 0));
}

#[test]
fn a_recording_that_begins_in_the_middle_follows_the_connection_that_it_meets_first() {
    let story = Story::default()
        .tell(Kind::Segment, 0, b"{}")
        .tell(Kind::Frame, 4, &depth(9, 9, "102"))
        .tell(Kind::Begin, 5, b"")
        .tell(Kind::Frame, 5, &depth(40, 40, "103"))
        .tell(Kind::Snapshot, 4, &snapshot(8))
        .tell(Kind::Frame, 4, &depth(10, 10, "104"));
    let replay = played(&story);
    assert_eq!((best(&replay), replay.market().counters().gaps.get()), ((Sync::Live, 10, 104), 0));
}

#[test]
fn a_book_that_an_audit_refuted_is_unsynced_in_the_replay_too() {
    let replay = played(&Story::begun().tell(Kind::Diverged, 1, b""));
    assert_eq!((best(&replay).0, replay.market().top().doubt), (Sync::Desynced, Doubt::Diverged));
    let counters = replay.market().counters();
    assert_eq!((counters.audits.get(), counters.divergences.get()), (1, 1));
}

#[test]
fn a_checkpoint_goes_on_as_the_market_that_made_it() {
    let mut whole = played(&Story::begun().tell(Kind::End, 1, b"").tell(Kind::Begin, 2, b""));
    let rest = Story::default().tell(Kind::Frame, 2, &depth(9, 9, "104")).tell(Kind::Snapshot, 2, &snapshot(8));
    assert_eq!(whole.play(&rest.0), Ok(rest.0.len()));
    let (connection, made) = whole.checkpoint().expect("the book is live");
    assert_eq!(connection, 2);
    let mut resumed = played(&Story::default().tell(Kind::Segment, 0, b"{}").tell(Kind::Book, connection, &made));
    let more = Story::default().tell(Kind::Frame, 2, &depth(10, 11, "105"));
    for replay in [&mut whole, &mut resumed] {
        assert_eq!(replay.play(&more.0), Ok(more.0.len()));
    }
    assert_eq!(whole.market().top(), resumed.market().top());
    assert_eq!(whole.market().top().doubt, Doubt::Disconnected);
    assert!(whole.market().book().bids().eq(resumed.market().book().bids()));
    assert!(whole.market().book().asks().eq(resumed.market().book().asks()));
    assert_eq!(whole.market().counters().rows(), resumed.market().counters().rows());
}

#[test]
fn a_checkpoint_that_is_none_is_refused_and_a_live_book_needs_none() {
    let mut replay = Replay::new(Venue::Binance, "BTCUSDT", false);
    assert!(replay.play(&Story::default().tell(Kind::Book, 1, b"{}").0).is_err());
    assert_eq!(best(&played(&Story::begun().tell(Kind::Book, 1, b"{}"))), (Sync::Live, 8, 101));
}

/// An OKX frame that leads from one id to another, and a fetched book.
fn okx(previous: u64, id: u64) -> Vec<u8> {
    let sides = r#""asks":[["101","1","0","1"]],"bids":[["99","1","0","1"]]"#;
    let row = format!(r#"{{{sides},"ts":"1","prevSeqId":{previous},"seqId":{id}}}"#);
    format!(r#"{{"arg":{{"channel":"books","instId":"BTC-USDT"}},"action":"update","data":[{row}]}}"#).into_bytes()
}

fn okx_book(id: u64) -> Vec<u8> {
    let sides = r#""asks":[["103","1","0","1"]],"bids":[["98","1","0","1"]]"#;
    format!(r#"{{"code":"0","msg":"","data":[{{{sides},"ts":"1","seqId":{id}}}]}}"#).into_bytes()
}

impl Story {
    /// The venue counts anew, and the book goes live behind that.
    fn counted_anew() -> Story {
        Story::default()
            .tell(Kind::Run, 0, b"{}")
            .tell(Kind::Begin, 1, b"")
            .tell(Kind::Frame, 1, &okx(1_000, 5))
            .tell(Kind::Frame, 1, &okx(5, 9))
            .tell(Kind::Snapshot, 1, &okx_book(7))
    }

    /// A connection whose fetched book is newer than every frame that came before it.
    fn connected(self, connection: u32) -> Story {
        self.tell(Kind::Begin, connection, b"")
            .tell(Kind::Frame, connection, &okx(600, 605))
            .tell(Kind::Snapshot, connection, &okx_book(990))
            .tell(Kind::Frame, connection, &okx(605, 995))
    }
}

fn played_okx(stories: &[&Story]) -> Replay {
    let mut replay = Replay::new(Venue::Okx, "BTC-USDT", false);
    stories.iter().for_each(|story| assert_eq!(replay.play(&story.0), Ok(story.0.len())));
    replay
}

fn sync(replay: &Replay) -> (Sync, Doubt, u64) {
    let top = replay.market().top();
    (top.sync, top.doubt, top.update_id)
}

#[test]
fn a_run_knows_nothing_of_what_the_venue_did_in_the_run_before() {
    let run = Story::default().tell(Kind::Run, 0, b"{}").connected(1);
    let both = played_okx(&[&Story::counted_anew(), &run]);
    assert_eq!(sync(&both), (Sync::Live, Doubt::None, 995));
    assert_eq!(sync(&both), sync(&played_okx(&[&run])));
    assert_eq!(sync(&played_okx(&[&Story::counted_anew(), &Story::default().tell(Kind::Run, 0, b"")])).0, Sync::Empty);
}

#[test]
fn a_checkpoint_tells_where_a_count_ended_that_the_venue_began_anew() {
    let before = Story::counted_anew();
    let (connection, made) = played_okx(&[&before]).checkpoint().expect("the book is live");
    let resumed = Story::default().tell(Kind::Segment, 0, b"{}").tell(Kind::Book, connection, &made);
    let after = Story::default().tell(Kind::End, 1, b"").connected(2);
    let whole = played_okx(&[&before, &after]);
    assert_eq!(sync(&whole).0, Sync::Desynced, "a body of the old count may have this id");
    let resumed = played_okx(&[&resumed, &after]);
    assert_eq!(sync(&whole), sync(&resumed));
    assert_eq!(whole.market().counters().rows(), resumed.market().counters().rows());
}

#[test]
fn connections_that_changed_while_the_tape_was_full_do_not_haunt_the_replay() {
    for odd_words in 0..12 {
        let tape = Tape::new(1 << 16);
        let tell = |kind, connection, payload: &[u8]| tape.append(&Record { kind, recv_ns: 1, connection, payload });
        let mut replay = Replay::new(Venue::Binance, "BTCUSDT", false);
        let mut play = || {
            let mut out = Vec::new();
            tape.take(&mut out, usize::MAX);
            assert_eq!(replay.play(&out), Ok(out.len()));
            best(&replay)
        };
        for connection in 1..=200 {
            tell(Kind::Begin, connection, b"");
            tell(Kind::Frame, connection, &vec![b'x'; 8 * odd_words]);
            (0..50).for_each(|_| tell(Kind::Frame, connection, &[b'x'; 200]));
            tell(Kind::End, connection, b"");
        }
        tell(Kind::Begin, 201, b"");
        assert_ne!(play().0, Sync::Live);
        tell(Kind::Frame, 201, &depth(5, 6, "100"));
        tell(Kind::Snapshot, 201, &snapshot(4));
        tell(Kind::Frame, 201, &depth(7, 8, "101"));
        assert_eq!(play(), (Sync::Live, 8, 101), "{odd_words} words more");
    }
}
