"""Killed at any moment, the engine comes back as exactly what its journal says, and nothing left without an intent."""

import json
import random

import crashes
import pytest
from sessions import PROFILE, folded, on, run

from pytrader.events import read
from pytrader.sandbox.process import OfflineMarket

KILLS = 25


@pytest.fixture(scope="module")
def kills(tmp_path_factory):
    """Kill one engine after the other on the same journal; return each kill."""
    folder = tmp_path_factory.mktemp("crash") / PROFILE
    folder.mkdir()
    with OfflineMarket.start(11, "busy") as market:
        yield folder, market, list(crashes.kills(market, folder, random.Random(20_261_122), KILLS))


def test_every_journal_continues_the_one_before(kills):
    """No kill takes back or changes a committed event, and orders did run in between."""
    _, _, found = kills
    for kill in found:
        crashes.continues(kill)
    kinds = [read(row).kind for row in found[-1].after]
    assert kinds.count("started") == KILLS
    for kind in ("accepted", "released", "filled", "resting", "cancel_requested", "ended"):
        assert kinds.count(kind) >= KILLS, kind


def test_restarted_engine_is_the_fold_of_the_committed_journal(kills):
    """Its state, and the events that it begins with, are those of a desk that only read the journal, byte for byte."""
    _, _, found = kills
    for kill in found:
        crashes.began_as_the_fold(kill)


def test_no_order_left_without_an_earlier_committed_intent(kills):
    """Whatever was released, rested or filled was accepted in an earlier event, and released exactly once."""
    _, _, found = kills
    assert crashes.released_with_intent(found[-1].after) > KILLS


def test_nobody_was_told_of_an_event_that_the_journal_lost(kills):
    """Everything that an outlet was told stands in the journal, at the same place."""
    _, _, found = kills
    assert sum(map(crashes.told_what_is_saved, found)) > 10 * KILLS


def test_program_goes_on_after_all_of_it(kills):
    """The command line reads the same position from the journal, and the next session closes it."""
    folder, market, found = kills
    desk = folded(found[-1].after)
    data_dir = folder.parent
    page = json.loads(run(["status", "--json", "--data-dir", data_dir], data_dir).out)
    assert page["position"] == json.loads(desk.status())["position"]
    assert page["counts"] == json.loads(desk.status())["counts"]
    last = run([*on(market, data_dir), "--json", "--max-orders-per-second", "50"], data_dir, "buy 0.01\nflatten\n")
    assert last.code == 0, last.out
    assert last.answers[-1]["flat"]
