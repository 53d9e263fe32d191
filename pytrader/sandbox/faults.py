"""Faults on request, for tests: what `POST /control` understands and what is still to come of it.

The body is one JSON object; every key is optional:

| key | value | effect |
| --- | --- | --- |
| `drop_depth` | number of frames | the next frames of book changes are lost: a gap (of Binance spot, `depth@100ms`) |
| `stall_s` | seconds | no market data is sent (it is lost); pings and heartbeats go on and are answered |
| `cut` | true | every WebSocket connection is cut without a close frame |
| `refuse_s` | seconds | new connections are cut at once (this port's REST too) |
| `shutdown` | true | the exchange's notice is sent; one that has none closes with 1012 |
| `send` | text | the text is sent as one WebSocket message, whatever it says |
| `deny` | text | topics that begin with it are refused as unknown from now on, except by Binance; "" for none |
| `old_snapshots` | number | the next snapshots are the one of the market's start |
| `rest_status` | HTTP status, 400 to 599 | the next REST call fails with it; 418 and 429 carry Retry-After |
| `rest_count` | number (1) | how many calls `rest_status` is for |
| `retry_after_s` | seconds (1) | what Retry-After says |
| `mute_pings` | true or false | no pings and heartbeats are sent and no ping is answered |
| `hold` | true or false | the market stands still at its next whole second, or goes on |
| `chaos` | a kind of `--chaos` | that fault begins now |
| `chaos_s` | seconds | how long it lasts, instead of the kind's least |
| `chaos_way` | text | which of the kind's ways it goes, instead of the first |
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from pytrader.sandbox.chaos import KINDS
from pytrader.sandbox.dialects.dialect import NO_DATA, Dialect, Kind, Message
from pytrader.sandbox.dialects.reading import read_json
from pytrader.sandbox.rest import Reply

NUMBERS: Final = (
    "drop_depth",
    "stall_s",
    "refuse_s",
    "old_snapshots",
    "rest_status",
    "rest_count",
    "retry_after_s",
    "chaos_s",
)
SWITCHES: Final = ("cut", "shutdown", "mute_pings", "hold")
TEXTS: Final = ("send", "deny", "chaos", "chaos_way")
KEYS: Final = (*NUMBERS, *SWITCHES, *TEXTS)


class ControlError(ValueError):
    """A control request that makes no sense; the message says what would."""


def parse(body: bytes) -> dict[str, Any]:
    """Return the checked request. Raises `ControlError`."""
    try:
        asked = read_json(body)
    except ValueError as broken:
        raise ControlError(f"control needs a JSON object: {broken}") from broken
    if not isinstance(asked, dict):
        raise ControlError("control needs a JSON object")
    for key, value in asked.items():
        if key not in KEYS:
            raise ControlError(f"unknown key {key!r}; known are {', '.join(KEYS)}")
        number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e6
        if (key in NUMBERS and not number) or (key in SWITCHES and not isinstance(value, bool)):
            raise ControlError(f"{key!r} cannot be {value!r}")
    if not HTTPStatus.BAD_REQUEST <= asked.get("rest_status", HTTPStatus.BAD_REQUEST) < 600:
        raise ControlError(f"'rest_status' is a failure, 400 to 599, not {asked['rest_status']!r}")
    for key in TEXTS:
        if not isinstance(asked.get(key, ""), str):
            raise ControlError(f"{key!r} needs a text")
    _check_chaos(asked)
    return asked


def _check_chaos(asked: dict[str, Any]) -> None:
    if "chaos" not in asked:
        return
    kind = KINDS.get(asked["chaos"])
    if kind is None:
        raise ControlError(f"unknown kind {asked['chaos']!r}; known are {', '.join(KINDS)}")
    if asked.get("chaos_way", kind.ways[0]) not in kind.ways:
        raise ControlError(f"{asked['chaos']!r} goes {' or '.join(kind.ways)}")


@dataclass(slots=True)
class Faults:
    """What is still to go wrong. Times are the event loop's, in seconds."""

    drop_depth: int = 0
    stalled_until: float = 0.0
    refused_until: float = 0.0
    old_snapshots: int = 0
    rest_status: int = 0
    rest_count: int = 0
    retry_after_s: int = 1
    mute_pings: bool = False

    def ask(self, asked: dict[str, Any], now: float) -> None:
        """Remember the lasting part of a control request."""
        self.drop_depth = int(asked.get("drop_depth", self.drop_depth))
        self.old_snapshots = int(asked.get("old_snapshots", self.old_snapshots))
        self.mute_pings = bool(asked.get("mute_pings", self.mute_pings))
        if "stall_s" in asked:
            self.stalled_until = now + asked["stall_s"]
        if "refuse_s" in asked:
            self.refused_until = now + asked["refuse_s"]
        if "rest_status" in asked:
            self.rest_status = int(asked["rest_status"])
            self.rest_count = int(asked.get("rest_count", 1))
            self.retry_after_s = int(asked.get("retry_after_s", 1))

    def marked(self, made: list[Message], now: float) -> list[Message]:
        """Return the messages with those that are not to be sent marked as lost."""
        if self.mute_pings:  # never made, so that they take no number where messages are numbered
            made = [message for message in made if message.kind not in (Kind.BEAT, Kind.PONG)]
        if now < self.stalled_until:
            made = [message if message.kind in NO_DATA else _lost(message) for message in made]
        if not self.drop_depth:
            return made
        kept = []
        for message in made:
            drops = self.drop_depth > 0 and message.kind == Kind.DEPTH
            self.drop_depth -= drops
            kept.append(_lost(message) if drops else message)
        return kept

    def rest_failure(self, dialect: Dialect) -> Reply | None:
        """Return the failure that the next REST call is to get, in the exchange's words, or None."""
        if self.rest_count <= 0:
            return None
        self.rest_count -= 1
        reply = dialect.failure(self.rest_status)
        if self.rest_status in (418, 429):
            return Reply(reply.status, reply.body, {"Retry-After": str(self.retry_after_s)})
        return reply

    def takes_old_snapshot(self) -> bool:
        """Say whether the next snapshot is to be the old one, and count it."""
        if self.old_snapshots <= 0:
            return False
        self.old_snapshots -= 1
        return True


def _lost(message: Message) -> Message:
    return message._replace(kind=Kind.LOST)
