"""An order, from its request to its end."""

from dataclasses import dataclass
from decimal import Decimal

from .exact import ZERO


@dataclass(frozen=True)
class Request:
    """What the trader asks for; a market order has no limit and is "ioc"."""

    side: str
    quantity: Decimal
    limit: Decimal | None = None
    tif: str = "ioc"
    reduce: bool = False


@dataclass
class Order:
    """An accepted order. `state` is accepted, sent, resting or ended; `canceling` the reason of a requested cancel."""

    number: int
    request: Request
    bid: Decimal
    ask: Decimal
    state: str = "accepted"
    filled: Decimal = ZERO
    canceling: str | None = None
    cost: Decimal = ZERO
    this_run: bool = True

    @property
    def left(self) -> Decimal:
        """Return the quantity without an end."""
        return self.request.quantity - self.filled
