"""The one way out: messages to WebSocket frames. `Server.outgoing` is the place to put a filter before it."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from pytrader.sandbox import frames
from pytrader.sandbox.dialects.dialect import Kind, Message

if TYPE_CHECKING:
    from pytrader.sandbox.session import Session

# Takes every message for one session just before it is sent, numbered as the client will see it, and returns what is
# sent instead: fewer, more, others, in another order, or `Kind.RAW` ones.
Filter: TypeAlias = Callable[["Session", Sequence[Message]], Iterable[Message]]


def wire(message: Message) -> bytes:
    """Return the bytes of one message."""
    if message.kind == Kind.RAW and isinstance(message.payload, bytes):
        return message.payload
    return frames.websocket(*content(message))


def content(message: Message) -> tuple[int, bytes]:
    """Return the opcode and the payload of one message: half of a surrogate pair as the bytes that it would be."""
    payload = message.payload
    return (1, payload.encode(errors="surrogatepass")) if isinstance(payload, str) else (2, payload)
