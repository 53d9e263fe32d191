//! Subscriptions on a virtual clock: how often, and when no more.

use link::asking::{Asking, Standing, Subscription};

const MS: i64 = 1_000_000;

/// What was due at which millisecond of `until_ms`, asked each 100 ms.
fn asked(until_ms: i64, standing: impl Fn(i64) -> Standing) -> Vec<(i64, Asking)> {
    let mut subscription = Subscription::new();
    (0..until_ms / 100)
        .filter_map(|step| subscription.due(step * 100 * MS, standing(step * 100)).map(|asking| (step * 100, asking)))
        .collect()
}

#[test]
fn a_book_in_doubt_is_asked_for_each_five_seconds_three_times_and_given_up() {
    let seen = asked(15_200, |ms| if ms < 200 { Standing::Live } else { Standing::NeedsSubscription });
    let send = [200, 5_200, 10_200].map(|ms| (ms, Asking::Send));
    assert_eq!(seen, send);
    let seen = asked(15_300, |ms| if ms < 200 { Standing::Live } else { Standing::NeedsSubscription });
    assert_eq!(seen, [&send[..], &[(15_200, Asking::GiveUp)]].concat());
}

#[test]
fn a_live_book_in_between_begins_the_count_anew_but_not_the_pause() {
    let live = |ms: i64| matches!(ms, 300..500 | 5_300..5_500 | 10_300..10_500 | 15_300..15_500);
    let seen = asked(20_400, |ms| if live(ms) { Standing::Live } else { Standing::NeedsSubscription });
    assert_eq!(seen, [0, 5_000, 10_000, 15_000, 20_000].map(|ms| (ms, Asking::Send)));
}

#[test]
fn a_silence_is_answered_once_and_not_within_five_seconds_of_a_subscription() {
    let mut subscription = Subscription::new();
    subscription.fell_quiet();
    assert_eq!(subscription.due(0, Standing::Live), Some(Asking::Send));
    assert_eq!(subscription.due(6_000 * MS, Standing::Live), None);
    subscription.fell_quiet();
    assert_eq!(subscription.due(7_000 * MS, Standing::Waiting), Some(Asking::Send));
    subscription.fell_quiet();
    assert_eq!(subscription.due(9_000 * MS, Standing::Waiting), None);
    assert_eq!(subscription.due(13_000 * MS, Standing::Waiting), None);
    assert_eq!((subscription.due_ns(Standing::Waiting), subscription.due_ns(Standing::Live)), (i64::MAX, i64::MAX));
    assert_eq!(subscription.due_ns(Standing::NeedsSubscription), 12_000 * MS);
}
