"""What kind of market: every figure that shapes it, per scenario. Rates are per second of virtual time."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Scenario:
    """The figures of one market. `calm` is calibrated on recordings; see docs/offline-market.md."""

    name: str
    deep_rate: float  # flurries a second away from the touch
    deep_size: float  # mean level changes in one such flurry, >= 1
    touch_rate: float  # flurries a second at the best prices
    touch_size: float  # mean changes in one such flurry, >= 1
    take_rate: float  # market orders a second
    take_tail: float  # tail exponent of the number of trades of one market order, > 1; smaller = longer
    run_rate: float  # directional runs a second
    run_size: float  # mean pushes in one run, >= 1
    push_gap_ms: float  # mean time between the pushes of one run
    push_deep: float  # mean re-quotes away from the touch that one push sets off
    push_scale: float  # factor on how far one push moves the price
    mood_spread: float  # standard deviation of the logarithm of the slow activity factor
    mood_seconds: float  # its memory
    excite: float  # how much one push raises the rates at the touch (1 = by the base rate)
    excite_ms: float  # memory of that
    fall_rate: float = 0.0  # further runs a second, all downwards, within `fall_s`
    fall_s: tuple[float, float] = (0.0, 0.0)  # first and last second of the fall, virtual time
    size_scale: float = 1.0  # factor on resting quantities
    silence_s: tuple[float, float] | None = None  # shortest and longest silence; none = never silent
    lively_s: tuple[float, float] = (1.0, 3.0)  # time between two silences


CALM = Scenario(
    name="calm", deep_rate=60.0, deep_size=5.0, touch_rate=23.0, touch_size=3.4, take_rate=8.5, take_tail=1.5,
    run_rate=0.48, run_size=6.0, push_gap_ms=12.0, push_deep=55.0, push_scale=1.5, mood_spread=0.7, mood_seconds=3.0,
    excite=1.7, excite_ms=60.0,
)  # fmt: skip

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        CALM,
        # The recordings' busiest second (954 trades, 505 bookTickers, 3,500 depth levels), sustained.
        replace(CALM, name="busy", deep_rate=400.0, touch_rate=70.0, take_rate=175.0, take_tail=1.15, mood_spread=0.3),
        replace(CALM, name="crash", deep_rate=400.0, touch_rate=60.0, take_rate=60.0, take_tail=1.25, push_scale=4.0,
                fall_rate=4.5, fall_s=(5.0, 65.0), mood_spread=0.4),
        replace(CALM, name="quiet", deep_rate=4.0, touch_rate=1.2, touch_size=1.5, take_rate=0.4, run_rate=0.03,
                silence_s=(2.5, 6.0)),
        replace(CALM, name="thin", size_scale=0.02, push_scale=1.5),
    )
}  # fmt: skip
