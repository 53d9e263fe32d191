"""The journal thread: every event is made durable first, and only then told to the executor and to people."""

from __future__ import annotations

import time
from threading import Event as Flag
from typing import TYPE_CHECKING, Protocol

import orjson

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
        self._fault_told = False

    def run(self) -> None:
        """Work until `stop`, then until nothing is left to write; the body of a thread.

        However it ends, the desk refuses orders from then on: nobody would write them down.
        """
        try:
            while self._round():
                pass
        finally:
            self._desk.set_journal(healthy=False)

    def _round(self) -> bool:
        """Carry one batch; false when there is no more to do."""
        rows = self._desk.next_events(BATCH, WAIT_MS)
        if rows:
            return self._commit(rows)
        if self._desk.faulted() and not self._fault_told:
            self._tell_fault()
        return not self._stopped.is_set()

    def _tell_fault(self) -> None:
        """Write down that the engine failed: the next run starts halted, and a person decides."""
        self._fault_told = True
        detail = "the engine failed; look at the log, then restart"
        body = orjson.dumps({"halted": {"cause": "ENGINE_FAULT", "detail": detail}})
        self._log.critical("Engine: %s", detail)
        row = (self._journal.last_seq + 1, time.monotonic_ns(), time.time_ns(), body)
        if self._written([row]):
            self._tell(read(row))

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
        self._tell(event)

    def _tell(self, event: Event) -> None:
        """Hand an event to every outlet; one that fails is named in the log and keeps nobody from the next."""
        for outlet in self._outlets:
            try:
                outlet.take(event)
            except Exception:  # noqa: BLE001 - whatever it is, the journal goes on
                self._log.exception("Outlet %s failed at event %d", type(outlet).__name__, event.seq)
