"""Random trading sessions. Everything comes from one source of choices, so that hypothesis can shrink them."""

from decimal import Decimal
from random import Random

from .exact import ZERO, from_e8
from .market import Level, taken_side
from .orders import Request
from .rules import SECOND_NS, largest, notional
from .settings import limits
from .simulator import Fees
from .world import World

TICK, STEP = Decimal("0.01"), Decimal("0.00001")
MIDDLE = 2_500_000  # ticks: 25,000.00, so that 2 BTC are exactly 50,000
WIDTH = 12  # ticks
DAY_S = 86_400

STEPS = (
    (10, "depth"),
    (8, "ticker"),
    (7, "trade"),
    (14, "submit"),
    (6, "edge"),
    (7, "resting"),
    (5, "reducing"),
    (16, "go"),
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
    (2, "leap"),
    (2, "stall"),
    (1, "restart"),
    (3, "flip"),
    (1, "odd"),
    (3, "hasty"),
)


class Session:
    """Makes up one session, step by step."""

    def __init__(self, choose: Random) -> None:
        """Draw the limits, and bring the book up."""
        self.choose = choose
        slippage_e8 = choose.choice([0, 0, 12_345, 500_000])
        loss = choose.choice(["10000", "25.5", "400", "1"])
        fees = Fees(choose.choice([0, 100_000, 12_345]), choose.choice([0, 20_000, 7]))
        drawn = limits(slippage_e8=slippage_e8, daily_loss=loss, position=choose.choice(["5", "0.5", "2"]))
        delay_ms = choose.choice([None, 0, 30])
        self.steps = [name for weight, name in STEPS for _ in range(weight)]
        self.world = World(drawn, fees, delay_ms)
        self.middle = MIDDLE
        self.sync()

    def run(self, steps: int) -> World:
        """Take steps, then compare a replay of the journal."""
        for _ in range(steps):
            getattr(self, self.choose.choice(self.steps))()
        self.world.replay()
        return self.world

    # ---- frames

    def size(self) -> Decimal:
        """Return a size of a level, often the same as elsewhere."""
        return self.choose.choice([Decimal("0.5"), Decimal(1), Decimal("0.1"), STEP * self.choose.randint(1, 300_000)])

    def price(self, ticks: int) -> Decimal:
        """Return the price so many ticks from the middle."""
        return TICK * (self.middle + ticks)

    def side(self, sign: int, count: int) -> list[Level]:
        """Return some levels of one side, none twice."""
        ticks = self.choose.sample(range(1, WIDTH + 1), count)
        return [(self.price(sign * away), self.size()) for away in ticks]

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

    def quantity(self) -> Decimal:
        """Return a quantity in steps."""
        return STEP * self.choose.choice(
            [1, 20, 1_000, 10_000, 50_000, 123_457, 200_000, self.choose.randint(1, 250_000)]
        )

    def back_ns(self) -> int:
        """Return how far a caller's clock is behind, mostly not."""
        return self.choose.choice([0, 0, 0, 1, 10**6, 3 * SECOND_NS])

    def submit(self) -> None:
        """Send an order of any kind."""
        side = self.choose.choice(["buy", "sell"])
        limit = self.choose.choice([None, self.price(self.choose.randint(-WIDTH, WIDTH))])
        tif = "ioc" if limit is None else self.choose.choice(["ioc", "gtc"])
        reduce_only = self.choose.random() < 0.1
        self.world.submit(Request(side, self.quantity(), limit, tif, reduce_only), self.back_ns())

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
        self.world.submit(request)

    def resting(self) -> None:
        """Send an order that may rest close to the market."""
        side = self.choose.choice(["buy", "sell"])
        away = self.choose.randint(0, 4) * (-1 if side == "buy" else 1)
        self.world.submit(Request(side, STEP * self.choose.randint(20, 30_000), self.price(away), "gtc"))

    def reducing(self) -> None:
        """Send a reduce-only order around what reduces."""
        position = self.world.oracle.ledger.position
        side = "sell" if position > 0 else "buy"
        whole = abs(position) - sum(order.left for order in self.world.oracle.open() if order.request.side == side)
        quantity = self.choose.choice([whole, whole + STEP, whole - STEP, STEP * 100, self.quantity()])
        limit = self.choose.choice([None, self.price(0)])
        self.world.submit(Request(side, max(quantity, STEP), limit, "ioc" if limit is None else "gtc", True))

    def flip(self) -> None:
        """Send an order through zero, if size and notional allow it."""
        position = self.world.oracle.ledger.position
        side = "sell" if position > 0 else "buy"
        levels = self.world.market.levels(taken_side(side))
        if levels:
            self.world.submit(Request(side, abs(position) + STEP * self.choose.randint(1, 20_000)))

    def odd(self) -> None:
        """Send what no venue would take."""
        quantity = from_e8(self.choose.choice([0, -(10**8), 999, 1_001, 9_000 * 10**8 + 1_000, 10**8, 100 * 10**8]))
        limit = self.choose.choice([None, ZERO, Decimal("25000.001"), Decimal(-1), Decimal(25_000)])
        self.world.submit(Request(self.choose.choice(["buy", "sell"]), quantity, limit, "ioc"))

    def hasty(self) -> None:
        """Let something happen between an order's acceptance and its release."""
        side = self.choose.choice(["buy", "sell"])
        reduce_only = self.choose.random() < 0.2
        self.world.submit(Request(side, STEP * self.choose.randint(20, 9_000), reduce=reduce_only), settle=False)
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
        """Start again from the journal, soon or late, on a younger or older machine."""
        down_ns = self.choose.choice([0, 10**6, 10**9, 5 * 10**9])
        self.world.restart(self.choose.choice([10**9, self.world.mono_ns + down_ns]), down_ns)
        self.sync()

    # ---- time

    def go(self) -> None:
        """Let time pass: a little, or exactly to where something ends."""
        oracle, now = self.world.oracle, self.world.mono_ns
        ends = [stamp + SECOND_NS for stamp, _ in oracle.stamps[-5:]]
        ends.append(self.world.market.frame_ns + self.world.limits.stale_after_ns)
        edges = [end - now + off for end in ends for off in (-1, 0, 1) if end - now + off >= 0]
        small = [self.choose.randint(0, 10**8), self.choose.randint(0, 10**8), 3 * 10**8, 1_100 * 10**6]
        self.world.go(self.choose.choice([*small, *(edges if self.choose.random() < 0.4 else [])]))

    def stall(self) -> None:
        """Let time pass with the venue asleep, so that what became due arrives late, all at once."""
        self.world.stall(self.choose.randint(0, 3 * 10**8))

    def leap(self) -> None:
        """Let the wall clock jump, by a minute, a day, or back."""
        to_midnight = DAY_S * SECOND_NS - self.world.utc_ns % (DAY_S * SECOND_NS)
        jumps = [60 * SECOND_NS, 61 * SECOND_NS, -3_600 * SECOND_NS, to_midnight - 1, to_midnight, to_midnight + 1]
        jump = self.choose.choice(jumps)
        self.world.tell("leap", jump)
        self.world.utc_ns += jump
        if self.choose.random() < 0.5:
            self.world.mark()
