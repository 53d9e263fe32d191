"""The journal thread: every event is made durable first, and only then told to the executor and to people."""

from __future__ import annotations

from threading import Event as Flag
from typing import TYPE_CHECKING, Protocol

from pytrader.events import Event, Row, read
from pytrader.journal import Journal, JournalError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from logging import Logger

    from pytrader._core import Desk
    from pytrader.execution.executor import Executor

BATCH = 4_096
WAIT_MS = 100
RETRY_S = 1.0


class Outlet(Protocol):
    """Takes committed events. It must not block: what it cannot show it drops."""

    def take(self, event: Event) -> None:
        """Take one event."""


class Dispatch:
    """Carries events from the desk to the journal, and from there to the executor and the outlets, in order."""

    def __init__(
        self, desk: Desk, journal: Journal, executor: Executor, outlets: Sequence[Outlet], log: Logger
    ) -> None:
        """Connect the parts; `run` does the work."""
        self._desk, self._journal, self._executor = desk, journal, executor
        self._outlets, self._log = outlets, log
        self._stopped = Flag()

    def run(self) -> None:
        """Work until `stop`, then until nothing is left to write; the body of a thread."""
        while True:
            rows = self._desk.next_events(BATCH, WAIT_MS)
            if rows and not self._commit(rows):
                return
            if not rows and self._stopped.is_set():
                return

    def stop(self) -> None:
        """Make `run` return once the desk's events are written, or cannot be."""
        self._stopped.set()

    def _commit(self, rows: Sequence[Row]) -> bool:
        """Write a batch, again and again if need be; false if it was given up because of `stop`."""
        while not self._written(rows):
            if self._stopped.wait(RETRY_S):
                self._log.error("Journal: gave up on events %d to %d, which nobody was told", rows[0][0], rows[-1][0])
                return False
        self._desk.committed(rows[-1][0])
        for row in rows:
            self._route(read(row))
        return True

    def _written(self, rows: Sequence[Row]) -> bool:
        try:
            self._journal.append(rows)
        except JournalError as error:
            self._desk.set_journal(healthy=False)
            self._desk.halt("JOURNAL", str(error))
            self._log.critical("Journal: %s; trading is halted, trying again each second", error)
            return False
        self._desk.set_journal(healthy=True)
        return True

    def _route(self, event: Event) -> None:
        order_id = event.order_id
        if event.kind == "accepted" and order_id is not None:
            self._executor.submit(order_id)
        elif event.kind == "cancel_requested" and order_id is not None:
            self._executor.cancel(order_id)
        for outlet in self._outlets:
            outlet.take(event)
