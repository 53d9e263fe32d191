"""The seam between the desk and whatever executes its orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Executor(Protocol):
    """Executes orders whose intent is durable. What becomes of them is reported to the desk, never returned."""

    def submit(self, order_id: int) -> None:
        """Take an accepted order; ask the desk's permit again right before sending it."""

    def cancel(self, order_id: int) -> None:
        """Take a request to cancel an order that was submitted before."""

    def reconcile(self, resting: Sequence[int]) -> None:
        """Take up the orders of an earlier run that still rest."""

    def run(self) -> None:
        """Work until `stop`; the body of a thread."""

    def stop(self) -> None:
        """Make `run` return; from any thread."""
