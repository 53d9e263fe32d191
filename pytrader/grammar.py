"""The commands of the terminal, and the one table (`ROWS`) of how each is written.

`orders.py` reads a line or a JSON object by this table; completion, validation and help come from it too. Numbers stay
text until they are exact integers of 10⁻⁸; whatever cannot be one is refused.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from pytrader._core import format_e8, parse_e8

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

COUNT_MAX = 1000
WAIT_MAX_S = 3600
_ID_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class OrderFields:
    """The fields of an order: `quantity_e8` is above zero; without `limit_e8` it is a market order without a `tif`.

    `client_id` is the caller's own name for it, 1 to 32 letters and digits: no second order of that name is accepted.
    """

    side: str
    quantity_e8: int
    limit_e8: int | None = None
    tif: str | None = None
    reduce_only: bool = False
    client_id: str | None = None


class Order(OrderFields):
    """Buy or sell."""

    __slots__ = ()


class Whatif(OrderFields):
    """Say what an order of these fields would do now, and send none; it is no Order, so that nothing can send it."""

    __slots__ = ()

    @property
    def order(self) -> Order:
        """Return the order that is asked about."""
        return Order(**asdict(self))


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel one order, or with None all that are open."""

    order_id: int | None


@dataclass(frozen=True, slots=True)
class Listing:
    """Show the last `count` of `what`: orders, fills, rejects, or levels a side of the book; None = as many as fit."""

    what: str
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Show:
    """Show status, latency, limits or venues."""

    what: str


@dataclass(frozen=True, slots=True)
class Csv:
    """Write fills, orders or rejects to `path`; over an existing file only with `force`."""

    what: str
    path: str
    force: bool = False


@dataclass(frozen=True, slots=True)
class Halt:
    """Stop new orders and cancel the open ones; `reason` is kept."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Resume:
    """Let orders pass again after a halt."""


@dataclass(frozen=True, slots=True)
class Flatten:
    """Cancel resting orders and close the position."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Pause for `milliseconds` (0 to 3,600,000), or with None until no order is in flight."""

    milliseconds: int | None


@dataclass(frozen=True, slots=True)
class Top:
    """Switch the line of each second above the prompt on or off."""

    on: bool


@dataclass(frozen=True, slots=True)
class Help:
    """Explain one command, or with None list all."""

    topic: str | None = None


@dataclass(frozen=True, slots=True)
class Quit:
    """Leave."""


Command = Order | Whatif | Cancel | Listing | Show | Csv | Halt | Resume | Flatten | Wait | Top | Help | Quit


class Part(NamedTuple):
    """One argument: JSON key, attribute of the command, how it is read (ValueError says what to do) and written.

    `lead` is the sign before it, as in the `sample`; `needs` is the part without which it makes no sense, a `flag` is
    there or not, and `rest` takes the rest of the line.
    """

    key: str
    attribute: str
    show: str
    read: Callable[[str], Any]
    write: Callable[[Any], str] = str
    words: tuple[str, ...] = ()
    optional: bool = False
    absent: Any = None
    lead: str = ""
    sample: str = ""
    needs: str = ""
    flag: bool = False
    rest: bool = False

    def takes(self, word: str) -> bool:
        """Tell whether this part may begin with `word`; a required part takes whatever stands in its place."""
        if self.lead:
            return word.lower() == self.lead
        return not self.optional or not self.words or word.lower() in self.words

    @property
    def usage(self) -> str:
        """Return how help shows the part."""
        text = self.led(self.show)
        return f"[{text}]" if self.optional else text

    def led(self, text: str) -> str:
        """Return `text` with its sign before it: @ stands apart, id= does not."""
        return f"{self.lead}{'' if self.lead.endswith('=') else ' '}{text}".strip()


class Row(NamedTuple):
    """One command: name, class, meaning, example, parts (required ones first), what the name fixes, how it is made.

    `short` stands for the parts in the list of commands, which has no room for them all.
    """

    name: str
    kind: type[Command]
    meaning: str
    example: str
    parts: tuple[Part, ...] = ()
    fixed: Mapping[str, Any] = MappingProxyType({})
    make: Callable[..., Command] | None = None
    short: str = ""

    @property
    def usage(self) -> str:
        """Return how the command is written."""
        return " ".join([self.name, *(part.usage for part in self.parts)])

    @property
    def listed(self) -> str:
        """Return how the list of commands shows it."""
        return f"{self.name} {self.short}" if self.short else self.usage


def _amount(name: str, such_as: str) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            value = parse_e8(text)
        except ValueError as error:
            raise ValueError(f"{name} {error}, such as {such_as}") from None
        if value == 0:
            raise ValueError(f"{name} must be above zero, such as {such_as}")
        return value

    return read


def _whole(name: str, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if re.fullmatch("[0-9]{1,19}", text) is None or not 1 <= int(text) <= high:
            raise ValueError(f"{name} must be a whole number from 1 to {high}")
        return int(text)

    return read


def _client_id(text: str) -> str:
    if re.fullmatch("[A-Za-z0-9]{1,32}", text) is None:
        raise ValueError("client_id must be 1 to 32 letters A to Z, a to z or digits, such as id=abc123")
    return text


def _word(name: str, *words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"{name} must be {' or '.join(words)}{nearest(text, words)}")
        return text.lower()

    return read


def _order_id(text: str) -> int | None:
    return None if text.lower() == "all" else _whole("order", _ID_MAX)(text)


def _pause(text: str) -> int | None:
    if text.lower() == "fills":
        return None
    match = re.fullmatch(r"([0-9]{1,4})(?:\.([0-9]{1,3}))?", text)
    value = int(match[1]) * 1000 + int((match[2] or "").ljust(3, "0")) if match else -1
    if not 0 <= value <= WAIT_MAX_S * 1000:
        raise ValueError(f"wait needs seconds up to {WAIT_MAX_S} with up to 3 decimals, such as 1.5, or fills")
    return value


def _path(text: str) -> str:
    if not text or '"' in text or not text.isprintable():
        raise ValueError('path must be a file name without quotation marks inside, such as fills.csv or "my fills.csv"')
    return text


def _reason(text: str) -> str:
    reason = " ".join(text.split())
    if not reason.isprintable():
        raise ValueError("reason must be printable text")
    return reason


def _quoted(path: str) -> str:
    return f'"{path}"' if " " in path else path


def _switch(text: str) -> bool:
    return _word("top", "on", "off")(text) == "on"


def _order(*, tif: str | None, limit_e8: int | None, **rest: Any) -> Order:  # noqa: ANN401 - the other fields of Order
    if limit_e8 is None and tif is not None:
        raise ValueError(f"{tif} needs a limit price, such as @ 68000: a market order fills at once or is canceled")
    return Order(limit_e8=limit_e8, tif=tif or (None if limit_e8 is None else "gtc"), **rest)


def _whatif(**fields: Any) -> Whatif:  # noqa: ANN401 - the fields of Order
    return Whatif(**asdict(_order(**fields)))


_EXPORTS = ("fills", "orders", "rejects")
_PARTS = (
    Part("quantity", "quantity_e8", "<size>", _amount("quantity", "0.25"), format_e8),
    Part(
        "price",
        "limit_e8",
        "<price>",
        _amount("price", "68000"),
        format_e8,
        optional=True,
        lead="@",
        sample="@ 68000",
    ),
    Part("tif", "tif", "ioc|gtc", _word("tif", "ioc", "gtc"), words=("ioc", "gtc"), optional=True, needs="price"),
    Part(
        "reduce_only",
        "reduce_only",
        "reduce",
        bool,
        lambda _: "reduce",
        ("reduce",),
        optional=True,
        absent=False,
        flag=True,
    ),
    Part("client_id", "client_id", "<id>", _client_id, optional=True, lead="id=", sample="id=abc123"),
)
SIDE_KEY = "order_side"  # "side" alone names an order
_SIDE = Part(SIDE_KEY, "side", "buy|sell", _word("whatif", "buy", "sell"), words=("buy", "sell"))
_COUNT = (Part("count", "count", "<count>", _whole("count", COUNT_MAX), optional=True),)
_ID = Part(
    "order", "order_id", "<order>|all", _order_id, lambda value: "all" if value is None else str(value), ("all",)
)
_CSV_PARTS = (
    Part("what", "what", "|".join(_EXPORTS), _word("csv", *_EXPORTS), words=_EXPORTS),
    Part("path", "path", "<file>", _path, _quoted),
    Part("force", "force", "force", bool, lambda _: "force", ("force",), optional=True, absent=False, flag=True),
)
_WHY = Part("reason", "reason", "<reason>", _reason, optional=True, absent="", rest=True)


def _seconds(milliseconds: int | None) -> str:
    return "fills" if milliseconds is None else format_e8(milliseconds * 10**5)


_PAUSE = Part("seconds", "milliseconds", "<seconds>|fills", _pause, _seconds, ("fills",))
_SWITCH = Part("state", "on", "on|off", _switch, lambda on: "on" if on else "off", ("on", "off"))


_TABLE = (
    Row(
        "buy",
        Order,
        "buy at market, or at a limit price",
        "buy 0.25 @ 68000 ioc",
        _PARTS,
        {"side": "buy"},
        _order,
        "<size> [@ <price>] [ioc|gtc] ...",
    ),
    Row(
        "sell",
        Order,
        "sell; reduce = only shrink position",
        "sell 0.25 reduce id=abc123",
        _PARTS,
        {"side": "sell"},
        _order,
        "<size> [@ <price>] [ioc|gtc] ...",
    ),
    Row(
        "whatif",
        Whatif,
        "what an order would do; sends none",
        "whatif buy 0.25",
        (_SIDE, *_PARTS),
        make=_whatif,
        short="buy|sell <size> ...",
    ),
    Row("cancel", Cancel, "cancel one open order, or all", "cancel 3", (_ID,)),
    Row("orders", Listing, "open orders and the last ended", "orders 20", _COUNT, {"what": "orders"}),
    Row("fills", Listing, "the last fills", "fills 20", _COUNT, {"what": "fills"}),
    Row("rejects", Listing, "refused orders and why", "rejects 20", _COUNT, {"what": "rejects"}),
    Row("status", Show, "everything on one screen", "status", (), {"what": "status"}),
    Row("book", Listing, "the best levels of both sides", "book 5", _COUNT, {"what": "book"}),
    Row("venues", Show, "books of all venues, side by side", "venues", (), {"what": "venues"}),
    Row("latency", Show, "latency of each stage, slippage", "latency", (), {"what": "latency"}),
    Row("limits", Show, "each limit and the room left", "limits", (), {"what": "limits"}),
    Row("csv", Csv, "write a table to a file", "csv fills out.csv", _CSV_PARTS),
    Row("halt", Halt, "stop orders, cancel open ones (F9)", "halt news at 14:00", (_WHY,)),
    Row("resume", Resume, "trade again after a halt", "resume"),
    Row("flatten", Flatten, "cancel orders, close the position", "flatten"),
    Row("wait", Wait, "pause, or until nothing is in flight", "wait 1.5", (_PAUSE,)),
    Row("top", Top, "top of book here each second", "top on", (_SWITCH,)),
)
_TOPICS = (*(row.name for row in _TABLE), "help", "quit")
_TOPIC = Part("topic", "topic", "<command>", _word("help", *_TOPICS), words=_TOPICS, optional=True)
_CLOSING = (
    Row("help", Help, "this list, or one command", "help buy", (_TOPIC,)),
    Row("quit", Quit, "leave (Ctrl-D)", "quit"),
)
ROWS: Mapping[str, Row] = {row.name: row for row in (*_TABLE, *_CLOSING)}


def nearest(word: str, known: Collection[str]) -> str:
    """Return `; did you mean …?` for the known word closest to `word`, or nothing."""
    close = difflib.get_close_matches(word.lower(), known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
