//! The words and the text form of each breach.

use super::*;

const E16: i128 = crate::units::E16;
const E8: i128 = crate::units::E8 as i128;

fn breach(code: Reason, value: i128, limit: i128, headroom: i128) -> Breach {
    Breach { code, value, limit, headroom }
}

/// Each breach with the clause that a refusal shows.
fn clauses() -> Vec<(Breach, &'static str)> {
    vec![
        (breach(Reason::NotionalExceedsMax, 60_000 * E16, 50_000 * E16, 0), "notional exceeds $50,000 limit"),
        (breach(Reason::PositionLimitLong, 10 * E8, 5 * E8, 0), "position would be 10 BTC, limit 5 BTC"),
        (breach(Reason::PositionLimitShort, -10 * E8, 5 * E8, 0), "position would be -10 BTC, limit 5 BTC"),
        (breach(Reason::RateLimit, 6, 5, 999), "more than 5 orders in a second, retry in 999 ms"),
        (
            breach(Reason::RepeatedOrder, 3, 1_000, 997),
            "the same order was accepted 3 ms ago, window 1000 ms, retry in 997 ms",
        ),
        (breach(Reason::Attempts, 51, 50, 20), "more than 50 attempts in a second, only counted, retry in 20 ms"),
        (
            breach(Reason::DailyLoss, 10_000 * E16 + E16 / 2, 10_000 * E16, 0),
            "daily loss of $10,000.5 reached the $10,000 limit",
        ),
        (breach(Reason::MinNotional, E16, 5 * E16, 0), "notional $1 is below the venue's minimum $5"),
        (breach(Reason::BadQuantity, 0, 1_000, 0), "quantity 0 BTC is outside the venue's bounds (0.00001 BTC)"),
        (breach(Reason::BadStep, 1, 1_000, 0), "quantity 0.00000001 BTC is not a multiple of the lot 0.00001 BTC"),
        (breach(Reason::BadTick, E8 / 1_000, E8 / 100, 0), "price 0.001 is not a multiple of the tick 0.01"),
        (breach(Reason::BookStale, 2_500, 2_000, 0), "the book is 2500 ms old, limit 2000 ms"),
        (breach(Reason::DuplicateId, 0, 0, 0), "the client id was used before"),
        (breach(Reason::PriceBand, 106 * E8, 105 * E8, 0), "price 106 is outside the band that ends at 105"),
        (breach(Reason::SelfMatch, 101 * E8, 100 * E8, 0), "price 101 would meet the own order at 100"),
        (breach(Reason::BookUnsynced, 0, 0, 0), "the book is not synchronised"),
        (breach(Reason::BookCrossed, 0, 0, 0), "the book is crossed or one-sided"),
        (breach(Reason::Halted, 0, 0, 0), "trading is halted"),
        (breach(Reason::NotReducing, 0, 0, 0), "the order would not reduce the position"),
        (breach(Reason::JournalUnhealthy, 0, 0, 0), "the journal cannot be written"),
        (
            breach(Reason::EngineFault, 0, 0, 0),
            "the engine has failed: restart pytrader, the journal holds what was done",
        ),
        (breach(Reason::ExecutorNotReady, 0, 0, 0), "the executor is not ready"),
        (breach(Reason::QueueFull, 1_024, 1_024, 0), "the engine is at its capacity (1024)"),
        (breach(Reason::NoLiquidity, 0, 0, 0), "no_liquidity"),
    ]
}

#[test]
fn each_breach_has_its_words_with_the_numbers_of_its_rule() {
    let assets = Assets { base: "BTC".into(), quote: "USDT".into() };
    for (breach, words) in clauses() {
        assert_eq!(Clause(&breach, &assets).to_string(), words, "{breach:?}");
    }
}

#[test]
fn each_breach_reads_back_from_its_text() {
    for (breach, _) in clauses() {
        let text = serde_json::to_string(&breach).expect("a breach has a text");
        assert_eq!(serde_json::from_str::<Breach>(&text).expect("a breach"), breach, "{text}");
    }
}

#[test]
fn the_headroom_of_a_rule_that_time_lifts_is_a_wait_and_else_an_amount() {
    let text = |code| serde_json::to_string(&breach(code, 6, 5, 7)).expect("a text");
    assert_eq!(text(Reason::RateLimit), r#"{"code":"RATE_LIMIT","value":"6","limit":"5","retry_after_ms":7}"#);
    assert_eq!(
        text(Reason::PositionLimitLong),
        r#"{"code":"POSITION_LIMIT_LONG","value":"0.00000006","limit":"0.00000005","headroom":"0.00000007"}"#
    );
    let money = serde_json::to_string(&breach(Reason::MinNotional, E16, 5 * E16, 0)).expect("a text");
    assert_eq!(money, r#"{"code":"MIN_NOTIONAL","value":"1","limit":"5","headroom":"0"}"#);
    let old: Breach = serde_json::from_str(r#"{"code":"HALTED","value":"0","limit":"0"}"#).expect("a breach");
    assert_eq!(old, breach(Reason::Halted, 0, 0, 0));
}

#[test]
fn a_headroom_is_never_below_zero() {
    let mut breaches = Breaches::default();
    breaches.add(Reason::PositionLimitLong, 7, 5, -1);
    assert_eq!(breaches.rows(), [breach(Reason::PositionLimitLong, 7, 5, 0)]);
}

#[test]
fn only_breaches_of_notional_position_band_and_lot_can_pass_with_a_smaller_size() {
    for (row, _) in clauses() {
        let about_size = [
            Reason::NotionalExceedsMax,
            Reason::PositionLimitLong,
            Reason::PositionLimitShort,
            Reason::PriceBand,
            Reason::BadStep,
        ];
        let mut breaches = Breaches::default();
        breaches.flag(Reason::NotionalExceedsMax);
        breaches.flag(row.code);
        assert_eq!(breaches.only_about_size(), about_size.contains(&row.code), "{row:?}");
    }
}

#[test]
fn dollars_are_grouped_by_thousands_and_keep_their_decimals() {
    for (amount, words) in [
        (0, "$0"),
        (999 * E16, "$999"),
        (1_000 * E16, "$1,000"),
        (-1_000 * E16, "$-1,000"),
        (-123_456 * E16, "$-123,456"),
        (1_234_567 * E16 + E16 / 4, "$1,234,567.25"),
        (E16 / 100_000, "$0.00001"),
    ] {
        assert_eq!(dollars(amount), words);
    }
}

#[test]
fn a_code_is_the_stable_name_that_scripts_match() {
    assert_eq!(Reason::NotionalExceedsMax.code(), "NOTIONAL_EXCEEDS_MAX");
}
