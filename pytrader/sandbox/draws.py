"""Seeded draws from measured distributions: a table of quantiles turned into one list look-up a draw."""

import math
from collections.abc import Sequence
from itertools import pairwise

TABLE_SIZE = 1024


def quantile_table(points: Sequence[tuple[float, float]], scale: float, floor: int) -> list[int]:
    """Return `TABLE_SIZE` equally likely integers whose quantiles are `points`, times `scale`, none below `floor`.

    `points` are (quantile in [0, 1], value > 0), ascending, first 0 and last 1; values between two points lie on a
    straight line of their logarithm.
    """
    assert points[0][0] == 0, "the first point must be the lowest quantile"
    assert points[-1][0] == 1, "the last point must be the highest quantile"
    table = []
    for index in range(TABLE_SIZE):
        quantile = (index + 0.5) / TABLE_SIZE
        table.append(max(floor, round(_interpolated(points, quantile) * scale)))
    return table


def _interpolated(points: Sequence[tuple[float, float]], quantile: float) -> float:
    for (left_q, left), (right_q, right) in pairwise(points):
        if quantile <= right_q:
            share = (quantile - left_q) / (right_q - left_q)
            return math.exp(math.log(left) + share * (math.log(right) - math.log(left)))
    return points[-1][1]
