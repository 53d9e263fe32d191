"""An order, from its request to its end."""

from dataclasses import dataclass
from decimal import Decimal

from .exact import ZERO

Stamp = tuple[int, int]  # (monotonic, UTC)


@dataclass(frozen=True)
class Request:
    """What the trader asks for; a market order has no limit and is "ioc". `client_id` is the trader's own name."""

    side: str
    quantity: Decimal
    limit: Decimal | None = None
    tif: str = "ioc"
    reduce: bool = False
    client_id: str | None = None

    def terms(self) -> tuple[object, ...]:
        """Return what makes two requests the same; the trader's names for them do not."""
        return self.side, self.quantity, self.limit, self.tif, self.reduce

    def told(self) -> dict[str, object]:
        """Return what an event says of it, where it carries the whole request."""
        facts = {"side": self.side, "quantity": self.quantity, "limit": self.limit, "tif": self.tif}
        named = {} if self.client_id is None else {"client_id": self.client_id}
        return facts | {"reduce": self.reduce} | named


@dataclass
class Order:
    """An accepted order. `state` is accepted, sent, resting or ended; `canceling` the reason of a requested cancel.

    `stamp` is when it was accepted, on the clocks of the run that is going on.
    """

    number: int
    request: Request
    bid: Decimal
    ask: Decimal
    stamp: Stamp
    state: str = "accepted"
    filled: Decimal = ZERO
    canceling: str | None = None
    cost: Decimal = ZERO
    this_run: bool = True

    def may_rest(self) -> bool:
        """Return whether it is of the kind that rests."""
        return self.request.tif == "gtc" and self.request.limit is not None

    @property
    def left(self) -> Decimal:
        """Return the quantity without an end."""
        return self.request.quantity - self.filled
