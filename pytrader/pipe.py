"""Commands from a pipe: read line by line, each answered in plain text or as one JSON object a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

import orjson

from pytrader.answers import ERROR, NO_DATA, OK, USAGE, Answer, Answers
from pytrader.grammar import Command, Order, Quit, Whatif
from pytrader.orders import CommandError, is_blank, parse
from pytrader.trader import SYNC_WAIT_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytrader.trader import Trader

END_WAIT_S = 5.0


class Pipe:
    """Runs a script of commands against a trader and keeps the highest exit code."""

    def __init__(self, trader: Trader, out: TextIO, *, as_json: bool, show_top: Callable[[bool], None]) -> None:
        """Answer to `out`; `show_top` switches the line of each second."""
        self._trader, self._out, self._as_json = trader, out, as_json
        self._answers = Answers(trader, show_top, await_orders=True)
        self._waited = False
        self.code = OK

    def run(self, lines: Iterable[str]) -> int:
        """Carry out every line, then wait for orders in flight; return the highest exit code."""
        for line in lines:
            if is_blank(line):
                continue
            try:
                command = parse(line)
            except CommandError as error:
                self._tell(self._usage(line, error))
                continue
            if isinstance(command, Quit):
                break
            self.execute(command)
        if not self._trader.wait_quiet(END_WAIT_S):
            text = "Orders are still in flight; `orders` shows what became of them."
            self._tell(Answer(text, {"in_flight": True}, ERROR))
        return self.code

    def execute(self, command: Command) -> None:
        """Carry out one command; the first order, or question about one, waits for the first synchronised book."""
        if isinstance(command, Order | Whatif) and not self._waited:
            self._waited = True
            if not self._trader.wait_synced():
                text = f"No synchronised book within {SYNC_WAIT_S:.0f} s: orders will be refused; the log says why."
                self._tell(Answer(text, {"error": text}, NO_DATA))
        for answer in self._answers.to(command):
            self._tell(answer)

    def end(self) -> None:
        """Cancel what rests and wait until nothing is open."""
        if self._trader.desk.open_orders():
            self._trader.desk.cancel_all(session_end=True)
            self._trader.wait_closed(END_WAIT_S)

    def _usage(self, line: str, error: CommandError) -> Answer:
        text = f"{error.message} (column {error.column})"
        data: dict[str, Any] = {"error": error.message, "column": error.column, "line": line.rstrip("\r\n")}
        return Answer(text, data, USAGE)

    def _tell(self, answer: Answer) -> None:
        self.code = max(self.code, answer.code)
        text = orjson.dumps(answer.data, default=str).decode() if self._as_json else answer.text
        if text:
            self._out.write(f"{text}\n")
            self._out.flush()
