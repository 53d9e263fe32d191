"""The simulated executor: fills after its own delay, takes up what rested, and is ready exactly while it runs."""

import json
from contextlib import contextmanager
from threading import Thread
from time import monotonic

import pytest
from paper_market import depth, desk_on, ladder, live_book

from pytrader import Simulator
from pytrader.events import read
from pytrader.execution import simulated
from pytrader.execution.simulated import SimulatedExecutor

LONGEST_S = 10


@pytest.fixture
def market():
    """Return a live book, a desk on it, and an executor that fills within 1 to 5 ms."""
    book = live_book()
    desk = desk_on(book)
    simulator = Simulator(book, desk, seed=1, min_delay_ms=1, max_delay_ms=5)
    return book, desk, SimulatedExecutor(simulator, desk)


@contextmanager
def running(executor):
    """Run the executor in a thread, and stop it."""
    thread = Thread(target=executor.run)
    thread.start()
    try:
        yield thread
    finally:
        executor.stop()
        thread.join(LONGEST_S)
        assert not thread.is_alive()


def committed(desk, until):
    """Commit what the desk says, event by event, until a kind of event has come; return all of them."""
    events, deadline = [], monotonic() + LONGEST_S
    while not any(event.kind == until for event in events):
        assert monotonic() < deadline, [event.kind for event in events]
        rows = desk.next_events(100, 100)
        if rows:
            desk.committed(rows[-1][0])
        events += map(read, rows)
    return events


@pytest.mark.parametrize(("least", "most"), [(5, 4), (-1, 4), (1, 86_400_001), (2**62, 2**62)])
def test_delays_that_no_venue_has_are_refused(least, most):
    """Out of order, or longer than times can be added up."""
    book = live_book()
    with pytest.raises(ValueError, match="delays from"):
        Simulator(book, desk_on(book), seed=1, min_delay_ms=least, max_delay_ms=most)


def permit(desk):
    return json.loads(desk.status())["permit"]["executor"]


def test_durable_order_fills_after_the_delay(market):
    """Released, then filled; the receipt holds the simulated delay, and the order took at least as long."""
    _, desk, executor = market
    verdict = desk.submit("buy", 10**7)
    committed(desk, "accepted")
    with running(executor):
        executor.submit(verdict.order_id)
        released, filled = committed(desk, "filled")
    assert released.kind == "released"
    assert 10**6 <= filled.facts["delay_ns"] <= 5 * 10**6
    assert filled.facts["elapsed_ns"] >= filled.facts["delay_ns"]
    assert desk.position_e8() == 10**7


def test_order_that_is_not_durable_yet_cannot_leave(market):
    """The desk would rather break than let it: every later order is then refused with the engine's fault."""
    _, desk, executor = market
    verdict = desk.submit("buy", 10**7)
    executor.submit(verdict.order_id)
    with pytest.raises(BaseException, match="before its intent was durable"):
        executor._simulator.run_once(0)
    assert desk.submit("buy", 10**7).codes == ["ENGINE_FAULT"]


def test_executor_is_ready_exactly_while_it_runs(market):
    """Before, and after a stop, orders are refused."""
    _, desk, executor = market
    desk.set_executor(ready=False)
    assert desk.check("buy", 10**7).codes == ["EXECUTOR_NOT_READY"]
    with running(executor):
        verdict = desk.submit("buy", 10**7)
        while not verdict.accepted:
            verdict = desk.submit("buy", 10**7)
        assert permit(desk)
    assert not permit(desk)
    assert "EXECUTOR_NOT_READY" in desk.check("buy", 10**7).codes


def test_executor_that_dies_is_not_ready(market):
    """However its body ends."""
    _, desk, executor = market

    class Broken:
        def run_once(self, _):
            raise RuntimeError("broken")

    executor._simulator = Broken()
    with pytest.raises(RuntimeError, match="broken"):
        executor.run()
    assert not permit(desk)


def test_stop_does_not_wait_for_a_slice_to_end(market, monkeypatch):
    """It wakes the wait, whatever that was waiting for."""
    monkeypatch.setattr(simulated, "WAIT_MS", 60_000)
    _, _, executor = market
    began = monotonic()
    with running(executor):
        pass
    assert monotonic() - began < LONGEST_S


def test_resting_order_of_an_earlier_run_fills_once_the_market_reaches_it(market):
    """It was put back to rest; an ask below its limit wakes the executor, which fills it as a maker."""
    book, desk, executor = market
    verdict = desk.submit("buy", 10**7, 26_000 * 10**8)
    committed(desk, "accepted")
    with running(executor):
        executor.submit(verdict.order_id)
        committed(desk, "resting")
    again = SimulatedExecutor(Simulator(book, desk, seed=1), desk)
    again.reconcile([verdict.order_id])
    with running(again):
        gone = [[price, "0"] for price, _ in ladder(26_795, -1)]
        book.apply(depth(9, [*gone, ["25998.00", "1"]], [["25999.00", "1"]]))
        (filled,) = committed(desk, "filled")
    assert (filled.facts["maker"], filled.facts["average"]) == (True, "26000")


def test_cancel_ends_a_resting_order_and_passes_over_one_that_is_over(market):
    _, desk, executor = market
    verdict = desk.submit("buy", 10**7, 26_000 * 10**8)
    committed(desk, "accepted")
    with running(executor):
        executor.submit(verdict.order_id)
        committed(desk, "resting")
        assert desk.cancel(verdict.order_id)
        committed(desk, "cancel_requested")
        executor.cancel(verdict.order_id)
        (ended,) = committed(desk, "ended")
        executor.cancel(verdict.order_id)
        executor.submit(verdict.order_id)
    assert (ended.facts["state"], ended.facts["reason"]) == ("canceled", "USER")
    assert desk.next_events(10, 0) == []
