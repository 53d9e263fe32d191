"""Killed at any moment, the engine comes back as exactly what its journal says, and nothing left without an intent."""

import json
import random
import subprocess
import sys

import pytest
from sessions import PROFILE, environment, folded, on, rows_of, run

from pytrader.events import read
from pytrader.sandbox.process import OfflineMarket

KILLS = 25
# Fires orders of every kind without waiting for any; says its state before the first, and each event that it was told.
ENGINE = """
import os, random, sys
from pathlib import Path
from pytrader.app import App
from pytrader.settings import load

stream, rest, folder, seed = sys.argv[1:]
dice = random.Random(int(seed))

class Told:
    def take(self, event):
        os.write(1, f"told {event.seq} {event.kind}\\n".encode())

limits = {"max_orders_per_second": "50", "max_position": "50", "delay_max_ms": "40", "taker_fee_bps": "1"}
app = App(load({"stream_url": stream, "rest_url": rest, **limits}, {}, None), Path(folder), outlets=[Told()])
os.write(1, b"state " + app.desk.state() + b"\\n")
with app:
    app.trader.wait_synced()
    os.write(1, b"trading\\n")
    while True:
        side, size = dice.choice(["buy", "sell"]), f"0.0{dice.randint(1, 9)}"
        order = getattr(app.trader, side)
        bid = app.trader.top().bid_e8 // 10**8
        away = dice.choice([-5, 0, 5, 5_000])
        limit = bid - away if side == "buy" else bid + away
        dice.choice([
            lambda: order(size),
            lambda: order(size, limit),
            lambda: order(size, limit, tif="ioc"),
            lambda: app.trader.cancel_all(),
        ])()
        app.trader.pause(dice.uniform(0, 0.03))
"""


def killed(market, folder, dice):
    """Run the engine on `folder`, kill it at a random moment, and return what it said until then."""
    words = [market.ws_url, market.rest_url, str(folder), str(dice.random())[2:]]
    command = [sys.executable, "-c", ENGINE, *words]
    with subprocess.Popen(
        command, cwd=folder.parent, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        state = child.stdout.readline()
        if dice.random() < 0.9:  # else before or while the book comes
            while child.stdout.readline() not in (b"trading\n", b""):
                pass
        try:
            child.wait(dice.uniform(0, 0.4))
        except subprocess.TimeoutExpired:
            child.kill()
        out, err = child.communicate()
    assert child.returncode == -9, err.decode()
    return state.removeprefix(b"state ").strip(), out.splitlines()


@pytest.fixture(scope="module")
def kills(tmp_path_factory):
    """Kill one engine after the other on the same journal; return, for each, the rows found and what it had said."""
    folder = tmp_path_factory.mktemp("crash") / PROFILE
    folder.mkdir()
    dice = random.Random(20_261_122)
    with OfflineMarket.start(11, "busy") as market:
        found = []
        for _ in range(KILLS):
            state, said = killed(market, folder, dice)
            found.append((rows_of(folder), state, said))
        yield folder, market, found


def test_every_journal_continues_the_one_before(kills):
    """No kill takes back or changes a committed event, and orders did run in between."""
    _, _, found = kills
    before = []
    for after, _, _ in found:
        assert after[: len(before)] == before
        assert len(after) > len(before)
        before = after
    kinds = [read(row).kind for row in before]
    assert kinds.count("started") == KILLS
    for kind in ("accepted", "released", "filled", "resting", "cancel_requested", "ended"):
        assert kinds.count(kind) >= KILLS, kind


def test_restarted_engine_is_the_fold_of_the_committed_journal(kills):
    """Its state, and the events that it begins with, are those of a desk that only read the journal, byte for byte."""
    _, _, found = kills
    before = []
    for after, state, _ in found:
        desk = folded(before, max_orders_per_second=50, max_position_e8=50 * 10**8)
        began = next(index for index in range(len(before), len(after)) if read(after[index]).kind == "started")
        _, mono_ns, utc_ns, _ = after[began]
        desk.start(read(after[began]).facts["seed"], mono_ns, utc_ns)
        expected = desk.next_events(10_000, 0)
        assert after[len(before) : len(before) + len(expected)] == expected
        assert state == desk.state()
        assert all(order["state"] == "resting" for order in json.loads(desk.status())["open_orders"])
        before = after


def test_no_order_left_without_an_earlier_committed_intent(kills):
    """Whatever was released, rested or filled was accepted in an earlier event, and released exactly once."""
    _, _, found = kills
    accepted, released = set(), set()
    for event in map(read, found[-1][0]):
        if event.kind == "accepted":
            accepted.add(event.order_id)
        elif event.kind == "released":
            assert event.order_id in accepted
            assert event.order_id not in released
            released.add(event.order_id)
        elif event.kind in ("filled", "resting"):
            assert event.order_id in released
    assert len(released) > KILLS


def test_nobody_was_told_of_an_event_that_the_journal_lost(kills):
    """Everything that an outlet was told stands in the journal, at the same place."""
    _, _, found = kills
    told = 0
    for after, _, said in found:
        for line in said:
            word, *place = line.decode().split()
            if word == "told" and len(place) == 2:  # the last line may be cut
                seq, kind = place
                assert read(after[int(seq) - 1]).kind == kind
                told += 1
    assert told > 10 * KILLS


def test_program_goes_on_after_all_of_it(kills):
    """The command line reads the same position from the journal, and the next session closes it."""
    folder, market, found = kills
    desk = folded(found[-1][0])
    data_dir = folder.parent
    page = json.loads(run(["status", "--json", "--data-dir", data_dir], data_dir).out)
    assert page["position"] == json.loads(desk.status())["position"]
    assert page["counts"] == json.loads(desk.status())["counts"]
    last = run([*on(market, data_dir), "--json", "--max-orders-per-second", "50"], data_dir, "buy 0.01\nflatten\n")
    assert last.code == 0, last.out
    assert last.answers[-1]["flat"]
