//! Random reports, true, repeated, out of order and wrong, against a model that knows nothing but sums.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::lives::identity_holds;
use super::*;

#[derive(Debug, Clone)]
enum Step {
    Submit { buy: bool, lots: i64, gtc: bool },
    Release(u64),
    Resting(u64),
    Unknown(u64),
    Fill { order: Option<u64>, buy: Option<bool>, trades: Vec<(i64, Option<u8>)> },
    Ended(u64, End),
    Cancel(u64),
    Halt,
    Resume,
    Mark,
    Restart { memory: bool },
}

/// Orders given, and a few that never are.
fn number() -> impl Strategy<Value = u64> {
    0..9_u64
}

fn step() -> impl Strategy<Value = Step> {
    let trade = (1..40_i64, proptest::option::weighted(0.8, 0..60_u8));
    let trades = proptest::collection::vec(trade, 0..4);
    let end = prop_oneof![Just(End::Canceled), Just(End::Rejected), Just(End::Expired)];
    let fill = (proptest::option::weighted(0.95, number()), proptest::option::weighted(0.1, any::<bool>()), trades);
    prop_oneof![
        6 => (any::<bool>(), 1..80_i64, any::<bool>()).prop_map(|(buy, lots, gtc)| Step::Submit { buy, lots, gtc }),
        6 => number().prop_map(Step::Release),
        3 => number().prop_map(Step::Resting),
        3 => number().prop_map(Step::Unknown),
        9 => fill.prop_map(|(order, buy, trades)| Step::Fill { order, buy, trades }),
        2 => (number(), end).prop_map(|(order, state)| Step::Ended(order, state)),
        1 => number().prop_map(Step::Cancel),
        1 => Just(Step::Halt),
        6 => Just(Step::Resume),
        1 => Just(Step::Mark),
        1 => any::<bool>().prop_map(|memory| Step::Restart { memory }),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waits,
    AtVenue,
    Over,
}

#[derive(Debug, Clone, Copy)]
struct Life {
    side: Side,
    open: i64,
    stage: Stage,
}

/// What a person with a pencil would keep.
#[derive(Debug, Default)]
struct Pencil {
    lives: BTreeMap<u64, Life>,
    names: BTreeSet<u8>,
    position: i64,
    /// Fills that no open order accounted for.
    strays: usize,
}

impl Pencil {
    fn fill(&mut self, order: Option<u64>, side: Side, trades: &[(i64, Option<u8>)]) {
        let new = trades.iter().filter(|(_, name)| name.is_none_or(|name| self.names.insert(name)));
        let quantity: i64 = new.map(|(quantity, _)| quantity).sum();
        self.position += side.sign() * quantity;
        let life = order.and_then(|order| self.lives.get_mut(&order));
        let taken = match life {
            Some(life) if life.stage == Stage::AtVenue && life.side == side => {
                let taken = quantity.min(life.open);
                life.open -= taken;
                if life.open == 0 {
                    life.stage = Stage::Over;
                }
                taken
            }
            _ => 0,
        };
        self.strays += usize::from(taken < quantity);
    }

    fn end(&mut self, order: u64) {
        if let Some(life) = self.lives.get_mut(&order).filter(|life| life.stage == Stage::AtVenue) {
            (life.open, life.stage) = (0, Stage::Over);
        }
    }

    fn reserved(&self, side: Side) -> Qty {
        let of_side = self.lives.values().filter(|life| life.side == side);
        Qty(of_side.map(|life| life.open).sum::<i64>() * LOT)
    }
}

const LOT: i64 = E8 / 100;

impl Room {
    fn filled_by(&self, order: Option<u64>, buy: Option<bool>, trades: &[(i64, Option<u8>)]) -> Execution {
        let own = order.and_then(|order| self.desk.state.orders.get(order)).map(|open| open.request.side);
        let side = match buy {
            Some(true) => Side::Buy,
            Some(false) => Side::Sell,
            None => own.unwrap_or(Side::Buy),
        };
        let trade = |&(lots, name): &(i64, Option<u8>)| {
            let (price, quantity) = (Price(usdt("10000").0 + lots * TICK.0), Qty(lots * LOT));
            let id = name.and_then(|name| TradeId::new(&name.to_string()));
            Trade { price, quantity, fee: Money(i128::from(lots)), id }
        };
        let trades: Vec<Trade> = trades.iter().map(trade).collect();
        let level_cost = Money(trades.iter().map(|trade| trade.price.times(trade.quantity).0).sum());
        Execution { order, side, trades, level_cost, bid: usdt("10000"), ask: usdt("10001"), maker: false, delay_ns: 0 }
    }

    fn step(&mut self, step: &Step, pencil: &mut Pencil, ns: i64) {
        match step {
            Step::Submit { buy, lots, gtc } => self.give(*buy, *lots, *gtc, pencil, ns),
            Step::Release(order) => self.let_go(*order, pencil, ns),
            Step::Resting(order) => drop(self.run(Command::Report(Report::Resting { order: *order }), ns)),
            Step::Unknown(order) => drop(self.run(Command::Report(Report::Unknown { order: *order }), ns)),
            Step::Fill { order, buy, trades } => {
                let execution = self.filled_by(*order, *buy, trades);
                pencil.fill(*order, execution.side, trades);
                self.run(Command::Report(Report::Filled(execution)), ns);
            }
            Step::Ended(order, state) => {
                pencil.end(*order);
                let report = Report::Ended { order: *order, state: *state, reason: Reason::User };
                self.run(Command::Report(report), ns);
            }
            Step::Cancel(order) => drop(self.run(Command::Cancel { order: *order, reason: Reason::User }, ns)),
            Step::Halt => drop(self.run(Command::Halt(Halt::new("OPERATOR", "test")), ns)),
            Step::Resume => drop(self.run(Command::Resume, ns)),
            Step::Mark => drop(self.run(Command::Mark, ns)),
            Step::Restart { memory } => self.start_again(*memory, pencil, ns),
        }
    }

    fn give(&mut self, buy: bool, lots: i64, gtc: bool, pencil: &mut Pencil, ns: i64) {
        let side = if buy { Side::Buy } else { Side::Sell };
        let price = if buy { "10000" } else { "10001" };
        let quantity = Qty(lots * LOT);
        let tif = if gtc { Tif::Gtc } else { Tif::Ioc };
        let request = OrderRequest { quantity, tif, ..limit(side, "1", price) };
        if let Outcome::Accepted { order } = self.run(Command::Submit(request), ns) {
            pencil.lives.insert(order, Life { side, open: lots, stage: Stage::Waits });
        }
    }

    /// Only what waits is released: a second time is our own fault, and panics.
    fn let_go(&mut self, order: u64, pencil: &mut Pencil, ns: i64) {
        let Some(life) = pencil.lives.get_mut(&order).filter(|life| life.stage == Stage::Waits) else { return };
        match self.run(Command::Release { order }, ns) {
            Outcome::Released => life.stage = Stage::AtVenue,
            _ => (life.open, life.stage) = (0, Stage::Over),
        }
    }

    fn start_again(&mut self, memory: bool, pencil: &mut Pencil, ns: i64) {
        let rests = |open: &&OpenOrder| memory || open.state == Phase::Resting && open.cancel.is_none();
        let live: Vec<u64> = self.desk.state.orders.iter().filter(rests).map(|open| open.order).collect();
        self.desk.state = self.restarted();
        let (build, limits, instrument) = ("test".into(), limits(), instrument());
        let started = Started { build, seed: 7, limits, instrument, memory };
        self.run(Command::Start(Box::new(started)), ns);
        for (order, life) in &mut pencil.lives {
            match (life.stage, live.contains(order)) {
                (Stage::Over, _) => {}
                (_, true) => life.stage = Stage::AtVenue,
                (_, false) => (life.open, life.stage) = (0, Stage::Over),
            }
        }
    }

    fn ends(&self) -> BTreeMap<u64, usize> {
        let mut ends = BTreeMap::new();
        for stamped in &self.journal {
            match &stamped.event {
                Event::Filled(filled) if filled.done => *ends.entry(filled.order).or_default() += 1,
                Event::Ended(ended) => *ends.entry(ended.order).or_default() += 1,
                _ => {}
            }
        }
        ends
    }
}

proptest! {
    #[test]
    fn no_sequence_of_reports_panics_loses_a_fill_leaks_a_reservation_or_ends_an_order_twice(
        steps in proptest::collection::vec((step(), 0..400_000_000_i64), 1..80),
    ) {
        let mut room = Room::new();
        let (mut pencil, mut ns) = (Pencil::default(), 0);
        for (step, pause_ns) in &steps {
            ns += pause_ns;
            room.step(step, &mut pencil, ns);
            let state = &room.desk.state;
            prop_assert_eq!(state.ledger.position, Qty(pencil.position * LOT), "after {:?}", step);
            for side in [Side::Buy, Side::Sell] {
                prop_assert_eq!(state.orders.reserved(side), pencil.reserved(side), "after {:?}", step);
            }
            identity_holds(state);
        }
        let ends = room.ends();
        for (order, life) in &pencil.lives {
            let times = ends.get(order).copied().unwrap_or(0);
            prop_assert_eq!(times, usize::from(life.stage == Stage::Over), "ends of order {}", order);
        }
        let strays = room.journal.iter().filter(|stamped| matches!(stamped.event, Event::Stray(_)));
        prop_assert_eq!(strays.count(), pencil.strays);
        prop_assert_eq!(room.restarted().text(), room.desk.state.text());
    }
}
