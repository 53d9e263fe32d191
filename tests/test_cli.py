"""The command line: what it takes, what it refuses, and how it ends."""

import csv
import fcntl
import io
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import tomllib
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from time import monotonic
from types import SimpleNamespace

import pytest
from sessions import (
    PACKAGE,
    PROFILE,
    TOP_LINE,
    environment,
    events,
    hear,
    log,
    offline_children,
    on,
    run,
    running,
    say,
    start,
)

import pytrader
from pytrader import cli
from pytrader.answers import Answer
from pytrader.fetch import FetchError
from pytrader.journal_files import JournalError, JournalLocked
from pytrader.pipe import Pipe
from pytrader.sandbox.process import OfflineMarket, OfflineMarketError
from pytrader.settings import SettingsError, load
from pytrader.terminal import welcome
from pytrader.venues import VenueError

COMMANDS = ("demo", "run", "status", "export", "halt", "replay", "feed-report", "sandbox", "config")


@pytest.fixture(scope="module")
def market():
    """Run one offline market."""
    with OfflineMarket.start(5) as offline:
        yield offline


def lives(pid):
    """Tell whether a process still runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def offline_pid(child):
    """Return the process id of a child's offline market."""
    (pid,) = offline_children(child.pid)
    return pid


# ---- words


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_takes_a_data_folder(command, tmp_path):
    """`--help` exits 0 and names `--data-dir`."""
    result = run([command, "--help"], tmp_path)
    assert (result.code, result.err) == (0, "")
    assert "--data-dir" in result.out


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["trade"],
        ["demo", "--max-positon", "1"],
        ["demo", "--max-position", "nan"],
        ["demo", "--max-position", "51"],
        ["demo", "--max-order-notional", "-1"],
        ["demo", "--delay-min-ms", "90", "--delay-max-ms", "10"],
        ["demo", "--scenario", "wild"],
        ["run", "--venue", "binanse"],
        ["export", "csv"],
        ["export", "xml", "--what", "fills"],
    ],
)
def test_wrong_words_are_exit_code_two(words, tmp_path):
    """One or two lines on standard error, nothing on standard output, no traceback."""
    result = run(words, tmp_path, "buy 0.01\n")
    assert (result.code, result.out) == (2, "")
    assert result.err
    assert "Traceback" not in result.err


def test_unknown_setting_of_the_environment_names_its_nearest(tmp_path):
    result = run(["config"], tmp_path, env={"PYTRADER_MAX_POSITON": "1"})
    assert result.code == 2
    assert "PYTRADER_MAX_POSITON" in result.err
    assert "did you mean PYTRADER_MAX_POSITION?" in result.err


def test_env_file_that_others_can_read_is_refused_while_it_holds_a_key(tmp_path):
    """Without the key, or for the owner only, it is taken."""
    file = tmp_path / ".env"
    file.write_text("PYTRADER_MAX_POSITION=2\nBINANCE_TESTNET_API_KEY=abc123\n")
    file.chmod(0o644)
    result = run(["config"], tmp_path)
    assert result.code == 2
    assert ".env" in result.err
    assert "abc123" not in result.err
    file.chmod(0o600)
    result = run(["config"], tmp_path)
    assert result.code == 0
    assert re.search(r"^max_position +2 +base +.*\.env$", result.out, re.MULTILINE), result.out
    assert "abc123" not in result.out


def test_example_of_the_settings_is_the_file_in_the_repository(tmp_path):
    """`config --example` prints what `.env.example` holds."""
    example = PACKAGE / ".env.example"
    if not example.exists():
        pytest.skip("the package is installed away from its repository")
    assert run(["config", "--example"], tmp_path).out == example.read_text()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("x"), 2),
        (JournalLocked(__file__, 7), 2),
        (JournalError("x"), 1),
        (OSError("x"), 1),
        (OfflineMarketError("x"), 1),
        (FetchError("x"), 5),
        (VenueError("x"), 5),
        (KeyError("x"), None),
    ],
)
def test_errors_have_their_exit_codes(error, code):
    """What the user can act on has one; a mistake of ours shows its traceback."""
    assert cli._code(error) == code


def test_journal_that_is_not_there_is_an_error_of_one_line(tmp_path):
    """`status` and `export` make no journal."""
    for words in (["status"], ["status", "--demo", "--json"], ["export", "csv", "--what", "fills", "-o", "-"]):
        result = run([*words, "--data-dir", tmp_path / "none"], tmp_path)
        assert (result.code, result.out) == (1, "")
        assert result.err.startswith("pytrader")
        assert "Traceback" not in result.err
    assert not (tmp_path / "none").exists()


def test_version_is_one_number():
    """The package, its metadata and the journal's start agree."""
    manifest = PACKAGE / "pyproject.toml"
    if not manifest.exists():
        pytest.skip("the package is installed away from its repository")
    assert tomllib.loads(manifest.read_text())["project"]["version"] == pytrader.__version__


# ---- scripts without a market


class SilentTrader:
    """A trader whose book never comes."""

    def wait_synced(self):
        return False

    def wait_quiet(self, _):
        return True


def test_script_without_a_book_says_so_and_counts_as_no_data():
    """The first order waits for the book; without it the answer says so, and the exit code is 5 whatever follows."""
    out = io.StringIO()
    pipe = Pipe(SilentTrader(), out, as_json=False, show_top=lambda _: None)
    pipe._answers = SimpleNamespace(to=lambda _: iter([Answer("refused", {}, 3)]))
    assert pipe.run(["# nothing\n", "\n", "buy 0.01\n", "nonsense\n", "quit\n", "buy 0.01\n"]) == 5
    first, refused, *rest = out.getvalue().splitlines()
    assert first == "No synchronised book within 10 s: orders will be refused; the log says why."
    assert refused == "refused"
    assert len(rest) == 1


# ---- endings


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_demo_ends_cleanly_with_its_market(tmp_path, number, code):
    """The journal is closed, the offline market has gone, and there is no traceback."""
    with running(["demo", "--json", "--data-dir", tmp_path], tmp_path) as child:
        say(child, "buy 0.01")
        assert hear(child)["state"] == "filled"
        pid = offline_pid(child)
        child.send_signal(number)
        out, err = child.communicate(timeout=10)
    assert (child.returncode, out) == (code, "")
    assert "Traceback" not in err
    assert not lives(pid)
    again = run(["status", "--demo", "--json", "--data-dir", tmp_path], tmp_path)
    assert '"position":"0.01"' in again.out


def test_killed_demo_takes_its_market_along(tmp_path):
    """The market ends when its parent's pipe closes, whatever closed it."""
    with running(["demo", "--json", "--data-dir", tmp_path], tmp_path) as child:
        say(child, "status")
        hear(child)
        pid = offline_pid(child)
        watch = os.pidfd_open(pid)
        child.kill()
        assert select.select([watch], [], [], 10)[0]
    os.close(watch)
    assert not lives(pid)


@pytest.mark.parametrize("closed", ["read", "unread"])
def test_screen_that_nobody_reads_stops_no_thread(market, tmp_path, closed):
    """Standard error is closed, or full: the line of each second still reaches the log, and orders still fill."""
    reader, writer = os.pipe()
    if closed == "read":
        os.close(reader)
    else:
        os.set_blocking(writer, False)
        with suppress(BlockingIOError):
            while os.write(writer, b"x" * 4096):
                pass
        os.set_blocking(writer, True)
    command = [sys.executable, "-m", "pytrader", *map(str, on(market, tmp_path)), "--json"]
    script = "buy 0.01\nwait 3.2\nbuy 0.01\nstatus\n"
    result = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment(),
        input=script,
        stdout=subprocess.PIPE,
        stderr=writer,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writer)
    if closed == "unread":
        os.close(reader)
    assert result.returncode == 0
    assert '"position":"0.02"' in result.stdout
    assert '"halted":null' in result.stdout
    assert len(TOP_LINE.findall(log(tmp_path))) >= 2


def test_reader_of_the_answers_may_leave(market, tmp_path):
    """`pytrader run | head -1` ends without a traceback, and the journal is whole."""
    with start([*on(market, tmp_path)], tmp_path) as child:
        say(child, "buy 0.01")
        child.stdout.readline()
        child.stdout.close()
        child.stdin.write("status\n" * 3)
        child.stdin.close()
        assert child.wait(20) == 1
        assert "Traceback" not in child.stderr.read()
    assert '"position":"0.01"' in run(["status", "--json", "--data-dir", tmp_path], tmp_path).out


# ---- at a terminal


class Terminal:
    """A terminal of 100 columns with the program in it."""

    def __init__(self, words, cwd):
        """Start the program; `said` holds everything that it wrote, without the codes that move the cursor."""
        self.said, self._keys = "", None
        self._keys, screen = os.openpty()
        fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self.modes = termios.tcgetattr(screen)
        env = environment({"TERM": "xterm"})
        command = [sys.executable, "-m", "pytrader", *map(str, words)]
        self.child = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=screen, stdout=screen, stderr=screen, start_new_session=True
        )
        self._screen = screen

    def type(self, text):
        """Type a line and Enter."""
        self.said = ""
        os.write(self._keys, text.encode() + b"\r")

    def wait_for(self, pattern):
        """Wait until the program has written something; return what it was."""
        deadline = monotonic() + 20
        while (found := re.search(pattern, self.said)) is None:
            assert select.select([self._keys], [], [], deadline - monotonic())[0], self.said
            self._read()
        return found

    def _read(self):
        """Take what was written; a question for the cursor is answered: at the top, with room for a toolbar."""
        raw = os.read(self._keys, 65_536)
        if b"\x1b[6n" in raw:
            os.write(self._keys, b"\x1b[1;1R")
        self.said += re.sub(r"\x1b(\[[0-9;?]*[a-zA-Z]|[=>])", "", raw.decode(errors="replace"))

    def end(self):
        """Return the exit code, and whether the terminal is as it was; leaving with an open position is confirmed."""
        deadline = monotonic() + 20
        while self.child.poll() is None:
            assert monotonic() < deadline, self.said
            if select.select([self._keys], [], [], 0.05)[0]:
                self._read()
            if "Leave? [y/N]" in self.said:
                self.type("y")
        return self.child.returncode, termios.tcgetattr(self._screen) == self.modes

    def close(self):
        """Kill what is left."""
        self.child.kill()
        self.child.wait()
        os.close(self._keys)
        os.close(self._screen)


@pytest.fixture
def terminal(tmp_path):
    """Give a function that runs a demo in a terminal on this test's data folder."""
    opened = []

    def run_demo():
        opened.append(Terminal(["demo", "--data-dir", tmp_path], tmp_path))
        return opened[-1]

    yield run_demo
    for one in opened:
        one.close()


def test_prompt_shows_outcomes_above_it_and_a_halt_at_the_next_start(terminal, tmp_path):
    """Orders are told as they happen; leaving restores the terminal; a halt is shown first, with the way out."""
    first = terminal()
    first.wait_for(r"Type `help` for the commands\.")
    first.type("top on")
    first.wait_for(TOP_LINE.pattern)  # the book is synchronised
    first.type("buy 0.01")
    first.wait_for(r"Order filled: BUY 0\.01 BTC @ \d+\.\d\d \| Execution time: \d+ms")
    first.type("halt lunch")
    first.wait_for("Trading halted: OPERATOR: lunch")
    first.type("resume")
    first.wait_for(r"Trading goes on\.")
    first.type("sell 0.01")
    first.wait_for("Order filled: SELL")
    first.type("halt lunch")
    first.wait_for("Trading halted: OPERATOR: lunch")
    first.type("quit")
    assert first.end() == (0, True)
    second = terminal()
    second.wait_for(r"Trading is halted \(OPERATOR: lunch\); type `resume` to go on\.")
    assert (tmp_path / "demo" / PROFILE / "history").stat().st_mode & 0o077 == 0


def test_terminated_prompt_restores_the_terminal_and_ends_its_market(terminal):
    """SIGTERM at the prompt: exit code 143, the terminal as it was, no process left."""
    one = terminal()
    one.wait_for(r"Type `help` for the commands\.")
    one.type("top on")
    one.wait_for(TOP_LINE.pattern)
    pid = offline_pid(one.child)
    one.child.terminate()
    assert one.end() == (143, True), one.said
    assert not lives(pid)


def with_a_resting_order(one):
    """Return the terminal once an order of its prompt rests."""
    one.wait_for(r"Type `help` for the commands\.")
    one.type("top on")
    one.wait_for(TOP_LINE.pattern)
    one.type("buy 0.01 @ 20000")
    one.wait_for("Order resting: BUY")
    return one


@pytest.fixture
def hearing_hangups():
    """Let programs that are started hear SIGHUP, also where nohup runs the tests."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hearing_hangups")
@pytest.mark.parametrize("closed", [False, True])
def test_prompt_whose_terminal_is_closed_ends_in_good_order(terminal, tmp_path, closed):
    """The kernel tells it by SIGHUP, and nothing can be written any more: what rests is cancelled all the same."""
    one = with_a_resting_order(terminal())
    pid = offline_pid(one.child)
    if closed:
        with Path(os.devnull).open("rb") as nowhere:
            os.dup2(nowhere.fileno(), one._keys)
    one.child.send_signal(signal.SIGHUP)
    assert one.child.wait(15) == 129
    assert events(tmp_path / "demo")[-1].kind == "ended"
    assert not lives(pid)


def test_terminated_prompt_cancels_what_rests_as_a_script_does(terminal, tmp_path):
    """Only `--keep-open` leaves an order at rest, however the session ends."""
    one = with_a_resting_order(terminal())
    one.child.terminate()
    assert one.end() == (143, True), one.said
    assert events(tmp_path / "demo")[-1].kind == "ended"


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("", "live binance market data"),
        ("ws://127.0.0.1:9", "the offline market"),
        ("wss://mirror.example", "binance market data from wss://mirror.example"),
    ],
)
def test_the_welcome_names_where_the_market_data_comes_from(url, where):
    """An address of one's own is not the offline market unless it is on this machine."""
    trader = SimpleNamespace(folder=Path("/d"), status=lambda: {"halted": None})
    words = welcome(trader, load({"stream_url": url}, {"HOME": "/h"}, None))
    assert words.startswith(f"pytrader: BTCUSDT on {where}, simulated fills.")


# ---- the scripted session


def test_demo_auto_shows_everything_within_twenty_seconds(tmp_path):
    """Fills, a partial, a flip, refusals for size, position and rate, status, latency, CSV; exit code 0."""
    began = monotonic()
    result = run(["demo", "--auto", "--data-dir", tmp_path / "kept"], tmp_path)
    assert (result.code, result.err) == (0, "")
    assert monotonic() - began < 20
    said = result.out
    assert len(re.findall("^Order filled: ", said, re.MULTILINE)) >= 8
    assert re.search(r"^Order partially filled: BUY [\d.]+ of [\d.]+ BTC @ ", said, re.MULTILINE), said
    assert re.search(r"^Order canceled: BUY [\d.]+ BTC \(order \d+\) IOC_REMAINDER$", said, re.MULTILINE)
    assert "Order resting: " in said
    for code in ("NOTIONAL_EXCEEDS_MAX", "POSITION_LIMIT_LONG", "POSITION_LIMIT_SHORT", "RATE_LIMIT"):
        assert f"\n  {code}  value " in said, code
    assert len(TOP_LINE.findall(said)) >= 3
    assert re.search(r"^Latency +p50 +p90 +p99 +p99\.9 +max +count$", said, re.MULTILINE)
    assert said.count(" written.\n") == 2
    assert "Flat: the position is 0." in said
    assert re.search(r"^Position +0 BTC ", said, re.MULTILINE)
    text = (tmp_path / "kept" / "demo" / PROFILE / "fills.csv").read_text()
    held = [Decimal(0)]
    for row in csv.DictReader(io.StringIO(text)):
        held.append(held[-1] + Decimal(row["quantity"]) * (1 if row["side"] == "buy" else -1))
    assert max(held) > 0 > min(held)
