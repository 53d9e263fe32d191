"""What chaos makes of one client's messages: lost, doubled, swapped, held back, cut to pieces, or damaged."""

from collections.abc import Callable, Iterable
from typing import ClassVar, Final, NamedTuple

from pytrader.sandbox import frames
from pytrader.sandbox.crossing import crossed
from pytrader.sandbox.dialects.coinbase_texts import numbered_less
from pytrader.sandbox.dialects.dialect import NO_DATA, Kind, Message
from pytrader.sandbox.outgoing import content, wire

PIECES: Final = 64  # of a message that is cut to pieces
IN_BETWEEN: Final = b"in between"
PING: Final = frames.websocket(9, IN_BETWEEN)
MOST_HELD_BYTES: Final = 32 << 20  # as much as a client may leave unread


class Stage(NamedTuple):
    """What a spoiler may know."""

    dialect: str
    way: str
    best_ask: Callable[[], int]  # ticks


class Spoiler:
    """Changes what one client is sent while a fault lasts; most change their first frame of book changes only."""

    most: ClassVar[int] = 1  # frames that are changed
    lasts: ClassVar[bool] = False  # whether clients that come while the fault lasts are spoiled too

    def __init__(self, stage: Stage) -> None:
        """Change nothing yet."""
        self.stage = stage
        self.left = self.most

    def sent(self, messages: Iterable[Message]) -> Iterable[Message]:
        """Return what is sent instead of `messages`."""
        for message in messages:
            if message.kind == Kind.DEPTH and self.left > 0:
                self.left -= 1
                yield from self.changed(message)
            else:
                yield message

    def changed(self, message: Message) -> Iterable[Message]:  # noqa: ARG002 - the spoilers' signature
        """Return what is sent instead of one frame of book changes: nothing."""
        return ()

    @property
    def holds_too_much(self) -> bool:
        """Whether a client that were sent nothing for so long would be dropped."""
        return False

    def rest(self) -> bytes:
        """Return what was held back, once the fault is over."""
        return b""


class Gap(Spoiler):
    """Loses some frames in a row."""

    def __init__(self, stage: Stage) -> None:
        """Lose as many as the way says."""
        super().__init__(stage)
        self.left = int(stage.way or "3")


class Dup(Spoiler):
    """Sends one twice."""

    def changed(self, message: Message) -> Iterable[Message]:
        """Return it and itself."""
        return (message, message)


class Reorder(Spoiler):
    """Swaps a frame with the one that follows in the same book."""

    most = 2

    def __init__(self, stage: Stage) -> None:
        """Hold nothing."""
        super().__init__(stage)
        self._first: Message | None = None

    def changed(self, message: Message) -> Iterable[Message]:
        """Hold the first one until the second went."""
        if self._first is None:
            self._first = message
            return ()
        if message.topic != self._first.topic:
            self.left += 1
            return (message,)
        return (message, self._first)

    def rest(self) -> bytes:
        """Send the first one alone if there was no second."""
        return wire(self._first) if self._first is not None and self.left > 0 else b""


class Stall(Spoiler):
    """Holds everything back, and sends it at the end in one go."""

    lasts = True

    def __init__(self, stage: Stage) -> None:
        """Hold nothing."""
        super().__init__(stage)
        self.held = bytearray()

    def sent(self, messages: Iterable[Message]) -> Iterable[Message]:
        """Hold all but the answer to a ping."""
        for message in messages:
            if message.kind == Kind.PONG:
                yield message
            else:
                self.held += wire(message)

    @property
    def holds_too_much(self) -> bool:
        """Whether it is as much as a client may leave unread."""
        return len(self.held) > MOST_HELD_BYTES

    def rest(self) -> bytes:
        """Return what was held back."""
        return bytes(self.held)


class Silent(Spoiler):
    """Loses all data; what is no data goes on, numbered as if there had been none: the hole shows once data comes."""

    lasts = True

    def __init__(self, stage: Stage) -> None:
        """Lose nothing yet."""
        super().__init__(stage)
        self._lost = 0

    def sent(self, messages: Iterable[Message]) -> Iterable[Message]:
        """Keep answers, signs of life and notices."""
        for message in messages:
            if message.kind in NO_DATA:
                yield message._replace(payload=numbered_less(message.payload, self._lost))
            else:
                self._lost += 1


class Fragment(Spoiler):
    """Sends each message in many pieces, with a ping between them."""

    lasts = True

    def sent(self, messages: Iterable[Message]) -> Iterable[Message]:
        """Cut all."""
        return [Message(Kind.RAW, message.topic, _pieces(message)) for message in messages]


class Oversize(Spoiler):
    """Announces a frame that is too large; what follows is taken for a part of it."""

    def changed(self, message: Message) -> Iterable[Message]:
        """Return the head of such a frame, and go on as if nothing were."""
        size = 1 << (25 if self.stage.way == "2^25" else 40)
        return (Message(Kind.RAW, "", bytes((0x81, 127)) + size.to_bytes(8, "big")), message)


class BadUtf8(Spoiler):
    """Sends a text that is none."""

    def changed(self, message: Message) -> Iterable[Message]:
        """Spoil its middle."""
        _, payload = content(message)
        middle = len(payload) // 2
        return (Message(Kind.RAW, "", frames.websocket(1, payload[:middle] + b"\xff\xc0" + payload[middle:])),)


class BadJson(Spoiler):
    """Sends half a message as a whole one."""

    def changed(self, message: Message) -> Iterable[Message]:
        """Keep the first half."""
        return (message._replace(payload=message.payload[: len(message.payload) // 2]),)


class Crossed(Spoiler):
    """Sends a bid above every ask."""

    def changed(self, message: Message) -> Iterable[Message]:
        """Put it in front of the bids."""
        return (message._replace(payload=crossed(self.stage.dialect, message.payload, self.stage.best_ask())),)


SPOILERS: Final[dict[str, type[Spoiler]]] = {
    "drop": Spoiler,
    "dup": Dup,
    "reorder": Reorder,
    "gap": Gap,
    "stall": Stall,
    "silent": Silent,
    "fragment": Fragment,
    "oversize": Oversize,
    "badutf8": BadUtf8,
    "badjson": BadJson,
    "crossed": Crossed,
}


def _pieces(message: Message) -> bytes:
    if message.kind == Kind.RAW:
        return wire(message)
    opcode, payload = content(message)
    size = max(1, len(payload) // PIECES)
    parts = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
    sent = [
        frames.websocket(opcode if at == 0 else 0, part, final=at == len(parts) - 1) for at, part in enumerate(parts)
    ]
    sent.insert(len(sent) // 2, PING)
    return b"".join(sent)
