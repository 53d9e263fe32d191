"""Pauses that grow and a budget that slides, on a clock of numbers."""

import random

from pytrader.pacing import Backoff, Budget


def test_pauses_double_up_to_thirty_seconds_and_never_end():
    """Jitter takes away at most a half; a reset starts again."""
    backoff = Backoff(random.Random(1))
    pauses = [backoff.next_s() for _ in range(2_000)]
    full = [min(30.0, 0.2 * 2**n) for n in range(20)]
    assert all(whole / 2 <= pause <= whole for pause, whole in zip(pauses, full, strict=False))
    assert len(set(pauses[10:])) > 1_000
    backoff.reset()
    assert backoff.next_s() <= 0.2


def test_sixty_connects_in_five_minutes_and_not_one_more():
    """An hour of accept-and-drop at full speed stays inside the budget in every window."""
    budget, now_s, used = Budget(60, 300.0), 0.0, []
    while now_s < 3_600:
        wait_s = budget.wait_s(now_s)
        if wait_s == 0:
            budget.use(now_s)
            used.append(now_s)
        now_s += max(wait_s, 0.01)
    assert len(used) >= 60 * 12
    assert all(later - first >= 300.0 for first, later in zip(used, used[60:], strict=False))
