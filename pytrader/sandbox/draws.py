"""Seeded draws from measured distributions: a table of quantiles turned into one list look-up a draw."""

import math
from collections.abc import Sequence

TABLE_SIZE = 1024


def quantile_table(points: Sequence[tuple[float, float]], scale: float, floor: int) -> list[int]:
    """Return `TABLE_SIZE` equally likely integers whose quantiles are `points`, times `scale`, none below `floor`.

    `points` are (quantile in [0, 1], value > 0), ascending, first 0 and last 1; values between two points lie on a
    straight line of their logarithm.
    """
    assert points[0][0] == 0 and points[-1][0] == 1, "the points must span all quantiles"
    table = []
    for index in range(TABLE_SIZE):
        quantile = (index + 0.5) / TABLE_SIZE
        table.append(max(floor, round(_interpolated(points, quantile) * scale)))
    return table


def _interpolated(points: Sequence[tuple[float, float]], quantile: float) -> float:
    for (left_q, left), (right_q, right) in zip(points, points[1:], strict=False):
        if quantile <= right_q:
            share = (quantile - left_q) / (right_q - left_q)
            return math.exp(math.log(left) + share * (math.log(right) - math.log(left)))
    return points[-1][1]
