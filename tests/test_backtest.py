"""`pytrader replay --orders`: a recording and a script of orders on virtual time, the same on every run and machine."""

import argparse
import contextlib
import gzip
import io
import json
import os
import re
import shlex
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from paper_market import ladder
from paper_market import snapshot as snapshot_body

from pytrader import backtest, replay
from pytrader.backtest import LATEST_NS, Timeline
from pytrader.journal import JournalView
from pytrader.sandbox import frames
from pytrader.sandbox.market import Market
from pytrader.sandbox.scenario import SCENARIOS
from pytrader.venues import Binance

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs/backtest.md").read_text(encoding="utf-8")
RECORDING = "binance/spot_btcusdt_20240808T2354_combined"
MS, SECOND = 10**6, 10**9
EPOCH_MS = 1_767_225_600_000
SCRIPT = (
    {"side": "buy", "quantity": 0.25, "after_frame": 100},
    {"side": "buy", "quantity": 9, "at_ns": 2 * SECOND},
    {"side": "sell", "quantity": "1.6", "at_ns": 3 * SECOND},
    {"side": "buy", "quantity": 0.5, "price": 26000, "at_ns": 4 * SECOND},
    {"cancel": 3, "at_ns": 6 * SECOND},
    {"side": "buy", "quantity": 1.4, "price": 26900, "tif": "ioc", "at_ns": 7 * SECOND},
    {"side": "sell", "quantity": 0.3, "price": 26796.5, "at_ns": 8 * SECOND},
)


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """Return a folder with ten seconds of the offline market: frames, receive times, snapshot."""
    folder = tmp_path_factory.mktemp("market")
    made = Market(7, SCENARIOS["calm"], epoch_ms=EPOCH_MS)
    book = made.book
    (folder / "snapshot.json").write_text(frames.snapshot(book.update_id, book.bids.top(5_000), book.asks.top(5_000)))
    rows = [row for row in made.advance(10 * SECOND) if row[1] != frames.SLOW_DEPTH]
    (folder / "frames.jsonl").write_text("".join(f"{frames.combined(stream, text)}\n" for _, stream, text in rows))
    (folder / "recv_ns.txt").write_text("".join(f"{at_ns}\n" for at_ns, _, _ in rows))
    return folder


def words_of(market, orders, *more):
    """Return the command's words for the offline market's recording."""
    named = [market / "frames.jsonl", "--snapshot", market / "snapshot.json", "--recv-ns", market / "recv_ns.txt"]
    return [str(word) for word in (*named, "--orders", orders, *more)]


def orders_in(folder, *rows):
    """Write a script and return its path; a row is an object or the text of a line."""
    path = folder / "orders.jsonl"
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def run(*words):
    """Run the command here; return its code, output and errors."""
    parser = argparse.ArgumentParser()
    replay.add_arguments(parser)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = replay.run(parser.parse_args([str(word) for word in words]))
    return code, out.getvalue(), err.getvalue()


def report(*words):
    """Run the command with --json and return its report."""
    code, out, err = run(*words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out.splitlines()[-1])


def small(folder, *moments):
    """Write one depth frame at each of `moments` (ms) and the snapshot that the first one bridges; return the words.

    One coin a level: bids from 26795 down, asks from 26796 up. Every frame says so again.
    """
    bids, asks = ladder(26_795, -1), ladder(26_796, 1)
    rows = [
        {"e": "depthUpdate", "E": at_ms, "s": "BTCUSDT", "U": number, "u": number, "b": bids[:1], "a": asks[:1]}
        for number, at_ms in enumerate(moments, 8)
    ]
    (folder / "frames").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "snapshot").write_bytes(snapshot_body(7, bids, asks))
    return [folder / "frames", "--snapshot", folder / "snapshot"]


# ---- the same everywhere


def test_two_processes_with_other_time_zones_and_hash_seeds_print_the_same_bytes(market, tmp_path):
    """Output and journal are equal to the last byte, and the journal folds into the printed hash."""
    orders = orders_in(tmp_path, *SCRIPT)
    said, bodies = [], []
    for zone, hash_seed in (("Pacific/Kiritimati", "1"), ("America/St_Johns", "4242")):
        folder = tmp_path / hash_seed
        words = words_of(market, orders, "--seed", 7, "--taker-fee-bps", 10, "--json", "--journal", folder)
        environment = {**os.environ, "TZ": zone, "PYTHONHASHSEED": hash_seed, "PYTRADER_MAX_POSITION": "1"}
        command = [sys.executable, "-m", "pytrader", "replay", *words]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
        assert done.stderr == b""
        said.append(done.stdout)
        view = JournalView.open(folder)
        bodies.append(list(view.load()))
        view.close()
    assert said[0] == said[1]
    assert bodies[0] == bodies[1]
    found = json.loads(said[0])
    assert found["events"] == len(bodies[0])
    assert found["journal_hash"] == found["state_hash"]


def test_a_scenario_hashes_the_same_twice_and_another_seed_does_not(market, tmp_path):
    """The hash says what happened: another seed, another hash."""
    orders = orders_in(tmp_path, *SCRIPT)
    first, again, other = (report(*words_of(market, orders, "--seed", seed)) for seed in (7, 7, 8))
    assert first == again
    assert first["journal_hash"] is None
    assert first["state_hash"] != other["state_hash"]
    assert re.fullmatch("[0-9a-f]{64}", first["state_hash"])


def test_orders_beyond_the_attempts_of_a_second_are_counted(market, tmp_path):
    """Sixty at one instant: five pass, forty-five are refused, ten are only counted; every command is accounted for."""
    orders = orders_in(tmp_path, *({"side": "buy", "quantity": 0.001, "at_ns": 5 * SECOND} for _ in range(60)))
    found = report(*words_of(market, orders, "--seed", 7))
    assert (found["accepted"], len(found["rejects"]), found["attempts_capped"]) == (5, 45, 10)
    assert ", 10 capped\n" in run(*words_of(market, orders, "--seed", 7))[1]


def test_figures_are_the_sums_of_the_fills(market, tmp_path):
    """Position, realised result and fees are recounted with Decimal; equity is what they make together."""
    found = report(*words_of(market, orders_in(tmp_path, *SCRIPT), "--taker-fee-bps", 10, "--maker-fee-bps", 2.5))
    signs = {"buy": 1, "sell": -1}
    fills = found["fills"]
    assert len(fills) >= 3
    assert [reject["breaches"][0]["code"] for reject in found["rejects"]] == ["NOTIONAL_EXCEEDS_MAX"]
    assert found["rejects"][0]["at_ns"] == 2 * SECOND
    assert Decimal(found["position"]) == sum(signs[fill["side"]] * Decimal(fill["filled"]) for fill in fills)
    assert Decimal(found["realised"]) == sum(Decimal(fill["realised"]) for fill in fills)
    rates = {False: Decimal("0.001"), True: Decimal("0.00025")}
    assert Decimal(found["fees"]) == sum(Decimal(fill["cost"]) * rates[fill["maker"]] for fill in fills) > 0
    assert Decimal(found["equity"]) == Decimal(found["realised"]) + Decimal(found["unrealised"]) - Decimal(
        found["fees"]
    )
    assert (found["commands"], found["accepted"], found["cancels_missed"], found["sync"]) == (7, 5, 0, "live")
    assert found["applied"] <= found["frames"] == len((market / "frames.jsonl").read_text().splitlines())


def test_a_journal_is_written_once_and_never_over_another(market, tmp_path):
    """The folder holds the rows that were printed; a second session into it is refused before it is played."""
    words = words_of(market, orders_in(tmp_path, *SCRIPT), "--journal", tmp_path / "out")
    found = report(*words)
    view = JournalView.open(tmp_path / "out")
    assert len(list(view.rows("fills"))) == len(found["fills"])
    view.close()
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert "there is a journal already" in err


def test_a_journal_that_gives_another_state_is_an_error(market, tmp_path, monkeypatch):
    """The fold is compared, not believed."""
    monkeypatch.setattr(backtest, "recover", lambda desk, journal: desk.recover(list(journal.load())[:-1]))
    with pytest.raises(backtest.JournalError, match="does not give the state"):
        run(*words_of(market, orders_in(tmp_path, *SCRIPT), "--journal", tmp_path / "out"))


# ---- when orders are decided


def test_an_order_is_decided_right_after_its_frame_at_the_frames_time(tmp_path):
    """Fills carry when they happened; the travel time is the simulator's."""
    words = small(tmp_path, 1_000, 1_400, 1_900)
    (fill,) = report(*words, "--orders", orders_in(tmp_path, {"side": "buy", "quantity": 0.5, "after_frame": 1}))[
        "fills"
    ]
    assert fill["at_ns"] - fill["delay_ns"] == 400 * MS
    assert 10 * MS <= fill["delay_ns"] <= 100 * MS


def test_an_order_knows_every_frame_until_its_own_time(tmp_path):
    """The book is two seconds old just before the frame at 2.5 s, and fresh at it."""
    words = small(tmp_path, 0, 2_500)
    for at_ns, codes in ((2_500 * MS - 1, ["BOOK_STALE"]), (2_500 * MS, [])):
        found = report(*words, "--orders", orders_in(tmp_path, {"side": "buy", "quantity": 0.5, "at_ns": at_ns}))
        assert [breach["code"] for reject in found["rejects"] for breach in reject["breaches"]] == codes
        assert len(found["fills"]) == (not codes)


def test_lines_may_stand_in_any_order_and_ties_keep_the_order_of_the_file(tmp_path):
    """Of one instant, after_frame comes first."""
    words = small(tmp_path, 0, 100)
    rows = [
        {"side": "buy", "quantity": 0.4, "at_ns": 100 * MS},
        {"side": "buy", "quantity": 0.3, "after_frame": 1},
        {"side": "buy", "quantity": 0.1, "after_frame": 0},
        {"side": "buy", "quantity": 0.2, "after_frame": 0},
    ]
    fills = report(*words, "--orders", orders_in(tmp_path, *rows))["fills"]
    by_number = sorted(fills, key=lambda fill: fill["order"])
    assert [fill["quantity"] for fill in by_number] == ["0.1", "0.2", "0.3", "0.4"]


def test_limits_hold_on_virtual_time(tmp_path):
    """Six orders within a second: the sixth is refused; a second later there is room again."""
    words = small(tmp_path, 0, 1_000)
    rows = [{"side": "buy", "quantity": 0.01, "at_ns": step * MS} for step in (1, 2, 3, 4, 5, 6, 1_002)]
    found = report(*words, "--orders", orders_in(tmp_path, *rows))
    assert [reject["breaches"][0]["code"] for reject in found["rejects"]] == ["RATE_LIMIT"]
    assert found["rejects"][0]["at_ns"] == 6 * MS
    assert found["position"] == "0.06"


def test_cancels_end_what_rests_and_miss_what_has_filled(tmp_path):
    """By number or all; a cancel of an order that is over is counted."""
    words = small(tmp_path, 0, 500, 1_000)
    rows = [
        {"side": "buy", "quantity": 0.1, "after_frame": 0},
        {"side": "buy", "quantity": 0.2, "price": 26000, "after_frame": 0},
        {"side": "buy", "quantity": 0.3, "price": 26001, "after_frame": 0},
        {"cancel": 2, "after_frame": 1},
        {"cancel": 1, "after_frame": 1},
        {"cancel": "all", "after_frame": 2},
    ]
    found = report(*words, "--orders", orders_in(tmp_path, *rows))
    assert (found["canceled"], found["open"], found["cancels_missed"], found["position"]) == (2, 0, 1, "0.1")


def test_a_resting_order_fills_on_the_trade_that_goes_through_it(tmp_path):
    """At its own price, at the time of the trade, as a maker; what is left stays open."""
    words = small(tmp_path, 0, 500)
    with words[0].open("a") as file:
        trade = {"e": "trade", "E": 700, "s": "BTCUSDT", "t": 1, "p": "26700.00", "q": "0.2", "T": 700, "m": True}
        file.write(json.dumps({**trade, "M": True}) + "\n")
    order = {"side": "buy", "quantity": 0.5, "price": 26790, "after_frame": 0}
    found = report(*words, "--orders", orders_in(tmp_path, order), "--maker-fee-bps", 1)
    (fill,) = found["fills"]
    assert (fill["at_ns"], fill["filled"], fill["average"], fill["maker"]) == (700 * MS, "0.2", "26790", True)
    assert (found["open"], found["fees"]) == (1, "0.5358")


def test_frames_without_a_time_stand_with_the_frame_before_them_and_time_never_goes_back():
    """Event time, else the time before; a receive time beats both; an absurd time is not believed."""
    line = Timeline(Binance().event_ns)
    rows = [(b"{}", 0), (b'{"E":5000}', 0), (b'{"E":5030}', 30), (b'{"u":1}', 30), (b'{"E":5010}', 30)]
    assert [line.place(frame, None) for frame, _ in rows] == [at_ms * MS for _, at_ms in rows]
    assert line.place(b'{"E":9999999999999}', None) == 30 * MS
    received = Timeline(Binance().event_ns)
    assert [received.place(b'{"E":5000}', stamp) for stamp in (70, 90, 80)] == [0, 20, 20]
    with pytest.raises(replay.ReplayError, match="receive time"):
        received.place(b"{}", LATEST_NS)


def test_binance_event_times_are_milliseconds_or_microseconds():
    """A bookTicker has none."""
    event_ns = Binance().event_ns
    assert event_ns(b'{"e":"trade","E":1767225600000,"s":"BTCUSDT"}') == 1_767_225_600 * SECOND
    assert event_ns(b'{"stream":"x","data":{"e":"trade","E": 1767225600000001}}') == 1_767_225_600 * SECOND + 1_000
    assert event_ns(b'{"u":1,"s":"BTCUSDT","b":"1","B":"2","a":"3","A":"4"}') is None


def test_the_day_is_the_recordings(tmp_path, market):
    """The journal's UTC times begin at the first event time, less what passed before it."""
    words = words_of(market, orders_in(tmp_path), "--journal", tmp_path / "out")
    report(*words)
    view = JournalView.open(tmp_path / "out")
    first = next(iter(view.load()))
    view.close()
    first_ns = int((market / "recv_ns.txt").read_text().split()[0])
    assert 0 <= EPOCH_MS * MS + first_ns - first[2] < MS


# ---- what is refused


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("buy 0.25", "not a JSON object"),
        ('{"side": "buy", "quantity": 0.25', "not JSON"),
        ('{"side": "buy", "quantity": 0.25}', "one of at_ns and after_frame"),
        ('{"side": "buy", "quantity": 0.25, "at_ns": 1, "after_frame": 1}', "one of at_ns and after_frame"),
        ('{"side": "buy", "quantity": 0.25, "at_ns": 1, "at_ns": 2}', "one of at_ns and after_frame"),
        ('{"side": "buy", "quantity": 0.25, "at_ns": -1}', "at_ns must be a whole number"),
        ('{"side": "buy", "quantity": 0.25, "at_ns": 1.5}', "at_ns must be a whole number"),
        ('{"side": "buy", "quantity": 0.25, "after_frame": "3"}', "after_frame must be a whole number"),
        ('{"side": "buy", "quantity": 0.25, "after_frame": true}', "after_frame must be a whole number"),
        (
            '{"side": "buy", "quantity": 0.25, "after_frame": 10000000000000000000}',
            "after_frame must be a whole number",
        ),
        ('{"side": "hold", "quantity": 0.25, "at_ns": 1}', "unknown side"),
        ('{"side": "buy", "quantity": 1e3, "at_ns": 1}', "quantity"),
        ('{"side": "buy", "quantity": NaN, "at_ns": 1}', "not a number"),
        ('{"side": "buy", "quantity": {"a": 1}, "at_ns": 1}', "quantity must be"),
        ('{"side": "buy", "quantity": 1, "quantity": 2, "at_ns": 1}', "given twice"),
        ('{"side": "buy", "quantity": 1, "size": 2, "at_ns": 1}', "unknown key"),
        ('{"command": "flatten", "at_ns": 1}', "orders and cancels"),
        ('{"at_ns": 1, "a": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
        ('{"cancel": 0, "at_ns": 1}', "order must be"),
    ],
)
def test_a_line_that_is_no_order_is_a_usage_error_that_names_it(tmp_path, line, reason):
    """Nothing is played: the frames need not exist."""
    path = orders_in(tmp_path, "# a comment", "", {"side": "buy", "quantity": 0.1, "at_ns": 1}, line)
    code, out, err = run(tmp_path / "no-frames", "--orders", path)
    assert (code, out) == (2, "")
    assert "line 4:" in err
    assert reason in err


def test_an_order_after_the_last_frame_is_a_usage_error(tmp_path):
    """By index it can never be decided; by time it can."""
    words = small(tmp_path, 0, 100)
    path = orders_in(tmp_path, {"side": "buy", "quantity": 0.1, "after_frame": 2})
    code, _, err = run(*words, "--orders", path)
    assert code == 2
    assert "line 1: after_frame 2, but there are 2 frames" in err
    later = report(*words, "--orders", orders_in(tmp_path, {"side": "buy", "quantity": 0.1, "at_ns": 1_900 * MS}))
    assert later["position"] == "0.1"


def test_options_that_do_not_fit_together_are_usage_errors(tmp_path):
    """A seed without orders would change nothing; orders on another market have no filters."""
    orders = ("--orders", orders_in(tmp_path))
    for words, reason in [
        (("--seed", 3), "--seed needs --orders"),
        (("--journal", tmp_path), "--journal needs --orders"),
        (("--taker-fee-bps", 3), "--taker-fee-bps needs --orders"),
        ((*orders, "--tops", tmp_path / "tops"), "--tops"),
        ((*orders, "--symbol", "ETHUSDT"), "BTCUSDT only"),
    ]:
        code, out, err = run(tmp_path / "frames", *words)
        assert (code, out) == (2, "")
        assert reason in err


def test_a_snapshot_that_is_none_and_a_missing_file_are_errors(tmp_path):
    """The reason is named, and nothing is printed."""
    words, orders = small(tmp_path, 0), orders_in(tmp_path)
    for broken in ([words[0], "--snapshot", words[0]], [tmp_path / "nothing"]):
        code, out, err = run(*broken, "--orders", orders)
        assert (code, out) == (1, "")
        assert err.startswith("replay: ")


def test_without_a_snapshot_every_order_is_refused(tmp_path):
    """A book that cannot be trusted trades nothing, here as live."""
    found = report(small(tmp_path, 0)[0], "--orders", orders_in(tmp_path, {"side": "buy", "quantity": 1, "at_ns": 1}))
    assert found["rejects"][0]["breaches"][0]["code"] == "BOOK_UNSYNCED"
    assert (found["fills"], found["sync"]) == ([], "buffering")


# ---- files and words


def test_gzip_reads_as_plain_in_every_file(market, tmp_path):
    """Frames, times, snapshot and orders."""
    orders = orders_in(tmp_path, *SCRIPT)
    packed = tmp_path / "packed"
    packed.mkdir()
    for path in (*market.iterdir(), orders):
        (packed / path.name).write_bytes(gzip.compress(path.read_bytes()))
    assert report(*words_of(packed, packed / orders.name)) == report(*words_of(market, orders))


def test_a_recorded_session_is_the_same_twice(recordings, tmp_path):
    """On the real exchange's bytes and receive times."""
    unpacked = tmp_path / "frames.jsonl"
    unpacked.write_bytes(recordings.read(f"{RECORDING}.frames.jsonl"))
    beside = recordings.folder / RECORDING
    rows = [{"side": side, "quantity": 0.3, "at_ns": (20 + at) * SECOND} for at, side in enumerate(["buy", "sell"] * 9)]
    words = [unpacked, "--snapshot", f"{beside}.rest_depth.json", "--recv-ns", f"{beside}.recv_ns.txt"]
    words += ["--orders", orders_in(tmp_path, *rows), "--seed", 11, "--journal"]
    first, again = (report(*words, tmp_path / name) for name in ("first", "again"))
    assert first == again
    assert (len(first["fills"]), first["position"], first["gaps"]) == (18, "0", 0)
    assert first["journal_hash"] == first["state_hash"]


def test_the_documented_example_is_what_happens(tmp_path):
    """The snippet, the orders and the command of docs/backtest.md, run as they stand."""
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    (orders,) = re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)
    ((command, said),) = re.findall(r"```\n\$ pytrader (.*?)\n(.*?)```", DOCUMENT, re.DOTALL)
    (tmp_path / "orders.jsonl").write_text(orders)
    with contextlib.chdir(tmp_path):
        exec(compile(code, "backtest.md", "exec"), {})
        code, out, err = run(*shlex.split(command)[1:])
    assert (code, err) == (0, "")
    assert re.sub(r"(?m)^(State +)[0-9a-f]{64}$", r"\1…", out) == said
