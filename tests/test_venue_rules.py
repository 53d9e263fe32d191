"""Answers about a market, each of their members damaged in every way: an error in words, or rules that are whole."""

import copy
import json
from dataclasses import astuple

import pytest
from test_venue_coinbase import product
from test_venues import exchange_info
from test_venues_bybit import instruments as bybit_instruments
from test_venues_okx import instruments as okx_instruments

from pytrader.venues import Binance, Bybit, Coinbase, Instrument, Okx, VenueError

ANSWERS = [
    (Binance(), exchange_info()),
    (Bybit(), bybit_instruments()),
    (Okx(), okx_instruments()),
    (Coinbase(), product()),
]
DAMAGE = [
    None,
    0,
    "",
    "x",
    "-1",
    "1e3",
    "0.000000001",
    "9" * 30,
    "a\x1b[2Jb",
    "two words",
    True,
    [],
    [[]],
    {},
    {"a": 1},
]
GONE = object()


def places(found, at=()):
    """Yield the way to every member, however deep."""
    rows = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for key, value in rows:
        yield (*at, key)
        yield from places(value, (*at, key))


def damaged(answer, at, value):
    """Return a copy with one member changed or gone."""
    inner = answer = copy.deepcopy(answer)
    for key in at[:-1]:
        inner = inner[key]
    if value is GONE:
        del inner[at[-1]]
    else:
        inner[at[-1]] = value
    return json.dumps(answer).encode()


@pytest.mark.parametrize(("venue", "body"), ANSWERS, ids=lambda it: getattr(it, "name", ""))
def test_damage_to_any_member_of_an_answer_is_refused_in_words_or_does_not_matter(venue, body):
    """Whatever comes out names its assets and has no amount that is not above zero."""
    answer, refused = json.loads(body), 0
    for at in places(answer):
        for value in (*DAMAGE, GONE):
            try:
                rules = venue.parse_instrument(damaged(answer, at, value))
            except VenueError as error:
                refused += bool(str(error))
                continue
            assert isinstance(rules, Instrument)
            _, base, quote, *amounts, _ = astuple(rules)
            for name in (base, quote):
                assert isinstance(name, str), (at, value)
                assert name, (at, value)
                assert name.isprintable(), (at, value)
            assert all(isinstance(amount, int) and amount > 0 for amount in amounts), (at, value)
    assert refused > 50
