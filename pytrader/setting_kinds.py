"""The kinds of settings: how the text of each is read, what is allowed in words, and how it is written again."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from pytrader._core import format_e8, parse_e8

if TYPE_CHECKING:
    from collections.abc import Callable

CAP: Final = " (the cap, 10 times the default, is compiled in)"
COMPILED: Final = " (the cap is compiled in)"
_WATCHED: Final = "([a-z-]{2,20})(:[a-z0-9]{1,15}/[a-z0-9]{1,10}|:[a-z0-9-]{4,26})?"  # a symbol as `symbol` takes it


class Secret:
    """A key or pass phrase: printed, formatted or logged, it shows only that it is set. `reveal` gives the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Keep `text`, which no other method than `reveal` gives back."""
        self._text = text

    def reveal(self) -> str:
        """Return the secret text, for signing only."""
        return self._text

    def __repr__(self) -> str:
        """Show that a secret is set, and nothing of it."""
        return "Secret(set)"

    __str__ = __repr__

    def __reduce__(self) -> str:
        """Refuse to be pickled."""
        raise TypeError("a secret is not written out")


class Kind(NamedTuple):
    """How the text of a setting is read (ValueError refuses it), explained and written again."""

    read: Callable[[str], Any]
    allowed: str
    write: Callable[[Any], str] = str


def choice(*words: str) -> Kind:
    """Take one of a few words, in any case."""

    def read(text: str) -> str:
        if text.lower() not in words:
            raise ValueError
        return text.lower()

    return Kind(read, " or ".join(words))


def pattern(regex: str, allowed: str, change: Callable[[str], str]) -> Kind:
    """Take a text that matches `regex` after `change`."""

    def read(text: str) -> str:
        if re.fullmatch(regex, change(text)) is None:
            raise ValueError
        return change(text)

    return Kind(read, allowed)


def whole(low: int, high: int, why: str = "") -> Kind:
    """Take a whole number in [low, high]; `why` says what the bounds are."""

    def read(text: str) -> int:
        if re.fullmatch("[0-9]{1,19}", text) is None or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    return Kind(read, f"a whole number from {low} to {high}{why}")


def decimal(low: str, high: str, why: str = "") -> Kind:
    """Take an exact decimal in [low, high], kept as an integer of 10⁻⁸."""

    def read(text: str) -> int:
        value = parse_e8(text)
        if not parse_e8(low) <= value <= parse_e8(high):
            raise ValueError
        return value

    return Kind(read, f"a decimal from {low} to {high} with up to 8 decimals{why}", format_e8)


def limit(default: str) -> Kind:
    """Take an amount above zero: tightening is free, loosening stops at a cap that no setting moves."""
    return decimal("0.00000001", str(10 * int(default)), CAP)


def optional(kind: Kind) -> Kind:
    """Let a kind be left empty, which is None."""

    def read(text: str) -> object:
        return kind.read(text) if text else None

    return Kind(read, f"{kind.allowed}, or nothing", lambda value: "" if value is None else kind.write(value))


def url(scheme: str) -> Kind:
    """Take an address of `scheme`, the plain one for loopback only; with an s for any host."""

    def read(text: str) -> str:
        url = urlsplit(text)
        plain_ok = url.hostname == "localhost" or (url.scheme == scheme and ip_address(url.hostname or "").is_loopback)
        if url.scheme not in ({scheme, f"{scheme}s"} if plain_ok else {f"{scheme}s"}) or not url.hostname:
            raise ValueError
        if url.username or url.password or not text.isprintable() or " " in text:
            raise ValueError
        if url.query or url.fragment or url.port == 0:  # a path is put behind it; a port that is none is a ValueError
            raise ValueError
        return text.rstrip("/")

    return Kind(read, f"{scheme}s://host[:port][/path], or {scheme}:// to this machine, without a user name")


def watched(text: str) -> tuple[str, ...]:
    """Read a comma list of venues, each once: "okx", or "coinbase:BTC-USD" with a symbol of its own."""
    words = [word.strip() for word in text.split(",")] if text.strip() else []
    rows = [re.fullmatch(_WATCHED, word.lower()) for word in words]
    names = [row and row[1] for row in rows]
    if None in names or len(set(names)) < len(names):
        raise ValueError
    return tuple(f"{row[1]}{(row[2] or '').upper()}" for row in rows if row)


def path(text: str) -> Path:
    """Read a path; ~ is the user's home."""
    try:
        return Path(text).expanduser()
    except RuntimeError:  # ~ of a user that does not exist
        raise ValueError from None


def existing_file(text: str) -> Path:
    """Read the path of a file that is there."""
    found = path(text)
    if not found.is_file():
        raise ValueError
    return found
