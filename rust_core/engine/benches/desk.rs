//! What a decision costs, under the desk's lock, on a published market, every rule asked: the verdict alone, an order
//! taken in with its event on the ring, and one that also wakes the journal's thread.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use engine::desk::{ClientId, Desk, Health, Opened, OrderRequest, Outcome, Profile, SharedDesk, Started, Tif};
use engine::limits::REPEAT_MAX_NS;
use engine::risk::{Assets, Instrument, Limits, Rate};
use engine::units::{E8, Money, Now, Price, Qty, Side};
use engine::view::{Level, Published, Sync, TopOfBook};
use engine::wake::{CrossWatch, Signal};

const NOW: Now = Now { mono_ns: 1_000, utc_ns: 1_000 };

fn published() -> Arc<Published> {
    let published = Arc::new(Published::new(Arc::new(CrossWatch::new(Arc::new(Signal::default())))));
    let level = |cents: i64| Level { price: Price(cents * E8 / 100), quantity: Qty(E8) };
    let (bid, ask) = (level(2_679_540), level(2_679_580));
    let top = TopOfBook { bid, ask, update_id: 1, recv_ns: 1, sync: Sync::Live, ..TopOfBook::default() };
    let side = |start: i64, step: i64| (0..100).map(move |index| level(start + step * index));
    published.write(&top, 1, side(2_679_540, -1), side(2_679_580, 1));
    published
}

fn desk(repeat_window_ns: i64) -> SharedDesk {
    let usdt = |amount: i128| Money(amount * i128::from(E8) * i128::from(E8));
    let (tick, step) = (Price(E8 / 100), Qty(1_000));
    let instrument =
        Instrument { tick, step, min_quantity: step, max_quantity: Qty(9_000 * E8), min_notional: usdt(5) };
    let limits = Limits {
        order_notional: usdt(50_000),
        position: Qty(5 * E8),
        orders_per_second: 1_000,
        daily_loss: usdt(10_000),
        repeat_window_ns,
        ..Limits::caps()
    };
    let desk = SharedDesk::new(Desk::new(limits, instrument, Rate(0), Health::default()), published());
    let assets = Assets { base: "BTC".into(), quote: "USDT".into() };
    let profile = Profile { execution: "simulated".into(), venue: "x".into(), symbol: "y".into(), assets };
    let started = Started { build: "bench".into(), seed: 1, limits, instrument, memory: false };
    desk.start(Opened { version: 1, profile }, started, false, NOW).expect("a new journal");
    desk
}

/// A desk with every control on: own orders rest on both sides, and all of them are within the repeat window.
fn busy() -> SharedDesk {
    let desk = desk(REPEAT_MAX_NS);
    let step = |index: i64| Qty(E8 / 1_000 + 1_000 * index);
    for index in 0..5 {
        let behind = Price((2_679_000 + index) * E8 / 100);
        let buy = OrderRequest { limit: Some(behind), tif: Tif::Gtc, quantity: step(index), ..small() };
        let above = Some(Price((2_680_000 + index) * E8 / 100));
        let names = [format!("buy{index}"), format!("sell{index}")];
        let [buy_id, sell_id] = names.map(|name| ClientId::new(&name));
        taken_in(&desk, &OrderRequest { client_id: buy_id, ..buy });
        taken_in(&desk, &OrderRequest { client_id: sell_id, side: Side::Sell, limit: above, ..buy });
    }
    desk
}

fn decision(criterion: &mut Criterion) {
    let desk = busy();
    let order = OrderRequest { quantity: Qty(E8 / 4), client_id: ClientId::new("another1"), ..small() };
    assert!(matches!(desk.check(&order, NOW), Outcome::Accepted { .. }));
    criterion.bench_function("decision: verdict with all controls on", |bencher| {
        bencher.iter(|| desk.check(black_box(&order), black_box(NOW)));
    });
    let walks = OrderRequest { quantity: Qty(18 * E8 / 10), ..order };
    assert!(matches!(desk.check(&walks, NOW), Outcome::Accepted { .. }));
    criterion.bench_function("decision: verdict, walking two levels", |bencher| {
        bencher.iter(|| desk.check(black_box(&walks), black_box(NOW)));
    });
    criterion.bench_function("decision: verdict, 8 native threads on one desk", |bencher| {
        bencher.iter_custom(|times| by_threads(&desk, &order, times));
    });
}

/// Shares `times` verdicts among eight threads; returns from their common start to the end of the last.
fn by_threads(desk: &SharedDesk, order: &OrderRequest, times: u64) -> Duration {
    let start = Barrier::new(THREADS + 1);
    let began = thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                start.wait();
                (0..times.div_ceil(THREADS as u64)).for_each(|_| {
                    black_box(desk.check(black_box(order), black_box(NOW)));
                });
            });
        }
        let began = Instant::now();
        start.wait();
        began
    });
    began.elapsed()
}

const THREADS: usize = 8;
/// Orders that one desk takes before a new one is made: below what may be open, and what one second allows.
const ORDERS: u64 = 400;

/// Hands out desks for `times` orders in all and adds up what `submit` says its share took.
fn on_new_desks(times: u64, mut submit: impl FnMut(&SharedDesk, u64) -> Duration) -> Duration {
    let full = (0..times / ORDERS).map(|_| ORDERS);
    full.chain([times % ORDERS]).map(|share| submit(&desk(0), share)).sum()
}

fn small() -> OrderRequest {
    OrderRequest {
        side: Side::Buy,
        quantity: Qty(E8 / 1_000),
        limit: None,
        tif: Tif::Ioc,
        reduce: false,
        client_id: None,
    }
}

fn taken_in(desk: &SharedDesk, order: &OrderRequest) {
    let (outcome, _) = desk.submit(black_box(order), black_box(NOW));
    assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
}

fn submit(criterion: &mut Criterion) {
    let order = small();
    criterion.bench_function("decision: submit, journal busy", |bencher| {
        bencher.iter_custom(|times| {
            on_new_desks(times, |desk, share| {
                let start = Instant::now();
                (0..share).for_each(|_| taken_in(desk, &order));
                start.elapsed()
            })
        });
    });
    criterion.bench_function("decision: submit, waking the journal", |bencher| {
        bencher.iter_custom(|times| on_new_desks(times, |desk, share| one_by_one(desk, &order, share)));
    });
}

/// Submits while a thread waits for events as the journal's does; each order finds it asleep again.
fn one_by_one(desk: &SharedDesk, order: &OrderRequest, share: u64) -> Duration {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                black_box(desk.next_events(64, Duration::from_millis(5)));
            }
        });
        let one = |_| {
            thread::sleep(Duration::from_micros(100));
            let start = Instant::now();
            taken_in(desk, order);
            start.elapsed()
        };
        let spent = (0..share).map(one).sum();
        done.store(true, Ordering::Relaxed);
        spent
    })
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(100);
    targets = decision, submit
}
criterion_main!(benches);
