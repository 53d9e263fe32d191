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
    payload = message.payload
    if isinstance(payload, str):
        return frames.websocket(1, payload.encode(errors="surrogatepass"))
    return payload if message.kind == Kind.RAW else frames.websocket(2, payload)
