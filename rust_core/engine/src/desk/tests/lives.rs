//! The life of an order, cell by cell: every place that it can be in × everything that can happen to it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

const BYSTANDER: u64 = 1;
const SUBJECT: u64 = 2;
const NEVER_GIVEN: u64 = 7;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Never,
    Pending,
    Sent,
    Unknown,
    Resting,
    Filled,
    Canceled,
    Rejected,
    Expired,
}

const PLACES: [Place; 9] = [
    Place::Never,
    Place::Pending,
    Place::Sent,
    Place::Unknown,
    Place::Resting,
    Place::Filled,
    Place::Canceled,
    Place::Rejected,
    Place::Expired,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Release,
    Resting,
    Unknown,
    PartFill,
    CompleteFill,
    Overfill,
    DuplicateFill,
    WrongSideFill,
    EndCanceled,
    EndRejected,
    EndExpired,
    UserCancel,
    Halt,
    Mark,
}

const ACTS: [Act; 14] = [
    Act::Release,
    Act::Resting,
    Act::Unknown,
    Act::PartFill,
    Act::CompleteFill,
    Act::Overfill,
    Act::DuplicateFill,
    Act::WrongSideFill,
    Act::EndCanceled,
    Act::EndRejected,
    Act::EndExpired,
    Act::UserCancel,
    Act::Halt,
    Act::Mark,
];

/// A place, how it was reached, and the side of the order.
#[derive(Debug, Clone, Copy)]
struct Scene {
    side: Side,
    place: Place,
    /// 0.4 of 1 was filled on the way.
    part: bool,
    /// A cancel was asked for on the way.
    cancel: bool,
}

impl Scene {
    fn is_open(self) -> bool {
        matches!(self.place, Place::Pending | Place::Sent | Place::Unknown | Place::Resting)
    }

    fn left(self) -> bool {
        self.is_open() && self.place != Place::Pending
    }

    fn open(self) -> Qty {
        match (self.is_open(), self.part) {
            (false, _) => Qty(0),
            (true, false) => btc("1"),
            (true, true) => btc("0.6"),
        }
    }

    fn number(self) -> u64 {
        if self.place == Place::Never { NEVER_GIVEN } else { SUBJECT }
    }
}

fn scenes() -> Vec<Scene> {
    let mut scenes = Vec::new();
    for side in [Side::Buy, Side::Sell] {
        for place in PLACES {
            for (part, cancel) in [(false, false), (false, true), (true, false), (true, true)] {
                let possible = match place {
                    Place::Never => !part && !cancel,
                    Place::Pending => !part,
                    _ => true,
                };
                scenes.extend(possible.then_some(Scene { side, place, part, cancel }));
            }
        }
    }
    scenes
}

fn ended(state: End) -> Report {
    Report::Ended { order: SUBJECT, state, reason: Reason::User }
}

impl Room {
    /// A fill with a trade id; its fee is one tenth of the quantity, so that fees are told apart from nothing.
    pub(super) fn execution(order: Option<u64>, side: Side, quantity: Qty, id: &str) -> Execution {
        let price = usdt("10000");
        let fee = Money(i128::from(quantity.0) * i128::from(E8) / 10);
        let trades = vec![Trade { price, quantity, fee, id: TradeId::new(id) }];
        let level_cost = price.times(quantity);
        let (bid, ask) = (usdt("10000"), usdt("10001"));
        Execution { order, side, trades, level_cost, bid, ask, maker: false, delay_ns: 0 }
    }

    pub(super) fn report(&mut self, report: Report) -> Outcome {
        self.run(Command::Report(report), 0)
    }

    /// A partly filled resting bystander, and the subject brought to its place.
    fn in_scene(scene: Scene) -> Room {
        let mut room = Room::new();
        let price = if scene.side == Side::Buy { "10000" } else { "10001" };
        room.run(Command::Submit(limit(scene.side, "0.5", price)), 0);
        room.run(Command::Release { order: BYSTANDER }, 0);
        room.report(Report::Resting { order: BYSTANDER });
        room.report(Report::Filled(Room::execution(Some(BYSTANDER), scene.side, btc("0.2"), "bystander")));
        if scene.place != Place::Never {
            room.bring(scene, price);
        }
        room
    }

    fn bring(&mut self, scene: Scene, price: &str) {
        self.run(Command::Submit(limit(scene.side, "1", price)), 0);
        if scene.place != Place::Pending {
            self.run(Command::Release { order: SUBJECT }, 0);
        }
        if scene.part {
            self.report(Report::Filled(Room::execution(Some(SUBJECT), scene.side, btc("0.4"), "part")));
        }
        if scene.cancel {
            self.run(Command::Cancel { order: SUBJECT, reason: Reason::User }, 0);
        }
        let rest = self.desk.state.orders.get(SUBJECT).map_or(Qty(0), OpenOrder::remaining);
        match scene.place {
            Place::Never | Place::Pending | Place::Sent => return,
            Place::Unknown => self.report(Report::Unknown { order: SUBJECT }),
            Place::Resting => self.report(Report::Resting { order: SUBJECT }),
            Place::Filled => self.report(Report::Filled(Room::execution(Some(SUBJECT), scene.side, rest, "rest"))),
            Place::Canceled => self.report(ended(End::Canceled)),
            Place::Rejected => self.report(ended(End::Rejected)),
            Place::Expired => self.report(ended(End::Expired)),
        };
    }

    fn suffers(&mut self, scene: Scene, act: Act) -> Outcome {
        let order = scene.number();
        let fill = |side, quantity, id| Report::Filled(Room::execution(Some(order), side, quantity, id));
        let end = |state| Report::Ended { order, state, reason: Reason::User };
        let known = match (scene.part, scene.place) {
            (true, _) => "part",
            (false, Place::Filled) => "rest",
            _ => "bystander",
        };
        let open = if scene.is_open() { scene.open() } else { btc("0.5") };
        match act {
            Act::Release => self.run(Command::Release { order }, 0),
            Act::UserCancel => self.run(Command::Cancel { order, reason: Reason::User }, 0),
            Act::Halt => self.run(Command::Halt(Halt::new("OPERATOR", "lunch")), 0),
            Act::Mark => self.run(Command::Mark, 0),
            Act::Resting => self.report(Report::Resting { order }),
            Act::Unknown => self.report(Report::Unknown { order }),
            Act::PartFill => self.report(fill(scene.side, btc("0.25"), "new")),
            Act::CompleteFill => self.report(fill(scene.side, open, "new")),
            Act::Overfill => self.report(fill(scene.side, Qty(open.0 + btc("0.1").0), "new")),
            Act::DuplicateFill => self.report(fill(scene.side, btc("0.25"), known)),
            Act::WrongSideFill => self.report(fill(scene.side.opposite(), btc("0.25"), "new")),
            Act::EndCanceled => self.report(end(End::Canceled)),
            Act::EndRejected => self.report(end(End::Rejected)),
            Act::EndExpired => self.report(end(End::Expired)),
        }
    }
}

/// What a cell of the table leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cell {
    /// The kinds of its events.
    events: Vec<&'static str>,
    /// Cause of the halt that it brings.
    halt: Option<&'static str>,
    /// Where the subject is then; `None` where it is not open.
    phase: Option<Phase>,
    /// Quantity that the subject still reserves.
    reserved: Qty,
    /// Change of the position, signed.
    moved: i64,
    /// Orders that ended complete, and otherwise.
    over: (u64, u64),
    duplicates: u64,
}

impl Cell {
    fn same(scene: Scene) -> Cell {
        let phase = match scene.place {
            Place::Pending => Some(Phase::Pending),
            Place::Sent => Some(Phase::Sent),
            Place::Unknown => Some(Phase::Unknown),
            Place::Resting => Some(Phase::Resting),
            _ => None,
        };
        Cell { events: vec![], halt: None, phase, reserved: scene.open(), moved: 0, over: (0, 0), duplicates: 0 }
    }

    fn duplicate(scene: Scene) -> Cell {
        Cell { duplicates: 1, ..Cell::same(scene) }
    }

    fn event(scene: Scene, kind: &'static str, phase: Phase) -> Cell {
        Cell { events: vec![kind], phase: Some(phase), ..Cell::same(scene) }
    }

    fn over(scene: Scene) -> Cell {
        Cell { events: vec!["ended"], phase: None, reserved: Qty(0), over: (0, 1), ..Cell::same(scene) }
    }

    /// A halt after the events so far: cancels are asked for where they were not.
    fn halting(mut self, scene: Scene, cause: &'static str) -> Cell {
        self.halt = Some(cause);
        self.events.extend(["halted", "cancel_requested"]);
        if self.phase.is_some() && !scene.cancel {
            self.events.push("cancel_requested");
        }
        self
    }

    fn fault(scene: Scene) -> Cell {
        Cell::same(scene).halting(scene, "EXECUTOR")
    }

    fn stray(scene: Scene, side: Side, quantity: Qty, cause: &'static str) -> Cell {
        let moved = side.sign() * quantity.0;
        Cell { events: vec!["stray"], moved, ..Cell::same(scene) }.halting(scene, cause)
    }

    fn filled(scene: Scene, quantity: Qty) -> Cell {
        let reserved = Qty(scene.open().0 - quantity.0);
        let phase = if scene.place == Place::Resting { Phase::Resting } else { Phase::Sent };
        let done = reserved.0 == 0;
        Cell {
            events: vec!["filled"],
            phase: (!done).then_some(phase),
            reserved,
            moved: scene.side.sign() * quantity.0,
            over: (u64::from(done), 0),
            ..Cell::same(scene)
        }
    }

    /// A fill of an order that is not open at the venue, as far as the desk knows.
    fn misplaced(scene: Scene, side: Side, quantity: Qty) -> Cell {
        let cause = match scene.place {
            Place::Never => "FOREIGN_FILL",
            Place::Pending => "FILL_BEFORE_RELEASE",
            _ => "FILL_AFTER_END",
        };
        Cell::stray(scene, side, quantity, cause)
    }
}

/// What must follow, written down apart from the desk's own table. `None`: the desk panics, for we are wrong.
fn expected(scene: Scene, act: Act) -> Option<Cell> {
    let unsent = scene.place == Place::Never || scene.place == Place::Pending;
    let open = if scene.is_open() { scene.open() } else { btc("0.5") };
    let tenth = btc("0.1").0;
    Some(match act {
        Act::Release if scene.left() => return None,
        Act::Release if scene.is_open() && scene.cancel => Cell::over(scene),
        Act::Release if scene.is_open() => Cell::event(scene, "released", Phase::Sent),
        Act::UserCancel if scene.is_open() && !scene.cancel => {
            Cell { events: vec!["cancel_requested"], ..Cell::same(scene) }
        }
        Act::Release | Act::UserCancel => Cell::same(scene),
        Act::Halt => Cell::same(scene).halting(scene, "OPERATOR"),
        Act::Mark => Cell { events: vec!["marked"], ..Cell::same(scene) },
        Act::DuplicateFill => Cell::duplicate(scene),
        Act::Resting | Act::Unknown | Act::EndCanceled | Act::EndRejected | Act::EndExpired if unsent => {
            Cell::fault(scene)
        }
        Act::Resting if matches!(scene.place, Place::Sent | Place::Unknown) => {
            Cell::event(scene, "resting", Phase::Resting)
        }
        Act::Unknown if matches!(scene.place, Place::Sent | Place::Resting) => {
            Cell::event(scene, "unknown", Phase::Unknown)
        }
        Act::EndCanceled | Act::EndRejected | Act::EndExpired if scene.left() => Cell::over(scene),
        Act::Resting | Act::Unknown | Act::EndCanceled | Act::EndRejected | Act::EndExpired => Cell::duplicate(scene),
        Act::WrongSideFill if scene.left() => Cell::stray(scene, scene.side.opposite(), btc("0.25"), "WRONG_SIDE"),
        Act::WrongSideFill => Cell::misplaced(scene, scene.side.opposite(), btc("0.25")),
        Act::PartFill if scene.left() => Cell::filled(scene, btc("0.25")),
        Act::CompleteFill if scene.left() => Cell::filled(scene, open),
        Act::Overfill if scene.left() => {
            let mut cell = Cell::filled(scene, open);
            cell.events.push("stray");
            cell.moved += scene.side.sign() * tenth;
            cell.halting(scene, "OVERFILL")
        }
        Act::PartFill => Cell::misplaced(scene, scene.side, btc("0.25")),
        Act::CompleteFill => Cell::misplaced(scene, scene.side, open),
        Act::Overfill => Cell::misplaced(scene, scene.side, Qty(open.0 + tenth)),
    })
}

fn kind(event: &Event) -> &'static str {
    match event {
        Event::Released { .. } => "released",
        Event::Resting(_) => "resting",
        Event::Unknown(_) => "unknown",
        Event::Filled(_) => "filled",
        Event::Stray(_) => "stray",
        Event::CancelRequested { .. } => "cancel_requested",
        Event::Ended(_) => "ended",
        Event::Marked { .. } => "marked",
        Event::Halted(_) => "halted",
        other => panic!("{other:?}"),
    }
}

pub(super) fn identity_holds(state: &State) {
    let (ledger, mark) = (&state.ledger, usdt("10123.45"));
    let left = ledger.cash.0 + mark.times(ledger.position).0;
    assert_eq!(left, ledger.realised.0 + ledger.unrealised(mark).0, "{ledger:?}");
}

fn observed(before: &Room, after: &Room) -> Cell {
    let (old, new) = (&before.desk.state, &after.desk.state);
    let subject = new.orders.get(SUBJECT);
    Cell {
        events: after.journal[before.journal.len()..].iter().map(|stamped| kind(&stamped.event)).collect(),
        halt: new.halted.as_ref().map(|halt| match halt.cause.as_str() {
            "EXECUTOR" => "EXECUTOR",
            "OPERATOR" => "OPERATOR",
            "OVERFILL" => "OVERFILL",
            "FOREIGN_FILL" => "FOREIGN_FILL",
            "FILL_AFTER_END" => "FILL_AFTER_END",
            "FILL_BEFORE_RELEASE" => "FILL_BEFORE_RELEASE",
            "WRONG_SIDE" => "WRONG_SIDE",
            other => panic!("{other}"),
        }),
        phase: subject.map(|open| open.state),
        reserved: subject.map_or(Qty(0), OpenOrder::remaining),
        moved: new.ledger.position.0 - old.ledger.position.0,
        over: (new.counts.filled - old.counts.filled, new.counts.canceled - old.counts.canceled),
        duplicates: after.desk.duplicates - before.desk.duplicates,
    }
}

impl Room {
    fn copy(&self) -> Room {
        Room { desk: self.desk.clone(), journal: self.journal.clone(), view: self.view.clone() }
    }
}

fn check(scene: Scene, act: Act) {
    let before = Room::in_scene(scene);
    assert_eq!(before.desk.state.halted, None, "{scene:?} is reached without a halt");
    let mut after = before.copy();
    let outcome = catch_unwind(AssertUnwindSafe(|| after.suffers(scene, act)));
    let Some(cell) = expected(scene, act) else {
        assert!(outcome.is_err(), "{scene:?} {act:?}");
        assert_eq!(after.journal.len(), before.journal.len());
        return;
    };
    assert!(outcome.is_ok(), "{scene:?} {act:?} panicked");
    assert_eq!(observed(&before, &after), cell, "{scene:?} {act:?}");
    let state = &after.desk.state;
    let (own, other) = (state.orders.reserved(scene.side), state.orders.reserved(scene.side.opposite()));
    assert_eq!((own, other), (Qty(btc("0.3").0 + cell.reserved.0), Qty(0)), "{scene:?} {act:?}");
    identity_holds(state);
    assert_eq!(after.restarted().text(), state.text(), "{scene:?} {act:?}");
}

#[test]
fn every_order_in_every_place_takes_whatever_happens_as_the_table_says() {
    let scenes = scenes();
    let mut cells = 0;
    for scene in &scenes {
        for act in ACTS {
            check(*scene, act);
            cells += 1;
        }
    }
    // Two sides; never given once, pending with and without a cancel, seven places in four ways each.
    assert_eq!((scenes.len(), cells), (2 * (1 + 2 + 7 * 4), 2 * 31 * 14));
    for (index, place) in PLACES.iter().enumerate() {
        assert_eq!(*place as usize, index);
    }
    assert!(ACTS.iter().enumerate().all(|(index, act)| *act as usize == index));
    assert_eq!((Place::Expired as usize + 1, Act::Mark as usize + 1), (PLACES.len(), ACTS.len()), "none is left out");
}

#[test]
fn each_accepted_order_ends_exactly_once_whatever_is_repeated() {
    for first in [Act::CompleteFill, Act::EndCanceled, Act::EndRejected, Act::EndExpired] {
        for second in ACTS.into_iter().filter(|act| !matches!(act, Act::Release)) {
            let scene = Scene { side: Side::Buy, place: Place::Sent, part: false, cancel: false };
            let mut room = Room::in_scene(scene);
            room.suffers(scene, first);
            room.suffers(scene, second);
            let ends = room.journal.iter().filter(|stamped| match &stamped.event {
                Event::Filled(filled) => filled.order == SUBJECT && filled.done,
                Event::Ended(ended) => ended.order == SUBJECT,
                _ => false,
            });
            assert_eq!(ends.count(), 1, "{first:?} then {second:?}");
        }
    }
}
