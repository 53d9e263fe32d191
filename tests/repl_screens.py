"""A terminal without a screen: a snapshot to show, keys to type, and what was written."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from prompt_toolkit.output.vt100 import Vt100_Output

from pytrader.repl.printer import Printer
from pytrader.repl.session import Session
from pytrader.status import (
    BookTop,
    Counts,
    Day,
    Latency,
    Limits,
    OpenOrder,
    Permit,
    Profile,
    Room,
    Slippage,
    Snapshot,
)

WAIT_S = 10
SNAPSHOT = Snapshot(
    mode="SIM",
    profile=Profile("simulated", "binance", "BTCUSDT", "BTC", "USDT"),
    price_decimals=2,
    top=BookTop("26795.4", "1.8", "26795.8", "0.5", "0.4", "0.15", 77, 14_000_000, synced=True, sync="live", doubt=""),
    position="0",
    entry=None,
    cash="0",
    cost="0",
    realised="0",
    unrealised="0",
    fees="0",
    equity="0",
    day=Day(20779, "0", "-0.175"),
    halted=None,
    loss_latched=False,
    permit=Permit(journal=True, executor=True, book="live"),
    clock_suspect=False,
    attempts_capped=0,
    limits=Limits("50000", "5", 5, "10000", 5_000_000, 50, 200, 0, 2 * 10**9),
    room=Room("4.75", "5.25", 5, "10000"),
    counts=Counts(0, 0, 0, 0, 0),
    duplicates=0,
    last_reject=None,
    open_orders=(OpenOrder(3, "sell", "0.1", "0", "27000", "gtc", "resting", None),),
    latency=dict.fromkeys(("frame", "decision", "journal", "execution", "total"), Latency(0, 0, 0, 0, 0, 0)),
    slippage_bps=Slippage(None, None, None, None, None, 0),
    feed={},
)
LONG = replace(SNAPSHOT, position="0.25")


class Screen(Vt100_Output):
    """A terminal of 80 by 24 that keeps what is written to it."""

    def __init__(self):
        """Start empty."""
        self.written = io.StringIO()
        super().__init__(self.written, lambda: Size(rows=24, columns=80), term="xterm")

    @property
    def text(self):
        """Return everything written so far."""
        return self.written.getvalue()


class Terminal:
    """A session on a pipe, driven by a second thread: each step is typed once the one before has had its effect."""

    def __init__(self, keys, **given):
        """Put a session on `keys`; what is `given` replaces its parts."""
        self.keys, self.commands, self.halts = keys, [], []
        self.printer = given.pop("printer", None) or Printer(DummyOutput())
        self.done = threading.Semaphore(0)
        self.session = Session(
            execute=given.pop("execute", self.executed),
            snapshot=given.pop("snapshot", lambda: SNAPSHOT),
            printer=self.printer,
            halt=self.halted,
            input=keys,
            **given,
        )

    def executed(self, command):
        """Note a command."""
        self.commands.append(command)
        self.done.release()

    def halted(self, reason):
        """Note a halt."""
        self.halts.append(reason)
        self.done.release()

    def type(self, *steps):
        """Run the session while `steps` are typed; a step is text, or a callable that waits for something."""

        def typing():
            try:
                for step in steps:
                    if callable(step):
                        step()
                    else:
                        self.keys.send_text(step)
            except BaseException:
                self.session.stop()
                raise

        with ThreadPoolExecutor(1) as pool:
            typed = pool.submit(typing)
            self.session.run()
            typed.result(WAIT_S)

    def effect(self):
        """Wait for one more command or halt."""
        assert self.done.acquire(timeout=WAIT_S), "nothing happened"


@contextmanager
def terminal(**given):
    """Open a terminal on a fresh pipe."""
    with create_pipe_input() as keys:
        yield Terminal(keys, **given)


def shown(terminal, text):
    """Return a step that waits until `text` was handed to the printer."""
    seen = threading.Event()
    line = terminal.printer.line

    def watch(given):
        line(given)
        if text in given:
            seen.set()

    terminal.printer.line = watch

    def wait():
        assert seen.wait(WAIT_S), f"{text!r} was not shown"

    return wait


def rendered(terminal, condition):
    """Return a step that waits until `condition` holds after the prompt was drawn."""
    seen = threading.Event()
    terminal.session._prompt.app.after_render += lambda _: condition() and seen.set()

    def wait():
        assert seen.wait(WAIT_S), "the prompt did not get there"

    return wait


def loaded(terminal):
    """Return a step that waits until the old lines were read."""
    buffer = terminal.session._prompt.default_buffer
    return rendered(terminal, lambda: len(buffer._working_lines) > 2)
