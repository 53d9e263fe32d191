"""The exchange's one loopback port: a clock that lets the market run, frames to everybody, REST, faults on request.

It knows no exchange: `dialects` say what is sent and answered.
"""

import asyncio
import contextlib
import json
import ssl
import sys
import time
from collections.abc import Hashable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from pytrader.sandbox import rest
from pytrader.sandbox.book import Book
from pytrader.sandbox.chaos import KINDS, Chaos, Fault
from pytrader.sandbox.dialects import listing
from pytrader.sandbox.dialects.dialect import NOT_FOUND, Asked, Close, Dialect, Kind, Message, Talk
from pytrader.sandbox.faults import ControlError, Faults, parse
from pytrader.sandbox.market import BEAT_NS, Market
from pytrader.sandbox.outgoing import Filter, wire
from pytrader.sandbox.session import Session

HOST: Final = "127.0.0.1"
PINGS_UNANSWERED: Final = 3  # the real one: every 20 s, dropped after 60 s
SHORTEST_TICK_S: Final = 0.001  # frames due within it leave in one write
LONGEST_STEP_NS: Final = 50_000_000  # of market time in one tick, so that an overloaded clock still serves its clients
IDLE_S: Final = 0.25  # between two looks for idle clients
HOLD_NS: Final = 1_000_000_000  # the market is held at a multiple of it, where every feed has just published
MOST_BEHIND_NS: Final = 1_000_000_000  # beyond this the market's clock slips instead of catching up in a burst


class Server:
    """One market and its clients. Everything runs on one event loop."""

    def __init__(self, market: Market, *, ping_s: float = 20.0, options: listing.Options | None = None) -> None:
        """Serve `market`; `ping_s` (> 0) is the time between the server's pings."""
        self.market = market
        self.dialects = listing.every(market, options)
        self.outgoing: Filter | None = None  # sees and changes all that is sent to clients
        self.faults = Faults()
        self.sessions: set[Session] = set()
        self.chaos = Chaos(self.sessions, lambda: market.book.top()[2], self._announce, _say)
        self._ping_s = ping_s
        self._first_book = (market.book.update_id, market.book.bids.top(5_000), market.book.asks.top(5_000))
        self._listener: asyncio.Server | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._slipped_ns = 0
        self._hold_ns: int | None = None  # the market stands still there

    async def start(self, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen on loopback (`port` 0 = any free one), start the clock and return the port."""
        self._loop = asyncio.get_running_loop()
        self._listener = await self._loop.create_server(lambda: Session(self), HOST, port, ssl=tls, backlog=256)
        self._started = self._loop.time()
        self._epoch_ms = self.market.epoch_ms = time.time_ns() // 1_000_000
        self._tick()
        self._ping()
        self._idle()
        return int(self._listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop the clock, drop every client and the port."""
        self.chaos.stop()
        for timer in self._timers.values():
            timer.cancel()
        for session in list(self.sessions):
            session.cut()
        if self._listener is not None:
            self._listener.close()
        await asyncio.sleep(0)  # lets the cut connections say so

    def may_connect(self) -> bool:
        """Say whether new connections are welcome."""
        return self._loop.time() >= self.faults.refused_until

    def answers_pings(self) -> bool:
        """Say whether a client's ping is to be answered."""
        return not self.faults.mute_pings

    def converse(self, asked: Asked) -> Talk | rest.Reply:
        """Begin a WebSocket client's conversation, or return the answer that refuses it."""
        dialect = listing.of_stream(self.dialects, asked)
        if refusal := self.chaos.refusal(dialect):
            return refusal
        talk = NOT_FOUND if dialect is None else dialect.talk(asked, self._loop.time())
        return rest.Reply(talk, "") if isinstance(talk, int) else talk

    def heard(self, session: Session, text: str) -> None:
        """Answer a client's text."""
        assert session.talk is not None
        self.deliver(session, session.talk.answer(text))

    def deliver(self, session: Session, words: Sequence[Message | Close]) -> None:
        """Send a client's own messages, and end its connection if that is among them."""
        messages = [word for word in words if isinstance(word, Message)]
        self._send(session, self.faults.marked(messages, self._loop.time()))
        for word in words:
            if isinstance(word, Close):
                session.close(word.code, word.reason)

    def _send(self, session: Session, messages: list[Message]) -> None:
        """Send what is not lost: every message of every dialect passes here, or its shortcut in `_broadcast`."""
        kept = [message for message in messages if message.kind != Kind.LOST]
        out = self._out()
        data = b"".join([wire(message) for message in (out(session, kept) if out else kept)])
        if data:
            session.say(data)

    def _out(self) -> Filter | None:
        """Return what sees and changes all that is sent now."""
        return self.chaos.spoil if self.chaos.spoils else self.outgoing

    def rest_reply(self, method: str, target: str, body: bytes) -> rest.Reply:
        """Answer one HTTP request: control, or market data."""
        if target == "/control":
            return self._control(method, body)
        asked = Asked.of(method, target)
        dialect = listing.of_rest(self.dialects, asked.path)
        if failure := self.chaos.refusal(dialect) or self.faults.rest_failure(dialect):
            return failure
        old = self._old_book() if asked.path in dialect.snapshot_paths and self.faults.takes_old_snapshot() else None
        return dialect.rest(asked, old)

    def _old_book(self) -> Book:
        update_id, bids, asks = self._first_book
        book = Book(update_id)
        for ladder, levels in ((book.bids, bids), (book.asks, asks)):
            for tick, lots in levels:
                ladder.place(tick, lots)
        return book

    def _control(self, method: str, body: bytes) -> rest.Reply:
        if method != "POST":
            return rest.error(405, -1000, "control needs POST")
        try:
            asked = parse(body)
        except ControlError as refused:
            return rest.error(400, -1100, str(refused))
        self.faults.ask(asked, self._loop.time())
        self._act(asked)
        return rest.Reply(200, json.dumps({"done": list(asked), "clients": len(self.sessions)}))

    def _act(self, asked: dict[str, Any]) -> None:
        """Carry out the part of a control request that happens at once."""
        for session in list(self.sessions):
            if "send" in asked:
                self.deliver(session, (Message(Kind.REPLY, "", asked["send"]),))
            if asked.get("shutdown"):
                self._announce(session)
            if asked.get("cut"):
                session.cut()
        if "deny" in asked:
            for dialect in self.dialects:
                dialect.denied = asked["deny"]
        if "chaos" in asked:
            usual = KINDS[asked["chaos"]]
            seconds, way = asked.get("chaos_s", usual.least_s), asked.get("chaos_way", usual.ways[0])
            self.chaos.begin(Fault(asked["chaos"], seconds, way))
        if "hold" in asked and asked["hold"] != (self._hold_ns is not None):
            self._hold_ns = (self.market.now_ns // HOLD_NS + 1) * HOLD_NS if asked["hold"] else None

    def _announce(self, session: Session) -> None:
        if session.talk is not None:
            self.deliver(session, session.talk.shutdown(time.time_ns() // 1_000_000))

    def _tick(self) -> None:
        """Let the market catch up with the clock, send what happened, and wait for what is next."""
        now = self._loop.time()
        due_ns = int((now - self._started) * 1e9) - self._slipped_ns
        behind_ns = due_ns - self.market.now_ns - LONGEST_STEP_NS
        if self._hold_ns is not None and self._hold_ns <= due_ns:
            self._slipped_ns += due_ns - self._hold_ns
            due_ns = self._hold_ns
        elif behind_ns > MOST_BEHIND_NS:
            self._slipped_ns += behind_ns
            due_ns -= behind_ns
        self.market.epoch_ms = self._epoch_ms + self._slipped_ns // 1_000_000
        made = self._made(min(due_ns, self.market.now_ns + LONGEST_STEP_NS))
        if any(made.values()):
            self._broadcast({dialect: self.faults.marked(messages, now) for dialect, messages in made.items()})
        next_s = self._started + (self.market.next_due_ns() + self._slipped_ns) / 1e9
        self._timers["tick"] = self._loop.call_at(max(now + SHORTEST_TICK_S, next_s), self._tick)

    def _made(self, until_ns: int) -> dict[Dialect, list[Message]]:
        """Let the market run from beat to beat; return what the dialects with listeners make of it."""
        market = self.market
        listened = [dialect for dialect in self.dialects if dialect.wanted]
        made: dict[Dialect, list[Message]] = {dialect: [] for dialect in listened}
        while market.now_ns < until_ns:
            happened = market.happen(min(until_ns, (market.now_ns // BEAT_NS + 1) * BEAT_NS))
            for dialect in listened:
                made[dialect] += dialect.make(happened)
        return made

    def _broadcast(self, made: dict[Dialect, list[Message]]) -> None:
        """Send each client what it listens to in one write; clients that hear the same share the same bytes."""
        packed: dict[tuple[Dialect, Hashable], bytes] = {}
        out = self._out()
        for session in list(self.sessions):
            assert session.talk is not None
            dialect, key = session.talk.dialect, session.talk.key
            if not made.get(dialect):
                continue
            if key is None or out is not None:
                self._send(session, session.talk.heard(made[dialect]))
                continue
            if (dialect, key) not in packed:
                heard = session.talk.heard(made[dialect])
                packed[dialect, key] = b"".join([wire(message) for message in heard if message.kind != Kind.LOST])
            if packed[dialect, key]:
                session.say(packed[dialect, key])

    def _ping(self) -> None:
        now = self._loop.time()
        self._timers["ping"] = self._loop.call_at(now + self._ping_s, self._ping)
        if not self.faults.mute_pings:
            for session in list(self.sessions):
                if session.talk is not None and session.talk.dialect.pings:
                    session.ping(now, PINGS_UNANSWERED * self._ping_s)

    def _idle(self) -> None:
        """Let the dialects say and close what time alone makes them."""
        now = self._loop.time()
        self._timers["idle"] = self._loop.call_at(now + IDLE_S, self._idle)
        for session in list(self.sessions):
            if session.talk is not None:
                self.deliver(session, session.talk.idle(now, session.sent_s, session.heard_s))


def _say(line: str) -> None:
    """Log a line where a parent that reads nothing is not in the way: standard error, with the time, UTC."""
    with contextlib.suppress(OSError):  # whoever read it may have left
        print(f"{datetime.now(UTC):%H:%M:%S.%f}"[:-3] + f" {line}", file=sys.stderr, flush=True)
