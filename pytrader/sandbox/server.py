"""The exchange's one loopback port: a clock that lets the market run, frames to everybody, REST, faults on request."""

import asyncio
import json
import ssl
import time
from typing import Any, Final

from pytrader.sandbox import frames, rest
from pytrader.sandbox.book import Book
from pytrader.sandbox.faults import ControlError, Faults, parse
from pytrader.sandbox.market import Market
from pytrader.sandbox.session import Session

HOST: Final = "127.0.0.1"
PINGS_UNANSWERED: Final = 3  # the real one: every 20 s, dropped after 60 s
SHORTEST_TICK_S: Final = 0.001  # frames due within it leave in one write
LONGEST_STEP_NS: Final = 50_000_000  # of market time in one tick, so that an overloaded clock still serves its clients
MOST_BEHIND_NS: Final = 1_000_000_000  # beyond this the market's clock slips instead of catching up in a burst


class Server:
    """One market and its clients. Everything runs on one event loop."""

    def __init__(self, market: Market, *, ping_s: float = 20.0) -> None:
        """Serve `market`; `ping_s` (> 0) is the time between the server's pings."""
        self.market = market
        self.faults = Faults()
        self.sessions: set[Session] = set()
        self._ping_s = ping_s
        self._first_book = (market.book.update_id, market.book.bids.top(5_000), market.book.asks.top(5_000))
        self._listener: asyncio.Server | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._slipped_ns = 0

    async def start(self, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen on loopback (`port` 0 = any free one), start the clock and return the port."""
        self._loop = asyncio.get_running_loop()
        self._listener = await self._loop.create_server(lambda: Session(self), HOST, port, ssl=tls, backlog=256)
        self._started = self._loop.time()
        self.market.epoch_ms = time.time_ns() // 1_000_000
        self._tick()
        self._ping()
        return int(self._listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop the clock, drop every client and the port."""
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

    def rest_reply(self, method: str, target: str, body: bytes) -> rest.Reply:
        """Answer one HTTP request: control, or market data."""
        if target == "/control":
            return self._control(method, body)
        if failure := self.faults.rest_failure():
            return failure
        book = self.market.book
        if target.startswith("/api/v3/depth") and self.faults.takes_old_snapshot():
            book = self._old_book()
        return rest.answer(method, target, book, self.market.epoch_ms + self.market.now_ns // 1_000_000)

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
        if "send" in asked:
            self._to_all(frames.websocket_text(asked["send"]))
        if asked.get("shutdown"):
            notice = f'{{"e":"serverShutdown","E":{time.time_ns() // 1_000_000}}}'
            for session in list(self.sessions):
                wrapped = session.subscriptions is not None and session.subscriptions.wrapped
                text = frames.combined("!serverShutdown", notice) if wrapped else notice
                session.send(frames.websocket_text(text))
        if asked.get("cut"):
            for session in list(self.sessions):
                session.cut()

    def _to_all(self, data: bytes) -> None:
        for session in list(self.sessions):
            session.send(data)

    def _tick(self) -> None:
        """Let the market catch up with the clock, send what happened, and wait for what is next."""
        now = self._loop.time()
        due_ns = int((now - self._started) * 1e9) - self._slipped_ns
        behind_ns = due_ns - self.market.now_ns - LONGEST_STEP_NS
        if behind_ns > MOST_BEHIND_NS:
            self._slipped_ns += behind_ns
            self.market.epoch_ms += behind_ns // 1_000_000
            due_ns -= behind_ns
        made = self.market.advance(min(due_ns, self.market.now_ns + LONGEST_STEP_NS))
        if made and self.sessions:
            self._broadcast(self.faults.filtered(made, now))
        next_s = self._started + (self.market.next_due_ns() + self._slipped_ns) / 1e9
        self._timers["tick"] = self._loop.call_at(max(now + SHORTEST_TICK_S, next_s), self._tick)

    def _broadcast(self, made: list[frames.Frame]) -> None:
        """Send each client the frames of its streams in one write; equal subscriptions share the same bytes."""
        encoded: dict[bool, list[bytes]] = {}
        packed: dict[tuple[frozenset[str], bool], bytes] = {}
        for session in list(self.sessions):
            assert session.subscriptions is not None
            key = session.subscriptions.key
            if key not in packed:
                streams, wrapped = key
                if wrapped not in encoded:
                    encoded[wrapped] = _encoded(made, wrapped=wrapped)
                heard = zip(made, encoded[wrapped], strict=True)
                packed[key] = b"".join([data for frame, data in heard if frame[1] in streams])
            if packed[key]:
                session.send(packed[key])

    def _ping(self) -> None:
        now = self._loop.time()
        self._timers["ping"] = self._loop.call_at(now + self._ping_s, self._ping)
        if not self.faults.mute_pings:
            for session in list(self.sessions):
                session.ping(now, PINGS_UNANSWERED * self._ping_s)


def _encoded(made: list[frames.Frame], *, wrapped: bool) -> list[bytes]:
    if wrapped:
        return [frames.websocket_text(frames.combined(stream, data)) for _, stream, data in made]
    return [frames.websocket_text(data) for _, _, data in made]
