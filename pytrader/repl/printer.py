"""Lines from any thread, written above the prompt by the main thread alone, so that the prompt is never torn.

`line` and `top` only put text into a bounded queue and wake the prompt's loop; they never wait for a screen. While no
prompt stands, whoever owns the main thread calls `drain`.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections import deque
from threading import Lock
from typing import TYPE_CHECKING

from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.output import ColorDepth, create_output
from prompt_toolkit.renderer import print_formatted_text

from pytrader.figures import printable
from pytrader.repl.toolbar import STYLE

if TYPE_CHECKING:
    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.output import Output

LINES_MAX = 10_000
PAUSE_S = 0.05
TOP_PERIOD_NS = 200_000_000
_STYLES = {
    "Order rejected": "class:refusal",
    "Order filled": "class:filled",
    "Order partially filled": "class:filled",
    "Stray fill": "class:refusal",
}


class Printer:
    """The one way to the screen. Lines beyond `LINES_MAX` unwritten ones push out the oldest, which are counted."""

    def __init__(self, output: Output | None = None, *, color: bool = True) -> None:
        """Write to `output`, by default the terminal."""
        self.output = output or create_output()
        self.color_depth = None if color else ColorDepth.DEPTH_1_BIT
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context: contextvars.Context | None = None
        self._scheduled = False
        self._top_on = False
        self._top_shown_ns: int | None = None

    def line(self, text: str) -> None:
        """Show `text` (several lines are kept together); callable from any thread, at once."""
        with self._lock:
            if len(self._lines) >= LINES_MAX:
                self._lines.popleft()
                self._dropped += 1
            self._lines.append(text)
            self._wake()

    def top(self, text: str, mono_ns: int) -> None:
        """Show a top-of-book line, if that is switched on and the last was shown at least 200 ms before `mono_ns`."""
        last = self._top_shown_ns
        if self._top_on and (last is None or mono_ns - last >= TOP_PERIOD_NS):
            self._top_shown_ns = mono_ns
            self.line(text)

    def show_top(self, on: bool) -> None:
        """Switch the top-of-book lines on or off (off at first)."""
        self._top_on = on

    def attach(self) -> None:
        """Begin to write above the prompt whose loop is running; called by the session as the prompt starts."""
        with self._lock:
            self._loop, self._context = asyncio.get_running_loop(), contextvars.copy_context()
            self._scheduled = False
            if self._lines:
                self._wake()

    def detach(self) -> None:
        """Stop using the prompt's loop; lines are kept for `drain`."""
        with self._lock:
            self._loop = self._context = None

    def drain(self) -> None:
        """Write what is queued; only from the main thread, and only while no prompt stands."""
        with self._lock:
            lines, self._lines = self._lines, deque()
            dropped, self._dropped = self._dropped, 0
        if dropped:
            lines.appendleft(f"({dropped} lines were not shown; the log file has them)")
        if lines:
            with contextlib.suppress(OSError):  # a terminal that is gone must not stop trading; the log has every line
                print_formatted_text(self.output, _fragments(lines), STYLE, color_depth=self.color_depth)

    def _wake(self) -> None:
        """With the lock held: let the loop write soon; many lines within the pause are one write."""
        if self._loop is not None and not self._scheduled:
            self._scheduled = True
            with contextlib.suppress(RuntimeError):  # the loop closed since: the lines stay for drain
                self._loop.call_soon_threadsafe(self._soon, context=self._context)

    def _soon(self) -> None:
        asyncio.get_running_loop().call_later(PAUSE_S, self._above)

    def _above(self) -> None:
        with self._lock:
            if self._loop is None:
                return
            self._scheduled = False
        run_in_terminal(self.drain)


def _fragments(lines: deque[str]) -> StyleAndTextTuples:
    return [(_style(part), f"{printable(part)}\n") for line in lines for part in line.split("\n")]


def _style(line: str) -> str:
    return next((style for start, style in _STYLES.items() if line.startswith(start)), "")
