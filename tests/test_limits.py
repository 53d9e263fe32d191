"""Limits in the words of their settings, whatever carries them: events, the status page, the desk's own refusals."""

import json

import pytest
from paper_market import desk_on, live_book

from pytrader import Book, Desk
from pytrader.events import read
from pytrader.limits import Change, changes, listed, named
from pytrader.lines import Market, line_of
from pytrader.opening import rules
from pytrader.paper import RULES
from pytrader.settings import listing, load
from pytrader.venues import Instrument

LIMITS = {
    "order_notional": "50000",
    "position": "5",
    "orders_per_second": 5,
    "daily_loss": "10000.0000000000000001",
    "price_band": 5_005_000,
    "attempts_per_second": 50,
    "runaway_refusals": 200,
    "repeat_window_ns": 1_500_000,
    "stale_after_ns": 2_000_000_000,
}
BITCOIN = Market("BTC", "USDT", "0.01")
INSTRUMENT = Instrument("BTCUSDT", "BTC", "USDT", 10**6, 10**3, 10**3, 9_000 * 10**8, 5 * 10**8, trading=True)


def test_every_limit_is_named_by_its_setting_in_its_unit():
    """Fractions become basis points and nanoseconds milliseconds, exactly."""
    assert named(LIMITS) == {
        "max_order_notional": "50000",
        "max_position": "5",
        "max_orders_per_second": "5",
        "max_daily_loss": "10000.0000000000000001",
        "max_price_band_bps": "500.5",
        "max_attempts_per_second": "50",
        "runaway_refusals": "200",
        "repeat_window_ms": "1.5",
        "stale_after_ms": "2000",
    }


def test_status_page_of_the_default_settings_gives_back_their_texts():
    """Every limit of the desk is a setting with the same value, and the other way round."""
    settings = load({}, {"HOME": "/home/someone"}, None)
    desk = Desk(Book(), rules(settings, INSTRUMENT))
    shown = named(json.loads(desk.status())["limits"])
    assert shown == {name: text for name, text, _, _ in listing(settings) if name in shown}
    assert set(json.loads(desk.status())["limits"]) == set(LIMITS)
    assert {name: rule for name, rule in rules(settings, INSTRUMENT).items() if name in RULES} == dict(RULES)


def test_changes_name_what_differs_and_nothing_else():
    new = {**LIMITS, "position": "2", "price_band": 1_000_000}
    found = changes(LIMITS, new)
    assert found == [Change("max_position", "5", "2"), Change("max_price_band_bps", "500.5", "100")]
    assert listed(found) == "max_position 5 -> 2, max_price_band_bps 500.5 -> 100"
    assert changes(LIMITS, dict(LIMITS)) == []


def test_change_of_limits_has_a_line():
    """Tightened or loosened alike."""
    facts = {"old": LIMITS, "new": {**LIMITS, "position": "2", "repeat_window_ns": 0}}
    assert line_of("limits_changed", facts, BITCOIN) == (
        "Limits changed since the last start: max_position 5 -> 2, repeat_window_ms 1.5 -> 0"
    )


@pytest.mark.parametrize(
    ("by_ns", "moved"), [(3_600_500_000_000, "3600.500 s ahead"), (-2_000_000_001, "2.000 s back")]
)
def test_jump_of_the_clock_has_a_line(by_ns, moved):
    assert line_of("clock_jumped", {"by_ns": by_ns}, BITCOIN) == (
        f"Clock jumped: UTC went {moved} against the monotonic clock; no new day begins until `resume`"
    )


def test_desk_names_looser_limits_as_the_settings_do():
    """What the core says of a start is what a change would say, limit for limit."""
    first = desk_on(live_book(), price_band_e8=10**6, repeat_window_ms=500, max_position_e8=10**8)
    again = Desk(Book(), {**RULES, "stale_after_ms": 10_000})
    again.recover(first.next_events(100, 0))
    looser = again.loosened()
    assert sorted(looser) == [
        ("max_position", "1", "5"),
        ("max_price_band_bps", "100", "500"),
        ("repeat_window_ms", "500", "0"),
    ]
    again.start(1, True)
    (told,) = [event.facts for row in again.next_events(100, 0) if (event := read(row)).kind == "limits_changed"]
    assert told["old"] == json.loads(first.status())["limits"]
    assert sorted(changes(**told)) == sorted(looser)
