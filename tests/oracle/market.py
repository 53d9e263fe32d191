"""The market as two dicts and the newest ticker, and the view that orders are priced on."""

from dataclasses import dataclass, field
from decimal import Decimal

from .exact import ZERO, from_e8, rounded_down, rounded_up

Level = tuple[Decimal, Decimal]
VIEW_LEVELS = 100
PRICE_UNIT = Decimal(1).scaleb(-8)
DEPTH_LAG_NS = 1_000_000_000  # tickers alone keep a book fresh for no longer while its depth is behind them


NOTHING = (ZERO, ZERO)


@dataclass
class Market:
    """What the frames said. `ticker` is (update id, bid, bid size, ask, ask size).

    What is asked between two frames is remembered, so only these methods may change anything but the times.
    """

    bids: dict[Decimal, Decimal] = field(default_factory=dict)
    asks: dict[Decimal, Decimal] = field(default_factory=dict)
    depth_id: int = 0
    ticker: tuple[int, Decimal, Decimal, Decimal, Decimal] = (0, ZERO, ZERO, ZERO, ZERO)
    synced: bool = False
    frame_ns: int = 0
    depth_ns: int = 0  # when a depth frame last came, or a ticker that is no news beside it
    seen: dict[str, list[Level]] = field(default_factory=dict)
    best: tuple[Level, Level] | None = None

    def lose(self) -> None:
        """Lose the depth at the first doubt; the last known top stays for marks, until a ticker replaces it."""
        (bid, bid_size), (ask, ask_size) = self.top()
        self.tick(self.update_id(), bid, bid_size, ask, ask_size)
        self.bids, self.asks, self.depth_id, self.synced = {}, {}, 0, False
        self.forget()

    def change(self, update_id: int, bids: list[Level], asks: list[Level]) -> None:
        """Apply one depth frame: a size of zero removes its level."""
        for levels, changes in ((self.bids, bids), (self.asks, asks)):
            for price, size in changes:
                levels.pop(price, None)
                if size:
                    levels[price] = size
        self.depth_id = update_id
        self.forget()

    def tick(self, update_id: int, bid: Decimal, bid_size: Decimal, ask: Decimal, ask_size: Decimal) -> None:
        """Take the best prices of one ticker."""
        self.ticker = (update_id, bid, bid_size, ask, ask_size)
        self.forget()

    def bridge(self, update_id: int, bids: list[Level], asks: list[Level]) -> None:
        """Take the whole depth from a snapshot."""
        self.bids, self.asks, self.depth_id, self.synced = dict(bids), dict(asks), update_id, True
        self.forget()

    def hear_depth(self, mono_ns: int) -> None:
        """Note when a depth frame came."""
        self.frame_ns = self.depth_ns = mono_ns

    def hear_ticker(self, mono_ns: int) -> None:
        """Note when a ticker came: it makes the book fresh unless the depth has been behind it for too long."""
        if self.synced and self.ticker[0] <= self.depth_id:
            self.depth_ns = mono_ns  # it says that nothing has happened since
        if not (self.synced and mono_ns - self.depth_ns >= DEPTH_LAG_NS):
            self.frame_ns = mono_ns

    def forget(self) -> None:
        """Forget the answers that the last frames gave."""
        self.seen, self.best = {}, None

    def update_id(self) -> int:
        """Return the newest update id that the view knows."""
        return max(self.depth_id, self.ticker[0])

    def levels(self, side: str) -> list[Level]:
        """Return the pricing view of side "bid" or "ask", best first."""
        if side not in self.seen:
            self.seen[side] = self.sorted_levels(side)
        return self.seen[side]

    def sorted_levels(self, side: str) -> list[Level]:
        """Return the levels behind a newer ticker, and its own."""
        best_first = sorted(self.bids.items(), reverse=True) if side == "bid" else sorted(self.asks.items())
        update_id, bid, bid_size, ask, ask_size = self.ticker
        if update_id <= self.depth_id:
            return best_first[:VIEW_LEVELS]
        price, size = (bid, bid_size) if side == "bid" else (ask, ask_size)
        behind = [level for level in best_first if (level[0] < price if side == "bid" else level[0] > price)]
        return ([(price, size)] if size else []) + behind[:VIEW_LEVELS]

    def top(self) -> tuple[Level, Level]:
        """Return best bid and best ask with their sizes; zeros stand for an empty side."""
        if self.best is None:
            bids, asks = self.levels("bid"), self.levels("ask")
            self.best = bids[0] if bids else NOTHING, asks[0] if asks else NOTHING
        return self.best

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
    if not rate_e8:
        return price
    if side == "buy":
        return rounded_up(price * (1 + from_e8(rate_e8)), PRICE_UNIT)
    return rounded_down(price * (1 - from_e8(rate_e8)), PRICE_UNIT)


def walked(side: str, quantity: Decimal, levels: list[Level], rate_e8: int) -> tuple[Decimal, Decimal] | None:
    """Return what a market order would cost and its worst price; beyond the last level it is priced there.

    None without any level.
    """
    if not levels:
        return None
    left, cost, last = quantity, ZERO, levels[0][0]
    for price, size in levels:
        last, part = price, min(left, size)
        cost, left = cost + part * slipped(side, price, rate_e8), left - part
        if not left:
            break
    last = slipped(side, last, rate_e8)
    return cost + left * last, last
