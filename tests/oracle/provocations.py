"""Steps that look for the edges of the controls: band, own orders, repeats, windows, clocks."""

from dataclasses import replace
from decimal import Decimal

from .desk import DAY_NS
from .exact import ZERO, from_e8, rounded_down, rounded_up
from .makers import MIDDLE, STEP, TICK, Maker
from .market import slipped, taken_side
from .orders import Request
from .rules import RUNAWAY_NS, SECOND_NS


class Provocations(Maker):
    """The steps of a session that are about one control each."""

    # ---- the band and own orders

    def band(self, side: str) -> Decimal | None:
        """Return the last tick inside the band of an order of `side`."""
        if not self.world.market.two_sided():
            return None
        (bid, _), (ask, _) = self.world.market.top()
        rate = from_e8(self.world.limits.band_e8)
        return rounded_down(ask * (1 + rate), TICK) if side == "buy" else rounded_up(bid * (1 - rate), TICK)

    def round_top(self) -> None:
        """Show best prices whose band ends on a tick, at the standard middle."""
        self.world.ticker(TICK * (MIDDLE - 1), Decimal(1), TICK * MIDDLE, Decimal(1))

    def band_edge(self) -> None:
        """Send a limit order one tick inside, at, or one tick beyond the end of the band."""
        if self.choose.random() < 0.5:
            self.round_top()
        side = self.choose.choice(["buy", "sell"])
        edge = self.band(side)
        if edge is not None:
            limit = edge + TICK * self.choose.choice([-1, 0, 1])
            quantity = STEP * self.choose.choice([20, 1_000, 200_000])
            self.send(Request(side, quantity, limit, self.choose.choice(["ioc", "ioc", "gtc"])))

    def band_walk(self) -> None:
        """Put a level about the end of the band, and send a market order that just reaches it, or just does not."""
        side = self.choose.choice(["buy", "sell"])
        edge, off = self.band(side), self.choose.choice([-1, 0, 1])
        if edge is None or not self.world.market.synced:
            return
        rate_e8, market, price = self.world.limits.slippage_e8, self.world.market, edge + TICK * off
        level = [(price, Decimal("0.1"))]
        if side == "buy":
            self.world.depth([(other, ZERO) for other in market.bids if other >= price], level)
        else:
            self.world.depth(level, [(other, ZERO) for other in market.asks if other <= price])
        inside = [
            size
            for price, size in market.levels(taken_side(side))
            if (slipped(side, price, rate_e8) - edge) * (1 if side == "buy" else -1) <= 0
        ]
        quantity = sum(inside, ZERO) + STEP * self.choose.choice([-1, 0, 1])
        self.send(Request(side, max(quantity, STEP)))

    def own_match(self) -> None:
        """Send an order one tick before, at, or one tick beyond an own one, or a market order that may reach it."""
        resting = [order for order in self.world.oracle.open() if order.may_rest()]
        if not resting:
            return
        own = self.choose.choice(resting).request
        limit = self.choose.choice([None, own.limit + TICK * self.choose.choice([-1, 0, 1])])
        tif = "ioc" if limit is None else self.choose.choice(["ioc", "gtc"])
        quantity = self.choose.choice([self.quantity(), STEP * 20, STEP * 1_000])
        self.send(Request("sell" if own.side == "buy" else "buy", quantity, limit, tif))

    # ---- windows

    def again(self) -> None:
        """Send an accepted order once more, or one that differs in one of its terms."""
        accepted = list(self.world.oracle.orders.values())[-4:]
        if not accepted:
            return
        request = replace(self.choose.choice(accepted).request, client_id=None)
        tif = "ioc" if request.limit is None or request.tif == "gtc" else "gtc"
        others = [{"quantity": request.quantity + STEP}, {"reduce": not request.reduce}, {"tif": tif}]
        others.append({} if request.limit is None else {"limit": request.limit + TICK})
        self.send(replace(request, **self.choose.choice([{}, {}, {}, *others])), self.back_ns())

    def burst(self) -> None:
        """Send some orders at once, refused or accepted."""
        side = self.choose.choice(["buy", "sell"])
        for number in range(self.choose.randint(2, 4)):
            good = Request(side, STEP * (20 + number))
            self.send(self.choose.choice([good, Request(side, STEP / 2), Request(side, STEP / 2)]))

    def go(self) -> None:
        """Let time pass: a little, or exactly to where something ends."""
        oracle, limits, now = self.world.oracle, self.world.limits, self.world.mono_ns
        stamps = [order.stamp[0] for order in oracle.recent[-5:]]
        ends = [stamp + SECOND_NS for stamp in stamps] + [stamp + limits.repeat_ns for stamp in stamps]
        ends += [stamp + SECOND_NS for stamp in oracle.attempts[-limits.attempts :][:2]]
        ends += [stamp + RUNAWAY_NS for stamp, _ in oracle.refusals[-limits.runaway :][:2]]
        ends.append(self.world.market.frame_ns + limits.stale_after_ns)
        edges = [end - now + off for end in ends for off in (-1, 0, 1) if end - now + off >= 0]
        small = [self.choose.randint(0, 10**8), self.choose.randint(0, 10**8), 3 * 10**8, 1_100 * 10**6]
        self.world.go(self.choose.choice([*small, *(edges if self.choose.random() < 0.4 else [])]))

    def stall(self) -> None:
        """Let time pass with the venue asleep, so that what became due arrives late, all at once."""
        self.world.stall(self.choose.randint(0, 3 * 10**8))

    def minute(self) -> None:
        """Let about a minute pass, and see a frame again, so that the next mark is due, or just not yet."""
        self.world.go(60 * SECOND_NS + self.choose.choice([-1, 0, 1]))
        if self.world.market.synced:
            self.world.depth([], [])
        self.world.mark()

    # ---- clocks

    def leap(self) -> None:
        """Let the wall clock jump by just what is let pass, or by far more, and often let somebody resume."""
        to_midnight = DAY_NS - self.world.utc_ns % DAY_NS
        far = [60 * SECOND_NS, DAY_NS, -DAY_NS, -3_600 * SECOND_NS, to_midnight - 1, to_midnight, to_midnight + 1]
        near = [sign * (2 * SECOND_NS + off) for sign in (1, -1) for off in (-1, 0, 1)]
        jump = self.choose.choice([self.choose.choice(near), self.choose.choice(near), self.choose.choice(far)])
        self.world.tell("leap", jump)
        self.world.utc_ns += jump
        for then in ("mark", "submit", "resume", "mark"):
            if self.choose.random() < 0.5:
                getattr(self, then)()
