//! What a market makes of numbers that cannot be: ids that begin anew, ids far too high, snapshots that were lost.

use std::sync::Arc;

use engine::market::{Applied, Market, SnapshotOutcome};
use engine::view::{Published, Sync};
use engine::wake::{CrossWatch, Signal};
use engine::wire::Venue;

const SECOND_NS: i64 = 1_000_000_000;

fn market(venue: Venue, symbol: &str) -> Market {
    Market::new(venue, symbol, Arc::new(Published::new(Arc::new(CrossWatch::new(Arc::new(Signal::default()))))))
}

/// Bid and ask of the top as published, whole units.
fn prices(market: &Market) -> (i64, i64) {
    (market.top().bid.price.0 / 100_000_000, market.top().ask.price.0 / 100_000_000)
}

mod okx {
    use super::*;

    fn new() -> Market {
        market(Venue::Okx, "BTC-USDT")
    }

    fn update(market: &mut Market, previous: u64, id: u64, bid: i64) -> Applied {
        update_at(market, (previous, id), bid, 1)
    }

    fn update_at(market: &mut Market, (previous, id): (u64, u64), bid: i64, recv_ns: i64) -> Applied {
        let arg = r#"{"channel":"books","instId":"BTC-USDT"}"#;
        let sides = format!(r#""asks":[["{}","1","0","1"]],"bids":[["{bid}","1","0","1"]]"#, bid + 1);
        let row = format!(r#"{{{sides},"ts":"1","prevSeqId":{previous},"seqId":{id}}}"#);
        market.apply(format!(r#"{{"arg":{arg},"action":"update","data":[{row}]}}"#).as_bytes(), recv_ns)
    }

    fn top(market: &mut Market, id: u64, bid: i64) -> Applied {
        top_at(market, id, bid, 1)
    }

    fn top_at(market: &mut Market, id: u64, bid: i64, recv_ns: i64) -> Applied {
        let sides = format!(r#""asks":[["{}","1","0","1"]],"bids":[["{bid}","1","0","1"]]"#, bid + 1);
        let arg = r#"{"channel":"bbo-tbt","instId":"BTC-USDT"}"#;
        let frame = format!(r#"{{"arg":{arg},"data":[{{{sides},"ts":"1","seqId":{id}}}]}}"#);
        market.apply(frame.as_bytes(), recv_ns)
    }

    fn offer(market: &mut Market, id: u64) -> SnapshotOutcome {
        let row = format!(r#"{{"asks":[["900","1","0","1"]],"bids":[["2","1","0","1"]],"ts":"1","seqId":{id}}}"#);
        market.offer_snapshot(format!(r#"{{"code":"0","msg":"","data":[{row}]}}"#).as_bytes())
    }

    #[test]
    fn a_count_that_begins_anew_before_the_book_is_live_leaves_no_top_of_the_old_one() {
        let mut market = new();
        assert_eq!(update(&mut market, 90, 97, 50), Applied::Buffered);
        assert_eq!(top(&mut market, 98, 50), Applied::Top);
        assert!(matches!(update(&mut market, 97, 5, 60), Applied::Ignored(_)));
        assert_eq!(top(&mut market, 6, 61), Applied::Top);
        assert_eq!(update(&mut market, 5, 9, 70), Applied::Buffered);
        assert_eq!(offer(&mut market, 5), SnapshotOutcome::Bridged);
        assert_eq!((market.top().sync, market.top().update_id, prices(&market)), (Sync::Live, 9, (70, 71)));
        assert_eq!(top(&mut market, 10, 80), Applied::Top);
        assert_eq!(prices(&market), (80, 81));
    }

    #[test]
    fn a_count_whose_beginning_was_lost_leaves_no_top_of_the_old_one() {
        for live in [false, true] {
            let mut market = new();
            update(&mut market, 90, 97, 50);
            if live {
                assert_eq!(offer(&mut market, 92), SnapshotOutcome::Bridged);
            }
            assert_eq!(top(&mut market, 98, 50), Applied::Top);
            assert_eq!(update(&mut market, 5, 9, 70), Applied::Gap { expected: 98, received: 6 });
            assert_eq!(offer(&mut market, 7), SnapshotOutcome::Bridged);
            assert_eq!(
                (market.top().sync, market.top().update_id, prices(&market)),
                (Sync::Live, 9, (70, 71)),
                "{live}"
            );
        }
    }

    #[test]
    fn a_count_that_began_anew_while_the_book_was_lost_leaves_no_top_of_the_old_one() {
        for newer in [false, true] {
            let mut market = new();
            update(&mut market, 90, 1000, 50);
            assert_eq!(offer(&mut market, 95), SnapshotOutcome::Bridged);
            assert_eq!(top(&mut market, 1001, 51), Applied::Top);
            assert!(matches!(market.apply(br#"{"arg":{"channel":"books""#, 1), Applied::Refused(_)), "it told of it");
            if newer {
                assert_eq!(top(&mut market, 11, 72), Applied::Top);
            }
            assert_eq!(update(&mut market, 5, 9, 70), Applied::Buffered);
            assert_eq!(offer(&mut market, 7), SnapshotOutcome::Bridged);
            let (shown, id) = if newer { (72, 11) } else { (70, 9) };
            assert_eq!((prices(&market), market.top().update_id), ((shown, shown + 1), id));
        }
    }

    #[test]
    fn a_book_that_waited_for_the_first_frame_of_a_new_count_leaves_no_top_of_the_old_one() {
        let mut market = new();
        update(&mut market, 90, 1000, 50);
        assert_eq!(offer(&mut market, 95), SnapshotOutcome::Bridged);
        assert_eq!(top(&mut market, 1001, 51), Applied::Top);
        market.apply(br#"{"arg":{"channel":"books""#, 1);
        assert_eq!(update(&mut market, 5, 9, 70), Applied::Buffered);
        assert_eq!(offer(&mut market, 12), SnapshotOutcome::Waiting);
        assert_eq!(update(&mut market, 9, 12, 71), Applied::Ignored("older than the frames kept"));
        assert_eq!(update(&mut market, 12, 14, 73), Applied::Depth);
        assert_eq!((prices(&market), market.top().update_id), ((73, 74), 14));
    }

    #[test]
    fn behind_a_silence_a_top_of_the_new_count_makes_no_book_fresh_whose_old_top_was_dropped() {
        let mut market = new();
        update_at(&mut market, (90, 1000), 50, SECOND_NS);
        assert_eq!(offer(&mut market, 95), SnapshotOutcome::Bridged);
        assert_eq!(top_at(&mut market, 1001, 51, SECOND_NS), Applied::Top);
        market.apply(br#"{"arg":{"channel":"books""#, SECOND_NS);
        assert_eq!(update_at(&mut market, (5, 9), 70, SECOND_NS), Applied::Buffered);
        assert_eq!(offer(&mut market, 7), SnapshotOutcome::Bridged);
        assert_eq!(top_at(&mut market, 12, 72, 9 * SECOND_NS), Applied::Top);
        assert_eq!((prices(&market), market.top().recv_ns), ((72, 73), SECOND_NS));
    }

    #[test]
    fn after_a_new_count_a_snapshot_a_little_newer_than_the_frames_is_taken_on_every_connection() {
        let mut market = new();
        update(&mut market, 90, 1_000_097, 50);
        assert_eq!(offer(&mut market, 95), SnapshotOutcome::Bridged);
        assert_eq!(update(&mut market, 1_000_097, 5, 50), Applied::Depth, "the venue counts anew");
        for connection in 0..2 {
            market.apply(br#"{"arg":{"channel":"books""#, 1);
            let base = 100 * (connection + 1);
            assert_eq!(update(&mut market, base, base + 9, 60), Applied::Buffered);
            assert_eq!(offer(&mut market, 1_000_095), SnapshotOutcome::TooOld, "asked for before that");
            assert_eq!(offer(&mut market, base + 12), SnapshotOutcome::Waiting, "{connection}");
            assert_eq!(update(&mut market, base + 9, base + 14, 60), Applied::Depth);
            market.disconnected();
        }
    }

    #[test]
    fn a_snapshot_of_an_ended_count_that_is_sent_twice_is_not_taken_for_the_book() {
        let mut market = new();
        let snapshot = |market: &mut Market| {
            let row = r#"{"asks":[["900","1","0","1"]],"bids":[["2","1","0","1"]],"ts":"1","prevSeqId":-1,"seqId":90}"#;
            let arg = r#"{"channel":"books","instId":"BTC-USDT"}"#;
            market.apply(format!(r#"{{"arg":{arg},"action":"snapshot","data":[{row}]}}"#).as_bytes(), 1)
        };
        assert_eq!(snapshot(&mut market), Applied::Snapshot);
        assert_eq!(update(&mut market, 90, 97, 50), Applied::Depth);
        assert_eq!(snapshot(&mut market), Applied::Ignored("sent twice"));
        assert_eq!(update(&mut market, 97, 5, 50), Applied::Depth, "the venue counts anew");
        assert_eq!(snapshot(&mut market), Applied::Ignored("sent twice"));
        assert_eq!(update(&mut market, 5, 6, 50), Applied::Depth);
    }

    #[test]
    fn a_snapshot_of_a_quiet_market_is_taken_again_by_a_book_that_was_lost_and_is_behind_it() {
        let mut market = new();
        let row = r#"{"asks":[["900","1","0","1"]],"bids":[["2","1","0","1"]],"ts":"1","prevSeqId":-1,"seqId":97}"#;
        let head = r#"{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":["#;
        let snapshot = format!("{head}{row}]}}");
        assert_eq!(market.apply(snapshot.as_bytes(), 1), Applied::Snapshot);
        assert!(matches!(update(&mut market, 90, 95, 50), Applied::Gap { .. }), "it came late");
        assert_eq!(offer(&mut market, 92), SnapshotOutcome::Bridged);
        assert_eq!(market.apply(snapshot.as_bytes(), 1), Applied::Snapshot);
        assert_eq!(update(&mut market, 97, 99, 50), Applied::Depth);
    }

    #[test]
    fn a_book_for_which_no_snapshot_is_fetched_wants_one_on_the_stream_where_those_came_before() {
        for streamed in [false, true] {
            let mut market = new();
            let whole = |market: &mut Market, id: u64| {
                let sides = r#""asks":[["900","1","0","1"]],"bids":[["2","1","0","1"]],"ts":"1""#;
                let head = r#"{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":["#;
                market.apply(format!(r#"{head}{{{sides},"prevSeqId":-1,"seqId":{id}}}]}}"#).as_bytes(), 1)
            };
            if streamed {
                assert_eq!(whole(&mut market, 90), Applied::Snapshot);
            } else {
                update(&mut market, 88, 90, 50);
                assert_eq!(offer(&mut market, 89), SnapshotOutcome::Bridged);
            }
            assert!(matches!(update(&mut market, 99, 100, 50), Applied::Gap { .. }));
            for id in 101..=149 {
                assert!(!market.wants_subscription(), "{id}");
                assert_eq!(update(&mut market, id - 1, id, 50), Applied::Buffered);
            }
            assert_eq!((market.wants_snapshot(), market.wants_subscription()), (true, streamed));
            market.disconnected();
            assert!(!market.wants_subscription());
            assert_eq!(whole(&mut market, 200), Applied::Snapshot);
            assert!(!market.wants_subscription());
        }
    }

    #[test]
    fn a_late_top_of_an_ended_count_gives_way_to_the_book_after_a_second_and_ends_its_freshness() {
        let mut market = new();
        update(&mut market, 90, 1000, 50);
        assert_eq!(offer(&mut market, 95), SnapshotOutcome::Bridged);
        assert_eq!(update(&mut market, 1000, 5, 50), Applied::Depth, "the venue counts anew");
        assert_eq!(top_at(&mut market, 1_000_001, 70, SECOND_NS), Applied::Top, "made before that");
        for tenth in 1..=50_u64 {
            let (recv_ns, id) = (SECOND_NS + tenth as i64 * SECOND_NS / 10, 5 + tenth);
            assert_eq!(update_at(&mut market, (id - 1, id), 50, recv_ns), Applied::Depth);
            assert!(matches!(top_at(&mut market, id, 50, recv_ns), Applied::Ignored(_)));
            let (shown, id) = if tenth < 10 { (70, 1_000_001) } else { (50, id) };
            assert_eq!((prices(&market), market.top().update_id), ((shown, shown + 1), id), "{tenth}");
            assert!(market.top().recv_ns < 2 * SECOND_NS, "as silent as it would be beside the wrong top: {tenth}");
        }
        market.disconnected();
        update_at(&mut market, (55, 56), 61, 7 * SECOND_NS);
        assert_eq!(offer(&mut market, 55), SnapshotOutcome::Bridged);
        assert_eq!(top_at(&mut market, 57, 62, 7 * SECOND_NS), Applied::Top);
        assert_eq!((prices(&market), market.top().recv_ns), ((62, 63), 7 * SECOND_NS));
    }

    #[test]
    fn a_frame_that_says_that_nothing_changed_makes_a_snapshot_live_that_waits_there() {
        let mut market = new();
        assert_eq!(update(&mut market, 90, 97, 50), Applied::Buffered);
        assert_eq!(offer(&mut market, 97), SnapshotOutcome::Waiting);
        assert_eq!(update(&mut market, 96, 96, 50), Applied::Ignored("older than the frames kept"));
        assert_eq!(update(&mut market, 97, 97, 50), Applied::Depth);
        assert_eq!((market.is_live(), market.top().update_id), (true, 97));
        assert_eq!(update(&mut market, 97, 99, 50), Applied::Depth);
    }

    #[test]
    fn frames_of_a_new_count_do_not_join_a_snapshot_of_the_old_one() {
        let mut market = new();
        assert_eq!(update(&mut market, 90, 97, 50), Applied::Buffered);
        assert!(matches!(update(&mut market, 97, 5, 60), Applied::Ignored(_)));
        assert_eq!(offer(&mut market, 97), SnapshotOutcome::TooOld);
        assert_eq!(update(&mut market, 5, 95, 61), Applied::Buffered);
        assert_eq!(offer(&mut market, 96), SnapshotOutcome::TooOld, "asked for before the count began anew");
        assert_eq!(update(&mut market, 95, 99, 62), Applied::Buffered);
        assert!(market.wants_snapshot());
        assert_eq!(offer(&mut market, 95), SnapshotOutcome::Bridged);
        assert_eq!((market.top().update_id, prices(&market)), (99, (62, 63)));
    }
}

mod binance {
    use super::*;

    fn depth(market: &mut Market, first: u64, last: u64, recv_ns: i64) -> Applied {
        let ids = format!(r#""U":{first},"u":{last}"#);
        let frame = format!(r#"{{"e":"depthUpdate","E":1,"s":"BTCUSDT",{ids},"b":[["98","1"]],"a":[]}}"#);
        market.apply(frame.as_bytes(), recv_ns)
    }

    fn ticker(market: &mut Market, id: u64, recv_ns: i64) -> Applied {
        market.apply(format!(r#"{{"u":{id},"s":"BTCUSDT","b":"99","B":"1","a":"100","A":"2"}}"#).as_bytes(), recv_ns)
    }

    fn offer(market: &mut Market, id: u64) -> SnapshotOutcome {
        let body = format!(r#"{{"lastUpdateId":{id},"bids":[["99","1"]],"asks":[["101","1"]]}}"#);
        market.offer_snapshot(body.as_bytes())
    }

    #[test]
    fn a_top_that_the_depth_does_not_reach_within_a_second_keeps_no_book_fresh() {
        let mut market = market(Venue::Binance, "BTCUSDT");
        depth(&mut market, 9, 11, 1);
        assert_eq!(offer(&mut market, 10), SnapshotOutcome::Bridged);
        assert_eq!(ticker(&mut market, 1_000_000, SECOND_NS), Applied::Top);
        for tenth in 1..=50 {
            let recv_ns = SECOND_NS + tenth * SECOND_NS / 10;
            assert_eq!(depth(&mut market, 11 + tenth as u64, 11 + tenth as u64, recv_ns), Applied::Depth);
            assert!(matches!(ticker(&mut market, 11 + tenth as u64, recv_ns), Applied::Ignored(_)));
            assert!(market.top().recv_ns < 2 * SECOND_NS, "{tenth}");
        }
    }

    #[test]
    fn a_top_that_came_before_the_book_was_live_is_not_given_up_for_an_older_book() {
        let (mut market, now) = (market(Venue::Binance, "BTCUSDT"), 3_600 * SECOND_NS);
        assert_eq!(ticker(&mut market, 15, now), Applied::Top);
        assert_eq!(depth(&mut market, 9, 11, now + 1), Applied::Buffered);
        assert_eq!(offer(&mut market, 10), SnapshotOutcome::Bridged);
        assert_eq!((prices(&market), market.top().update_id), ((99, 100), 15));
        assert_eq!(depth(&mut market, 12, 13, now + 2), Applied::Depth);
        assert_eq!((prices(&market), market.top().update_id), ((99, 100), 15), "the book is at 13");
        assert_eq!(depth(&mut market, 14, 14, now + SECOND_NS), Applied::Depth);
        assert_eq!((prices(&market), market.top().update_id), ((99, 101), 14), "it is not reached");
    }

    #[test]
    fn newer_tops_are_shown_however_far_the_depth_is_behind_them() {
        let mut market = market(Venue::Binance, "BTCUSDT");
        depth(&mut market, 9, 11, 1);
        assert_eq!(offer(&mut market, 10), SnapshotOutcome::Bridged);
        for tenth in 1..=50 {
            let recv_ns = SECOND_NS + tenth * SECOND_NS / 10;
            assert_eq!(ticker(&mut market, 1_000 + tenth as u64, recv_ns), Applied::Top);
            assert_eq!(depth(&mut market, 11 + tenth as u64, 11 + tenth as u64, recv_ns + 1), Applied::Depth);
            assert_eq!((prices(&market), market.top().update_id), ((99, 100), 1_000 + tenth as u64));
            assert!(market.top().recv_ns < SECOND_NS * 22 / 10, "{tenth}");
        }
        let reached = 8 * SECOND_NS;
        assert_eq!(depth(&mut market, 62, 1_060, reached), Applied::Depth);
        assert_eq!((prices(&market), market.top().recv_ns), ((99, 101), reached));
    }

    #[test]
    fn a_busy_book_whose_tops_are_always_ahead_of_its_depth_stays_fresh() {
        let mut market = market(Venue::Binance, "BTCUSDT");
        depth(&mut market, 9, 11, 1);
        assert_eq!(offer(&mut market, 10), SnapshotOutcome::Bridged);
        for tenth in 1..=50_u64 {
            let recv_ns = tenth as i64 * SECOND_NS / 10;
            ticker(&mut market, 10 * (tenth + 1) + 5, recv_ns);
            assert_eq!(market.top().recv_ns, recv_ns);
            // The frame was made before the newest top.
            let first = if tenth == 1 { 12 } else { 10 * tenth + 1 };
            assert_eq!(depth(&mut market, first, 10 * (tenth + 1), recv_ns + 1), Applied::Depth);
            assert_eq!(market.top().recv_ns, recv_ns + 1);
        }
    }

    #[test]
    fn tops_do_not_hide_that_a_book_waits_in_vain() {
        let mut market = market(Venue::Binance, "BTCUSDT");
        assert_eq!(offer(&mut market, 1_000_000_000), SnapshotOutcome::Waiting);
        for tenth in 1..=50 {
            let recv_ns = tenth * SECOND_NS / 10;
            assert!(matches!(depth(&mut market, tenth as u64, tenth as u64, recv_ns), Applied::Ignored(_)));
            ticker(&mut market, tenth as u64, recv_ns);
        }
        assert!(market.top().recv_ns < 2 * SECOND_NS, "a silent connection is ended; this one would never be");
    }
}

mod bybit {
    use super::*;

    fn delta(market: &mut Market, u: u64, kind: &str) -> Applied {
        book(market, (u, u), kind)
    }

    fn top(market: &mut Market, seq: u64, recv_ns: i64) -> Applied {
        let data = format!(r#"{{"s":"BTCUSDT","b":[["99","1"]],"a":[["100","1"]],"u":{seq},"seq":{seq}}}"#);
        let frame = format!(r#"{{"topic":"orderbook.1.BTCUSDT","ts":1,"type":"snapshot","data":{data},"cts":1}}"#);
        market.apply(frame.as_bytes(), recv_ns)
    }

    fn book(market: &mut Market, ids: (u64, u64), kind: &str) -> Applied {
        book_at(market, ids, kind, 1)
    }

    fn book_at(market: &mut Market, (u, seq): (u64, u64), kind: &str, recv_ns: i64) -> Applied {
        let data = format!(r#"{{"s":"BTCUSDT","b":[["98","1"]],"a":[["101","1"]],"u":{u},"seq":{seq}}}"#);
        let frame = format!(r#"{{"topic":"orderbook.200.BTCUSDT","ts":1,"type":"{kind}","data":{data},"cts":1}}"#);
        market.apply(frame.as_bytes(), recv_ns)
    }

    #[test]
    fn changes_without_a_beginning_ask_for_a_new_subscription_on_a_first_connection_and_on_later_ones() {
        let mut market = market(Venue::Bybit, "BTCUSDT");
        for connection in 0..2 {
            assert!(matches!(delta(&mut market, 2, "snapsh"), Applied::Refused(_)));
            assert!(!market.wants_subscription(), "the next one may be whole");
            assert!(matches!(delta(&mut market, 3, "delta"), Applied::Ignored(_)));
            assert!(market.wants_subscription(), "connection {connection}");
            assert_eq!(delta(&mut market, 4, "snapshot"), Applied::Snapshot);
            assert!(!market.wants_subscription());
            market.disconnected();
            assert!(!market.wants_subscription());
        }
    }

    #[test]
    fn a_snapshot_that_is_sent_twice_steps_no_live_book_back() {
        let mut market = market(Venue::Bybit, "BTCUSDT");
        for connection in 0..2 {
            assert_eq!(book(&mut market, (10, 100), "snapshot"), Applied::Snapshot, "{connection}");
            assert_eq!(book(&mut market, (10, 100), "snapshot"), Applied::Snapshot, "nothing has happened since");
            assert_eq!(book(&mut market, (11, 105), "delta"), Applied::Depth);
            let mut resumed = market.sibling(Arc::new(Published::new(Arc::new(CrossWatch::new(Arc::default())))));
            assert!(resumed.restore(&market.checkpoint().expect("the book is live")));
            for market in [&mut market, &mut resumed] {
                assert_eq!(book(market, (10, 100), "snapshot"), Applied::Ignored("sent twice"));
                assert_eq!((market.is_live(), market.top().update_id), (true, 105));
            }
            assert_eq!(book(&mut market, (12, 106), "delta"), Applied::Depth);
            assert!(matches!(book(&mut market, (14, 109), "delta"), Applied::Gap { .. }));
            assert_eq!(book(&mut market, (7, 50), "snapshot"), Applied::Snapshot, "the venue may count anew");
            assert_eq!(book(&mut market, (8, 51), "delta"), Applied::Depth);
            market.disconnected();
        }
    }

    #[test]
    fn a_snapshot_in_the_middle_of_the_stream_leaves_a_newer_top_unless_that_is_old_or_the_count_began_anew() {
        for (seq, recv_ns, shown) in [(103, 2, (99, 105)), (99, 2, (98, 99)), (103, SECOND_NS + 1, (98, 103))] {
            let mut market = market(Venue::Bybit, "BTCUSDT");
            assert_eq!(book_at(&mut market, (10, 100), "snapshot", 1), Applied::Snapshot);
            assert_eq!(top(&mut market, 105, 1), Applied::Top);
            assert_eq!(book_at(&mut market, (1, seq), "snapshot", recv_ns), Applied::Snapshot);
            assert_eq!((prices(&market).0, market.top().update_id), shown);
            assert_eq!(market.top().recv_ns, recv_ns);
        }
    }

    #[test]
    fn a_change_whose_seq_falls_is_a_gap_though_its_u_follows() {
        let mut market = market(Venue::Bybit, "BTCUSDT");
        assert_eq!(book(&mut market, (10, 100), "snapshot"), Applied::Snapshot);
        assert_eq!(book(&mut market, (11, 100), "delta"), Applied::Depth, "one match, two frames");
        assert_eq!(book(&mut market, (12, 99), "delta"), Applied::Gap { expected: 100, received: 99 });
        assert_eq!((market.is_live(), market.wants_subscription()), (false, true));
        assert_eq!(book(&mut market, (7, 50), "snapshot"), Applied::Snapshot);
        assert_eq!(book(&mut market, (8, 51), "delta"), Applied::Depth);
    }
}

mod coinbase {
    use super::*;

    fn send(market: &mut Market, number: u64, kind: &str) -> Applied {
        let row = |side: &str, price: i64| format!(r#"{{"side":"{side}","price_level":"{price}","new_quantity":"1"}}"#);
        let rows = format!("{},{}", row("bid", 98), row("offer", 101));
        let event = format!(r#"{{"type":"{kind}","product_id":"BTC-USD","updates":[{rows}]}}"#);
        let frame = format!(r#"{{"channel":"l2_data","timestamp":"","sequence_num":{number},"events":[{event}]}}"#);
        market.apply(frame.as_bytes(), 1)
    }

    /// A frame of bids of these prices, cents, and of the ask 101.
    fn bids(market: &mut Market, number: u64, kind: &str, cents: impl Iterator<Item = u64>, quantity: u8) -> Applied {
        let row = |side: &str, cents: u64, quantity: u8| {
            let price = format!("{}.{:02}", cents / 100, cents % 100);
            format!(r#"{{"side":"{side}","price_level":"{price}","new_quantity":"{quantity}"}}"#)
        };
        let rows: Vec<String> =
            cents.map(|cents| row("bid", cents, quantity)).chain([row("offer", 10_100, 1)]).collect();
        let event = format!(r#"{{"type":"{kind}","product_id":"BTC-USD","updates":[{}]}}"#, rows.join(","));
        let frame = format!(r#"{{"channel":"l2_data","timestamp":"","sequence_num":{number},"events":[{event}]}}"#);
        market.apply(frame.as_bytes(), 1)
    }

    fn heartbeat(market: &mut Market, number: u64) -> Applied {
        market.apply(format!(r#"{{"channel":"heartbeats","sequence_num":{number},"events":[]}}"#).as_bytes(), 1)
    }

    fn live() -> Market {
        let mut market = market(Venue::Coinbase, "BTC-USD");
        assert_eq!(send(&mut market, 0, "snapshot"), Applied::Snapshot);
        assert_eq!(send(&mut market, 1, "update"), Applied::Depth);
        market
    }

    #[test]
    fn a_number_far_too_high_is_one_gap_and_the_next_snapshot_is_taken() {
        let mut market = live();
        let far = 1_000_000_000_000;
        assert_eq!(send(&mut market, far, "update"), Applied::Gap { expected: 2, received: far });
        assert!(market.wants_subscription());
        assert_eq!(heartbeat(&mut market, 3), Applied::Ignored("behind the count"));
        assert_eq!(heartbeat(&mut market, 4), Applied::Ignored("heartbeat"));
        assert_eq!(send(&mut market, 5, "snapshot"), Applied::Snapshot);
        assert_eq!(send(&mut market, 6, "update"), Applied::Depth);
        assert_eq!((market.counters().gaps.get(), market.is_live()), (1, true));
    }

    #[test]
    fn a_snapshot_whose_own_number_is_far_too_high_does_not_freeze_the_book() {
        let mut market = live();
        assert_eq!(send(&mut market, 1_000_000_000_000, "snapshot"), Applied::Snapshot);
        assert!(matches!(send(&mut market, 3, "update"), Applied::Gap { received: 3, .. }));
        assert!(market.wants_subscription());
        assert!(matches!(heartbeat(&mut market, 4), Applied::Ignored("heartbeat")));
        assert_eq!(send(&mut market, 5, "snapshot"), Applied::Snapshot);
    }

    #[test]
    fn frames_that_changed_places_are_one_gap_and_a_late_snapshot_is_not_taken() {
        let mut market = live();
        assert_eq!(send(&mut market, 3, "update"), Applied::Gap { expected: 2, received: 3 });
        assert_eq!(send(&mut market, 2, "snapshot"), Applied::Ignored("behind the count"));
        assert_eq!(send(&mut market, 2, "snapshot"), Applied::Ignored("behind the count"));
        assert_eq!(send(&mut market, 4, "update"), Applied::Ignored("waits for a snapshot"));
        assert_eq!((market.counters().gaps.get(), market.is_live()), (1, false));
    }

    #[test]
    fn a_book_of_which_the_market_has_moved_away_is_lost_before_a_missing_level_is_among_the_best() {
        let mut market = market(Venue::Coinbase, "BTC-USD");
        // 8,000 bids, of which 5,000 are kept, from 50.00 down to 0.01.
        assert_eq!(bids(&mut market, 0, "snapshot", 1..=8_000, 1), Applied::Snapshot);
        assert_eq!(bids(&mut market, 1, "update", 3_102..=8_000, 0), Applied::Depth, "31.01 to 30.02 are sure");
        assert_eq!((market.book().bids().len(), market.is_live()), (101, true));
        let checkpoint = market.checkpoint().expect("the book is live");
        let mut resumed = market.sibling(Arc::new(Published::new(Arc::new(CrossWatch::new(Arc::default())))));
        assert!(resumed.restore(&checkpoint));
        for market in [&mut market, &mut resumed] {
            assert_eq!(bids(market, 2, "update", 3_101..=3_101, 0), Applied::Shallow);
            assert_eq!((market.is_live(), market.top().doubt.word()), (false, "shallow"));
            assert!(market.wants_subscription());
            assert_eq!(market.counters().shallow.get(), 1);
            assert_eq!(bids(market, 3, "snapshot", 1..=3_100, 1), Applied::Snapshot);
            assert_eq!(
                bids(market, 4, "update", 5..=3_100, 0),
                Applied::Depth,
                "a whole side may be as small as it is"
            );
            assert_eq!(market.book().bids().len(), 4);
        }
    }
}
