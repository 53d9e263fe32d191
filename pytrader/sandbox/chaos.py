"""Faults without being asked: `--chaos drop,cut,... --seed S`, one after another, in every dialect.

Kinds, ways and times come from the seed alone (`Schedule`); `Chaos` carries one fault at a time out, says so in a line
when it begins and when it has ended, and tells the server what to do with messages, upgrades and REST meanwhile.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Final

from pytrader.sandbox.dialects.dialect import Message
from pytrader.sandbox.rest import Reply
from pytrader.sandbox.spoiling import SPOILERS, Spoiler, Stage

if TYPE_CHECKING:
    from pytrader.sandbox.dialects.dialect import Dialect
    from pytrader.sandbox.session import Session

DRIP_S: Final = 0.5  # between two bytes of a slow frame
CUTS: Final = ("rst", "fin", "1000", "1001", "1008", "1011", "1012")
STATUSES: Final = ("429", "418")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a fault is: how long it lasts when nobody says, s, and in which ways it can go."""

    least_s: float
    most_s: float
    ways: tuple[str, ...] = ("",)


KINDS: Final = {
    "drop": Kind(1.0, 1.0),
    "dup": Kind(1.0, 1.0),
    "reorder": Kind(1.0, 1.0),
    "gap": Kind(1.0, 1.0, ("2", "3", "5", "8")),
    "stall": Kind(0.5, 4.0),
    "silent": Kind(2.0, 12.0),
    "cut": Kind(0.1, 0.1, CUTS),
    "halfopen": Kind(4.0, 12.0),
    "slowloris": Kind(6.0, 8.0),
    "fragment": Kind(1.0, 3.0),
    "oversize": Kind(1.0, 1.0, ("2^40", "2^25")),
    "badutf8": Kind(1.0, 1.0),
    "badjson": Kind(1.0, 1.0),
    "crossed": Kind(1.0, 1.0),
    "shutdown": Kind(2.0, 4.0),
    "429": Kind(1.0, 5.0, STATUSES),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: its kind, how long it lasts, s, and which of its ways it goes."""

    kind: str
    seconds: float
    way: str = ""

    def __str__(self) -> str:
        """Say it in a few words."""
        return f"{self.kind}{f' ({self.way})' if self.way else ''}"


def kinds_of(text: str) -> tuple[str, ...]:
    """Return the kinds in a list with commas, or all of them for `all`. Raise ValueError for an unknown one."""
    if text == "all":
        return tuple(KINDS)
    named = tuple(dict.fromkeys(word.strip() for word in text.split(",")))
    if unknown := [word for word in named if word not in KINDS]:
        raise ValueError(f"unknown kind {unknown[0]!r}; known are {', '.join(KINDS)}, all")
    return named


def schedule(kinds: Sequence[str], seed: int) -> Iterator[Fault]:
    """Give faults without end: each round has every kind once, in an order of its own.

    Equal seeds give equal ones, in whatever order the kinds were named.
    """
    rng = Random(f"chaos {seed}")  # noqa: S311 - a market, not a secret
    named = [name for name in KINDS if name in kinds]
    while True:
        for name in rng.sample(named, len(named)):
            kind = KINDS[name]
            yield Fault(name, round(rng.uniform(kind.least_s, kind.most_s), 1), rng.choice(kind.ways))


@dataclass(slots=True)
class Chaos:
    """The fault under way, if any. Everything runs on the server's event loop."""

    sessions: set["Session"]
    best_ask: Callable[[], int]  # ticks
    announce: Callable[["Session"], None]  # sends the exchange's notice that it restarts
    say: Callable[[str], None]
    fault: Fault | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _spoilers: dict["Session", Spoiler] = field(default_factory=dict)
    _struck: list["Session"] = field(default_factory=list)
    _timers: dict[str, asyncio.TimerHandle] = field(default_factory=dict)

    def start(self, faults: Iterator[Fault], every_s: float) -> None:
        """Begin the next of `faults` every `every_s` (> 0), or once the one before has ended."""
        self._loop = asyncio.get_running_loop()

        def beat() -> None:
            if self.fault is None:
                self.begin(next(faults))
            self._after("beat", every_s, beat)

        self._after("beat", every_s, beat)

    def stop(self) -> None:
        """Begin nothing more, and end what is under way without a word."""
        for timer in self._timers.values():
            timer.cancel()
        self.fault = None

    def begin(self, fault: Fault) -> None:
        """Carry out `fault` from now on; one that is under way ends first."""
        self._loop = asyncio.get_running_loop()
        self.end()
        self.fault, self._struck = fault, list(self.sessions)
        self.say(f"chaos: {fault} begins, {len(self._struck)} clients, {fault.seconds:g} s")
        self._after("end", fault.seconds, self.end)
        for session in self._struck:
            self._strike(session, fault)
        if fault.kind == "slowloris":
            self._after("drip", DRIP_S, self._drip)

    def end(self) -> None:
        """Let all be well again."""
        if (fault := self.fault) is None:
            return
        self.fault = None
        for name in ("end", "drip"):
            if name in self._timers:
                self._timers.pop(name).cancel()
        spoilers, self._spoilers = self._spoilers, {}
        for session, spoiler in spoilers.items():
            session.say(spoiler.rest())
        for session in self._struck:
            met = fault.kind != "oversize" or (session in spoilers and spoilers[session].left == 0)
            if fault.kind in ("halfopen", "shutdown", "oversize") and met:
                session.cut()
            elif fault.kind == "slowloris":
                session.speed_up()
        self._struck = []
        self.say(f"chaos: {fault} has ended")

    @property
    def spoils(self) -> bool:
        """Whether messages must pass `spoil`."""
        return self.fault is not None and self.fault.kind in SPOILERS

    def spoil(self, session: "Session", messages: Iterable[Message]) -> Iterable[Message]:
        """Return what a client is sent instead of `messages`."""
        assert self.fault is not None
        assert session.talk is not None
        spoiler = SPOILERS[self.fault.kind]
        if session not in self._struck and not spoiler.lasts:
            return messages
        if session not in self._spoilers:
            self._forget_the_lost()
            stage = Stage(session.talk.dialect.name, self.fault.way, self.best_ask)
            self._spoilers[session] = spoiler(stage)
        elif self._spoilers[session].holds_too_much:
            session.cut()
            return ()
        return self._spoilers[session].sent(messages)

    def _forget_the_lost(self) -> None:
        """Keep nothing for clients that are gone."""
        self._spoilers = {session: kept for session, kept in self._spoilers.items() if session in self.sessions}

    def refusal(self, dialect: "Dialect | None") -> Reply | None:
        """Return the answer that an upgrade or a REST call gets now instead of its own, or None."""
        if self.fault is None or self.fault.kind != "429" or self._loop is None:
            return None
        left_s = self._timers["end"].when() - self._loop.time()
        headers = {"Retry-After": str(max(1, int(left_s) + 1))}
        status = int(self.fault.way or STATUSES[0])
        return Reply(status, dialect.failure(status).body if dialect else "", headers)

    def _strike(self, session: "Session", fault: Fault) -> None:
        """Do what a fault does to a connection at once."""
        if fault.kind == "cut":
            session.cut_in(fault.way or CUTS[0])
        elif fault.kind == "halfopen":
            session.go_deaf()
        elif fault.kind == "slowloris":
            session.slow_down()
        elif fault.kind == "shutdown":
            self.announce(session)
        elif fault.kind == "429":
            session.cut()

    def _drip(self) -> None:
        """Send the next byte to each client."""
        for session in self._struck:
            session.drip()
        self._after("drip", DRIP_S, self._drip)

    def _after(self, name: str, seconds: float, act: Callable[[], None]) -> None:
        assert self._loop is not None
        self._timers[name] = self._loop.call_later(seconds, act)
