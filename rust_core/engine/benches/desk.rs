//! What a decision costs: the verdict under the desk's lock, on a published market, every rule asked.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use engine::desk::{Desk, Health, Opened, OrderRequest, Outcome, Profile, SharedDesk, Started, Tif};
use engine::risk::{Assets, Instrument, Limits, Rate};
use engine::units::{E8, Money, Now, Price, Qty, Side};
use engine::view::{Level, Published, Sync, TopOfBook};
use engine::wake::{CrossWatch, Signal};

const NOW: Now = Now { mono_ns: 1_000, utc_ns: 1_000 };

fn published() -> Arc<Published> {
    let published = Arc::new(Published::new(Arc::new(CrossWatch::new(Arc::new(Signal::default())))));
    let level = |cents: i64| Level { price: Price(cents * E8 / 100), quantity: Qty(E8) };
    let (bid, ask) = (level(2_679_540), level(2_679_580));
    let top = TopOfBook { bid, ask, update_id: 1, recv_ns: 1, sync: Sync::Live };
    let side = |start: i64, step: i64| (0..100).map(move |index| level(start + step * index));
    published.write(&top, 1, side(2_679_540, -1), side(2_679_580, 1));
    published
}

fn desk() -> SharedDesk {
    let usdt = |amount: i128| Money(amount * i128::from(E8) * i128::from(E8));
    let (tick, step) = (Price(E8 / 100), Qty(1_000));
    let instrument =
        Instrument { tick, step, min_quantity: step, max_quantity: Qty(9_000 * E8), min_notional: usdt(5) };
    let limits =
        Limits { order_notional: usdt(50_000), position: Qty(5 * E8), orders_per_second: 5, daily_loss: usdt(10_000) };
    let desk = SharedDesk::new(Desk::new(limits, instrument, Rate(0), Health::default()), published());
    let assets = Assets { base: "BTC".into(), quote: "USDT".into() };
    let profile = Profile { execution: "simulated".into(), venue: "x".into(), symbol: "y".into(), assets };
    let started = Started { build: "bench".into(), seed: 1, limits, instrument };
    desk.start(Opened { version: 1, profile }, started, NOW).expect("a new journal");
    desk
}

fn decision(criterion: &mut Criterion) {
    let desk = desk();
    let order = OrderRequest { side: Side::Buy, quantity: Qty(E8 / 4), limit: None, tif: Tif::Ioc, reduce: false };
    assert!(matches!(desk.check(&order, NOW), Outcome::Accepted { .. }));
    criterion.bench_function("decision: verdict on a market order", |bencher| {
        bencher.iter(|| desk.check(black_box(&order), black_box(NOW)));
    });
    let walks = OrderRequest { quantity: Qty(18 * E8 / 10), ..order };
    criterion.bench_function("decision: verdict, walking two levels", |bencher| {
        bencher.iter(|| desk.check(black_box(&walks), black_box(NOW)));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(100);
    targets = decision
}
criterion_main!(benches);
