"""The whole engine in this process: what is told when, what stops it, and what it leaves behind."""

import json
import logging
import re
import subprocess
import sys
import threading
from time import monotonic

import pytest
from sessions import PROFILE, TOP_LINE, environment, events, eventually, folded, rows_of

from pytrader import app as composition
from pytrader import dispatch
from pytrader.answers import outcome
from pytrader.app import App, Worker
from pytrader.clock import Clock
from pytrader.dispatch import Dispatch
from pytrader.execution.simulated import SimulatedExecutor
from pytrader.feed import Feed
from pytrader.journal import Journal, JournalError, JournalLocked
from pytrader.outcomes import is_over
from pytrader.sandbox.process import OfflineMarket
from pytrader.settings import SettingsError, load
from pytrader.trader import Ticket

LONGEST_S = 10


@pytest.fixture(scope="module")
def market():
    """Run one offline market for all engines."""
    with OfflineMarket.start(3) as offline:
        yield offline


@pytest.fixture
def engine(market, tmp_path):
    """Give a function that builds an engine on the folder of this test."""

    def built(outlets=(), show_top=lambda _: None, **settings):
        chosen = load({"stream_url": market.ws_url, "rest_url": market.rest_url, "seed": "1", **settings}, {}, None)
        return App(chosen, tmp_path / PROFILE, outlets=outlets, show_top=show_top)

    return built


class Told:
    """An outlet that keeps what it is told."""

    def __init__(self):
        """Keep nothing yet."""
        self.events = []

    def take(self, event):
        self.events.append(event)


# ---- start and stop


def test_stopped_engine_leaves_no_thread_and_a_closed_journal(engine, tmp_path):
    """Stop takes less than the 3 s that a thread is given; the journal can be opened by the next."""
    before = set(threading.enumerate())
    app = engine()
    app.start()
    names = {thread.name for thread in set(threading.enumerate()) - before}
    feeds = {"feed-binance", "feed-binance-next", "snapshot-binance"}
    assert names == feeds | {"journal", "execution", "clock"}
    assert app.trader.wait_synced()
    began = monotonic()
    assert app.stop() == []
    assert monotonic() - began < 3
    assert set(threading.enumerate()) == before
    assert not app.log.handlers
    Journal.open(tmp_path / PROFILE).close()


def test_stop_is_no_death_of_the_thread_that_another_stop_ends(engine, tmp_path):
    """The feed's stop ends the snapshots too, which may be the first to go: the next start is not halted for it."""
    app = engine()
    feed_runs = app.feed.run
    (snapshots,) = [worker for worker in app._workers if worker.name == "snapshot-binance"]

    def run():
        feed_runs()
        snapshots.join(LONGEST_S)

    app.feed.run = run
    app.start()
    assert app.trader.wait_synced()
    assert app.stop() == []
    assert "halted" not in {event.kind for event in events(tmp_path)}


def test_engine_that_was_never_started_can_be_stopped(engine, tmp_path):
    """Its start is journaled by the next one that runs."""
    app = engine()
    assert app.stop() == []
    Journal.open(tmp_path / PROFILE).close()


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), KeyboardInterrupt()])
def test_start_that_fails_half_way_leaves_no_thread(engine, tmp_path, monkeypatch, error):
    """Without it they would keep the process, which nobody could stop any more."""
    before, real = set(threading.enumerate()), Worker.start

    def start(worker):
        if worker.name == "feed-binance":
            raise error
        real(worker)

    monkeypatch.setattr(Worker, "start", start)
    with pytest.raises(type(error)), engine():
        pass
    assert set(threading.enumerate()) == before
    Journal.open(tmp_path / PROFILE).close()


def test_thread_that_does_not_stop_is_named_and_keeps_its_journal(engine, monkeypatch):
    """The others end; nothing is closed under the late one's feet."""
    monkeypatch.setattr(composition, "JOIN_S", 0.2)
    gate = threading.Event()
    monkeypatch.setattr(Clock, "run", lambda _: gate.wait(LONGEST_S))
    app = engine()
    app.start()
    try:
        assert app.stop() == ["clock"]
        assert app.journal._lock >= 0
        alive = [worker.name for worker in app._workers if worker.is_alive()]
        assert alive == ["clock"]
    finally:
        gate.set()
        for worker in app._workers:
            worker.join(LONGEST_S)
        app.journal.close()


def test_what_cannot_be_built_leaves_the_folder_free(engine, tmp_path):
    """An unknown venue is named with those that are known; the lock is given back."""
    with pytest.raises(SettingsError, match="binance"):
        engine(venue="binanse")
    Journal.open(tmp_path / PROFILE).close()


def test_second_engine_is_refused_and_does_not_touch_the_first_ones_log(engine, tmp_path):
    """Each line stands in the log once."""
    with engine() as app:
        with pytest.raises(JournalLocked):
            engine()
        assert app.trader.wait_synced()
        app.trader.buy("0.01").wait_over()
    text = (tmp_path / PROFILE / "pytrader.log").read_text()
    assert text.count("Order accepted") == text.count("Order filled") == 1


@pytest.mark.parametrize(
    ("opened", "fault"),
    [
        ('"version":1,"execution":"simulated","venue":"binance","symbol":"ETHUSDT"', "belongs to .* ETHUSDT, not to"),
        ('"version":2,"execution":"simulated","venue":"binance","symbol":"BTCUSDT"', "version 2"),
        ('"version":1,"execution":"simulated","venue":"binance","symbol":"BTCUSDT"', "event 1 cannot be read"),
    ],
)
def test_journal_of_another_market_or_version_is_refused(engine, tmp_path, opened, fault):
    """It says why; nothing is appended."""
    journal = Journal.open(tmp_path / PROFILE)
    journal.append([(1, 1, 1, f'{{"opened":{{{opened}}}}}'.encode())])
    journal.close()
    with pytest.raises(JournalError, match=fault):
        engine()
    assert len(rows_of(tmp_path / PROFILE)) == 1


# ---- order of things


def test_order_leaves_and_people_are_told_only_after_the_commit(engine, monkeypatch, tmp_path):
    """While the journal writes, the order waits: nothing released, nobody told; then everything follows."""
    gate, held, append = threading.Event(), threading.Event(), Journal.append

    def slow(self, rows):
        if any(b'"accepted"' in row[3] for row in rows):
            held.set()
            assert gate.wait(LONGEST_S)
        append(self, rows)

    monkeypatch.setattr(Journal, "append", slow)
    told = Told()
    with engine(outlets=[told], delay_min_ms="0", delay_max_ms="0") as app:
        try:
            assert app.trader.wait_synced()
            ticket = app.trader.buy("0.01")
            assert ticket.accepted
            assert held.wait(LONGEST_S)
            assert not app.trader.wait_quiet(0.15)
            (order,) = app.trader.status()["open_orders"]
            assert order["state"] == "pending"
            assert ticket.wait(0) == []
            assert not [event for event in told.events if event.order_id is not None]
            assert not [event for event in events(tmp_path) if event.order_id is not None]
        finally:
            gate.set()
        assert app.trader.wait_quiet(LONGEST_S)
        assert [event.kind for event in ticket.wait_over()] == ["accepted", "released", "filled"]


def test_ten_orders_at_once_are_all_told_and_folded(engine, tmp_path):
    """The journal of a running engine folds into its own state, and every outlet hears every event in order."""
    told = Told()
    with engine(outlets=[told], max_orders_per_second="50") as app:
        assert app.trader.wait_synced()
        tickets = [app.trader.buy("0.01") for _ in range(5)] + [app.trader.sell("0.02") for _ in range(5)]
        assert app.trader.wait_quiet(LONGEST_S)
        assert all(is_over(ticket.wait_over(LONGEST_S)) for ticket in tickets)
        assert app.trader.position_e8() == -5 * 10**6
    rows = rows_of(tmp_path / PROFILE)
    assert [event.seq for event in told.events] == [row[0] for row in rows]
    assert folded(rows).state() == app.desk.state()


def test_resting_order_is_taken_up_by_the_next_engine(engine):
    """It rests again, is reserved, and can be cancelled."""
    with engine() as app:
        assert app.trader.wait_synced()
        order_id = app.trader.buy("0.5", "20000").wait()[0].order_id
    with engine() as app:
        assert app.trader.status()["room"]["buy"] == "4.5"
        assert app.trader.cancel(order_id)
        assert app.trader.wait_closed(LONGEST_S)


def test_line_of_each_second_goes_to_the_log_and_the_screen(engine, tmp_path):
    """The same words."""
    shown, seen = [], threading.Event()

    def show(text):
        shown.append(text)
        if TOP_LINE.fullmatch(text):
            seen.set()

    with engine(show_top=show):
        assert seen.wait(LONGEST_S)
    assert shown[-1] in (tmp_path / PROFILE / "pytrader.log").read_text()


# ---- deaths


def dying(gate):
    """Return a thread body that dies when the gate opens."""

    def body(*_):
        gate.wait(LONGEST_S)
        raise RuntimeError("as planned")

    return body


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("journal", (Dispatch, "run")),
        ("execution", (SimulatedExecutor, "run")),
        ("snapshot-binance", (Feed, "run_snapshots")),
        ("feed-binance", (Feed, "run")),
        ("feed-binance-next", (Feed, "run_next")),
        ("clock", (Clock, "run")),
    ],
)
def test_own_thread_dead_halts_trading_whichever_it_is(engine, monkeypatch, tmp_path, name, body):
    """Whichever it is: the halt names it, the log has its last words, and orders are refused."""
    gate = threading.Event()
    monkeypatch.setattr(*body, dying(gate))
    with engine() as app:
        assert app.trader.status()["halted"] is None
        gate.set()
        eventually(lambda: app.trader.status()["halted"] is not None)
        assert app.trader.status()["halted"] == {"cause": "THREAD", "detail": f"the thread {name} has died"}
        assert "HALTED" in app.trader.buy("0.01").verdict.codes
    text = (tmp_path / PROFILE / "pytrader.log").read_text()
    assert f"Thread {name} died" in text
    assert "RuntimeError: as planned" in text


def test_thread_that_ends_without_a_word_is_noticed_by_the_clock(engine, monkeypatch):
    """A body that merely returns has left its post."""
    gate = threading.Event()
    monkeypatch.setattr(Feed, "run", lambda _: gate.wait(LONGEST_S))
    with engine() as app:
        gate.set()
        eventually(lambda: app.trader.status()["halted"] is not None)
        assert app.trader.status()["halted"]["detail"] == "the thread feed-binance has died"


def test_panic_counts_as_death(engine):
    """A BaseException is caught, logged, and halts."""

    class Panic(BaseException):
        pass

    def body():
        raise Panic

    app = engine()
    worker = Worker("feed-x", body, app.desk, app.log)
    worker.start()
    worker.join(LONGEST_S)
    assert json.loads(app.desk.status())["halted"]["detail"] == "the thread feed-x has died"
    app.stop()


# ---- a journal that fails


def test_order_whose_outcome_does_not_come_is_answered_so(engine, monkeypatch):
    """The words do not stop at "accepted"."""
    monkeypatch.setattr(SimulatedExecutor, "submit", lambda *_: None)
    with engine() as app:
        assert app.trader.wait_synced()
        ticket = app.trader.buy("0.01")
        assert [event.kind for event in ticket.wait(0.2)] == ["accepted"]
        monkeypatch.setattr(Ticket, "wait", lambda ticket: ticket.outcomes.of(ticket.order_id))
        said = outcome(ticket, app.trader.market)
    assert said.text.splitlines() == [
        "Order accepted: BUY 0.01 BTC @ market (order 1)",
        "The outcome is not known yet; `orders` shows it when it is.",
    ]
    assert (said.data["state"], said.code) == ("pending", 1)


def test_journal_that_fails_for_a_while_halts_and_loses_nothing(engine, monkeypatch, tmp_path):
    """Orders are refused meanwhile; afterwards everything is written once, and only `resume` opens trading."""
    monkeypatch.setattr(dispatch, "RETRY_S", 0.01)
    broken, tried, append = threading.Event(), threading.Event(), Journal.append

    def flaky(self, rows):
        if broken.is_set():
            tried.set()
            raise JournalError("no space left on device")
        append(self, rows)

    monkeypatch.setattr(Journal, "append", flaky)
    with engine() as app:
        trader = app.trader
        assert trader.wait_synced()
        assert is_over(trader.buy("0.01").wait_over())
        broken.set()
        lost = trader.buy("0.01")
        assert lost.accepted
        assert tried.wait(LONGEST_S)
        eventually(lambda: not trader.status()["permit"]["journal"])
        assert trader.buy("0.01").verdict.codes[:2] == ["JOURNAL_UNHEALTHY", "HALTED"]
        assert lost.wait(0) == []
        broken.clear()
        ended = lost.wait_over(LONGEST_S)
        assert [event.kind for event in ended] == ["accepted", "cancel_requested", "ended"]
        eventually(lambda: trader.status()["permit"]["journal"])
        assert trader.buy("0.01").verdict.codes == ["HALTED"]
        assert trader.resume() == "Trading goes on."
        assert is_over(trader.buy("0.01").wait_over(LONGEST_S))
    rows = rows_of(tmp_path / PROFILE)
    assert folded(rows).state() == app.desk.state()
    assert folded(rows).position_e8() == 2 * 10**6


# Orders until the file-size limit stands for a full disk; then says what one more order is answered.
FULL_DISK = """
import resource, sys
from pathlib import Path
from pytrader.app import App
from pytrader.settings import load

stream, rest, folder = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, 120_000))
with App(load({"stream_url": stream, "rest_url": rest, "delay_max_ms": "10"}, {}, None), Path(folder)) as app:
    app.trader.wait_synced()
    while app.trader.status()["permit"]["journal"]:
        ticket = app.trader.buy("0.001")
        if ticket.accepted and ticket.wait(0.5)[-1:] and ticket.wait(0)[-1].kind == "filled":
            print("filled", flush=True)
        app.trader.pause(0.1)  # neither more attempts than are judged, nor a runaway
    print(app.trader.buy("0.001").verdict.reason)
"""


def test_full_disk_is_named_and_what_was_told_is_kept(market, tmp_path):
    """Trading stops with the cause; every fill that was told is in the journal, which the next engine takes up."""
    folder = tmp_path / PROFILE
    command = [sys.executable, "-c", FULL_DISK, market.ws_url, market.rest_url, str(folder)]
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    *told, reason = ended.stdout.splitlines()
    assert re.match(r"Order rejected: .*journal.* file-size limit", reason, re.IGNORECASE), reason
    filled = [event for event in events(tmp_path) if event.kind == "filled"]
    assert set(told) == {"filled"}
    assert len(filled) >= len(told) > 2
    assert folded(rows_of(folder)).position_e8() == len(filled) * 10**5


def test_folder_and_log_are_for_the_owner_only(engine, tmp_path):
    """Whatever the umask was."""
    with engine():
        pass
    folder = tmp_path / PROFILE
    assert folder.stat().st_mode & 0o077 == 0
    for name in ("journal.sqlite3", "journal.lock", "pytrader.log"):
        assert (folder / name).stat().st_mode & 0o077 == 0, name
    assert logging.getLogger(f"pytrader.{folder}").propagate is False
