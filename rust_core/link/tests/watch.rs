//! Silence on a virtual clock: what is due when.

use link::run::Reason;
use link::watch::{Due, Patience, Watch};

const MS: i64 = 1_000_000;

fn patience(quiet_ms: i64) -> Patience {
    Patience { quiet_ns: quiet_ms * MS, ..Patience::default() }
}

/// Walks the clock from one due time to the next; what was due at which millisecond, until the end.
fn walk(watch: &mut Watch, book_ms: impl Fn(i64) -> i64, answers: impl Fn(i64) -> bool) -> Vec<(i64, Due)> {
    let (mut now_ns, mut seen) = (0, Vec::new());
    loop {
        let book_ns = book_ms(now_ns / MS) * MS;
        while let Some(due) = watch.due(now_ns, book_ns) {
            seen.push((now_ns / MS, due));
            match due {
                Due::End(_) => return seen,
                Due::Ping if answers(now_ns / MS) => watch.heard(now_ns + 1),
                _ => {}
            }
        }
        let next_ns = watch.next_ns(now_ns, book_ns);
        assert!(next_ns > now_ns, "the watch must never spin: at {now_ns} it asked for {next_ns}");
        now_ns = next_ns;
    }
}

#[test]
fn a_server_that_answers_pings_without_data_is_asked_again_once_and_left_after_ten_seconds() {
    let seen = walk(&mut Watch::new(0, i64::MAX, patience(10_000)), |_| i64::MIN / MS, |_| true);
    let pings: Vec<i64> = seen.iter().filter(|(_, due)| *due == Due::Ping).map(|(ms, _)| *ms).collect();
    assert_eq!(pings, [1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 7_000, 8_000, 9_000]);
    let rest: Vec<(i64, Due)> = seen.into_iter().filter(|(_, due)| *due != Due::Ping).collect();
    assert_eq!(rest, [(3_000, Due::Resubscribe), (10_000, Due::End(Reason::Quiet))]);
}

#[test]
fn a_server_that_does_not_answer_is_left_after_five_seconds_and_never_asked_to_subscribe() {
    let seen = walk(&mut Watch::new(0, i64::MAX, patience(10_000)), |_| 0, |_| false);
    assert_eq!(seen.last(), Some(&(5_000, Due::End(Reason::NoPong))));
    assert!(!seen.iter().any(|(_, due)| *due == Due::Resubscribe));
}

#[test]
fn a_server_that_dies_after_its_first_pong_is_left_five_seconds_after_that_pong() {
    let seen = walk(&mut Watch::new(0, i64::MAX, patience(30_000)), |_| 0, |ms| ms < 1_500);
    assert_eq!(seen.last(), Some(&(6_000, Due::End(Reason::NoPong))));
}

#[test]
fn book_data_ends_a_silence_and_the_next_one_is_watched_anew() {
    let mut watch = Watch::new(0, i64::MAX, patience(4_000));
    assert_eq!(watch.due(1_000 * MS, 0), Some(Due::Ping));
    watch.heard(1_100 * MS);
    assert_eq!(watch.due(3_000 * MS, 0), Some(Due::Resubscribe));
    assert_eq!(watch.due(3_000 * MS, 0), Some(Due::Ping));
    watch.heard(3_100 * MS);
    assert_eq!(watch.due(3_100 * MS, 3_100 * MS), None);
    assert_eq!(watch.next_ns(3_100 * MS, 3_100 * MS), 4_100 * MS);
    assert_eq!(watch.due(4_100 * MS, 3_100 * MS), Some(Due::Ping));
    watch.heard(4_200 * MS);
    assert_eq!(watch.due(6_100 * MS, 3_100 * MS), Some(Due::Resubscribe));
}

#[test]
fn trades_alone_do_not_count_as_book_data() {
    let mut watch = Watch::new(0, i64::MAX, patience(4_000));
    for ms in 0..4_000 {
        watch.heard(ms * MS); // trades every millisecond
        while let Some(due) = watch.due(ms * MS, 0) {
            assert!(!matches!(due, Due::End(_)), "{ms}");
        }
    }
    assert_eq!(watch.due(4_000 * MS, 0), Some(Due::End(Reason::Quiet)));
}

#[test]
fn a_connection_wants_a_successor_once_at_the_end_of_its_life_and_goes_on() {
    let mut watch = Watch::new(0, 86_000_000 * MS, patience(10_000));
    let now_ns = 86_000_000 * MS;
    watch.heard(now_ns);
    assert_eq!(watch.next_ns(now_ns - MS, now_ns - MS), now_ns);
    assert_eq!(watch.due(now_ns, now_ns), Some(Due::Successor));
    assert_eq!(watch.due(now_ns, now_ns), None);
    assert_eq!(watch.next_ns(now_ns, now_ns), now_ns + 1_000 * MS);
    assert!(Reason::Replaced.planned() && !Reason::Quiet.planned() && !Reason::Unsynced.planned());
}

#[test]
fn a_tenth_of_the_patience_is_the_same_walk_in_a_tenth_of_the_time() {
    let walked =
        |divisor| walk(&mut Watch::new(0, i64::MAX, patience(10_000).divided(divisor)), |_| i64::MIN / MS, |_| true);
    let slower: Vec<(i64, Due)> = walked(10).into_iter().map(|(ms, due)| (ms * 10, due)).collect();
    assert_eq!(slower, walked(1));
}
