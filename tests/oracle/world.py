"""The real desk and the oracle side by side: every command goes to both, and everything is compared after it."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson

from pytrader import _core

from .delays import delays
from .desk import DAY_NS, Desk
from .exact import ZERO, exactly, to_e8
from .frames import Frames
from .market import Level, Market
from .orders import Order, Request
from .rules import Limits, loosened, open_quantity, stamps_in_window
from .settings import STANDARD, rules
from .simulator import Fees, Simulator
from .told import Facts, told

UTC_NS = 20_717 * DAY_NS + 9 * 3_600 * 10**9  # 21 September 2026, 09:00
MONO_NS = 5_000 * 10**9
SEED = 7


class World:
    """Virtual time, one real desk, one oracle."""

    def __init__(
        self,
        own: Limits = STANDARD,
        fees: Fees = Fees(),  # noqa: B008
        delay_ms: int | None = None,
        utc_ns: int = UTC_NS,
    ) -> None:
        """Start both with an empty, unsynced book. `delay_ms` fixes the venue's delay; None draws 10 to 100 ms."""
        exactly()
        self.limits, self.fees, self.delay_ms = own, fees, delay_ms
        self.mono_ns, self.utc_ns = MONO_NS, utc_ns
        self.frames, self.journal, self.story = Frames(), [], []
        self.capped = 0  # orders answered by ATTEMPTS, in every run
        self.page: tuple[bytes, Facts] = b"", {}  # the last that agreed
        self.market = Market()
        self.oracle = Desk(self.market, own, self.mono_ns, self.utc_ns)
        self.venue = Simulator(self.oracle, fees, self.delay_of)
        self.start_real(set())
        self.settle()

    def start_real(self, looser: set[tuple[str, Decimal, Decimal]]) -> list[int]:
        """Build the real three, from the journal if there is one; return what rests again.

        Looser limits must be named, and must be meant.
        """
        self.book = _core.Book()
        self.desk = _core.Desk(self.book, rules(self.limits))
        self.desk.recover(self.journal)
        real = {(name, Decimal(old), Decimal(new)) for name, old, new in self.desk.loosened()}
        self.equal("loosened", real, looser)
        if looser:
            self.equal("start", refused(self.desk.start, SEED, False, *self.now()), True)
        resting = self.desk.start(SEED, bool(looser), *self.now())
        fees = {"taker_fee_e8": self.fees.taker_e8, "maker_fee_e8": self.fees.maker_e8}
        fixed = {} if self.delay_ms is None else {"min_delay_ms": self.delay_ms, "max_delay_ms": self.delay_ms}
        self.simulator = _core.Simulator(self.book, self.desk, seed=SEED, **fees, **fixed)
        return resting

    def delay_of(self, number: int, cancel: bool) -> int:
        """Return the venue's delay."""
        return delays(SEED)[number, cancel] if self.delay_ms is None else self.delay_ms * 10**6

    # ---- commands

    def submit(self, request: Request, back_ns: int = 0, *, settle: bool = True) -> list[str]:
        """Submit to both, `check` first; return the codes of the refusal. Unsettled, it has not left the desk yet."""
        self.tell("submit", request, back_ns)
        limit = None if request.limit is None else to_e8(request.limit)
        terms = (request.side, to_e8(request.quantity), limit, request.tif, request.reduce, request.client_id)
        checked = self.desk.check(*terms, *self.now(back_ns))
        verdict = self.desk.submit(*terms, *self.now(back_ns))
        expected = self.oracle.submit(request, *self.now(back_ns))
        self.capped += expected == ["ATTEMPTS"]
        self.equal("codes", verdict.codes, expected)
        self.equal("check", (checked.accepted, checked.codes), (verdict.accepted, verdict.codes))
        self.equal("accepted", verdict.accepted, not expected)
        if settle:
            self.settle()
        return expected

    def cancel(self, number: int, back_ns: int = 0) -> None:
        """Ask for one order's end."""
        self.tell("cancel", number)
        real = self.desk.cancel(number, *self.now(back_ns))
        self.equal("cancel", real is not None, self.oracle.cancel(number, *self.now(back_ns)))
        self.settle()

    def cancel_all(self, session_end: bool) -> None:
        """Ask for the end of everything."""
        self.tell("cancel_all", session_end)
        self.desk.cancel_all(session_end, *self.now())
        self.oracle.cancel_all("SESSION_END" if session_end else "USER", *self.now())
        self.settle()

    def mark(self, back_ns: int = 0) -> None:
        """Value the position."""
        self.tell("mark")
        self.desk.mark(*self.now(back_ns))
        self.oracle.mark(*self.now(back_ns))
        self.settle()

    def halt(self) -> None:
        """Stop trading."""
        self.tell("halt")
        self.desk.halt("OPERATOR", "test", *self.now())
        self.oracle.halt("OPERATOR", "test", *self.now())
        self.settle()

    def resume(self) -> None:
        """Go on."""
        self.tell("resume")
        if self.oracle.journal:
            self.desk.resume(*self.now())
            self.oracle.resume(*self.now())
        else:
            self.equal("resume", refused(self.desk.resume, *self.now()), True)
        self.settle()

    def ready(self, *, journal: bool, executor: bool) -> None:
        """Say how journal and executor are."""
        self.tell("ready", journal, executor)
        self.desk.set_journal(journal)
        self.desk.set_executor(executor)
        self.oracle.journal, self.oracle.executor = journal, executor
        self.settle()

    def restart(self, mono_ns: int, down_ns: int = 0, **changes: Any) -> None:
        """End both and begin from the journal after a while, with other limits perhaps, on another monotonic clock."""
        self.tell("restart", mono_ns, down_ns, changes)
        self.replay()
        self.utc_ns += down_ns
        old, self.limits, self.mono_ns = self.limits, replace(self.limits, **changes), mono_ns
        self.market, self.frames = Market(), Frames()
        resting = self.start_real(loosened(old, self.limits))
        expected = self.oracle.restart(self.market, self.limits, self.journal[-1][2], self.now())
        self.equal("resting", resting, [order.number for order in expected])
        self.venue = Simulator(self.oracle, self.fees, self.delay_of)
        for number in resting:
            self.simulator.rest(number)
            self.venue.rest(number)
        self.settle()

    # ---- time and frames

    def now(self, back_ns: int = 0) -> tuple[int, int]:
        """Return monotonic and UTC time, both set back."""
        return self.mono_ns - back_ns, self.utc_ns - back_ns

    def go(self, ns: int) -> None:
        """Let time pass; what is due happens when it is due."""
        self.tell("go", ns)
        end = self.mono_ns + ns
        while True:
            due = self.simulator.next_due_ns()
            self.equal("next due", due, self.venue.next_due_ns())
            if due is None or due > end:
                break
            self.pass_time(due)
            self.settle()
        self.pass_time(end)
        self.settle()

    def stall(self, ns: int) -> None:
        """Let time pass; what was due meanwhile happens only at the end."""
        self.tell("stall", ns)
        self.pass_time(self.mono_ns + ns)
        self.settle()

    def pass_time(self, mono_ns: int) -> None:
        """Move both clocks to a monotonic time."""
        self.mono_ns, self.utc_ns = mono_ns, self.utc_ns + mono_ns - self.mono_ns

    def depth(self, bids: list[Level], asks: list[Level]) -> None:
        """Move the depth by one frame."""
        self.tell("depth", bids, asks)
        self.equal("frame", self.book.apply(self.frames.depth(bids, asks), self.mono_ns), "depth")
        self.market.change(self.frames.depth_id, bids, asks)
        self.market.hear_depth(self.mono_ns)
        self.settle()

    def ticker(self, bid: Decimal, bid_size: Decimal, ask: Decimal, ask_size: Decimal) -> None:
        """Move the best prices by one ticker."""
        self.tell("ticker", bid, bid_size, ask, ask_size)
        self.book.apply(self.frames.ticker(bid, bid_size, ask, ask_size), self.mono_ns)
        self.market.tick(self.frames.last_id, bid, bid_size, ask, ask_size)
        self.market.hear_ticker(self.mono_ns)
        self.settle()

    def trade(self, price: Decimal, size: Decimal) -> None:
        """Print a trade. It fills nothing while the book cannot be trusted."""
        self.tell("trade", price, size)
        self.book.apply(self.frames.trade(price, size), self.mono_ns)
        self.simulator.step(*self.now())
        if self.market.state(self.mono_ns, self.limits.stale_after_ns) == "live":
            self.venue.match_trade(price, size, *self.now())
        self.settle()

    def lose(self) -> None:
        """Unsync the book by a gap."""
        self.tell("lose")
        self.equal("frame", self.book.apply(self.frames.depth([], [], gap=True), self.mono_ns), "gap")
        self.market.lose()
        self.settle()

    def sync(self, bids: list[Level], asks: list[Level]) -> None:
        """Bridge a new snapshot."""
        self.tell("sync", bids, asks)
        self.book.apply(self.frames.depth([], []), self.mono_ns)
        outcome = self.book.offer_snapshot(self.frames.snapshot(bids, asks))
        self.equal("snapshot", outcome in {"waiting", "bridged"}, True)
        if outcome == "waiting":
            self.book.apply(self.frames.depth([], []), self.mono_ns)
        self.market.bridge(self.frames.depth_id, bids, asks)
        self.market.hear_depth(self.mono_ns)
        self.settle()

    # ---- comparing

    def settle(self) -> None:
        """Commit and dispatch until nothing more happens, then compare everything."""
        while True:
            self.simulator.step(*self.now())
            self.venue.step(*self.now())
            events = self.desk.next_events(4_096, 0)
            if not events:
                break
            self.desk.committed(events[-1][0], self.mono_ns)
            self.journal += events
            self.compare_events(events)
        self.equal("more events", [], self.oracle.events)
        self.compare_status()

    def compare_events(self, rows: list[tuple[int, int, int, bytes]]) -> None:
        """Compare what happened and when, one by one, and pass it on as the program would."""
        expected, self.oracle.events = self.oracle.events, []
        real = [told(body) | {"at": (mono_ns, utc_ns)} for _, mono_ns, utc_ns, body in rows]
        for got, want in zip(real, expected, strict=False):
            self.equal("event", {name: got.get(name) for name in want}, want)
        self.equal("events", [event["kind"] for event in real], [event["kind"] for event in expected])
        for event in real:
            if event["kind"] == "accepted":
                self.simulator.submit(event["order"])
                self.venue.submit(event["order"])
            if event["kind"] == "cancel_requested":
                self.simulator.cancel(event["order"])
                self.venue.cancel(event["order"])

    def compare_status(self) -> None:
        """Compare the whole page, difference exactly zero."""
        text, own = self.desk.status(*self.now()), self.own_page()
        if text == self.page[0] and own == self.page[1]:
            return
        real = self.told_page(orjson.loads(text))
        if real != own:
            for name, value in real.items():
                self.equal(name, value, own[name])
        self.page = text, own

    def told_page(self, page: Facts) -> Facts:
        """Return what the real page says."""
        day, halted, room = page["day"], page["halted"], page["room"]
        return {
            "position": Decimal(page["position"]),
            "cash": Decimal(page["cash"]),
            "cost": Decimal(page["cost"]),
            "realised": Decimal(page["realised"]),
            "fees": Decimal(page["fees"]),
            "unrealised": Decimal(page["unrealised"]),
            "equity": Decimal(page["equity"]),
            "day": (day["number"], Decimal(day["start_equity"]), Decimal(day["pnl"])),
            "latch": page["loss_latched"],
            "halted": halted and halted["cause"],
            "clock suspect": page["clock_suspect"],
            "attempts capped": page["attempts_capped"],
            "open orders": [
                (row["order"], row["state"], Decimal(row["filled"]), row["canceling"]) for row in page["open_orders"]
            ],
            "counts": page["counts"],
            "room": {name: Decimal(value) for name, value in room.items()},
        }

    def own_page(self) -> Facts:
        """Return what the oracle says of the same."""
        oracle, orders = self.oracle, self.oracle.open()
        ledger, day, mark = oracle.ledger, oracle.day, oracle.mark_price()
        equity = ledger.equity(mark)
        return {
            "position": ledger.position,
            "cash": ledger.cash,
            "cost": ledger.cost,
            "realised": ledger.realised,
            "fees": ledger.fees,
            "unrealised": ledger.unrealised(mark),
            "equity": equity,
            "day": (day.number, day.start_equity, equity - day.start_equity),
            "latch": day.latched is not None,
            "halted": oracle.halted,
            "clock suspect": oracle.suspect,
            "attempts capped": oracle.capped,
            "open orders": [(order.number, order.state, order.filled, order.canceling) for order in orders],
            "counts": oracle.counts | {"open": len(orders)},
            "room": self.room(orders, max(day.start_equity - equity, ZERO)),
        }

    def room(self, orders: list[Order], loss: Decimal) -> dict[str, Decimal | int]:
        """Return what the oracle says may still be bought, sold, sent and lost."""
        position = self.oracle.ledger.position
        stamps = [order.stamp[0] for order in self.oracle.recent]
        sent = stamps_in_window(stamps, max(self.mono_ns, self.oracle.mono_ns))
        return {
            "buy": max(self.limits.position - position - open_quantity(orders, "buy"), ZERO),
            "sell": max(self.limits.position + position - open_quantity(orders, "sell"), ZERO),
            "orders_now": max(self.limits.per_second - sent, 0),
            "daily_loss": ZERO if self.oracle.day.latched is not None else max(self.limits.daily_loss - loss, ZERO),
        }

    def replay(self) -> None:
        """Fold the journal into a fresh desk: its state must be the same bytes."""
        self.settle()
        fresh = _core.Desk(_core.Book(), rules(self.limits))
        fresh.recover(self.journal)
        self.equal("replayed state", fresh.state(), self.desk.state())

    def tell(self, *what: object) -> None:
        """Remember a step for the story of a failure."""
        self.story.append((*what, self.mono_ns))

    def equal(self, what: str, real: object, oracle: object) -> None:
        """Raise with the story so far unless both sides agree."""
        if real != oracle:
            told_steps = "\n".join(map(str, self.story))
            raise AssertionError(f"{what}: real {real}\n{' ' * len(what)}  oracle {oracle}\nafter\n{told_steps}")


def refused(call: Callable[..., object], *arguments: object) -> bool:
    """Return whether the desk says that it did not do it."""
    try:
        call(*arguments)
    except (_core.EngineFault, ValueError):
        return True
    return False
