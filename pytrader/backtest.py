"""`pytrader replay FRAMES --orders ORDERS`: a recording and a script of orders on virtual time, a small backtester.

The frames go through the live decoder and book, the orders through the desk and the simulated exchange of a session.
No clock, no environment and no setting is read: the same files, seed and options give the same events everywhere.
docs/backtest.md explains the files and what the figures mean.
"""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack, closing
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from pytrader._core import Book, Desk, format_e8, parse_e8
from pytrader.grammar import Cancel, Order
from pytrader.journal import Journal, JournalError
from pytrader.lines import Market, line_of
from pytrader.opening import bps, recover
from pytrader.orders import CommandError, is_blank, parse
from pytrader.paper import RULES, SECOND_NS, PaperDesk
from pytrader.recording import ReplayError, frames, open_lines, read_bytes, sound
from pytrader.venues import VENUES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytrader.events import Event

START_NS = SECOND_NS
"""Where the paper desk's monotonic clock begins: the time of the first frame."""
LONGEST_NS = 10**18
"""Longest session, 31 years; it keeps every time of the session within 64 bits."""
LATEST_NS = 8 * 10**18
"""Newest event time that is believed, UTC: the year 2223."""
JOURNAL_BATCH = 10_000
BPS_MAX = 1_000
SEED_MAX = 2**63 - 1
TIMES = ("at_ns", "after_frame")
EXAMPLE = '{"side": "buy", "quantity": 0.25, "after_frame": 20}'
MARKET = Market(str(RULES["base"]), str(RULES["quote"]), format_e8(int(RULES["tick_e8"])))


class UsageError(ReplayError):
    """The orders or the options are wrong; the text names the line or the option."""


class Timed(NamedTuple):
    """A command and when it is decided: a time, ns since the first frame, or a frame's index from 0."""

    at: int
    line: int
    command: Order | Cancel


class Script(NamedTuple):
    """The commands of a session, each list in the order in which they are decided."""

    by_time: list[Timed]
    by_frame: list[Timed]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a backtest to those of a replay."""
    group = parser.add_argument_group("backtest (docs/backtest.md)")
    group.add_argument(
        "--orders", type=Path, metavar="ORDERS.jsonl", help="orders and cancels, with at_ns or after_frame"
    )
    group.add_argument("--seed", type=_seed, help="seed of the simulated delays (default: 1)")
    group.add_argument("--journal", type=Path, metavar="OUT_FOLDER", help="write the events as a journal, and check it")
    for name in ("slippage", "taker-fee", "maker-fee"):
        group.add_argument(f"--{name}-bps", type=_rate, metavar="BPS", help="basis points of each fill (default: 0)")


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > SEED_MAX:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to {SEED_MAX}")
    return int(text)


def _rate(text: str) -> int:
    """Read basis points as a fraction in units of 10⁻⁸."""
    try:
        value_e8 = parse_e8(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if value_e8 > parse_e8(str(BPS_MAX)):
        raise argparse.ArgumentTypeError(f"must be at most {BPS_MAX} basis points")
    return bps(value_e8)


def is_asked_for(arguments: argparse.Namespace) -> bool:
    """Tell whether orders are to be replayed too. Raises UsageError for options that need or exclude them."""
    if arguments.orders is None:
        own = ("seed", "journal", "slippage_bps", "taker_fee_bps", "maker_fee_bps")
        for name in own:
            if getattr(arguments, name) is not None:
                raise UsageError(f"--{name.replace('_', '-')} needs --orders")
        return False
    if arguments.frames.is_dir():
        raise UsageError("orders are replayed on a file of frames, not on a folder of --record")
    if arguments.tops is not None:
        raise UsageError("--tops is written without --orders only")
    if (arguments.venue, arguments.symbol) != (RULES["venue"], RULES["symbol"]):
        raise UsageError(f"orders are replayed on {RULES['venue']} {RULES['symbol']} only: no other filters are known")
    return True


def run(arguments: argparse.Namespace) -> int:
    """Play the session, print its report and return 0. Raises ReplayError, JournalError, OSError or ValueError."""
    script = read_orders(arguments.orders)
    with ExitStack() as stack:
        journal = None
        if arguments.journal is not None:
            journal = stack.enter_context(closing(_empty_journal(arguments.journal)))
        session = replay_session(
            arguments.frames,
            script,
            snapshot=arguments.snapshot,
            recv_ns=arguments.recv_ns,
            seed=1 if arguments.seed is None else arguments.seed,
            slippage_e8=arguments.slippage_bps or 0,
            taker_fee_e8=arguments.taker_fee_bps or 0,
            maker_fee_e8=arguments.maker_fee_bps or 0,
        )
        folded = None if journal is None else write_journal(journal, session.paper)
    row = {**report(session), "journal_hash": folded}
    print(orjson.dumps(row).decode() if arguments.json else describe(session, row))
    return 0


def _empty_journal(folder: Path) -> Journal:
    journal = Journal.open(folder)
    if journal.last_seq:
        journal.close()
        raise UsageError(f"--journal {folder}: there is a journal already; name a new folder")
    return journal


def read_orders(path: Path) -> Script:
    """Read a script of orders and cancels; UsageError names the line that is none. Blank lines and # do nothing."""
    script = Script([], [])
    with open_lines(path) as lines:
        for number, line in enumerate(sound(lines), 1):
            try:
                text = line.decode()
                if is_blank(text):
                    continue
                key, at, command = _timed(text)
            except (ValueError, RecursionError) as error:
                raise UsageError(f"{path}, line {number}: {_reason(error)}") from None
            (script.by_time if key == "at_ns" else script.by_frame).append(Timed(at, number, command))
    for timed in script:
        timed.sort(key=lambda row: row.at)  # stable: what is due together keeps the order of the file
    return script


def _reason(error: Exception) -> str:
    if isinstance(error, CommandError):
        return error.message
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg} (column {error.colno})"
    if isinstance(error, RecursionError):
        return "JSON nested too deeply"
    return str(error)


def _timed(text: str) -> tuple[str, int, Order | Cancel]:
    """Take the time out of a line; the rest is the terminal's JSON form, read by the terminal's own parser."""
    if not text.lstrip().startswith("{"):
        raise ValueError(f"not a JSON object, such as {EXAMPLE}")
    # Pairs instead of an object: a key that is given twice stays visible. Decimals stay text.
    pairs: list[tuple[str, Any]] = json.loads(text, parse_float=str, object_pairs_hook=list)
    times = [pair for pair in pairs if pair[0] in TIMES]
    if len(times) != 1:
        raise ValueError(f"give one of at_ns and after_frame, such as {EXAMPLE}")
    ((key, at),) = times
    if type(at) is not int or not 0 <= at <= LONGEST_NS:
        raise ValueError(f"{key} must be a whole number from 0 to {LONGEST_NS}")
    rest = ", ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in pairs if name not in TIMES)
    command = parse(f"{{{rest}}}")
    if not isinstance(command, Order | Cancel):
        raise CommandError(f"a backtest takes orders and cancels, such as {EXAMPLE}")
    return key, at, command


class Timeline:
    """When each frame was received, ns since the first one: never before the frame that stands before it.

    That is its receive time, else its own event time, else the time of the frame before it.
    """

    def __init__(self, event_ns: Callable[[bytes], int | None]) -> None:
        """`event_ns` reads a frame's own time."""
        self._event_ns = event_ns
        self._origin_ns: int | None = None
        self.now_ns = 0

    def place(self, frame: bytes, recv_ns: int | None) -> int:
        """Return the time of the next frame. Raises ReplayError for a receive time that is out of every range."""
        at_ns = believed(self._event_ns(frame)) if recv_ns is None else recv_ns
        if at_ns is None:
            return self.now_ns
        if self._origin_ns is None:
            self._origin_ns = at_ns
        if recv_ns is not None and abs(at_ns - self._origin_ns) > LONGEST_NS:
            raise ReplayError(f"the receive time {recv_ns} is more than {LONGEST_NS} ns from the first one")
        self.now_ns = max(self.now_ns, at_ns - self._origin_ns)
        return self.now_ns


def believed(event_ns: int | None) -> int | None:
    """Return an event time that 64 bits have room for, else None."""
    return event_ns if event_ns is not None and event_ns <= LATEST_NS else None


class Session:
    """A script of orders on a recording. Money and positions are the paper desk's."""

    def __init__(self, script: Script, paper: PaperDesk, timeline: Timeline) -> None:
        """Begin with what has been fed to `paper`; nothing is decided yet."""
        self.paper, self.frames, self.cancels_missed = paper, 0, 0
        self.commands = len(script.by_time) + len(script.by_frame)
        self._by_time, self._by_frame = (list(reversed(rows)) for rows in script)
        self._timeline = timeline

    def play(self, recording: Iterable[tuple[bytes, int | None]]) -> None:
        """Feed every frame; decide what is due before and after each; let everything arrive at the end."""
        for frame, recv_ns in recording:
            at_ns = self._timeline.place(frame, recv_ns)
            self._decide_before(at_ns)
            self.paper.receive(frame, START_NS + at_ns)
            while self._by_frame and self._by_frame[-1].at == self.frames:
                self._decide(self._by_frame.pop())
            self.frames += 1
        if self._by_frame:
            late = self._by_frame[-1]
            raise UsageError(f"orders, line {late.line}: after_frame {late.at}, but there are {self.frames} frames")
        self._decide_before(LONGEST_NS + 1)
        self.paper.arrive()

    def _decide_before(self, at_ns: int) -> None:
        """Decide what is due before a time: an order knows every frame that came until its own."""
        while self._by_time and self._by_time[-1].at < at_ns:
            timed = self._by_time.pop()
            self.paper.move_to(START_NS + timed.at)
            self._decide(timed)

    def _decide(self, timed: Timed) -> None:
        command = timed.command
        if isinstance(command, Order):
            self.paper.submit(command)
        elif command.order_id is None:
            self.paper.cancel_all()
        elif not self.paper.cancel(command.order_id):
            self.cancels_missed += 1


def replay_session(
    recording: Path, script: Script, *, snapshot: Path | None = None, recv_ns: Path | None = None, **options: int
) -> Session:
    """Play `script` on a recording and return the session as it then stands; `options` are PaperDesk's.

    Raises ReplayError, OSError or ValueError.
    """
    venue = VENUES[str(RULES["venue"])](str(RULES["symbol"]))
    with ExitStack() as stack:
        lines = stack.enter_context(open_lines(recording))
        times = None if recv_ns is None else stack.enter_context(open_lines(recv_ns))
        start_utc_ns = utc_of_first(frames(lines, times), venue.event_ns)
    paper = PaperDesk(utc_ns=start_utc_ns, **options)
    if snapshot is not None and (said := paper.snapshot(read_bytes(snapshot))) != "waiting":
        raise ReplayError(f"snapshot {snapshot}: {said}: {paper.book.last_refusal() or 'it cannot begin a book'}")
    session = Session(script, paper, Timeline(venue.event_ns))
    with ExitStack() as stack:
        lines = stack.enter_context(open_lines(recording))
        times = None if recv_ns is None else stack.enter_context(open_lines(recv_ns))
        session.play(frames(lines, times))
    return session


def utc_of_first(recording: Iterable[tuple[bytes, int | None]], event_ns: Callable[[bytes], int | None]) -> int:
    """Return when the first frame was received, UTC ns, by the first event time in the recording; 0 without one."""
    first_ns = None
    for frame, recv_ns in recording:
        first_ns = recv_ns if first_ns is None else first_ns
        if (found := believed(event_ns(frame))) is not None:
            waited = 0 if recv_ns is None or first_ns is None else recv_ns - first_ns
            return max(0, min(found - waited, LATEST_NS))
    return 0


def state_hash(desk: Desk) -> str:
    """Return the SHA-256 of the desk's canonical state."""
    return sha256(desk.state()).hexdigest()


def write_journal(journal: Journal, paper: PaperDesk) -> str:
    """Write the session's events, fold them as they are read back, and return the hash: it is that of the session."""
    for start in range(0, len(paper.journal), JOURNAL_BATCH):
        journal.append(paper.journal[start : start + JOURNAL_BATCH])
    folded = Desk(Book(str(paper.rules["venue"]), str(paper.rules["symbol"])), paper.rules)
    recover(folded, journal)
    if folded.state() != paper.desk.state():
        raise JournalError("the journal, read back, does not give the state that it was written from")
    return state_hash(folded)


def report(session: Session) -> dict[str, Any]:
    """Return what happened, as the JSON report has it; decimals are text, times ns since the first frame."""
    paper = session.paper
    page, counters = paper.status(), paper.book.counters()
    return {
        "frames": session.frames,
        "applied": counters["applied"],
        "gaps": counters["gaps"],
        "sync": paper.book.top(paper.mono_ns).sync,
        "seed": page["seed"],
        "commands": session.commands,
        "cancels_missed": session.cancels_missed,
        "accepted": page["counts"]["accepted"],
        "canceled": page["counts"]["canceled"],
        "open": page["counts"]["open"],
        "attempts_capped": page["attempts_capped"],
        "fills": _facts(paper.events, "filled"),
        "rejects": _facts(paper.events, "refused"),
        **{key: page[key] for key in ("position", "entry", "realised", "unrealised", "fees", "equity")},
        "events": len(paper.journal),
        "state_hash": state_hash(paper.desk),
    }


def _facts(events: Iterable[Event], kind: str) -> list[dict[str, Any]]:
    return [{"at_ns": event.mono_ns - START_NS, **event.facts} for event in events if event.kind == kind]


def describe(session: Session, row: dict[str, Any]) -> str:
    """Return the report for a person: every event that has a line, then the figures."""
    said = [(event, line_of(event.kind, event.facts, MARKET)) for event in session.paper.events]
    told = [f"{(event.mono_ns - START_NS) / SECOND_NS:>14.6f} s  {text}" for event, text in said if text is not None]
    at = "" if row["entry"] is None else f" @ {row['entry']}"
    unrealised = "unknown" if row["unrealised"] is None else row["unrealised"]
    ends = f"{row['canceled']} canceled, {row['open']} open, {row['cancels_missed']} cancels too late"
    ends += f", {row['attempts_capped']} capped" if row["attempts_capped"] else ""
    lines = [
        f"Frames    {row['frames']}: {row['applied']} applied, {row['gaps']} gaps; {row['sync']} at the end",
        f"Commands  {row['commands']}: {row['accepted']} accepted, {len(row['rejects'])} rejected, {ends}",
        f"Fills     {len(row['fills'])}",
        f"Position  {row['position']} {MARKET.base}{at}",
        f"Realised  {row['realised']} {MARKET.quote}, unrealised {unrealised}, fees {row['fees']}",
        f"Equity    {'unknown' if row['equity'] is None else row['equity']} {MARKET.quote}",
        f"Events    {row['events']}",
        f"State     {row['state_hash']}",
    ]
    if row["journal_hash"] is not None:
        lines.append("Journal   written; read back and folded into a fresh desk it gives the same state")
    return "\n".join([*told, *lines])
