"""The command line: `pytrader demo`, `run`, `halt`, `replay`, `feed-report`, `status`, `export` and more."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pytrader import settings as table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytrader.settings import Settings

OK, ERROR, USAGE, LOOSER, NO_DATA = 0, 1, 2, 4, 5
NO_NETWORK = "; check the network, or trade on the offline market: pytrader demo"
EXAMPLES = """examples:
  pytrader demo                            trade on the offline market
  pytrader run                             live Binance market data, simulated fills
  pytrader run --watch okx,coinbase        other venues' books too: `venues` shows them
  echo 'buy 0.25' | pytrader demo --json   one order from a script
  pytrader status --json                   what the journal says
  pytrader halt news at 14:00              stop a running engine from outside
  pytrader export csv --what fills         every fill as CSV
  pytrader replay frames.jsonl.gz --json   feed a recording through the book
  pytrader run --record ~/frames           keep every frame that is received
  pytrader replay ~/frames                 feed them through the book again
  pytrader feed-report ~/frames            rates, silences, gaps and lags in them

exit codes: 0 ok, 1 error, 2 usage or configuration, 3 an order was refused by risk, 4 looser limits were not
confirmed, 5 no or stale data"""


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code. `words` None means this process's own arguments."""
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # a terminal that is closed; nohup ignores it
        signal.signal(signal.SIGHUP, _terminate)
    given = _parser().parse_args(words)
    try:
        return int(given.run(given))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _say_no_more()
        return ERROR
    except Exception as error:
        code = _code(error)
        if code is None:
            raise
        no_answer = code == NO_DATA and isinstance(error, OSError)  # else the venue answered, and says what to set
        print(f"pytrader: {error}{NO_NETWORK if no_answer else ''}", file=sys.stderr)
        return code


def _say_no_more() -> None:
    """Whoever read our output has gone: what is still to be written, at the interpreter's end too, goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _terminate(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _code(error: Exception) -> int | None:
    """Return the exit code of an error that the user can act on; None for a mistake of ours."""
    from pytrader._core import EngineFault
    from pytrader.export import ExportError
    from pytrader.fetch import FetchError
    from pytrader.journal import JournalError, JournalLocked
    from pytrader.loosening import LooserLimits
    from pytrader.sandbox.process import OfflineMarketError
    from pytrader.venues import VenueError

    if isinstance(error, LooserLimits):
        return LOOSER
    if isinstance(error, table.SettingsError | JournalLocked):
        return USAGE
    if isinstance(error, FetchError | VenueError):
        return NO_DATA
    return ERROR if isinstance(error, JournalError | ExportError | OfflineMarketError | EngineFault | OSError) else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pytrader",
        description="A trading terminal and engine for BTC/USDT.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="command", required=True)
    _add_sessions(commands)
    _add_views(commands)
    _add_tools(commands)
    return parser


def _add_sessions(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    for name, run, about in (
        ("demo", _demo, "trade on the offline market"),
        ("run", _run, "trade on live market data with simulated fills"),
    ):
        parser = commands.add_parser(name, help=about, description=about.capitalize() + ".")
        parser.set_defaults(run=run)
        _add_settings(parser)
        parser.add_argument("--json", action="store_true", help="answer piped commands as JSON lines")
        parser.add_argument("--keep-open", action="store_true", help="leave resting orders open at the end")
        parser.add_argument("--fresh", action="store_true", help="start a new journal; the old one is moved aside")
        parser.add_argument(
            "--loosen", action="store_true", help="confirm limits that allow more than the last start's"
        )
        if name == "demo":
            parser.add_argument("--auto", action="store_true", help="show a scripted session and end")


def _add_views(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from pytrader import export, halting

    status = commands.add_parser("status", help="show what a journal says, also beside a running engine")
    status.set_defaults(run=_status)
    _add_settings(status)
    status.add_argument("--demo", action="store_true", help="the offline market's journal")
    status.add_argument("--json", action="store_true", help="as JSON")
    exporter = commands.add_parser("export", help="write fills, orders or rejects as CSV")
    exporter.set_defaults(run=_export)
    _add_settings(exporter)
    exporter.add_argument("--demo", action="store_true", help="the offline market's journal")
    export.add_arguments(exporter)
    stopper = commands.add_parser("halt", help="stop an engine from outside, also one whose terminal hangs")
    stopper.set_defaults(run=_halt)
    _add_settings(stopper)
    halting.add_arguments(stopper)


def _add_tools(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from pytrader import feed_report, replay
    from pytrader.sandbox import command as sandbox

    replayer = commands.add_parser("replay", help="feed recorded frames through the decoder and the book")
    replay.add_arguments(replayer)
    replayer.add_argument("--data-dir", help="taken for uniformity; a replay writes only where --journal says")
    replayer.set_defaults(run=replay.run)
    reporter = commands.add_parser("feed-report", help="rates, silences, gaps and lags of a recording")
    feed_report.add_arguments(reporter)
    reporter.add_argument("--data-dir", help="taken for uniformity; a report writes only where --png says")
    reporter.set_defaults(run=feed_report.run)
    market = commands.add_parser("sandbox", help="run the offline market alone")
    sandbox.add_arguments(market)
    market.add_argument("--data-dir", help="taken for uniformity; the offline market keeps nothing")
    market.set_defaults(run=sandbox.run)
    config = commands.add_parser("config", help="show every setting, its value and where it came from")
    _add_settings(config)
    config.add_argument("--example", action="store_true", help="print a commented .env")
    config.set_defaults(run=_config)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("settings (also PYTRADER_… in the environment or .env)")
    for row in table.rows():
        if not row.secret:
            unit = f" [{row.unit}]" if row.unit else ""
            about = f"{row.meaning}{unit}; default {row.default or 'nothing'}".replace("%", "%%")
            group.add_argument(row.option, dest=f"setting_{row.name}", metavar=row.name.upper(), help=about)


def _settings(given: argparse.Namespace) -> Settings:
    prefix = "setting_"
    chosen = {name.removeprefix(prefix): value for name, value in vars(given).items() if name.startswith(prefix)}
    return table.load({name: value for name, value in chosen.items() if value is not None})


def _demo(given: argparse.Namespace) -> int:
    from pytrader.sandbox.process import OfflineMarket
    from pytrader.terminal import Options, offline, run_session

    settings = _settings(given)
    options = Options(auto=given.auto, as_json=given.json, keep_open=given.keep_open, loosen=given.loosen)
    with (
        tempfile.TemporaryDirectory(prefix="pytrader-") as temporary,
        OfflineMarket.start(settings.market_seed, settings.scenario) as market,
    ):
        passing = given.auto and settings.source("data_dir") == table.DEFAULT
        folder = Path(temporary) / "demo" if passing else settings.folder("demo")
        _make_fresh(given, folder)
        return run_session(offline(settings, market), folder, options)


def _run(given: argparse.Namespace) -> int:
    from pytrader.terminal import Options, run_session

    settings = _settings(given)
    _make_fresh(given, settings.folder())
    options = Options(as_json=given.json, keep_open=given.keep_open, loosen=given.loosen)
    return run_session(settings, settings.folder(), options)


def _make_fresh(given: argparse.Namespace, folder: Path) -> None:
    from pytrader.journal import fresh

    if given.fresh:
        moved = fresh(folder, time.time_ns())
        if moved is not None:
            print(f"The old journal is now in {moved}.", file=sys.stderr)


def _folder(given: argparse.Namespace, settings: Settings) -> Path:
    return settings.folder("demo") if given.demo else settings.folder()


def _status(given: argparse.Namespace) -> int:
    from pytrader.archive import snapshot_of
    from pytrader.status import journal_text, to_json

    settings = _settings(given)
    page = snapshot_of(_folder(given, settings), settings)
    print(to_json(page).decode() if given.json else journal_text(page))
    return OK


def _export(given: argparse.Namespace) -> int:
    from pytrader import export

    return export.run(given, _folder(given, _settings(given)), time.time_ns())


def _halt(given: argparse.Namespace) -> int:
    from pytrader import halting

    if given.off and given.reason:
        raise table.SettingsError("--off takes no reason")
    return halting.run(given, _folder(given, _settings(given)))


def _config(given: argparse.Namespace) -> int:
    if given.example:
        print(table.example(), end="")
        return OK
    for name, value, unit, source in table.listing(_settings(given)):
        print(f"{name:24} {value or '-':24} {unit:14} {source}")
    return OK
