"""One set of limits, in the words of the oracle and in the keys of the real desk."""

from dataclasses import replace
from decimal import Decimal

from .exact import to_e8
from .rules import Limits

STANDARD = Limits()


def limits(**changes: object) -> Limits:
    """Return the standard limits with changes; text becomes a decimal."""
    return replace(STANDARD, **{k: Decimal(v) if isinstance(v, str) else v for k, v in changes.items()})


def rules(of: Limits = STANDARD, **changes: str | int) -> dict[str, str | int]:
    """Return limits as the real desk takes them."""
    return {
        "execution": "simulated",
        "venue": "binance",
        "symbol": "BTCUSDT",
        "base": "BTC",
        "quote": "USDT",
        "tick_e8": to_e8(of.tick),
        "step_e8": to_e8(of.step),
        "min_quantity_e8": to_e8(of.min_quantity),
        "max_quantity_e8": to_e8(of.max_quantity),
        "min_notional_e8": to_e8(of.min_notional),
        "max_order_notional_e8": to_e8(of.order_notional),
        "max_position_e8": to_e8(of.position),
        "max_orders_per_second": of.per_second,
        "max_daily_loss_e8": to_e8(of.daily_loss),
        "slippage_e8": of.slippage_e8,
        "stale_after_ms": of.stale_after_ns // 10**6,
        "price_band_e8": of.band_e8,
        "max_attempts_per_second": of.attempts,
        "runaway_refusals": of.runaway,
        "repeat_window_ms": of.repeat_ns // 10**6,
        **changes,
    }
