"""The prompt: reads a line, gives its command to `execute`, and again, until the user leaves. It creates no thread."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus, shift_selection_mode
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.keys import Keys
from prompt_toolkit.selection import SelectionState

from pytrader.figures import signed
from pytrader.orders import LINE_MAX_BYTES, CommandError, Flatten, Order, Quit, Resume, is_blank, parse
from pytrader.repl.completer import CommandCompleter, CommandValidator
from pytrader.repl.toolbar import STYLE, prompt, toolbar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.input import Input
    from prompt_toolkit.key_binding import KeyPressEvent

    from pytrader.orders import Command
    from pytrader.repl.printer import Printer
    from pytrader.status import Snapshot

REFRESH_S = 0.5
BURST_S = 0.1
_BURST = "several lines came at once: this one was not run; press Enter to run it, or pipe a script in"


class PrivateHistory(FileHistory):
    """History in a file that only its owner can read. A full or read-only disk costs the history, not the prompt."""

    def __init__(self, path: Path) -> None:
        """Create the file with mode 0600 if it is missing, and take it from others if it is not."""
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
            try:
                os.fchmod(descriptor, 0o600)
            finally:
                os.close(descriptor)
        super().__init__(path)

    def load_history_strings(self) -> Iterable[str]:
        """Return the lines of the file, the newest first; none if it cannot be read."""
        try:
            return list(super().load_history_strings())
        except OSError:
            return []

    def store_string(self, string: str) -> None:
        """Append one line."""
        with contextlib.suppress(OSError):
            super().store_string(string)


class Session:
    """One terminal session on the main thread.

    `execute` runs a command other than quit and may print by `printer.line`; in a long wait it should call
    `printer.drain`. `snapshot` returns the latest one, or None before the first. `halt` is called by F9 with the reason
    and must return at once. `check` returns the refusal that an order would get now, or None. Without `history` nothing
    typed is kept on disk.
    """

    def __init__(
        self,
        *,
        execute: Callable[[Command], None],
        snapshot: Callable[[], Snapshot | None],
        printer: Printer,
        halt: Callable[[str], object],
        check: Callable[[Order], str | None] | None = None,
        history: Path | None = None,
        input: Input | None = None,  # noqa: A002 - prompt_toolkit's own word
    ) -> None:
        """Build the prompt; nothing is read or shown before `run`."""
        self._execute, self._snapshot, self._printer = execute, snapshot, printer
        self._halt, self._check, self._input = halt, check, input
        self._stopped = self._burst = False
        self._burst_until = 0.0
        self._exit: Callable[[], None] | None = None
        kept: History = InMemoryHistory() if history is None else PrivateHistory(history)
        self._prompt: PromptSession[str] = PromptSession(
            lambda: prompt(snapshot()),
            bottom_toolbar=self._toolbar,
            completer=CommandCompleter(snapshot),
            validator=CommandValidator(),
            validate_while_typing=False,
            auto_suggest=AutoSuggestFromHistory(),
            history=kept,
            key_bindings=self._keys(),
            style=STYLE,
            color_depth=printer.color_depth,
            refresh_interval=REFRESH_S,
            input=input,
            output=printer.output,
        )

    def run(self) -> None:
        """Read and execute until quit, Ctrl-D or `stop`. An open position or order is asked about first."""
        while not self._stopped:
            with contextlib.suppress(KeyboardInterrupt):  # of several Ctrl-C some find neither a prompt nor a command
                self._turn()
        self._printer.drain()

    def stop(self) -> None:
        """End `run` soon, without a question; callable from any thread."""
        self._stopped = True
        leave = self._exit
        if leave is not None:
            with contextlib.suppress(RuntimeError):  # the prompt ended by itself since
                leave()

    def _turn(self) -> None:
        """Read one line and do what it says."""
        self._printer.drain()
        try:
            line = self._ask(self._prompt)
            if is_blank(line):
                return
            command = parse(line)
        except EOFError:
            command = Quit()
        except CommandError as error:
            self._printer.line(f"{error.message} (column {error.column})")
            return
        if isinstance(command, Quit):
            self._stopped = self._stopped or self._may_leave()
        else:
            self._run(command)

    def _run(self, command: Command) -> None:
        try:
            self._execute(command)
        except KeyboardInterrupt:
            self._printer.line("interrupted; what was sent stays sent: see orders")

    def _ask(self, session: PromptSession[str], message: str | None = None) -> str:
        try:
            return session.prompt(message, pre_run=self._started, set_exception_handler=False)
        finally:
            self._exit = None
            self._printer.detach()

    def _started(self) -> None:
        """Run inside the prompt's loop as it starts, so that lines and `stop` find their way into it."""
        app, loop = get_app(), asyncio.get_running_loop()

        def leave() -> None:
            if app.is_running and not app.is_done:
                app.exit(exception=EOFError)

        def leave_from_any_thread() -> None:
            loop.call_soon_threadsafe(leave)

        self._exit = leave_from_any_thread
        self._burst_until = loop.time() + BURST_S if self._burst else 0.0
        self._burst = False
        self._printer.attach()
        if self._stopped:
            leave()

    def _may_leave(self) -> bool:
        it = self._snapshot()
        if it is None or (it.position == "0" and not it.counts.open):
            return True
        question = f"Position is {signed(it.position)} {it.profile.base}, {it.counts.open} orders open. Leave? [y/N] "
        self._printer.drain()
        try:
            asking: PromptSession[str] = PromptSession(input=self._input, output=self._printer.output)
            return self._ask(asking, question).strip().lower() in ("y", "yes")
        except KeyboardInterrupt:
            return False
        except EOFError:
            return True

    def _toolbar(self) -> StyleAndTextTuples:
        return toolbar(self._snapshot(), self._verdict(self._prompt.default_buffer.text))

    def _verdict(self, text: str) -> str | None:
        if self._check is None or is_blank(text):
            return None
        try:
            command = parse(text)
        except CommandError:
            return None
        return self._check(command) if isinstance(command, Order) else None

    def _keys(self) -> KeyBindings:
        keys, typing = KeyBindings(), has_focus(DEFAULT_BUFFER)  # in a search the keys keep their meaning
        keys.add("enter", filter=typing)(self._enter)
        keys.add(Keys.BracketedPaste)(self._paste)
        keys.add("f9")(lambda _: self._halt("F9"))
        for moves in (["c-a"], ["c-b"], ["c-e"], ["c-f"], ["escape", "b"], ["escape", "f"]):
            keys.add(*moves, filter=typing & shift_selection_mode)(_unselected)
        keys.add("tab", filter=typing & shift_selection_mode)(_completed)
        for key in ("c-c", "<sigint>"):
            keys.add(key, filter=typing)(lambda event: event.current_buffer.reset())
        return keys

    def _enter(self, event: KeyPressEvent) -> None:
        """Accept the line; but of lines that came in one burst, such as a paste, no order is run."""
        queued = event.key_processor.input_queue
        behind = any(key.key is not Keys.CPRResponse for key in queued)
        now = asyncio.get_running_loop().time()
        burst = behind or now < self._burst_until
        if burst:
            self._burst_until = now + BURST_S
        if burst and _trades(event.current_buffer.text):
            queued.clear()
            self._printer.line(_BURST)
            return
        self._burst = burst
        event.current_buffer.validate_and_handle()
        if event.current_buffer.validation_error is not None:
            _select_word(event.current_buffer)

    def _paste(self, event: KeyPressEvent) -> None:
        """Insert one pasted line, without its end; several, or a huge one, are refused whole."""
        lines = [line for line in event.data.splitlines() if line.strip()]
        if len(lines) > 1 or len(event.data) > LINE_MAX_BYTES:
            self._printer.line(f"a paste of {len(lines)} lines was not taken: pipe a script in instead")
        elif lines:
            event.current_buffer.cut_selection()
            event.current_buffer.insert_text(lines[0])


def _select_word(buffer: Buffer) -> None:
    """Let what is typed next stand in the place of the word at the cursor; any key that moves the cursor keeps it."""
    if word := re.match(r"\S+", buffer.document.text_after_cursor):
        buffer.selection_state = selected = SelectionState(buffer.cursor_position + word.end())
        selected.enter_shift_mode()


def _unselected(event: KeyPressEvent) -> None:
    """Let a key that moves the cursor do that alone, as the arrows do, and not move an end of the selection."""
    event.current_buffer.exit_selection()
    for press in reversed(event.key_sequence):
        event.key_processor.feed(press, first=True)


def _completed(event: KeyPressEvent) -> None:
    """Complete the selected word from its end."""
    event.current_buffer.cursor_position = event.current_buffer.document.selection_range()[1]
    _unselected(event)


def _trades(text: str) -> bool:
    try:
        return isinstance(parse(text), Order | Flatten | Resume)
    except CommandError:
        return False
