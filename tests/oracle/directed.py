"""What directed tests begin with: a world with a known book, orders by a word, and what its journal says."""

import json
from decimal import Decimal

from .orders import Request
from .rules import SECOND_NS
from .settings import limits
from .simulator import Fees
from .world import World

STEP, TICK, UNIT = Decimal("0.00001"), Decimal("0.01"), Decimal("1e-8")
LONGEST_NS = 10 * SECOND_NS  # that a book may be called fresh
DAY_NS = 86_400 * SECOND_NS
BIDS = [(Decimal(24_999), Decimal(4)), (Decimal(24_990), Decimal(4))]
ASKS = [(Decimal(25_000), Decimal(4)), (Decimal(25_010), Decimal(4))]


def opened(**changes):
    """Return a world with a synced book that stays fresh for long and a venue without delay, but for `changes`."""
    fees, delay_ms = changes.pop("fees", Fees()), changes.pop("delay_ms", 0)
    world = World(limits(**({"stale_after_ns": LONGEST_NS} | changes)), fees, delay_ms)
    world.sync(BIDS, ASKS)
    return world


def buy(quantity, limit=None, tif=None, **rest):
    """Return a buy; with a limit it is GTC unless said otherwise."""
    return Request("buy", Decimal(quantity), decimal(limit), tif or ("gtc" if limit else "ioc"), **rest)


def sell(quantity, limit=None, tif=None, **rest):
    """Return a sell; with a limit it is GTC unless said otherwise."""
    return Request("sell", Decimal(quantity), decimal(limit), tif or ("gtc" if limit else "ioc"), **rest)


def decimal(value):
    """Return a decimal, or None for None."""
    return None if value is None else Decimal(value)


def later(world, ns):
    """Let time pass, and see the same book again."""
    world.go(ns)
    world.depth([], [])


def leap(world, ns):
    """Let the wall clock jump."""
    world.tell("leap", ns)
    world.utc_ns += ns


def events(world, kind):
    """Return the facts of every journaled event of a kind."""
    bodies = [json.loads(body) for _, _, _, body in world.journal]
    return [body[kind] for body in bodies if kind in body]


def kinds(world):
    """Return the kinds of the journaled events, in order."""
    return [next(iter(json.loads(body))) for _, _, _, body in world.journal]
