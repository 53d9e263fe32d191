"""The seam of a venue: its words, and nothing that does I/O. One file per venue implements it."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol

from pytrader._core import parse_e8
from pytrader.figures import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MESSAGE_MAX = 1 << 20  # bytes of one message; a venue that sends its whole book at once says more

AMOUNT_MAX_E8 = 2**63 - 1  # the largest amount that the engine holds, 10⁻⁸
_TOO_LARGE = re.compile(r"[1-9][0-9]{10,11}(\.[0-9]{1,8})?")  # where it is well formed and does not fit

TEXT_MAX = 1_000  # characters of a refusal that are kept

ASSET_MAX = 32  # characters of an asset's name; some venues list names that are not ASCII


class VenueError(ValueError):
    """A venue answered with something that is not what was asked for. Its words may stand in the text: one line."""

    def __init__(self, text: str) -> None:
        """Keep `text`, at most 1,000 characters of it: a terminal obeys what is not printable."""
        super().__init__(printable(text[:TEXT_MAX])[:TEXT_MAX])


@dataclass(frozen=True, slots=True)
class Instrument:
    """What a market allows. Integers with the suffix `_e8` are multiples of 10⁻⁸; all are above 0."""

    symbol: str  # as the venue writes it
    base: str
    quote: str
    tick_e8: int  # prices are multiples of it, quote
    step_e8: int  # quantities are multiples of it, base
    min_quantity_e8: int  # least quantity of an order, base
    max_quantity_e8: int  # largest quantity of an order, base
    min_notional_e8: int  # least price times quantity of an order, quote
    trading: bool  # whether orders are taken now


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """A ping in the venue's own words: sent when nothing was sent for so long."""

    text: str
    every_s: float


class Venue(Protocol):
    """The words of one venue for one symbol. Every method is pure."""

    @property
    def name(self) -> str:
        """The registry's word: "binance"."""

    @property
    def symbol(self) -> str:
        """The market, as the venue writes it: "BTCUSDT"."""

    def stream_url(self) -> str:
        """Return the `wss://` address that streams top of book, depth and trades (`ws://` on loopback)."""

    @property
    def message_max(self) -> int:
        """The largest message that the venue may send, bytes."""

    def headers(self) -> Mapping[str, str]:
        """Return the header fields that the upgrade needs beside its own; mostly none."""

    def opening_texts(self) -> Sequence[str]:
        """Return what is sent right after the upgrade; nothing where the address subscribes."""

    def resubscribe_texts(self) -> Sequence[str]:
        """Return what makes an open connection stream again, with a fresh snapshot where snapshots are streamed."""

    def keep_alive(self) -> KeepAlive | None:
        """Return the text that keeps the connection open; None where ping frames are enough."""

    def snapshot_url(self) -> str | None:
        """Return the address of the depth snapshot; None where snapshots come on the stream."""

    def audit_url(self) -> str | None:
        """Return the address of a book to compare the live one with; None where there is none."""

    def instrument_url(self) -> str:
        """Return the address that tells the market's rules."""

    def parse_instrument(self, body: bytes) -> Instrument:
        """Return the rules in the answer to `instrument_url`. Raise VenueError when they are not there."""

    def event_ns(self, frame: bytes) -> int | None:
        """Return the venue's own time of an event, UTC ns of 1970 to 2262; None for a frame that carries none."""

    def advice(self, status: int) -> str:
        """Return what HTTP `status` means at this venue and what to try; empty when it means nothing special."""

    def ban_s(self, status: int) -> float:
        """Return how long to leave the venue alone after HTTP `status` where its answer does not say, seconds."""


class OpenVenue:
    """What venues whose market data is open to all say alike, unless they say it otherwise."""

    __slots__ = ()

    message_max: ClassVar[int] = MESSAGE_MAX
    advices: ClassVar[Mapping[int, str]]
    """What can be done about an HTTP status."""
    bans_s: ClassVar[Mapping[int, float]] = {}
    """How long an HTTP status bars this address, seconds."""

    def headers(self) -> Mapping[str, str]:
        """Return nothing: the streams are open to all."""
        return {}

    def keep_alive(self) -> KeepAlive | None:
        """Return None: pongs are enough."""

    def advice(self, status: int) -> str:
        """Return what a refusal means and what to try; empty when it means nothing special."""
        return self.advices.get(status, "")

    def ban_s(self, status: int) -> float:
        """Return how long to leave the venue alone after a status that says nothing of it, seconds; mostly 0."""
        return self.bans_s.get(status, 0.0)


class AskedVenue(OpenVenue, ABC):
    """A venue whose stream sends nothing before it is asked to, for everything at once."""

    __slots__ = ()

    def opening_texts(self) -> Sequence[str]:
        """Return `subscribe` for the top, the book and the trades."""
        return [self.asking("subscribe")]

    def resubscribe_texts(self) -> Sequence[str]:
        """Return `unsubscribe`, then `subscribe`: what is subscribed already would send no new snapshot."""
        return [self.asking("unsubscribe"), self.asking("subscribe")]

    @abstractmethod
    def asking(self, op: str) -> str:
        """Return the request to `op`, "subscribe" or "unsubscribe", all that is streamed."""


def usual_advices(venue: str, refused: str) -> dict[int, str]:
    """Return what can be done about the statuses that mean the same at every venue; `refused` is for a 403."""
    return {
        403: f"{venue}{refused}",
        429: f"{venue} was asked too often: the feed waits as long as it was told to",
        451: f"{venue} does not serve this location: try another network or venue, or the offline market (`make demo`)",
    }


def read_json(body: bytes) -> Any:  # noqa: ANN401 - the shape is the venue's
    """Read JSON with every number as text, so that no digit is lost. Raise VenueError for anything doubtful."""
    try:
        return json.loads(
            body.decode("utf-8"),
            parse_float=str,
            parse_int=str,
            parse_constant=_refuse_constant,
            object_pairs_hook=_refuse_duplicates,
        )
    except (ValueError, RecursionError) as error:
        raise VenueError(f"not JSON: {error}") from error


def _refuse_constant(word: str) -> NoReturn:
    raise VenueError(f"{word} is no number")


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise VenueError("a key stands twice in one object")
    return members


def asset(row: Mapping[str, Any], key: str) -> str:
    """Return the name of an asset under `key`. Raise KeyError without it, VenueError for what is none."""
    name = row[key]
    if not (isinstance(name, str) and 0 < len(name) <= ASSET_MAX and name.isprintable() and " " not in name):
        raise VenueError(f"{key} {name!r} is no asset")
    return name


def row_of(rows: Any, key: str, symbol: str) -> Any:  # noqa: ANN401 - the shape is the venue's
    """Return the row whose `key` is `symbol`. Raise VenueError without it, KeyError or TypeError for what is no row."""
    row = next((row for row in rows if row[key] == symbol), None)
    if row is None:
        raise VenueError(f"no row is about {symbol}")
    return row


def held_ns(utc_ns: int) -> int | None:
    """Return a venue's time, or None for one that 64 bits cannot hold: a damaged frame may say anything."""
    return utc_ns if 0 <= utc_ns < 2**63 else None


def positive_e8(row: Mapping[str, Any], key: str) -> int:
    """Return the decimal text under `key` in units of 10⁻⁸. Raise KeyError without it, VenueError unless above 0."""
    text = row[key]
    try:
        value = parse_e8(text)
    except TypeError as error:
        raise VenueError(f"{key} {text!r} is no decimal number") from error
    except ValueError as error:
        raise VenueError(f"{key} {text!r} {error}") from error
    if value <= 0:
        raise VenueError(f"{key} is {text}, and must be above 0")
    return value


def most_e8(row: Mapping[str, Any], key: str) -> int:
    """Return an upper bound as `positive_e8` does. One beyond what the engine holds bounds nothing in it."""
    text = row[key]
    return AMOUNT_MAX_E8 if isinstance(text, str) and _is_too_large(text) else positive_e8(row, key)


def _is_too_large(text: str) -> bool:
    return bool(_TOO_LARGE.fullmatch(text)) and Decimal(text).scaleb(8) > AMOUNT_MAX_E8
