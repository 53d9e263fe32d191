"""Binance spot: `/stream` and `/ws`, REST below `/api/v3`."""

from collections.abc import Hashable, Iterable, Sequence
from typing import ClassVar, Final

from pytrader.sandbox import frames
from pytrader.sandbox.book import Book
from pytrader.sandbox.dialects.dialect import NOT_FOUND, Asked, Dialect, Kind, Message, Talk, Words
from pytrader.sandbox.happenings import Happening
from pytrader.sandbox.rest import Reply, answer, error
from pytrader.sandbox.subscriptions import Subscriptions

KINDS: Final = {
    frames.BOOK_TICKER: Kind.TOP,
    frames.DEPTH: Kind.DEPTH,
    frames.SLOW_DEPTH: Kind.SLOW_DEPTH,
    frames.TRADE: Kind.TRADE,
}


class BinanceTalk(Talk):
    """One connection: JSON control, wrapped or raw."""

    def __init__(self, dialect: Dialect, now_s: float, streams: list[str], *, wrapped: bool) -> None:
        """Start with the streams of the URL."""
        super().__init__(dialect, now_s)
        self.subscriptions = Subscriptions(streams, wrapped=wrapped)
        self._follow()

    def _follow(self) -> None:
        """Hear exactly the subscribed streams."""
        for topic in [topic for topic in self.topics if topic not in self.subscriptions.streams]:
            self.leave(topic)
        for stream in self.subscriptions.streams:
            self.listen(stream)

    @property
    def key(self) -> Hashable:
        """Equal streams in equal wrapping are the same bytes."""
        return self.subscriptions.key

    def answer(self, text: str) -> Words:
        """Carry out one control message."""
        reply = self.subscriptions.reply(text)
        self._follow()
        return (Message(Kind.REPLY, "", reply),)

    def heard(self, made: Iterable[Message]) -> list[Message]:
        """Return the frames of the subscribed streams, wrapped if the connection is."""
        heard = super().heard(made)
        return [self.wrap(message) for message in heard] if self.subscriptions.wrapped else heard

    def wrap(self, message: Message) -> Message:
        """Return the message inside its stream's name."""
        assert isinstance(message.payload, str)
        return Message(message.kind, message.topic, frames.combined(message.topic, message.payload))

    def shutdown(self, now_ms: int) -> Words:
        """Send `serverShutdown`, wrapped where the stream is."""
        notice = f'{{"e":"serverShutdown","E":{now_ms}}}'
        if self.subscriptions.wrapped:
            notice = frames.combined("!serverShutdown", notice)
        return (Message(Kind.NOTICE, "", notice),)


class Binance(Dialect):
    """Spot, in JSON."""

    name = "binance"
    rest_prefixes: ClassVar[tuple[str, ...]] = ("/api/v3/",)
    snapshot_paths: ClassVar[tuple[str, ...]] = ("/api/v3/depth",)
    most_messages_a_second = 5
    root: ClassVar[str] = ""  # what stands before `/stream` and `/ws`

    def takes_stream(self, asked: Asked) -> bool:
        """Take `/stream`, `/ws` and `/ws/<streams>`."""
        path = asked.path.removeprefix(self.root)
        return asked.path.startswith(self.root) and (path in ("/stream", "/ws") or path.startswith("/ws/"))

    def talk(self, asked: Asked, now_s: float) -> Talk | int:
        """Begin with the streams that the URL names."""
        if not self.takes_stream(asked):
            return NOT_FOUND
        path = asked.path.removeprefix(self.root)
        wrapped = path == "/stream"
        named = asked.query.get("streams", "") if wrapped else path.removeprefix("/ws")
        return self.begun(now_s, [name for name in named.split("/") if name], wrapped=wrapped)

    def begun(self, now_s: float, streams: list[str], *, wrapped: bool) -> Talk:
        """Return the conversation."""
        return BinanceTalk(self, now_s, streams, wrapped=wrapped)

    def told(self, happened: Sequence[Happening]) -> list[Message]:
        """Return bookTicker, depth and trade frames."""
        made = frames.of(happened, self.market.epoch_ms, self.wanted)
        return [Message(KINDS[stream], stream, text) for _, stream, text in made]

    def rest(self, asked: Asked, old: Book | None) -> Reply:
        """Answer what `/api/v3` has."""
        return answer(asked.method, asked.path, asked.query, old or self.market.book, self.market.now_ms())

    def failure(self, status: int) -> Reply:
        """Return the error with code -1003 for too many requests and -1000 for all others."""
        return error(status, -1003 if status in (418, 429) else -1000, "Failure on request.")
