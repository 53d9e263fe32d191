"""What the real desk's texts say, in the oracle's words: every number that is money becomes a decimal."""

from decimal import Decimal
from typing import Any

import orjson

Facts = dict[str, Any]
MONEY = frozenset(("notional", "bid", "ask", "filled", "cost", "realised", "fee", "price", "loss", "start_equity"))
TERMS = ("side", "quantity", "limit", "tif", "reduce", "client_id")
LIMITS = ("order_notional", "position", "daily_loss")


def told(body: bytes) -> Facts:
    """Return a journaled event."""
    ((kind, facts),) = orjson.loads(body).items()
    for name in MONEY & facts.keys():
        facts[name] = Decimal(facts[name])
    read = READ.get(kind)
    if read:
        read(facts)
    facts["kind"] = kind
    return facts


def request(facts: Facts) -> Facts:
    """Return an order's terms; a client id only where one is named at all."""
    found = {name: facts[name] for name in TERMS if name in facts}
    found["quantity"] = Decimal(found["quantity"])
    found["limit"] = decimal(found["limit"])
    return found


def accepted(facts: Facts) -> None:
    """Gather the terms of an accepted order."""
    facts["request"] = request(facts)


def refused(facts: Facts) -> None:
    """Read a refusal."""
    facts["codes"] = [breach["code"] for breach in facts["breaches"]]
    facts["largest"] = decimal(facts["largest"])
    facts["request"] = request(facts["request"])


def filled(facts: Facts) -> None:
    """Read a fill."""
    facts["receipt"] = receipt(facts)
    facts["trades"] = [
        (Decimal(row["price"]), Decimal(row["quantity"]), Decimal(row["fee"])) for row in facts["trades"]
    ]


def receipt(facts: Facts) -> Facts:
    """Return a fill's receipt; the parts of its slippage must make the whole."""
    parts = {name: Decimal(value) for name, value in facts["slippage"].items()}
    assert parts["total"] == sum(value for name, value in parts.items() if name != "total"), facts
    return {
        "decision_mid": Decimal(facts["decision_mid"]),
        "arrival_mid": Decimal(facts["arrival_mid"]),
        "total": parts["total"],
        "delay": parts["delay"],
        "elapsed_ns": facts["elapsed_ns"],
        "drifted": facts["drift"] is not None,
    }


def started(facts: Facts) -> None:
    """Read the limits that a run began with."""
    facts["limits"] = limits(facts["limits"])


def limits_changed(facts: Facts) -> None:
    """Read the limits before and after."""
    facts["old"], facts["new"] = limits(facts["old"]), limits(facts["new"])


def limits(facts: Facts) -> Facts:
    """Return limits with decimals where they are money or size."""
    return facts | {name: Decimal(facts[name]) for name in LIMITS}


def decimal(text: str | None) -> Decimal | None:
    """Return the decimal that a text says; None for none."""
    return None if text is None else Decimal(text)


READ = {
    "accepted": accepted,
    "refused": refused,
    "filled": filled,
    "started": started,
    "limits_changed": limits_changed,
}
