//! Random sessions against the desk, and brute force against its windows and sizes.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Submit { buy: bool, lots: i64, limit: Option<i64>, reduce: bool },
    Release(usize),
    Fill { pick: usize, part: i64, cents: i64 },
    Rest(usize),
    End(usize),
    Cancel(usize),
    Price { bid_cents: i64 },
    Halt,
    Resume,
    Mark,
}

fn step() -> impl Strategy<Value = Step> {
    let submit =
        (any::<bool>(), 1..600_000_i64, proptest::option::of(900_000..1_100_000_i64), proptest::bool::weighted(0.2));
    prop_oneof![
        6 => submit.prop_map(|(buy, lots, limit, reduce)| Step::Submit { buy, lots, limit, reduce }),
        4 => any::<usize>().prop_map(Step::Release),
        5 => (any::<usize>(), 1..1_000_i64, 900_000..1_100_000_i64).prop_map(|(pick, part, cents)| Step::Fill { pick, part, cents }),
        2 => any::<usize>().prop_map(Step::Rest),
        1 => any::<usize>().prop_map(Step::End),
        1 => any::<usize>().prop_map(Step::Cancel),
        2 => (900_000..1_100_000_i64).prop_map(|bid_cents| Step::Price { bid_cents }),
        1 => Just(Step::Halt),
        2 => Just(Step::Resume),
        2 => Just(Step::Mark),
    ]
}

fn cents(value: i64) -> Price {
    Price(value * TICK.0)
}

impl Room {
    fn pick(&self, pick: usize, wanted: impl Fn(&OpenOrder) -> bool) -> Option<OpenOrder> {
        let found: Vec<_> = self.desk.state.orders.iter().filter(|open| wanted(open)).copied().collect();
        (!found.is_empty()).then(|| found[pick % found.len()])
    }

    fn act(&mut self, step: &Step, ns: i64) {
        let sent = |open: &OpenOrder| open.state != Phase::Pending;
        match *step {
            Step::Submit { buy, lots, limit, reduce } => {
                let side = if buy { Side::Buy } else { Side::Sell };
                let tif = if limit.is_some() { Tif::Gtc } else { Tif::Ioc };
                let (quantity, limit) = (Qty(lots * 1_000), limit.map(cents));
                let request = OrderRequest { side, quantity, limit, tif, reduce, client_id: None };
                self.run(Command::Submit(request), ns);
            }
            Step::Release(pick) => {
                if let Some(open) = self.pick(pick, |open| open.state == Phase::Pending) {
                    self.run(Command::Release { order: open.order }, ns);
                }
            }
            Step::Fill { pick, part, cents: price } => {
                if let Some(open) = self.pick(pick, sent) {
                    let lots = open.remaining().0 / 1_000;
                    let quantity = Qty((lots * part / 1_000).max(1) * 1_000);
                    self.fill(open.order, &quantity.to_string(), &cents(price).to_string(), ns);
                }
            }
            Step::Rest(pick) => {
                if let Some(open) = self.pick(pick, |open| open.state == Phase::Sent && open.request.tif == Tif::Gtc) {
                    self.run(Command::Report(Report::Resting { order: open.order }), ns);
                }
            }
            Step::End(pick) => {
                if let Some(open) = self.pick(pick, sent) {
                    let report = Report::Ended { order: open.order, state: End::Expired, reason: Reason::IocRemainder };
                    self.run(Command::Report(report), ns);
                }
            }
            Step::Cancel(pick) => {
                if let Some(open) = self.pick(pick, |_| true) {
                    self.run(Command::Cancel { order: open.order, reason: Reason::User }, ns);
                }
            }
            Step::Price { bid_cents } => {
                self.view = market(&cents(bid_cents).to_string(), &cents(bid_cents + 1).to_string(), "3", ns);
            }
            Step::Halt => drop(self.run(Command::Halt(Halt { cause: "OPERATOR".into(), detail: "test".into() }), ns)),
            Step::Resume => drop(self.run(Command::Resume, ns)),
            Step::Mark => drop(self.run(Command::Mark, ns)),
        }
    }

    fn worst(&self) -> (i64, i64) {
        let state = &self.desk.state;
        (state.ledger.position.0 + state.orders.buys.0, state.ledger.position.0 - state.orders.sells.0)
    }
}

proptest! {
    #[test]
    fn no_sequence_breaks_a_limit_leaks_a_reservation_or_replays_differently(
        steps in proptest::collection::vec((step(), 0..400_000_000_i64), 1..60),
    ) {
        let mut room = Room::new();
        let mut ns = 0;
        for (step, pause_ns) in &steps {
            ns += pause_ns;
            room.act(step, ns);
            let (long, short) = room.worst();
            prop_assert!(long <= 5 * E8 && short >= -5 * E8, "worst case {long} {short} after {step:?}");
            let open: i64 = room.desk.state.orders.iter().map(|open| open.remaining().0).sum();
            prop_assert_eq!(open, room.desk.state.orders.buys.0 + room.desk.state.orders.sells.0);
        }
        prop_assert_eq!(room.restarted().text(), room.desk.state.text());
    }

    #[test]
    fn the_largest_size_passes_and_one_lot_more_does_not(lots in 1..900_000_000_i64, size in 1..300_i64) {
        let mut room = Room::new();
        room.view = market("10000", "10001", &Qty(size * E8 / 100).to_string(), 0);
        let asked = OrderRequest { quantity: Qty(lots * 1_000), ..order(Side::Buy, "1") };
        let outcome = room.desk.check(&asked, at(0), &room.view);
        if let Outcome::Refused(refused) = outcome {
            if let Some(largest) = refused.largest.filter(|largest| largest.0 > 0) {
                let fits = |quantity| accepted(&room.desk.check(&OrderRequest { quantity, ..asked }, at(0), &room.view));
                prop_assert!(fits(largest) && !fits(Qty(largest.0 + 1_000)), "largest {largest}");
            }
        }
    }
}
