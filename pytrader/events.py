"""A journal event as the Python side reads it: its place, its kind, and its facts. Decimals stay text."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

Row = tuple[int, int, int, bytes]


class Event(NamedTuple):
    """One journaled event. `facts` is the body under its kind; money, prices and quantities in it are text."""

    seq: int
    mono_ns: int
    utc_ns: int
    kind: str
    facts: dict[str, Any]

    @property
    def order_id(self) -> int | None:
        """Return the number of the order that the event is about, if it is about one."""
        order = self.facts.get("order")
        return order if isinstance(order, int) else None


def read(row: Row) -> Event:
    """Return the event of a journal row `(seq, mono_ns, utc_ns, body)`."""
    seq, mono_ns, utc_ns, body = row
    ((kind, facts),) = orjson.loads(body).items()
    return Event(seq, mono_ns, utc_ns, kind, facts)
