"""Position and money by the average-cost method (rule 8)."""

from dataclasses import dataclass
from decimal import Decimal

from .exact import ZERO, truncated_division


@dataclass
class Ledger:
    """What the fills so far made of nothing. Cash counts trades only; fees stand apart."""

    position: Decimal = ZERO
    cost: Decimal = ZERO
    cash: Decimal = ZERO
    realised: Decimal = ZERO
    fees: Decimal = ZERO

    def trade(self, side: str, price: Decimal, quantity: Decimal, fee: Decimal) -> None:
        """Book one trade; through zero it closes first, then opens."""
        signed = quantity if side == "buy" else -quantity
        against = self.position * signed < 0
        closed = min(quantity, abs(self.position)) if against else ZERO
        if closed:
            self._close(closed, price)
        opened = (quantity - closed) * (1 if signed > 0 else -1)
        self.position += opened
        self.cost += opened * price
        self.cash -= signed * price
        self.fees += fee

    def _close(self, closed: Decimal, price: Decimal) -> None:
        whole = abs(self.position)
        direction = self.position / whole
        removed = self.cost if closed == whole else truncated_division(self.cost * closed, whole)
        self.realised += direction * closed * price - removed
        self.cost -= removed
        self.position -= direction * closed

    def unrealised(self, mark: Decimal) -> Decimal:
        """Return what closing everything at `mark` would add to the realised profit."""
        return self.position * mark - self.cost

    def equity(self, mark: Decimal) -> Decimal:
        """Return realised and unrealised profit less fees, with the cash identity checked."""
        assert self.cash + self.position * mark == self.realised + self.unrealised(mark)
        return self.realised + self.unrealised(mark) - self.fees
