"""`import pytrader`: the documented examples run as they are written, and nothing of a program is left behind."""

import doctest
import inspect
import os
import subprocess
import sys
import threading
from decimal import Decimal

import pytest
from sessions import environment, offline_children

import pytrader
from pytrader import background
from pytrader.settings import SettingsError


@pytest.mark.parametrize("module", [pytrader, background])
def test_documented_example_runs_as_written(module):
    """Each line of the example gives what is printed under it."""
    result = doctest.testmod(module, raise_on_error=False)
    assert result.failed == 0
    assert result.attempted > 1


def test_every_public_name_is_there():
    """What `__all__` promises can be taken, and is documented."""
    for name in pytrader.__all__:
        assert inspect.getdoc(getattr(pytrader, name)), name
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = pytrader.nothing_such


def test_import_is_light():
    """A program that only reads books pays for no terminal, no web socket client and no journal."""
    heavy = "prompt_toolkit websocket sqlite3 pytrader.app"
    code = f"import sys, pytrader; sys.exit(','.join(set('{heavy}'.split()) & set(sys.modules)) or 0)"
    subprocess.run([sys.executable, "-c", code], check=True, env=environment(), timeout=30)


def test_program_in_the_background_trades_by_the_same_rules_and_leaves_nothing():
    """Orders by text or Decimal; the refusal is the terminal's own sentence; threads and market end with the block."""
    before = set(threading.enumerate())
    with pytrader.start(demo=True, max_position="1", seed="7") as trader:
        assert trader.wait_synced()
        assert [event.kind for event in trader.buy(Decimal("0.25")).wait_over()][-1] == "filled"
        refused = trader.buy("1")
        assert not refused.accepted
        (event,) = refused.wait()
        assert event.facts["sentence"] == "Order rejected: Position would be 1.25 BTC, limit 1 BTC."
        resting = trader.buy("0.1", "20000")
        assert [event.kind for event in resting.wait()][-1] == "resting"
        assert trader.cancel(resting.order_id)
        assert [event.kind for event in resting.wait_over()][-1] == "ended"
        assert list(trader.flatten())[-1] == "Flat: the position is 0."
        assert trader.status()["position"] == "0"
        folder = trader.folder
        assert folder.exists()
    assert not folder.exists()
    assert set(threading.enumerate()) == before
    assert offline_children(os.getpid()) == []


def test_wrong_settings_and_wrong_orders_are_named():
    """Nothing starts with a setting that does not exist; an order that cannot be is a ValueError."""
    with pytest.raises(SettingsError, match="max_position"), pytrader.start(demo=True, max_positon="1"):
        pass
    paper = pytrader.PaperDesk()
    for wrong in (("bye", 1), ("buy", 1, None, "gtc"), ("buy", 1, 1, "fok")):
        with pytest.raises(ValueError, match=r"side|gtc"):
            paper.desk.submit(*wrong)
