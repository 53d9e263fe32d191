"""Runs the program as its users do: a child process with a script on its standard input. Reads what it left behind."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytrader
from pytrader.events import Event, Row, read
from pytrader.journal import JournalView
from pytrader.paper import RULES
from pytrader.sandbox.process import OfflineMarket

PACKAGE = Path(pytrader.__file__).resolve().parents[1]
PROFILE = "simulated-binance-BTCUSDT"
TOP_LINE = re.compile(r"Best Bid: \d+\.\d\d \| Best Ask: \d+\.\d\d")
LONGEST_S = 60


@dataclass(frozen=True)
class Result:
    """How one run ended."""

    code: int
    out: str
    err: str

    @property
    def answers(self) -> list[dict[str, Any]]:
        """The JSON lines of the run."""
        return [json.loads(line) for line in self.out.splitlines()]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment, with the package under test importable from any folder."""
    paths = [str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONIOENCODING": "utf-8", **(more or {})}


def start(words: Sequence[str | Path], cwd: Path, env: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
    """Start the program with pipes at all three ends; `cwd` keeps a developer's own `.env` out."""
    # Where the tests run in the background Ctrl-C is ignored, and children would inherit that.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "pytrader", *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=environment(env),
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        encoding="utf-8",
        errors="surrogateescape",  # a script may hold any bytes
    )


def run(words: Sequence[str | Path], cwd: Path, script: str = "", env: Mapping[str, str] | None = None) -> Result:
    """Run the program to its end on a script."""
    with start(words, cwd, env) as child:
        try:
            out, err = child.communicate(script, LONGEST_S)
        except BaseException:
            child.kill()
            raise
    return Result(child.returncode, out, err)


@contextmanager
def running(
    words: Sequence[str | Path], cwd: Path, env: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[str]"]:
    """Run the program beside the test; whatever the test did not end is killed."""
    with start(words, cwd, env) as child:
        try:
            yield child
        finally:
            child.kill()


def say(child: "subprocess.Popen[str]", *lines: str) -> None:
    """Type lines."""
    child.stdin.writelines(f"{line}\n" for line in lines)
    child.stdin.flush()


def hear(child: "subprocess.Popen[str]") -> dict[str, Any]:
    """Wait for the next JSON answer."""
    line = child.stdout.readline()
    assert line, f"the program ended: {child.stderr.read()}"
    return json.loads(line)


def eventually(ready: Callable[[], object], what: str = "", longest_s: float = 20) -> None:
    """Wait until something is so that no event tells of."""
    deadline = monotonic() + longest_s
    while not ready():
        assert monotonic() < deadline, what
        sleep(0.005)


def on(market: OfflineMarket, data_dir: Path) -> list[str | Path]:
    """Return the words that trade live on a market that is already there: the way of `pytrader run`."""
    return ["run", "--stream-url", market.ws_url, "--rest-url", market.rest_url, "--data-dir", data_dir]


def rows_of(folder: Path) -> list[Row]:
    """Return the rows of the journal in `folder`, its chain verified."""
    view = JournalView.open(folder)
    try:
        return list(view.load())
    finally:
        view.close()


def events(data_dir: Path) -> list[Event]:
    """Return the journal's events, its chain verified."""
    return [read(row) for row in rows_of(data_dir / PROFILE)]


def log(data_dir: Path) -> str:
    """Return the log."""
    return (data_dir / PROFILE / "pytrader.log").read_text()


def folded(rows: Iterable[Row], **limits: int) -> pytrader.Desk:
    """Return a desk that holds what journal rows say, and nothing else; `limits` are those of its own next start."""
    desk = pytrader.Desk(pytrader.Book(), {**RULES, **limits})
    desk.recover(list(rows))
    return desk


def offline_children(pid: int) -> list[int]:
    """Return the process ids of the offline markets that process `pid` started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [int(child) for child in children if b"pytrader.sandbox" in Path(f"/proc/{child}/cmdline").read_bytes()]
