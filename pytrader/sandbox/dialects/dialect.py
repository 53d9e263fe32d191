"""The seam between the server, which knows no exchange, and the exchanges' protocols, which know no socket.

A `Dialect` belongs to the market: it says which paths are its own, answers REST, and makes messages of what happens.
A `Talk` belongs to one connected client: it answers the client's texts and picks what the client hears.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import ClassVar, Final, NamedTuple, TypeAlias
from urllib.parse import parse_qs, urlsplit

from pytrader.sandbox.book import Book
from pytrader.sandbox.happenings import Happening
from pytrader.sandbox.market import Market
from pytrader.sandbox.rest import Reply

NOT_FOUND: Final = 404


class Kind(StrEnum):
    """What a message is to whoever lets things go wrong."""

    DEPTH = "depth"  # changes of the book that build on earlier ones
    SLOW_DEPTH = "slow depth"  # the same of a second, which faults leave alone
    TOP = "top"
    TRADE = "trade"
    SNAPSHOT = "snapshot"
    BEAT = "beat"  # the exchange's own sign of life
    REPLY = "reply"
    PONG = "pong"  # the answer to a client's application ping
    NOTICE = "notice"
    LOST = "lost"  # made and counted, but never sent
    RAW = "raw"  # bytes of the connection as they are, for filters that spoil the framing itself


NO_DATA: Final = frozenset((Kind.BEAT, Kind.REPLY, Kind.PONG, Kind.NOTICE))  # goes on while market data stalls


class Message(NamedTuple):
    """One message to clients: text, or bytes for a binary one. `topic` is what a client subscribes to hear it."""

    kind: Kind
    topic: str
    payload: str | bytes


class Close(NamedTuple):
    """The end of a connection, with the WebSocket close code."""

    code: int
    reason: str = ""


Words: TypeAlias = Sequence[Message | Close]


@dataclass(frozen=True, slots=True)
class Asked:
    """One HTTP request for market data or for an upgrade. `headers` have names in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, method: str, target: str, headers: Mapping[str, str] | None = None) -> "Asked":
        """Take the request line apart; a target that is no address is a path that nobody has."""
        try:
            url = urlsplit(target)
        except ValueError:
            return cls(method, target, {}, headers or {})
        query = {name: values[-1] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        return cls(method, url.path, query, headers or {})


class Talk(ABC):
    """One client's conversation. `topics` are what it has subscribed to."""

    def __init__(self, dialect: "Dialect", now_s: float) -> None:
        """Begin at `now_s`, the server's monotonic clock."""
        self.dialect = dialect
        self.topics: dict[str, None] = {}
        self.opened_s = now_s
        self.number = next(dialect.talks)

    @property
    def key(self) -> Hashable:
        """Return what tells whether two clients hear the same bytes; None: nobody else does."""
        return frozenset(self.topics)

    def listen(self, topic: str) -> bool:
        """Hear `topic` from now on; return whether that is new."""
        if topic in self.topics:
            return False
        self.topics[topic] = None
        self.dialect.listens(topic)
        return True

    def leave(self, topic: str) -> bool:
        """Hear `topic` no more; return whether it was heard."""
        if topic not in self.topics:
            return False
        del self.topics[topic]
        self.dialect.leaves(topic)
        return True

    def end(self) -> None:
        """Leave every topic: the connection is gone."""
        for topic in list(self.topics):
            self.leave(topic)

    def heard(self, made: Iterable[Message]) -> list[Message]:
        """Return what this client hears of the messages made by the dialect."""
        return [message for message in made if message.topic in self.topics]

    @abstractmethod
    def answer(self, text: str) -> Words:
        """Return what a client's text is answered with."""

    def idle(self, now_s: float, sent_s: float, heard_s: float) -> Words:  # noqa: ARG002 - the dialects' signature
        """Return what time alone makes the exchange say; `sent_s`, `heard_s`: when a message last went and came."""
        return ()

    def shutdown(self, now_ms: int) -> Words:  # noqa: ARG002 - the dialects' signature
        """Return the notice that the exchange is about to restart; one without a notice just closes."""
        return (Close(1012, "Service restart"),)


class Feed(ABC):
    """What one topic publishes at a cadence; it works only while somebody listens."""

    def __init__(self, market: Market, every_ns: int) -> None:
        """Publish at multiples of `every_ns` of the time of `market`."""
        self.market = market
        self.every_ns = every_ns
        self.active = False

    def start(self) -> None:
        """Begin: the first listener came."""
        self.active = True

    def stop(self) -> None:
        """End: the last listener left."""
        self.active = False

    @abstractmethod
    def publish(self) -> Iterable[Message]:
        """Return what is published now."""


class Dialect(ABC):
    """One exchange's protocol over the market."""

    name: ClassVar[str]
    rest_prefixes: ClassVar[tuple[str, ...]] = ()
    snapshot_paths: ClassVar[tuple[str, ...]] = ()  # REST paths that `old_snapshots` is for
    pings: ClassVar[bool] = True  # whether the exchange sends WebSocket pings
    most_messages_a_second: ClassVar[int | None] = None  # of a client, before it is cut

    def __init__(self, market: Market) -> None:
        """Speak of `market`."""
        self.market = market
        self.wanted: Counter[str] = Counter()  # topic -> listeners
        self.feeds: dict[str, Feed] = {}
        self.talks = count(1)
        self.denied = ""  # how the topics begin that nobody may subscribe to now, if any

    def denies(self, topic: str) -> bool:
        """Say whether a topic that exists is to be refused as one that does not."""
        return bool(self.denied) and topic.startswith(self.denied)

    def listens(self, topic: str) -> None:
        """Count a listener."""
        self.wanted[topic] += 1
        feed = self.feeds.get(topic)
        if feed is not None and not feed.active:
            feed.start()

    def leaves(self, topic: str) -> None:
        """Count a listener less."""
        self.wanted[topic] -= 1
        if self.wanted[topic] <= 0:
            del self.wanted[topic]
            if topic in self.feeds:
                self.feeds[topic].stop()

    def make(self, happened: Sequence[Happening]) -> list[Message]:
        """Return the messages, for topics somebody listens to, of what happened up to the market's present.

        The caller never lets the market run past a beat in between, so that the book can be read as of now.
        """
        made = self.told(happened) if self.wanted else []
        now_ns = self.market.now_ns
        for feed in self.feeds.values():
            if feed.active and now_ns % feed.every_ns == 0:
                made += feed.publish()
        return made

    @abstractmethod
    def takes_stream(self, asked: Asked) -> bool:
        """Say whether this WebSocket upgrade is for this dialect."""

    @abstractmethod
    def talk(self, asked: Asked, now_s: float) -> Talk | int:
        """Begin a conversation, or return the HTTP status that refuses it."""

    def told(self, happened: Sequence[Happening]) -> list[Message]:  # noqa: ARG002 - the dialects' signature
        """Return the messages that are sent as things happen, not at a cadence."""
        return []

    @abstractmethod
    def rest(self, asked: Asked, old: Book | None) -> Reply:
        """Answer one REST request; a snapshot is of the `old` book if there is one."""

    @abstractmethod
    def failure(self, status: int) -> Reply:
        """Return the exchange's words for an HTTP failure."""
