"""Completion from the command grammar, with live prices, room and open orders beside the words.

It reads one ready snapshot and computes nothing else, so that typing never waits.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from prompt_toolkit.completion import Completer, Completion
from prompt_toolkit.validation import ValidationError, Validator

from pytrader.figures import fixed
from pytrader.orders import CommandError, Hint, hints, is_blank, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document

    from pytrader.status import Snapshot


class CommandCompleter(Completer):
    """Offers what the grammar takes at the cursor. `snapshot` returns the latest one, or None before the first."""

    def __init__(self, snapshot: Callable[[], Snapshot | None]) -> None:
        """Keep the source of live values."""
        self._snapshot = snapshot

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002
        """Yield the words that continue the text before the cursor."""
        current, found = hints(document.text_before_cursor)
        it = self._snapshot()
        for hint in found:
            for word, meta in _offers(hint, it):
                if word.startswith(current.lower()):
                    yield Completion(word, -len(current), display_meta=meta)


class CommandValidator(Validator):
    """Refuses at Enter what the grammar refuses, with the cursor at the place; the line stays to be mended."""

    def validate(self, document: Document) -> None:
        """Raise ValidationError for a line that is neither blank nor a command."""
        if is_blank(document.text):
            return
        try:
            parse(document.text)
        except CommandError as error:
            place = min(error.column - 1, len(document.text))
            raise ValidationError(place, f"{error.message} (column {error.column})") from None


def _offers(hint: Hint, it: Snapshot | None) -> Iterator[tuple[str, str]]:
    if hint.word:
        yield hint.word, _live(hint.word, it) if not hint.row and hint.word in ("buy", "sell") and it else hint.meaning
    elif it is not None:
        yield from _values(hint, it)


def _live(side: str, it: Snapshot) -> str:
    price, size, room = (
        (it.top.ask, it.top.ask_size, it.room.buy) if side == "buy" else (it.top.bid, it.top.bid_size, it.room.sell)
    )
    name = "ask" if side == "buy" else "bid"
    return f"{name} {fixed(price, it.price_decimals)} x {size or '-'}, room {room} {it.profile.base}"


def _values(hint: Hint, it: Snapshot) -> Iterator[tuple[str, str]]:
    base, top, buys = it.profile.base, it.top, hint.row == "buy"
    if hint.key == "quantity":
        closing = Decimal(it.position) * (-1 if buys else 1)
        if closing > 0:
            yield it.position.removeprefix("-"), f"{base}: closes the position"
        room = it.room.buy if buys else it.room.sell
        if Decimal(room) > 0:
            yield room, f"{base}: all the room of the position limit"
    elif hint.key == "price" and top.bid is not None and top.ask is not None:
        takes, rests = (top.ask, top.bid) if buys else (top.bid, top.ask)
        yield takes, f"{'ask' if buys else 'bid'}: takes what stands there"
        yield rests, f"{'bid' if buys else 'ask'}: rests with gtc"
    elif hint.key == "order":
        for order in it.open_orders:
            price = order.limit or "market"
            yield str(order.order), f"{order.side.upper()} {order.filled} of {order.quantity} {base} @ {price}"
