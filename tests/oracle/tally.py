"""What a session met: sessions that never met a rule would show nothing about it."""

from collections import Counter
from decimal import Decimal
from typing import Any

import orjson

from .exact import ZERO
from .world import World


def tally(world: World) -> Counter[str]:
    """Return how often each event, reason code, cause of a halt and reason of an end is in a session's journal."""
    found = Counter({"capped": world.capped})
    position = ZERO
    for _, _, _, body in world.journal:
        ((kind, facts),) = orjson.loads(body).items()
        found[kind] += 1
        found.update(f"code {breach['code']}" for breach in facts.get("breaches", ()))
        if kind == "refused":
            found["largest named"] += facts["largest"] is not None
        if kind == "halted":
            found[f"halted {facts['cause']}"] += 1
        if kind == "ended":
            found[f"ended {facts['reason']}"] += 1
        if kind == "filled":
            after = position + Decimal(facts["filled"]) * (1 if facts["side"] == "buy" else -1)
            found["flips"] += position * after < 0
            found["truncated"] += len(facts["realised"].partition(".")[2]) == 16
            position = after
        found.update(named(kind, facts))
    return found


def named(kind: str, facts: dict[str, Any]) -> list[str]:
    """Return what an order with a client id became."""
    request = facts["request"] if kind == "refused" else facts
    return [f"{kind} with a client id"] if "client_id" in request else []
