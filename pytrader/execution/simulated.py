"""The simulated executor: the Rust simulator, driven by one thread. It reaches no network."""

from __future__ import annotations

from threading import Event as Flag
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytrader._core import Desk, Simulator

WAIT_MS = 100


class SimulatedExecutor:
    """Fills orders on the live book after a random delay. Implements `executor.Executor`."""

    def __init__(self, simulator: Simulator, desk: Desk) -> None:
        """Drive `simulator`, which reports to `desk`."""
        self._simulator = simulator
        self._desk = desk
        self._stopped = Flag()

    def submit(self, order_id: int) -> None:
        """Take an accepted order whose intent is durable."""
        self._simulator.submit(order_id)

    def cancel(self, order_id: int) -> None:
        """Take a request to cancel; it travels with a delay of its own and can lose to the fill."""
        self._simulator.cancel(order_id)

    def reconcile(self, resting: Sequence[int]) -> None:
        """Put orders of an earlier run back to rest: they fill from the next synchronised book on."""
        for order_id in resting:
            self._simulator.rest(order_id)

    def run(self) -> None:
        """Execute until `stop`. The desk refuses orders before this runs and after it ends, however it ends."""
        self._desk.set_executor(ready=True)
        try:
            while not self._stopped.is_set():
                self._simulator.run_once(WAIT_MS)
        finally:
            self._desk.set_executor(ready=False)

    def stop(self) -> None:
        """Make `run` return at once."""
        self._stopped.set()
        self._simulator.wake()
