"""What the terminal answers to each command: text for people, data for `--json`, and the exit code it counts as."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from pytrader import books, grammar, orders, status, whatif
from pytrader._core import format_e8, format_fixed
from pytrader.export import ExportError, iso, write_csv
from pytrader.figures import duration, printable
from pytrader.journal import JournalError, JournalView
from pytrader.lines import Market, line_of
from pytrader.outcomes import ending, is_settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytrader.events import Event
    from pytrader.trader import Ticket, Trader

OK, ERROR, USAGE, REFUSED, NO_DATA = 0, 1, 2, 3, 5
SHOWN = 10
SOON_S = 0.5  # a journal that works has an order in a few ms
_LATE = "The journal does not have it yet."
_UNKNOWN = "The outcome is not known yet; `orders` shows it when it is."
_DATA_CODES = frozenset({"BOOK_UNSYNCED", "BOOK_STALE", "BOOK_CROSSED"})


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: what a person reads, the same as data, and the exit code that it counts as."""

    text: str
    data: dict[str, Any] = field(default_factory=dict)
    code: int = OK


class Answers:
    """Carries out commands for one trader."""

    def __init__(self, trader: Trader, show_top: Callable[[bool], None], *, await_orders: bool) -> None:
        """`await_orders` answers an order by its outcome; without it the outcome is told as it happens."""
        self._trader, self._show_top, self._await_orders = trader, show_top, await_orders
        self._by_kind: dict[type, Callable[[Any], Iterator[Answer]]] = {
            grammar.Order: self._order,
            grammar.Whatif: self._whatif,
            grammar.Cancel: self._cancel,
            grammar.Listing: self._listing,
            grammar.Show: self._show,
            grammar.Csv: self._csv,
            grammar.Halt: self._halt,
            grammar.Resume: self._resume,
            grammar.Flatten: self._flatten,
            grammar.Wait: self._wait,
            grammar.Top: self._top,
            grammar.Help: self._help,
        }

    def to(self, command: grammar.Command) -> Iterator[Answer]:
        """Carry out a command; yield its answers as they come."""
        return self._by_kind[type(command)](command)

    def _order(self, order: grammar.Order) -> Iterator[Answer]:
        ticket = self._trader.submit(order)
        why = self._why_unsynced(ticket)
        if self._await_orders or ticket.untold:
            told = outcome(ticket, self._trader.market)
        elif not self._trader.is_durable(ticket.verdict.seq, SOON_S):
            told = _unsaved(ticket)
        else:  # the event's own line says it
            if why:
                yield Answer(why)
            return
        yield Answer("\n".join(filter(None, [told.text, why and f"  {why}"])), told.data, told.code)

    def _why_unsynced(self, ticket: Ticket) -> str:
        """Return why the book could not be trusted a moment after it was why an order was refused; mostly nothing."""
        top = self._trader.top()
        if "BOOK_UNSYNCED" not in ticket.verdict.codes or top.synced:
            return ""
        return f"the book is {top.sync}{top.doubt and f' ({top.doubt})'}"

    def _whatif(self, asked: grammar.Whatif) -> Iterator[Answer]:
        found = self._trader.whatif(asked.order)
        details = [] if found.refusal is None else refusal_details(found.refusal)
        text = whatif.text(found, self._trader.market, details)
        data = {"whatif": orders.text_of(asked.order), **whatif.data(found)}
        yield Answer(text, data, NO_DATA if found.estimate is None else OK)

    def _cancel(self, cancel: grammar.Cancel) -> Iterator[Answer]:
        if cancel.order_id is None:
            text = "Cancel of every open order asked for."
            yield self._durably(self._trader.cancel_all(), text, {"cancel": "all"})
        elif (seq := self._trader.cancel(cancel.order_id)) is not None:
            text = f"Cancel of order {cancel.order_id} asked for."
            yield self._durably(seq, text, {"cancel": cancel.order_id})
        else:
            text = f"Order {cancel.order_id} is not open."
            yield Answer(text, {"cancel": cancel.order_id, "error": text}, ERROR)

    def _durably(self, seq: int, text: str, data: dict[str, Any]) -> Answer:
        """Answer once the journal has what was done."""
        if self._trader.is_durable(seq):
            return Answer(text, data)
        late = f"{text} {_LATE}"
        return Answer(late, {**data, "error": late}, ERROR)

    def _listing(self, listing: grammar.Listing) -> Iterator[Answer]:
        count = listing.count or SHOWN
        if listing.what == "book":
            yield self._book(count)
        else:
            yield self._rows(listing.what, count)

    def _book(self, count: int) -> Answer:
        bids, asks = (self._trader.book.levels(side, count) for side in ("bid", "ask"))
        decimals = self._trader.market.decimals
        rows = [f"{'bid size':>14} {'bid':>12}   {'ask':<12} {'ask size':<14}"]
        for index in range(max(len(bids), len(asks))):
            bid = _level(bids, index, decimals)
            ask = _level(asks, index, decimals)
            rows.append(f"{bid[1]:>14} {bid[0]:>12}   {ask[0]:<12} {ask[1]:<14}".rstrip())
        sides = {"bids": bids, "asks": asks}
        data = {name: [[format_e8(price), format_e8(size)] for price, size in side] for name, side in sides.items()}
        top = self._trader.top()
        state = self._trader.book_state(top)
        if state != "live":
            why = f"the last news is {duration(top.age_ns)} old" if top.synced else top.doubt
            rows.append(f"The book is {state}{why and f' ({why})'}: not to be traded on.")
        facts = {"state": state, "synced": top.synced, "age_ns": top.age_ns, "update_id": top.update_id}
        return Answer("\n".join(rows), {**data, **facts})

    def _rows(self, what: str, count: int) -> Answer:
        try:
            view = JournalView.open(self._trader.folder)
            try:
                rows = _newest(what, list(view.rows(what)), count)
            finally:
                view.close()
        except JournalError as error:
            return Answer(str(error), {"error": str(error)}, ERROR)
        return Answer(_table(what, rows), {what: rows})

    def _show(self, show: grammar.Show) -> Iterator[Answer]:
        if show.what == "venues":
            found = self._trader.venues()
            yield Answer(books.text(found), books.to_data(found))
            return
        page = self._trader.snapshot()
        views = {"status": status.text, "latency": status.latency_text, "limits": status.limits_text}
        yield Answer(views[show.what](page), orjson.loads(status.to_json(page)))

    def _csv(self, csv: grammar.Csv) -> Iterator[Answer]:
        try:
            view = JournalView.open(self._trader.folder)
            try:
                rows = write_csv(view, csv.what, Path(csv.path), csv.force)
            finally:
                view.close()
        except (JournalError, ExportError, OSError) as error:
            yield Answer(str(error), {"error": str(error)}, ERROR)
        else:
            yield Answer(f"{csv.path}: {rows} {csv.what} written.", {"csv": csv.path, "rows": rows})

    def _halt(self, halt: grammar.Halt) -> Iterator[Answer]:
        seq = self._trader.halt(halt.reason)
        answer = self._durably(seq, "Trading is halted; `resume` lets it go on.", {"halted": True})
        if self._await_orders or answer.code:  # at the prompt the event's own line says it
            yield answer

    def _resume(self, _: grammar.Resume) -> Iterator[Answer]:
        text = self._trader.resume()
        yield Answer(text, {"resume": text})

    def _flatten(self, _: grammar.Flatten) -> Iterator[Answer]:
        for text in self._trader.flatten():
            data = {"flatten": text, "flat": text.startswith("Flat:")}
            yield Answer(text, data, ERROR if text.startswith("Not flat:") else OK)

    def _wait(self, wait: grammar.Wait) -> Iterator[Answer]:
        if wait.milliseconds is None:
            quiet = self._trader.wait_quiet(60.0)
            if not quiet:
                yield Answer("Orders are still in flight after 60 s.", {"in_flight": True}, ERROR)
        else:
            self._trader.pause(wait.milliseconds / 1_000)

    def _top(self, top: grammar.Top) -> Iterator[Answer]:
        self._show_top(top.on)
        yield Answer(f"Top of book each second: {'on' if top.on else 'off'}.", {"top": top.on})

    def _help(self, topic: grammar.Help) -> Iterator[Answer]:
        text = orders.help_text(topic.topic)
        yield Answer(text, {"help": text})


def outcome(ticket: Ticket, market: Market) -> Answer:
    """Wait until an order is refused, has ended or rests, and say so."""
    events = ticket.wait()
    texts = [text for event in events if (text := line_of(event.kind, event.facts, market)) is not None]
    if ticket.accepted and not is_settled(events):
        texts.append(_UNKNOWN)
    if not ticket.accepted:
        facts = _refusal(ticket, events)
        texts += refusal_details(facts) if events else [str(facts["sentence"]), *refusal_details(facts)]
    return Answer("\n".join(texts), _outcome_data(ticket, events), _outcome_code(ticket, events))


def _unsaved(ticket: Ticket) -> Answer:
    """Say what can be said of an order that the journal does not have: a refusal is one, come of it what may."""
    text = _UNKNOWN if ticket.accepted else f"{ticket.verdict.reason} {_LATE}"
    return Answer(text, {"error": text}, ERROR)


def _outcome_data(ticket: Ticket, events: list[Event]) -> dict[str, Any]:
    named = {} if ticket.order.client_id is None else {"client_id": ticket.order.client_id}
    if not ticket.accepted:
        return {"accepted": False, **named, "codes": ticket.verdict.codes, **_refusal(ticket, events)}
    if not events:  # the journal has nothing of it: neither is it told as accepted nor by a number
        return {"accepted": None, **named, "state": "unsaved", "error": _UNKNOWN}
    fills = [event.facts for event in events if event.kind == "filled"]
    state, end = _state(events), ending(events)
    data: dict[str, Any] = {"accepted": True, "order": ticket.order_id, **named, "state": state, "fills": fills}
    if end is not None and end.kind == "ended":
        data["reason"] = end.facts["reason"]
    return data


def _refusal(ticket: Ticket, events: list[Event]) -> dict[str, Any]:
    """Return what the journal says of a refusal, or the verdict where it has no event, or not yet."""
    if events:
        return events[0].facts
    facts: dict[str, Any] = orjson.loads(ticket.verdict.detail or "{}")
    return {"breaches": [], "largest": None, "sentence": ticket.verdict.reason, **facts}


def _state(events: list[Event]) -> str:
    end = ending(events)
    if end is None:
        return next((event.kind for event in reversed(events) if event.kind in ("resting", "unknown")), "pending")
    return "filled" if end.kind == "filled" else str(end.facts["state"])


def _outcome_code(ticket: Ticket, events: list[Event]) -> int:
    codes = set(ticket.verdict.codes) | {str(event.facts.get("reason")) for event in events if event.kind == "ended"}
    if codes & _DATA_CODES:
        return NO_DATA
    if not ticket.accepted:
        return REFUSED
    return OK if is_settled(events) else ERROR


def refusal_details(facts: dict[str, Any]) -> list[str]:
    """Return one line a breach with its code and numbers, and the largest size that passes."""
    rows = []
    for breach in facts["breaches"]:
        known = any(value not in ("0", 0) for name, value in breach.items() if name != "code")
        numbers = [f"{name} {value}" for name, value in breach.items() if known and name != "code"]
        rows.append("  ".join(["", breach["code"], *numbers]))
    if facts["largest"] is not None:
        rows.append(f"  largest size that passes: {facts['largest']}")
    return rows


def _newest(what: str, rows: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Return the newest rows, oldest first; open orders are the last to be left out."""
    if what == "orders":
        rows.sort(key=lambda row: row["ended_seq"] is None)
    return sorted(rows[-count:], key=lambda row: int(row["seq"]))


def _level(levels: list[tuple[int, int]], index: int, decimals: int) -> tuple[str, str]:
    if index >= len(levels):
        return "", ""
    price, size = levels[index]
    return format_fixed(price, decimals), format_e8(size)


_COLUMNS = {
    "fills": ("time", "order", "side", "quantity", "average", "fee", "realised"),
    "orders": ("time", "order", "side", "quantity", "limit", "tif", "filled", "state", "reason", "client_id"),
    "rejects": ("time", "side", "quantity", "limit", "codes", "client_id"),
}
_ONLY_IF_GIVEN = "client_id"


def _table(what: str, rows: list[dict[str, Any]]) -> str:
    """Return rows of the journal as a table with the columns that fit a screen; times are UTC."""
    if not rows:
        return f"No {what} yet."
    names = [name for name in _COLUMNS[what] if name != _ONLY_IF_GIVEN or any(row[name] for row in rows)]
    cells = [[_cell(row, name) for name in names] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    lines = [names, *cells]
    return "\n".join("  ".join(map(str.ljust, texts, widths)).rstrip() for texts in lines)


def _cell(row: dict[str, Any], name: str) -> str:
    if name == "time":
        return iso(row["utc_ns"])[11:23]
    value = row[name]
    return "" if value is None else printable(str(value))
