"""Random trading sessions. Everything comes from one source of choices, so that hypothesis can shrink them."""

from decimal import Decimal
from random import Random

from .exact import ZERO, from_e8
from .makers import MIDDLE, STEP, TICK, WIDTH
from .market import taken_side
from .orders import Request
from .provocations import Provocations
from .rules import largest, notional
from .world import World

STEPS = (
    (10, "depth"),
    (8, "ticker"),
    (7, "trade"),
    (14, "submit"),
    (6, "edge"),
    (7, "resting"),
    (5, "reducing"),
    (24, "go"),
    (4, "cancel"),
    (1, "cancel_all"),
    (6, "mark"),
    (1, "halt"),
    (2, "resume"),
    (1, "lose"),
    (2, "sync"),
    (1, "one_sided"),
    (1, "crossed"),
    (1, "readiness"),
    (3, "leap"),
    (2, "stall"),
    (2, "restart"),
    (3, "flip"),
    (1, "odd"),
    (3, "hasty"),
    (4, "band_edge"),
    (3, "band_walk"),
    (3, "own_match"),
    (4, "again"),
    (2, "burst"),
    (1, "minute"),
)


class Session(Provocations):
    """Makes up one session, step by step."""

    def __init__(self, choose: Random) -> None:
        """Draw the limits, and bring the book up."""
        super().__init__(choose)
        self.steps = [name for weight, name in STEPS for _ in range(weight)]
        self.sync()

    def run(self, steps: int) -> World:
        """Take steps, then compare a replay of the journal."""
        for _ in range(steps):
            self.tend()
            getattr(self, self.choose.choice(self.steps))()
        self.world.replay()
        return self.world

    def tend(self) -> None:
        """Now and then bring back what stands still, so that most of a session trades."""
        if self.choose.random() < 0.8:
            return
        oracle = self.world.oracle
        if not oracle.journal or not oracle.executor:
            self.world.ready(journal=True, executor=True)
        if oracle.halted:
            self.resume()
        self.sync()

    # ---- frames

    def sync(self) -> None:
        """Bring up the book from a snapshot."""
        if not self.world.market.synced:
            self.world.sync(self.side(-1, 6), self.side(1, 6))

    def depth(self) -> None:
        """Move, add and remove levels; sometimes the whole market moves."""
        if not self.world.market.synced:
            return
        self.middle += self.choose.choice([0, 0, 0, 1, -1, 3, -5, 200, -200])
        market = self.world.market
        bids = self.side(-1, self.choose.randint(0, 4))
        asks = self.side(1, self.choose.randint(0, 4))
        stale_bids = [(price, ZERO) for price in market.bids if price >= self.price(0)]
        stale_asks = [(price, ZERO) for price in market.asks if price <= self.price(0)]
        bids = [(price, ZERO if self.choose.random() < 0.2 else size) for price, size in bids]
        self.world.depth(bids + stale_bids, asks + stale_asks)

    def ticker(self) -> None:
        """Move the best prices within what the depth knows, or beyond."""
        bid = self.price(-self.choose.randint(0, 4))
        ask = bid + TICK * self.choose.randint(1, 5)
        self.world.ticker(bid, self.size(), ask, self.size())

    def crossed(self) -> None:
        """Let a ticker show a bid above the ask."""
        self.world.ticker(self.price(2), self.size(), self.price(self.choose.choice([1, 2])), self.size())

    def one_sided(self) -> None:
        """Take away every level of one side."""
        market = self.world.market
        if market.synced:
            bids, asks = [(price, ZERO) for price in market.bids], [(price, ZERO) for price in market.asks]
            self.world.depth(*self.choose.choice([(bids, []), ([], asks)]))

    def trade(self) -> None:
        """Print a trade near the middle."""
        self.world.trade(self.price(self.choose.randint(-WIDTH, WIDTH)), self.size())

    def lose(self) -> None:
        """Miss a frame."""
        if self.world.market.synced:
            self.world.lose()

    # ---- orders

    def submit(self) -> None:
        """Send an order of any kind."""
        side = self.choose.choice(["buy", "sell"])
        limit = self.choose.choice([None, self.price(self.choose.randint(-WIDTH, WIDTH))])
        tif = "ioc" if limit is None else self.choose.choice(["ioc", "gtc"])
        reduce_only = self.choose.random() < 0.1
        self.send(Request(side, self.quantity(), limit, tif, reduce_only), self.back_ns())

    def edge(self) -> None:
        """Send an order one step below, at or above the largest that passes, or around exactly 50,000 USDT."""
        side, off = self.choose.choice(["buy", "sell"]), self.choose.choice([-1, 0, 1])
        market, oracle = self.world.market, self.world.oracle
        limit = self.choose.choice([None, None, self.price(0), TICK * MIDDLE])
        request = Request(side, STEP, limit, "ioc" if limit is None else "gtc")
        if limit == TICK * MIDDLE:
            request = Request(side, Decimal(2), limit + TICK * off, "gtc")
        else:
            largest_now = largest(request, oracle.ledger.position, oracle.open(), market, self.world.limits) or ZERO
            request = Request(side, largest_now + STEP * off, limit, request.tif)
        assert notional(request, request.quantity, market, self.world.limits) is not None or not market.two_sided()
        self.send(request)

    def resting(self) -> None:
        """Send an order that may rest close to the market."""
        side = self.choose.choice(["buy", "sell"])
        away = self.choose.randint(0, 4) * (-1 if side == "buy" else 1)
        self.send(Request(side, STEP * self.choose.randint(20, 30_000), self.price(away), "gtc"))

    def reducing(self) -> None:
        """Send a reduce-only order around what reduces."""
        position = self.world.oracle.ledger.position
        side = "sell" if position > 0 else "buy"
        whole = abs(position) - sum(order.left for order in self.world.oracle.open() if order.request.side == side)
        quantity = self.choose.choice([whole, whole + STEP, whole - STEP, STEP * 100, self.quantity()])
        limit = self.choose.choice([None, self.price(0)])
        self.send(Request(side, max(quantity, STEP), limit, "ioc" if limit is None else "gtc", True))

    def flip(self) -> None:
        """Send an order through zero, if size and notional allow it."""
        position = self.world.oracle.ledger.position
        side = "sell" if position > 0 else "buy"
        levels = self.world.market.levels(taken_side(side))
        if levels:
            self.send(Request(side, abs(position) + STEP * self.choose.randint(1, 20_000)))

    def odd(self) -> None:
        """Send what no venue would take."""
        quantity = from_e8(self.choose.choice([0, -(10**8), 999, 1_001, 9_000 * 10**8 + 1_000, 10**8, 100 * 10**8]))
        limit = self.choose.choice([None, ZERO, Decimal("25000.001"), Decimal(-1), Decimal(25_000)])
        self.send(Request(self.choose.choice(["buy", "sell"]), quantity, limit, "ioc"))

    def hasty(self) -> None:
        """Let something happen between an order's acceptance and its release."""
        side = self.choose.choice(["buy", "sell"])
        reduce_only = self.choose.random() < 0.2
        self.send(Request(side, STEP * self.choose.randint(20, 9_000), reduce=reduce_only), settle=False)
        then = ["halt", "mark", "mark", "lose", "submit", "cancel", "cancel_all", "crossed", "readiness", "go"]
        getattr(self, self.choose.choice(then))()

    # ---- stops

    def cancel(self) -> None:
        """Cancel some order, open or not."""
        numbers = [order.number for order in self.world.oracle.open()] or [1]
        self.world.cancel(self.choose.choice([*numbers, len(self.world.oracle.orders) + 1]), self.back_ns())

    def cancel_all(self) -> None:
        """Cancel every order."""
        self.world.cancel_all(self.choose.choice([False, True]))

    def mark(self) -> None:
        """Value the position."""
        self.world.mark(self.back_ns())

    def halt(self) -> None:
        """Stop."""
        self.world.halt()

    def resume(self) -> None:
        """Go on."""
        self.world.resume()

    def readiness(self) -> None:
        """Let journal and executor fail and come back."""
        states = [(True, True), (True, True), (False, True), (True, False)]
        journal, executor = self.choose.choice(states)
        self.world.ready(journal=journal, executor=executor)

    def restart(self) -> None:
        """Start again from the journal, soon or late, on a younger or older machine, perhaps with other limits."""
        down_ns = self.choose.choice([0, 10**6, 10**9, 5 * 10**9])
        mono_ns = self.choose.choice([10**9, self.world.mono_ns + down_ns])
        self.world.restart(mono_ns, down_ns, **self.changes())
        self.sync()
