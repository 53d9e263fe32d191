"""Nothing leaves and nobody is told before the journal has it; a journal that fails stops trading and loses nothing."""

import logging

import pytest
from paper_market import desk_on, live_book
from sessions import rows_of

from pytrader import Desk, dispatch
from pytrader.dispatch import Dispatch
from pytrader.events import read
from pytrader.journal import Journal, JournalError
from pytrader.paper import RULES

LOG = logging.getLogger("pytrader.test")
LOG.propagate = False


class Recorder:
    """Stands before desk, journal, executor and outlet; keeps the order of what they were asked."""

    def __init__(self, desk, journal, failures=0):
        """Let the first `failures` appends fail."""
        self.calls, self.desk, self.journal, self.failures = [], desk, journal, failures
        self.when_told = lambda _: None

    def next_events(self, most, timeout_ms):
        return self.desk.next_events(most, timeout_ms)

    def faulted(self):
        return self.desk.faulted()

    @property
    def last_seq(self):
        return self.journal.last_seq

    def committed(self, seq):
        self.calls.append(("committed", seq))
        self.desk.committed(seq)

    def set_journal(self, healthy):
        self.calls.append(("healthy", healthy))
        self.desk.set_journal(healthy)

    def halt(self, cause, detail):
        self.calls.append(("halt", cause))
        self.desk.halt(cause, detail)

    def append(self, rows):
        first, last = rows[0][0], rows[-1][0]
        self.calls.append(("append", first, last))
        if self.failures:
            self.failures -= 1
            raise JournalError("the disk is full")
        self.journal.append(rows)

    def submit(self, order_id):
        self.calls.append(("submit", order_id))

    def cancel(self, order_id):
        self.calls.append(("cancel", order_id))

    def take(self, event):
        self.calls.append(("told", event.seq))
        self.when_told(event)


@pytest.fixture
def desk():
    """Return a desk on a live book."""
    return desk_on(live_book())


@pytest.fixture
def journal(tmp_path):
    """Return an open journal in `tmp_path`."""
    opened = Journal.open(tmp_path)
    yield opened
    opened.close()


def dispatched(recorder):
    """Return a dispatch whose every neighbour is the recorder."""
    return Dispatch(recorder, recorder, recorder, [recorder], LOG)


def test_commit_comes_before_the_executor_and_the_people(desk, journal):
    """One commit for the batch; then the desk, the executor and the outlets, event by event."""
    assert desk.submit("buy", 10**7).accepted
    recorder = Recorder(desk, journal)
    carrier = dispatched(recorder)
    carrier.stop()
    carrier.run()
    assert recorder.calls == [
        ("append", 1, 4),
        ("healthy", True),
        ("committed", 4),
        ("told", 1),
        ("told", 2),
        ("told", 3),
        ("submit", 1),
        ("told", 4),
        ("healthy", False),
    ]


def test_executor_gets_an_order_before_its_cancel_and_nothing_else(desk, journal):
    """Only accepted orders and asked cancels are its business, in the order of the journal."""
    first = desk.submit("buy", 10**7, 20_000 * 10**8)
    second = desk.submit("sell", 10**7)
    assert not desk.submit("buy", 10**11).accepted
    assert desk.cancel(first.order_id)
    recorder = Recorder(desk, journal)
    carrier = dispatched(recorder)
    carrier.stop()
    carrier.run()
    asked = [call for call in recorder.calls if call[0] in ("submit", "cancel")]
    assert asked == [("submit", first.order_id), ("submit", second.order_id), ("cancel", first.order_id)]


def test_failing_journal_halts_trading_and_the_batch_is_written_once(desk, journal, tmp_path, monkeypatch):
    """Until a try succeeds nobody hears of the batch and orders are refused; then it is in the journal once."""
    monkeypatch.setattr(dispatch, "RETRY_S", 0.001)
    assert desk.submit("buy", 10**7).accepted
    recorder = Recorder(desk, journal, failures=3)
    carrier = dispatched(recorder)
    verdicts = []

    def tell(event):
        if event.seq == 1:
            verdicts.append(desk.submit("buy", 10**7))
        if event.kind == "halted":
            carrier.stop()

    recorder.when_told = tell
    carrier.run()
    tries = [call for call in recorder.calls if call[0] == "append"]
    assert tries[:4] == [("append", 1, 4)] * 4
    assert not [call for call in recorder.calls[: recorder.calls.index(("healthy", True))] if call[0] == "told"]
    assert recorder.calls.count(("halt", "JOURNAL")) == 3
    rows = rows_of(tmp_path)
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    assert [read(row).kind for row in rows].count("halted") == 1
    assert verdicts[0].codes == ["HALTED"]


def test_orders_are_refused_while_the_journal_fails(desk, journal, monkeypatch):
    """The refusal names the journal."""
    monkeypatch.setattr(dispatch, "RETRY_S", 0.001)
    recorder = Recorder(desk, journal, failures=1)
    carrier = dispatched(recorder)
    carrier._written(desk.next_events(100, 0))
    verdict = desk.check("buy", 10**7)
    assert verdict.codes[:2] == ["JOURNAL_UNHEALTHY", "HALTED"]


def test_stop_gives_up_on_a_journal_that_never_works_and_says_so(desk, journal, tmp_path):
    """It ends at once; nobody was told; the log names the events."""
    recorder = Recorder(desk, journal, failures=10**9)
    carrier = dispatched(recorder)
    carrier.stop()
    with LogLines() as lines:
        carrier.run()
    assert not [call for call in recorder.calls if call[0] in ("told", "submit", "committed")]
    assert rows_of(tmp_path) == []
    assert any("gave up on events 1 to 3" in line for line in lines)


def test_everything_the_desk_still_holds_is_written_after_stop(desk, journal, tmp_path, monkeypatch):
    """Batches follow each other until the desk is empty."""
    monkeypatch.setattr(dispatch, "BATCH", 2)
    for _ in range(5):
        desk.submit("buy", 10**6)
    recorder = Recorder(desk, journal)
    carrier = dispatched(recorder)
    carrier.stop()
    carrier.run()
    assert len(rows_of(tmp_path)) == 8
    assert [call for call in recorder.calls if call[0] == "append"] == [
        ("append", first, first + 1) for first in (1, 3, 5, 7)
    ]


class LogLines(logging.Handler):
    """Collects what is logged while it is entered."""

    def __enter__(self):
        """Begin."""
        self.lines = []
        LOG.addHandler(self)
        return self.lines

    def __exit__(self, *_):
        """End."""
        LOG.removeHandler(self)

    def emit(self, record):
        """Keep a line."""
        self.lines.append(record.getMessage())


def test_desk_refuses_orders_once_nobody_writes_them_down(desk, journal):
    """However the thread ends, the journal counts as down."""
    carrier = dispatched(Recorder(desk, journal))
    carrier.stop()
    carrier.run()
    assert desk.submit("buy", 10**7).codes == ["JOURNAL_UNHEALTHY"]


def test_outlet_that_fails_keeps_nobody_from_the_next(desk, journal, caplog):
    """The journal goes on; the log names the outlet."""
    assert desk.submit("buy", 10**7).accepted
    recorder = Recorder(desk, journal)
    recorder.when_told = lambda event: 1 // (event.seq - 2)
    log = logging.getLogger("pytrader.test.outlets")
    carrier = Dispatch(recorder, recorder, recorder, [recorder, recorder], log)
    carrier.stop()
    carrier.run()
    assert [call for call in recorder.calls if call[0] == "told"] == [("told", seq) for seq in (1, 1, 2, 2, 3, 3, 4, 4)]
    assert "Recorder failed at event 2" in caplog.text


class Broken:
    """A desk whose engine has failed."""

    def next_events(self, _most, _timeout_ms):
        return []

    def faulted(self):
        return True

    def set_journal(self, *, healthy):
        pass


def test_failed_engine_is_written_down_so_that_the_next_run_starts_halted(desk, journal):
    """The desk can write no event any more; the journal thread does, once."""
    assert desk.submit("buy", 10**7).accepted
    healthy = dispatched(Recorder(desk, journal))
    healthy.stop()
    healthy.run()
    carrier = Dispatch(Broken(), journal, Recorder(desk, journal), [], LOG)
    carrier.stop()
    carrier.run()
    rows = list(journal.load())
    assert read(rows[-1]).facts["cause"] == "ENGINE_FAULT"
    again = Desk(live_book(), RULES)
    again.recover(rows)
    assert b"ENGINE_FAULT" in again.state()
