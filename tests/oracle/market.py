"""The market as two dicts and the newest ticker, and the view that orders are priced on."""

from dataclasses import dataclass, field
from decimal import Decimal

from .exact import ZERO, from_e8, rounded_down, rounded_up

Level = tuple[Decimal, Decimal]
VIEW_LEVELS = 100
PRICE_UNIT = Decimal(1).scaleb(-8)


@dataclass
class Market:
    """What the frames said. `ticker` is (update id, bid, bid size, ask, ask size)."""

    bids: dict[Decimal, Decimal] = field(default_factory=dict)
    asks: dict[Decimal, Decimal] = field(default_factory=dict)
    depth_id: int = 0
    ticker: tuple[int, Decimal, Decimal, Decimal, Decimal] = (0, ZERO, ZERO, ZERO, ZERO)
    synced: bool = False
    frame_ns: int = 0

    def lose(self) -> None:
        """Lose the depth at the first doubt; the last known top stays for marks, until a ticker replaces it."""
        (bid, bid_size), (ask, ask_size) = self.top()
        self.ticker = (self.update_id(), bid, bid_size, ask, ask_size)
        self.bids, self.asks, self.depth_id, self.synced = {}, {}, 0, False

    def change(self, update_id: int, bids: list[Level], asks: list[Level]) -> None:
        """Apply one depth frame: a size of zero removes its level."""
        for levels, changes in ((self.bids, bids), (self.asks, asks)):
            for price, size in changes:
                levels.pop(price, None)
                if size:
                    levels[price] = size
        self.depth_id = update_id

    def update_id(self) -> int:
        """Return the newest update id that the view knows."""
        return max(self.depth_id, self.ticker[0])

    def levels(self, side: str) -> list[Level]:
        """Return the pricing view of side "bid" or "ask", best first."""
        best_first = sorted(self.bids.items(), reverse=True) if side == "bid" else sorted(self.asks.items())
        update_id, bid, bid_size, ask, ask_size = self.ticker
        if update_id <= self.depth_id:
            return best_first[:VIEW_LEVELS]
        price, size = (bid, bid_size) if side == "bid" else (ask, ask_size)
        behind = [level for level in best_first if (level[0] < price if side == "bid" else level[0] > price)]
        return ([(price, size)] if size else []) + behind[:VIEW_LEVELS]

    def top(self) -> tuple[Level, Level]:
        """Return best bid and best ask with their sizes; zeros stand for an empty side."""
        nothing = (ZERO, ZERO)
        return next(iter(self.levels("bid")), nothing), next(iter(self.levels("ask")), nothing)

    def state(self, mono_ns: int, stale_after_ns: int) -> str:
        """Return "live" or why no order may be priced on this book."""
        if not self.synced:
            return "unsynced"
        if mono_ns - self.frame_ns >= stale_after_ns:
            return "stale"
        return "live" if self.two_sided() else "crossed"

    def two_sided(self) -> bool:
        """Return whether both sides have a price and they do not cross."""
        (bid, bid_size), (ask, ask_size) = self.top()
        return bool(bid_size) and bool(ask_size) and bid < ask

    def closing(self, position: Decimal) -> Decimal | None:
        """Return the price at which a position would be closed now; None if there is none."""
        (bid, bid_size), (ask, ask_size) = self.top()
        if position >= 0:
            return bid if bid_size else None
        return ask if ask_size else None


def taken_side(side: str) -> str:
    """Return the side of the book that an order of `side` takes."""
    return "ask" if side == "buy" else "bid"


def slipped(side: str, price: Decimal, rate_e8: int) -> Decimal:
    """Return a price moved against the trader by a rate, rounded against the trader to 1e-8."""
    if side == "buy":
        return rounded_up(price * (1 + from_e8(rate_e8)), PRICE_UNIT)
    return rounded_down(price * (1 - from_e8(rate_e8)), PRICE_UNIT)


def walked(side: str, quantity: Decimal, levels: list[Level], rate_e8: int) -> Decimal | None:
    """Return what a market order would cost; beyond the last level it is priced there. None without any level."""
    left, cost, last = quantity, ZERO, None
    for price, size in levels:
        last = slipped(side, price, rate_e8)
        part = min(left, size)
        cost, left = cost + part * last, left - part
    return None if last is None else cost + left * last
