"""What a desk is opened with: rules from the settings and the venue, and its past from the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrader.journal import JournalError, check_opened

if TYPE_CHECKING:
    from pytrader._core import Desk
    from pytrader.journal import Journal, JournalView
    from pytrader.settings import Settings
    from pytrader.venues.venue import Instrument

RECOVER_BATCH = 10_000


def bps(rate_e8: int) -> int:
    """Return a rate given in basis points of 10⁻⁸ as a fraction in units of 10⁻⁸."""
    return rate_e8 // 10_000


def rules(settings: Settings, instrument: Instrument) -> dict[str, str | int]:
    """Return what a desk works with: limits from the settings, filters from the venue."""
    return {
        "execution": settings.execution,
        "venue": settings.venue,
        "symbol": settings.venue_symbol,
        "base": instrument.base,
        "quote": instrument.quote,
        "tick_e8": instrument.tick_e8,
        "step_e8": instrument.step_e8,
        "min_quantity_e8": instrument.min_quantity_e8,
        "max_quantity_e8": instrument.max_quantity_e8,
        "min_notional_e8": instrument.min_notional_e8,
        "max_order_notional_e8": settings.max_order_notional_e8,
        "max_position_e8": settings.max_position_e8,
        "max_orders_per_second": settings.max_orders_per_second,
        "max_daily_loss_e8": settings.max_daily_loss_e8,
        "price_band_e8": bps(settings.max_price_band_bps * 10**8),
        "max_attempts_per_second": settings.max_attempts_per_second,
        "runaway_refusals": settings.runaway_refusals,
        "repeat_window_ms": settings.repeat_window_ms,
        "slippage_e8": bps(settings.slippage_bps_e8),
        "stale_after_ms": settings.stale_after_ms,
    }


def recover(desk: Desk, journal: Journal | JournalView, owner: tuple[str, str, str] | None = None) -> None:
    """Fold a journal into a desk that has not started; `owner` is the execution, venue and symbol it must be of.

    Raises JournalError at the first event that is not what was written, or that this version cannot read.
    """
    batch = []
    try:
        for row in journal.load():
            if owner is not None and row[0] == 1:
                check_opened(row[3], *owner)
            batch.append(row)
            if len(batch) == RECOVER_BATCH:
                desk.recover(batch)
                batch.clear()
        desk.recover(batch)
    except ValueError as error:
        raise JournalError(f"this journal cannot be taken up: {error}") from error
