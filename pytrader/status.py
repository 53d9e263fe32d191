"""One immutable snapshot of the program, and its text and JSON. Every view shows only this.

Amounts are exact decimal texts, as the desk gives them; only `text` and its like round, half-even, for the screen.
"""

from __future__ import annotations

import datetime as dt
import textwrap
from dataclasses import asdict, dataclass, fields, replace
from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from pytrader._core import format_e8
from pytrader.figures import NOTHING, duration, fixed, printable, signed
from pytrader.limits import named

if TYPE_CHECKING:
    from collections.abc import Mapping

WIDTH = 80
STAGES = ("frame", "decision", "journal", "execution", "total")
_EPOCH_ORDINAL = 719_163
_MODES = {"simulated": "SIM"}
_AMOUNTS = attrgetter("bid_e8", "bid_size_e8", "ask_e8", "ask_size_e8")
_FACTS = attrgetter("update_id", "age_ns", "synced", "sync", "doubt")
_AS_THEY_ARE = (
    *("position", "entry", "cash", "cost", "realised", "unrealised", "fees", "equity"),
    *("loss_latched", "clock_suspect", "attempts_capped"),
)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class BookTop:
    """Best prices and sizes, None before the first; `age_ns` is the time since the last book frame."""

    bid: str | None
    bid_size: str | None
    ask: str | None
    ask_size: str | None
    spread: str | None
    spread_bps: str | None
    update_id: int
    age_ns: int | None
    synced: bool
    sync: str
    doubt: str  # why the book is not live, one word; empty for a live one, and before anything was wrong


@dataclass(frozen=True, slots=True)
class Profile:
    """What is traded where."""

    execution: str
    venue: str
    symbol: str
    base: str
    quote: str


@dataclass(frozen=True, slots=True)
class Day:
    """The UTC day: number since 1970-01-01, equity at its start, profit or loss so far (None without a mark)."""

    number: int
    start_equity: str
    pnl: str | None


@dataclass(frozen=True, slots=True)
class Halted:
    """Why trading is halted."""

    cause: str
    detail: str


@dataclass(frozen=True, slots=True)
class Permit:
    """What an order needs: a healthy journal, a ready executor, and a book that is `live`."""

    journal: bool
    executor: bool
    book: str


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits in force; amounts in quote, base, orders and quote. `price_band` is a fraction in units of 10⁻⁸."""

    order_notional: str
    position: str
    orders_per_second: int
    daily_loss: str
    price_band: int
    attempts_per_second: int
    runaway_refusals: int
    repeat_window_ns: int
    stale_after_ns: int


@dataclass(frozen=True, slots=True)
class Room:
    """What each limit still lets through, open orders counted."""

    buy: str
    sell: str
    orders_now: int
    daily_loss: str


@dataclass(frozen=True, slots=True)
class Counts:
    """Orders by what became of them."""

    accepted: int
    refused: int
    filled: int
    canceled: int
    open: int


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order without an end; `limit` is None at the market, `client_id` without one."""

    order: int
    side: str
    quantity: str
    filled: str
    limit: str | None
    tif: str
    state: str
    client_id: str | None


@dataclass(frozen=True, slots=True)
class Latency:
    """Quantiles of one stage in ns; meaningless while `count` is 0."""

    p50_ns: int
    p90_ns: int
    p99_ns: int
    p999_ns: int
    max_ns: int
    count: int


@dataclass(frozen=True, slots=True)
class Slippage:
    """Quantiles of what fills cost against the mid price, in basis points; None while `count` is 0."""

    p50: str | None
    p90: str | None
    p99: str | None
    p999: str | None
    max: str | None
    count: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a view shows, at one moment. Amounts are in `profile.quote`, `position` in `profile.base`.

    `attempts_capped` counts the orders of this run that ATTEMPTS alone answered; while `clock_suspect` no UTC day
    begins.
    """

    mode: str
    profile: Profile
    price_decimals: int
    top: BookTop
    position: str
    entry: str | None
    cash: str
    cost: str
    realised: str
    unrealised: str | None
    fees: str
    equity: str | None
    day: Day
    halted: Halted | None
    loss_latched: bool
    clock_suspect: bool
    attempts_capped: int
    permit: Permit
    limits: Limits
    room: Room
    counts: Counts
    duplicates: int  # reports of the executor in this run that told nothing new
    last_reject: str | None
    open_orders: tuple[OpenOrder, ...]
    latency: Mapping[str, Latency]
    slippage_bps: Slippage
    feed: Mapping[str, int]


def snapshot(
    desk: bytes,
    top: object,
    frame_latency: Mapping[str, int],
    counters: Mapping[str, int],
    *,
    last_reject: str | None = None,
    price_decimals: int = 2,
) -> Snapshot:
    """Return the snapshot of `Desk.status()`, `Book.top()`, `Book.frame_latency()` and `Book.counters()`.

    `last_reject` is the sentence of the last refused order, `price_decimals` the decimals of the instrument's tick.
    """
    data = orjson.loads(desk)
    latency = {**data["latency"], "frame": frame_latency}
    return Snapshot(
        mode=_MODES.get(data["profile"]["execution"], data["profile"]["execution"].upper()),
        profile=_pick(Profile, data["profile"]),
        price_decimals=price_decimals,
        top=_top(top),
        **{name: data[name] for name in _AS_THEY_ARE},
        day=_pick(Day, data["day"]),
        halted=None if data["halted"] is None else _pick(Halted, data["halted"]),
        permit=_pick(Permit, data["permit"]),
        limits=_pick(Limits, data["limits"]),
        room=_pick(Room, data["room"]),
        counts=_pick(Counts, data["counts"]),
        duplicates=data["duplicates"],
        last_reject=last_reject,
        open_orders=tuple(_pick(OpenOrder, order) for order in data["open_orders"]),
        latency={stage: _pick(Latency, latency[stage]) for stage in STAGES},
        slippage_bps=_pick(Slippage, data["slippage_bps"]),
        feed=dict(counters),
    )


def _pick(kind: type[_T], data: Mapping[str, Any]) -> _T:
    """Make a `kind` of the entries that it names; further entries are left, a missing one is our own mistake."""
    return kind(**{each.name: data[each.name] for each in fields(kind)})  # type: ignore[arg-type]


def _top(top: object) -> BookTop:
    """Read the attributes of `_core.Top`, whose prices and sizes are integers of 10⁻⁸, 0 where there is none."""
    bid, bid_size, ask, ask_size = _AMOUNTS(top)
    update_id, age_ns, synced, sync, doubt = _FACTS(top)
    doubt = "" if synced else doubt
    if not (bid and ask):
        sync = "one-sided" if synced else sync  # or it would read as live
        return BookTop(None, None, None, None, None, None, update_id, None, synced=False, sync=sync, doubt=doubt)
    sides = (format_e8(bid), format_e8(bid_size), format_e8(ask), format_e8(ask_size))
    bps = fixed(str(Decimal(20_000 * (ask - bid)) / (ask + bid)))
    return BookTop(*sides, format_e8(ask - bid), bps, update_id, age_ns, synced, sync, doubt)


def to_json(it: Snapshot) -> bytes:
    """Return the snapshot as one JSON object; amounts are text, so that nothing is rounded."""
    return orjson.dumps(it)


def _row(name: str, text: str) -> str:
    return f"{name:<12}{text}"


def _clip(lines: list[str]) -> str:
    return "\n".join(line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…" for line in map(printable, lines))


def text(it: Snapshot) -> str:
    """Return one screen: at most 24 lines of 80 columns, without control characters."""
    return _clip([*_market(it), "", *_body(it, "open"), _feed(it)])


def journal_text(it: Snapshot) -> str:
    """Return the same screen of what a journal says: book, permit and feed are known to a running engine alone."""
    known = replace(it, permit=Permit(journal=True, executor=True, book="live"))
    elsewhere = "Book and feed are known to a running engine alone: `status` at its prompt"
    return _clip([_market(it)[0], elsewhere, "", *_body(known, "not halted")])


def limits_text(it: Snapshot) -> str:
    """Return each limit and the room left, and whether trading is open."""
    limits, room = _limits(it)
    return _clip([limits, *_guards(it), room, *_trading(it)])


def latency_text(it: Snapshot) -> str:
    """Return the latency of each stage and the slippage as a table."""
    return _clip(_latency(it))


def _body(it: Snapshot, untroubled: str) -> list[str]:
    return [*_account(it), *_limits(it), *_trading(it, untroubled), *_orders(it), "", *_latency(it)]


def _market(it: Snapshot) -> list[str]:
    top, profile = it.top, it.profile
    bid, ask = fixed(top.bid, it.price_decimals), fixed(top.ask, it.price_decimals)
    state = "synced" if top.synced else "NOT SYNCED"
    sizes = f"{top.bid_size or NOTHING} x {top.ask_size or NOTHING} {profile.base}"
    return [
        f"{it.mode} {profile.venue} {profile.symbol} ({profile.execution} execution)",
        f"Best Bid: {bid} | Best Ask: {ask}   spread {top.spread or NOTHING} ({top.spread_bps or NOTHING} bps)",
        f"Book {top.sync}{_why(top)}, {state}, {it.permit.book}, age {duration(top.age_ns)}, {sizes}",
    ]


def _why(top: BookTop) -> str:
    return top.doubt and f" ({top.doubt})"


def _account(it: Snapshot) -> list[str]:
    quote, day = it.profile.quote, it.day
    date = dt.date.fromordinal(_EPOCH_ORDINAL + day.number)
    entry = f" @ {fixed(it.entry, it.price_decimals)}" if it.entry is not None else ""
    suspect = " (clock suspect)" if it.clock_suspect else ""
    start = f"from {fixed(day.start_equity)} at 00:00 UTC of {date}{suspect}"
    return [
        _row("Position", f"{signed(it.position)} {it.profile.base}{entry}   equity {fixed(it.equity)} {quote}"),
        _row(
            "Profit",
            f"realised {fixed(it.realised)}   unrealised {fixed(it.unrealised)}   fees {fixed(it.fees)} {quote}",
        ),
        _row("Day", f"{fixed(day.pnl) if day.pnl is None else signed(day.pnl, 2)} {quote}, {start}"),
    ]


def _limits(it: Snapshot) -> list[str]:
    base, quote, limits, room = it.profile.base, it.profile.quote, it.limits, it.room
    most = f"order {limits.order_notional} {quote} | position {limits.position} {base}"
    left = f"buy {room.buy} | sell {room.sell} {base} | {room.orders_now} orders now"
    return [
        _row("Limits", f"{most} | {limits.orders_per_second} orders/s | day {limits.daily_loss} {quote}"),
        _row("Room", f"{left} | loss {fixed(room.daily_loss)} {quote}"),
    ]


def _guards(it: Snapshot) -> list[str]:
    """Return the limits that the one screen of `status` has no room for, and how often the attempts cap answered."""
    texts = named(asdict(it.limits))
    repeats = texts["repeat_window_ms"]
    window = "repeats pass" if repeats == "0" else f"no repeat within {repeats} ms"
    runaway = f"{texts['runaway_refusals']} refusals in 10 s halt"
    attempts = f"{texts['max_attempts_per_second']} attempts/s ({it.attempts_capped} capped)"
    return [
        _row("", f"price band {texts['max_price_band_bps']} bps | {attempts}"),
        _row("", f"{runaway} | {window} | book stale at {texts['stale_after_ms']} ms"),
    ]


def stops(it: Snapshot) -> list[str]:
    """Return every reason why an order would be refused now, the gravest first, each with its way out."""
    found = []
    if it.halted is not None:
        suspect = ", CLOCK SUSPECT" if it.clock_suspect and it.halted.cause != "CLOCK" else ""
        found.append(f"HALTED {it.halted.cause}{suspect}: {it.halted.detail or 'no detail'} (type resume)")
    if it.loss_latched:
        found.append("DAILY LOSS reached: only flatten and reduce until 00:00 UTC")
    waits = [("journal down", not it.permit.journal), ("executor not ready", not it.permit.executor)]
    waits.append((f"book {it.permit.book}{_why(it.top)}", it.permit.book != "live"))
    if any(closed for _, closed in waits):
        found.append("CLOSED: " + ", ".join(name for name, closed in waits if closed))
    return found


def _trading(it: Snapshot, untroubled: str = "open") -> list[str]:
    return [_row("" if number else "Trading", stop) for number, stop in enumerate(stops(it) or [untroubled])]


def _orders(it: Snapshot) -> list[str]:
    counts = it.counts
    told = f"{counts.accepted} accepted, {counts.refused} refused, {counts.filled} filled"
    capped = f", {it.attempts_capped} capped" if it.attempts_capped else ""
    reject = textwrap.wrap(printable(it.last_reject or NOTHING), WIDTH - 12, max_lines=2, placeholder=" …") or [NOTHING]
    return [
        _row("Orders", f"{told}, {counts.canceled} canceled, {counts.open} open{capped}"),
        *(_row("" if number else "Last reject", line) for number, line in enumerate(reject)),
        *([_row("Reports", f"{it.duplicates} told nothing new")] if it.duplicates else []),
    ]


def _latency(it: Snapshot) -> list[str]:
    def cells(name: str, *values: object) -> str:
        return _row(name, "".join(f"{value:>11}" for value in values))

    lines = [cells("Latency", "p50", "p90", "p99", "p99.9", "max", "count")]
    for stage in STAGES:
        one = it.latency[stage]
        times = (one.p50_ns, one.p90_ns, one.p99_ns, one.p999_ns, one.max_ns)
        lines.append(cells(f"  {stage}", *(duration(ns if one.count else None) for ns in times), one.count))
    slip = it.slippage_bps
    quantiles = (slip.p50, slip.p90, slip.p99, slip.p999, slip.max)
    return [*lines, cells("Slip, bps", *(fixed(value) for value in quantiles), slip.count)]


def _feed(it: Snapshot) -> str:
    denied = ("denied",) if it.feed.get("denied") else ()  # `venues` and the log have the venue's words
    names = ("frames", *denied, "refused", "gaps", "resyncs", "crossed", "stale")
    return _row("Feed", ", ".join(f"{name} {it.feed[name]}" for name in names if name in it.feed))
