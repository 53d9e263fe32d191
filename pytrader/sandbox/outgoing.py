"""The one way out: messages to WebSocket frames. `Server.outgoing` is the place to put a filter before it."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from pytrader.sandbox import frames
from pytrader.sandbox.dialects.dialect import Message

if TYPE_CHECKING:
    from pytrader.sandbox.session import Session

RAW: Final = "raw"  # the payload is bytes of the connection as they are, for filters that spoil the framing itself

# Takes every message for one session just before it is sent, numbered as the client will see it, and returns what is
# sent instead: fewer, more, others, in another order, or `RAW` ones.
Filter: TypeAlias = Callable[["Session", Sequence[Message]], Iterable[Message]]


def wire(message: Message) -> bytes:
    """Return the bytes of one message."""
    payload = message.payload
    if isinstance(payload, str):
        return frames.websocket(1, payload.encode())
    return payload if message.kind == RAW else frames.websocket(2, payload)
