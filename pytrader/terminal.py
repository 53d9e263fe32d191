"""One session on a running engine: at a prompt, from a pipe, or scripted."""

from __future__ import annotations

import io
import os
import select
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic_ns
from typing import TYPE_CHECKING, Protocol, TextIO

from pytrader.answers import Answers, refusal_details
from pytrader.app import App
from pytrader.auto import Script
from pytrader.lines import Market, line_of
from pytrader.loosening import confirmed, refused, typed
from pytrader.pipe import Pipe
from pytrader.repl.printer import Printer
from pytrader.repl.session import Session
from pytrader.setting_kinds import Secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytrader.events import Event
    from pytrader.grammar import Command, Order
    from pytrader.loosening import Looser
    from pytrader.settings import Settings
    from pytrader.status import Snapshot
    from pytrader.trader import Trader

SNAPSHOT_NS = 100_000_000
_MARKET = Market("BTC", "USDT", "0.01")


@dataclass(frozen=True, slots=True)
class Options:
    """How a session runs: scripted, as JSON lines, resting orders kept at its end, looser limits confirmed."""

    auto: bool = False
    as_json: bool = False
    keep_open: bool = False
    loosen: bool = False

    def confirm(self, *, asking: bool) -> Callable[[Looser], bool]:
        """Return who confirms looser limits: the option, a person where one can be asked, else nobody."""
        if self.loosen:
            return confirmed
        return typed if asking else refused


class OfflineAddress(Protocol):
    """Where an offline market serves."""

    ws_url: str
    rest_url: str


def offline(settings: Settings, market: OfflineAddress) -> Settings:
    """Return the settings with the offline market in the venue's place."""
    key = Secret("offline")  # the binary streams want one; the user's own is for the exchange alone
    return replace(settings, stream_url=market.ws_url, rest_url=market.rest_url, binance_sbe_api_key=key)


def run_session(settings: Settings, folder: Path, options: Options) -> int:
    """Run one session and return its exit code. A prompt needs a terminal at both ends; else commands come by pipe."""
    if options.auto:
        return _scripted(settings, folder, options)
    if sys.stdin.isatty() and sys.stdout.isatty():
        return _prompted(settings, folder, options)
    return _piped(settings, folder, options)


def _scripted(settings: Settings, folder: Path, options: Options) -> int:
    confirm = options.confirm(asking=False)
    changes = Changes(sys.stderr)
    app = App(settings, folder, outlets=[changes], show_top=lambda text: _offer(text, sys.stdout), confirm=confirm)
    changes.market = app.trader.market
    with app:
        print(welcome(app.trader, settings), flush=True)
        pipe = Pipe(app.trader, sys.stdout, as_json=False, show_top=lambda _: None)
        Script(app.trader, pipe, sys.stdout).run(folder)
        pipe.end()
        return 0 if pipe.code in (0, 3) else pipe.code


def _piped(settings: Settings, folder: Path, options: Options) -> int:
    top_on = _Switch(on=False)

    def show(text: str) -> None:
        if top_on.on:
            _offer(text, sys.stderr)

    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="backslashreplace")  # a byte that is no text makes a wrong line, not an end
    top_on.on = True
    confirm = options.confirm(asking=False)
    changes = Changes(sys.stderr)
    app = App(settings, folder, outlets=[changes], show_top=show, confirm=confirm)
    changes.market = app.trader.market
    with app:
        if (halted := halt_line(app.trader)) is not None:
            print(halted, file=sys.stderr, flush=True)
        pipe = Pipe(app.trader, sys.stdout, as_json=options.as_json, show_top=top_on.set)
        try:
            return pipe.run(sys.stdin)
        finally:  # also when a signal ends the script
            if not options.keep_open:
                pipe.end()


def _prompted(settings: Settings, folder: Path, options: Options) -> int:
    printer = Printer(color=settings.color != "never")
    screen = Screen(printer)
    confirm = options.confirm(asking=True)
    app = App(settings, folder, outlets=[screen], show_top=screen.top, confirm=confirm)
    screen.market = app.trader.market
    with app:
        trader = app.trader
        answers = Answers(trader, printer.show_top, await_orders=False)
        session = Session(
            execute=lambda command: _execute(answers, printer, command),
            snapshot=Latest(trader).snapshot,
            printer=printer,
            halt=trader.halt,
            check=lambda order: _refusal(trader, order),
            history=folder / "history",
        )
        printer.line(welcome(trader, settings))
        try:
            session.run()
        finally:  # also when a signal ends the session
            if not options.keep_open:
                Pipe(trader, sys.stdout, as_json=False, show_top=lambda _: None).end()
            printer.drain()
    return 0


def _execute(answers: Answers, printer: Printer, command: Command) -> None:
    for answer in answers.to(command):
        printer.line(answer.text)
        printer.drain()


def _refusal(trader: Trader, order: Order) -> str | None:
    return trader.check(order).reason


@dataclass(slots=True)
class _Switch:
    on: bool

    def set(self, on: bool) -> None:
        """Switch."""
        self.on = on


class Screen:
    """The outlet that writes committed events above the prompt."""

    def __init__(self, printer: Printer) -> None:
        """Write by `printer`."""
        self._printer = printer
        self.market = _MARKET

    def take(self, event: Event) -> None:
        """Show the event's line, if it has one; a refusal with its numbers."""
        text = line_of(event.kind, event.facts, self.market)
        if text is not None:
            details = refusal_details(event.facts) if event.kind == "refused" else []
            self._printer.line("\n".join([text, *details]))

    def top(self, text: str) -> None:
        """Show the line of each second, where it is switched on."""
        self._printer.top(text, monotonic_ns())


class Changes:
    """The outlet that tells whoever runs a script that its limits are not those of the last start."""

    def __init__(self, out: TextIO) -> None:
        """Write to `out`, if that cannot block."""
        self._out = out
        self.market = _MARKET

    def take(self, event: Event) -> None:
        """Write the line of a change."""
        if event.kind == "limits_changed" and (text := line_of(event.kind, event.facts, self.market)) is not None:
            _offer(text, self._out)


class Latest:
    """The newest snapshot, made anew at most ten times a second."""

    def __init__(self, trader: Trader) -> None:
        """Take snapshots of `trader`."""
        self._trader = trader
        self._taken_ns = 0
        self._kept: Snapshot | None = None

    def snapshot(self) -> Snapshot | None:
        """Return a snapshot at most 100 ms old."""
        if monotonic_ns() - self._taken_ns >= SNAPSHOT_NS:
            self._kept, self._taken_ns = self._trader.snapshot(), monotonic_ns()
        return self._kept


def welcome(trader: Trader, settings: Settings) -> str:
    """Return the first words of a session."""
    where = _where(settings)
    lines = [
        f"pytrader: {settings.venue_symbol} on {where}, {settings.execution} fills. Type `help` for the commands.",
        f"The best bid and ask of each second go to {trader.folder / 'pytrader.log'}; `top on` shows them here too.",
    ]
    return "\n".join(filter(None, [*lines, halt_line(trader)]))


def _where(settings: Settings) -> str:
    """Return where the market data comes from; on this machine only an offline market serves it."""
    url = settings.stream_url
    if url is None:
        return f"live {settings.venue} market data"
    return "the offline market" if url.startswith("ws:") else f"{settings.venue} market data from {url}"


def halt_line(trader: Trader) -> str | None:
    """Return the cause of a halt that an earlier run left, and the way out; None without one."""
    halt = trader.status()["halted"]
    return halt and f"Trading is halted ({halt['cause']}: {halt['detail']}); type `resume` to go on."


def _offer(text: str, out: TextIO) -> None:
    """Write a line if that cannot block: the engine's threads never wait for a screen, nor die with it."""
    with suppress(OSError, ValueError):
        if select.select([], [out], [], 0)[1]:
            os.write(out.fileno(), f"{text}\n".encode())
