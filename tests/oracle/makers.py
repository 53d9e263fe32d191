"""What every random session is made of: its limits, prices, sizes, names and moments."""

from dataclasses import replace
from decimal import Decimal
from random import Random

from .desk import DAY_NS
from .market import Level
from .orders import Request
from .rules import SECOND_NS
from .settings import limits
from .simulator import Fees
from .world import UTC_NS, World

TICK, STEP = Decimal("0.01"), Decimal("0.00001")
MIDDLE = 2_500_000  # ticks: 25,000.00, so that 2 BTC are exactly 50,000
WIDTH = 12  # ticks
MS_NS = 10**6
MIDNIGHT_NS = (UTC_NS // DAY_NS + 1) * DAY_NS
# What a session draws its limits from. 240e-8 of 25,000.00 are exactly six ticks.
DRAWN = {
    "slippage_e8": [0, 0, 0, 12_345, 500_000],
    "daily_loss": ["10000", "10000", "400", "25.5", "1"],
    "position": ["5", "0.5", "2"],
    "order_notional": ["50000", "50000", "50000", "200000"],
    "band_e8": [*[5_000_000] * 4, 500_000, 12_345, 240, 30_000],
    "attempts": [*[50] * 5, 3, 4, 6],
    "runaway": [*[200] * 4, 3, 5, 8],
    "repeat_ns": [0, 0, 200 * MS_NS, 500 * MS_NS, 1_000 * MS_NS],
}
# What a restart may change, beside the same again.
CHANGED = {
    "order_notional": [Decimal(40_000), Decimal(50_000), Decimal(500_000)],
    "position": [Decimal("0.5"), Decimal(2), Decimal(5), Decimal(50)],
    "per_second": [3, 5, 6],
    "daily_loss": [Decimal(1), Decimal(400), Decimal(100_000)],
    "band_e8": [240, 500_000, 5_000_000],
    "attempts": [3, 50, 500],
    "runaway": [1, 8, 200, 2_000],
    "repeat_ns": [0, 200 * MS_NS, 1_000 * MS_NS],
    "stale_after_ns": [1_500 * MS_NS, 2 * SECOND_NS, 10 * SECOND_NS],
}


class Maker:
    """Draws from one source of choices."""

    def __init__(self, choose: Random) -> None:
        """Draw the limits and the moment, and start."""
        self.choose, self.middle, self.names = choose, MIDDLE, ["a"]
        fees = Fees(choose.choice([0, 100_000, 12_345]), choose.choice([0, 20_000, 7]))
        drawn = limits(**{name: choose.choice(values) for name, values in DRAWN.items()})
        before_ns = choose.choice([None, None, SECOND_NS // 2, 2 * SECOND_NS])
        utc_ns = UTC_NS if before_ns is None else MIDNIGHT_NS - before_ns
        self.world = World(drawn, fees, choose.choice([None, 0, 30]), utc_ns)

    def changes(self) -> dict[str, Decimal | int]:
        """Return limits for a restart, mostly one or two others, sometimes none."""
        names = self.choose.sample(sorted(CHANGED), self.choose.choice([0, 0, 1, 2]))
        return {name: self.choose.choice(CHANGED[name]) for name in names}

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

    def quantity(self) -> Decimal:
        """Return a quantity in steps."""
        return STEP * self.choose.choice(
            [1, 20, 1_000, 10_000, 50_000, 123_457, 200_000, self.choose.randint(1, 250_000)]
        )

    def back_ns(self) -> int:
        """Return how far a caller's clock is behind, mostly not."""
        return self.choose.choice([0, 0, 0, 1, 10**6, 3 * SECOND_NS])

    def send(self, request: Request, back_ns: int = 0, *, settle: bool = True) -> list[str]:
        """Submit; some orders have a name, and some of those one that was used before, by whatever became of it."""
        if self.choose.random() < 0.25:
            fresh = f"{len(self.names)}" * self.choose.choice([1, 8])
            name = self.choose.choice([fresh, fresh, *self.names[-3:]])
            self.names.append(name)
            request = replace(request, client_id=name)
        return self.world.submit(request, back_ns, settle=settle)
