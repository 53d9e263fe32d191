"""Faults on request, for tests: what `POST /control` understands and what is still to come of it.

The body is one JSON object; every key is optional:

| key | value | effect |
| --- | --- | --- |
| `drop_depth` | number of frames | the next `depth@100ms` frames are lost: a gap |
| `stall_s` | seconds | no market data is sent (it is lost); pings go on and are answered |
| `cut` | true | every WebSocket connection is cut without a close frame |
| `refuse_s` | seconds | new connections are cut at once (this port's REST too) |
| `shutdown` | true | `serverShutdown` is sent |
| `send` | text | the text is sent as one WebSocket message, whatever it says |
| `old_snapshots` | number | the next snapshots are the one of the market's start |
| `rest_status` | HTTP status | the next REST call fails with it; 418 and 429 carry Retry-After |
| `rest_count` | number (1) | how many calls `rest_status` is for |
| `retry_after_s` | seconds (1) | what Retry-After says |
| `mute_pings` | true or false | no pings are sent and none answered |
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from pytrader.sandbox import frames
from pytrader.sandbox.rest import Reply, error

NUMBERS: Final = ("drop_depth", "stall_s", "refuse_s", "old_snapshots", "rest_status", "rest_count", "retry_after_s")
SWITCHES: Final = ("cut", "shutdown", "mute_pings")
KEYS: Final = (*NUMBERS, *SWITCHES, "send")


class ControlError(ValueError):
    """A control request that makes no sense; the message says what would."""


def parse(body: bytes) -> dict[str, Any]:
    """Return the checked request. Raises `ControlError`."""
    try:
        asked = json.loads(body)
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
    if not isinstance(asked.get("send", ""), str):
        raise ControlError("'send' needs a text")
    return asked


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

    def filtered(self, made: list[frames.Frame], now: float) -> list[frames.Frame]:
        """Return the frames that are still to be sent."""
        if now < self.stalled_until:
            return []
        if not self.drop_depth:
            return made
        kept = []
        for frame in made:
            if self.drop_depth and frame[1] == frames.DEPTH:
                self.drop_depth -= 1
            else:
                kept.append(frame)
        return kept

    def rest_failure(self) -> Reply | None:
        """Return the failure that the next REST call is to get, or None."""
        if self.rest_count <= 0:
            return None
        self.rest_count -= 1
        reply = error(self.rest_status, -1003 if self.rest_status in (418, 429) else -1000, "Failure on request.")
        if self.rest_status in (418, 429):
            return Reply(reply.status, reply.body, {"Retry-After": str(self.retry_after_s)})
        return reply

    def takes_old_snapshot(self) -> bool:
        """Say whether the next snapshot is to be the old one, and count it."""
        if self.old_snapshots <= 0:
            return False
        self.old_snapshots -= 1
        return True
