"""The real desk and the oracle side by side: every command goes to both, and everything is compared after it."""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from pytrader import _core

from .delays import delays
from .desk import DAY_NS, Desk
from .exact import ZERO, exactly, to_e8
from .frames import Frames
from .market import Level, Market
from .orders import Request
from .rules import Limits
from .settings import STANDARD, rules
from .simulator import Fees, Simulator

UTC_NS = 20_717 * DAY_NS + 9 * 3_600 * 10**9  # 21 September 2026, 09:00
MONO_NS = 5_000 * 10**9
SEED = 7


class World:
    """Virtual time, one real desk, one oracle."""

    def __init__(self, limits: Limits = STANDARD, fees: Fees = Fees(), delay_ms: int | None = None) -> None:  # noqa: B008
        """Start both with an empty, unsynced book. `delay_ms` fixes the venue's delay; None draws 10 to 100 ms."""
        exactly()
        self.limits, self.fees, self.delay_ms = limits, fees, delay_ms
        self.mono_ns, self.utc_ns = MONO_NS, UTC_NS
        self.frames, self.journal, self.story = Frames(), [], []
        self.market = Market()
        self.oracle = Desk(self.market, limits, self.mono_ns, self.utc_ns)
        self.venue = Simulator(self.oracle, fees, self.delay_of)
        self.start_real()
        self.settle()

    def start_real(self) -> list[int]:
        """Build the real three, from the journal if there is one; return what rests again."""
        self.book = _core.Book()
        self.desk = _core.Desk(self.book, rules(self.limits))
        self.desk.recover(self.journal)
        resting = self.desk.start(SEED, self.mono_ns, self.utc_ns)
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
        given = (request.side, to_e8(request.quantity), limit, request.tif, request.reduce, *self.now(back_ns))
        checked = self.desk.check(*given)
        verdict = self.desk.submit(*given)
        expected = self.oracle.submit(request, *self.now(back_ns))
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
        self.oracle.halt(*self.now())
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
        self.limits, self.mono_ns = replace(self.limits, **changes), mono_ns
        self.market, self.frames = Market(), Frames()
        resting = self.start_real()
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
        self.market.frame_ns = self.mono_ns
        self.settle()

    def ticker(self, bid: Decimal, bid_size: Decimal, ask: Decimal, ask_size: Decimal) -> None:
        """Move the best prices by one ticker."""
        self.tell("ticker", bid, bid_size, ask, ask_size)
        self.book.apply(self.frames.ticker(bid, bid_size, ask, ask_size), self.mono_ns)
        self.market.ticker = (self.frames.last_id, bid, bid_size, ask, ask_size)
        self.market.frame_ns = self.mono_ns
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
        self.market.frame_ns = self.mono_ns
        self.settle()

    def sync(self, bids: list[Level], asks: list[Level]) -> None:
        """Bridge a new snapshot."""
        self.tell("sync", bids, asks)
        self.book.apply(self.frames.depth([], []), self.mono_ns)
        outcome = self.book.offer_snapshot(self.frames.snapshot(bids, asks))
        self.equal("snapshot", outcome in {"waiting", "bridged"}, True)
        if outcome == "waiting":
            self.book.apply(self.frames.depth([], []), self.mono_ns)
        self.market.bids, self.market.asks = dict(bids), dict(asks)
        self.market.depth_id, self.market.synced, self.market.frame_ns = self.frames.depth_id, True, self.mono_ns
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
            self.compare_events([told(body) for _, _, _, body in events])
        self.equal("more events", [], self.oracle.events)
        self.compare_status()

    def compare_events(self, real: list[dict[str, Any]]) -> None:
        """Compare what happened, one by one, and pass it on as the program would."""
        shown = [event for event in real if event["kind"] not in {"opened", "started"}]
        expected, self.oracle.events = self.oracle.events, []
        for got, want in zip(shown, expected, strict=False):
            self.equal("event", same_keys(got, want), want)
        self.equal("events", [event["kind"] for event in shown], [event["kind"] for event in expected])
        for event in real:
            if event["kind"] == "accepted":
                self.simulator.submit(event["order"])
                self.venue.submit(event["order"])
            if event["kind"] == "cancel_requested":
                self.simulator.cancel(event["order"])
                self.venue.cancel(event["order"])

    def compare_status(self) -> None:
        """Compare the whole page, difference exactly zero."""
        page = json.loads(self.desk.status(*self.now()))
        ledger = self.oracle.ledger
        for name in ("position", "cash", "cost", "realised", "fees"):
            self.equal(name, Decimal(page[name]), getattr(ledger, name))
        own, day = self.oracle.day, page["day"]
        self.equal("unrealised", Decimal(page["unrealised"]), ledger.unrealised(self.oracle.mark_price()))
        self.equal("equity", Decimal(page["equity"]), self.oracle.equity())
        self.equal("day", (day["number"], Decimal(day["start_equity"])), (own.number, own.start_equity))
        self.equal("day pnl", Decimal(day["pnl"]), -self.oracle.loss())
        self.equal("latch", page["loss_latched"], own.latched is not None)
        self.equal("halted", page["halted"] is not None, self.oracle.halted)
        self.compare_orders(page)

    def compare_orders(self, page: dict[str, Any]) -> None:
        """Compare open orders, counts and what room is left."""
        rows = [(row["order"], row["state"], Decimal(row["filled"]), row["canceling"]) for row in page["open_orders"]]
        own = [(order.number, order.state, order.filled, order.canceling) for order in self.oracle.open()]
        self.equal("open orders", rows, own)
        self.equal("counts", page["counts"], self.oracle.counts | {"open": len(own)})
        room = {name: Decimal(value) for name, value in page["room"].items()}
        self.equal("room", room, self.room())

    def room(self) -> dict[str, Decimal]:
        """Return what the oracle says may still be bought, sold, sent and lost."""
        position, orders = self.oracle.ledger.position, self.oracle.open()
        bought = sum((order.left for order in orders if order.request.side == "buy"), position)
        sold = sum((order.left for order in orders if order.request.side == "sell"), -position)
        loss = max(self.oracle.loss(), ZERO)
        now_ns = max(self.mono_ns, self.oracle.mono_ns)
        stamps = [stamp for stamp, _ in self.oracle.stamps if now_ns - 10**9 < stamp]
        return {
            "buy": max(self.limits.position - bought, ZERO),
            "sell": max(self.limits.position - sold, ZERO),
            "orders_now": max(Decimal(self.limits.per_second - len(stamps)), ZERO),
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


def same_keys(got: dict[str, Any], want: dict[str, Any]) -> dict[str, Any]:
    """Return of a real event what the oracle has an opinion about."""
    return {
        key: same_keys(got[key], value) if isinstance(value, dict) and key in got else got.get(key)
        for key, value in want.items()
    }


def refused(call: Callable[..., object], *arguments: object) -> bool:
    """Return whether the desk says that it did not do it."""
    try:
        call(*arguments)
    except _core.EngineFault:
        return True
    return False


def receipt(facts: dict[str, Any]) -> dict[str, Decimal | int | bool]:
    """Return a fill's receipt in the oracle's words; the parts of its slippage must make the whole."""
    parts = {name: Decimal(value) for name, value in facts["slippage"].items()}
    assert parts["total"] == sum(value for name, value in parts.items() if name != "total"), facts
    return {
        "decision_mid": Decimal(facts["decision_mid"]),
        "arrival_mid": Decimal(facts["arrival_mid"]),
        "total": parts["total"],
        "delay": parts["delay"],
        "elapsed_ns": facts["elapsed_ns"],
        "drifted": facts["drift"] is not None,
    }


def told(body: bytes) -> dict[str, Any]:
    """Return a journaled event in the oracle's words."""
    ((kind, facts),) = json.loads(body).items()
    told_event = {"kind": kind, **facts}
    for name in (
        "notional",
        "bid",
        "ask",
        "filled",
        "cost",
        "realised",
        "fee",
        "price",
        "loss",
        "start_equity",
        "largest",
    ):
        if isinstance(told_event.get(name), str):
            told_event[name] = Decimal(told_event[name])
    if kind == "refused":
        told_event["codes"] = [breach["code"] for breach in facts["breaches"]]
    if kind == "filled":
        told_event["receipt"] = receipt(facts)
        told_event["trades"] = [
            tuple(Decimal(row[key]) for key in ("price", "quantity", "fee")) for row in facts["trades"]
        ]
    return told_event
