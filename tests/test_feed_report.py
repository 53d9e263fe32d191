"""`pytrader feed-report`: the figures of a recording, counted here a second time by hand."""

import json
import subprocess
import sys
import types

import pytest
from conftest import Recordings
from sessions import environment
from test_recorder import begun, depth

from pytrader import feed_report
from pytrader.feed_report import Seen, bars, histogram, peak, stream_of

FIRST = "binance/spot_btcusdt_20240808T2354_combined"
MS = 1_000_000


def report(*words):
    """Run the program and return its exit code, output and errors."""
    command = [sys.executable, "-m", "pytrader", "feed-report", *map(str, words)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def row_of(*words):
    code, out, err = report(*words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_peak_is_the_most_in_any_window_wherever_it_begins():
    """Half open: a frame exactly one width later is in the next."""
    times = [0, 5, 9, 10, 11, 12, 30]
    assert [peak(times, width) for width in (1, 2, 3, 4, 10, 100)] == [1, 2, 3, 4, 5, 7]
    assert peak([], 5) == 0


def test_histogram_counts_every_value_once():
    """Below its upper edge; what is early counts in the first, what is late in the last."""
    rows = histogram([-5, 0, 9_999, 10_000, 29_999, 10**12])
    assert (rows[0], rows[1], rows[-1]) == ((10_000, 3), (30_000, 2), (None, 1))
    assert sum(count for _, count in rows) == 6
    assert bars(rows)[0] == "    < 10 us         3 " + "#" * 40
    assert bars(rows)[-1].strip().startswith(">= 30 s")


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        (b'{"stream":"btcusdt@trade","data":{"e":"trade"}}', "btcusdt@trade"),
        (b'{"topic":"orderbook.50.BTCUSDT","type":"delta"}', "orderbook.50.BTCUSDT"),
        (b'{"arg":{"channel":"books","instId":"BTC-USDT"}}', "books"),
        (b'{"channel": "l2_data"}', "l2_data"),
        (bytes([18, 0, 0x11, 0x27, 1, 0, 0, 0]) + b"x" * 20, "template 10001"),
        (b"pong", "other"),
    ],
)
def test_stream_has_the_name_that_the_venue_gives_it(frame, name):
    """Without knowing the venue."""
    assert stream_of(frame) == name


def test_report_of_a_recorded_folder_counts_what_was_fed(tmp_path):
    """Frames, bytes, silences, gaps, duplicates and lags of made frames at made times."""
    recording = begun(tmp_path)
    recording.book.apply(depth(10, 10), 20 * MS)  # a second time
    recording.book.apply(depth(12, 12), 520 * MS)  # one is missing
    recording.end()
    row = row_of(tmp_path)
    assert (row["frames"], row["gaps"], row["duplicates"], row["snapshots"]) == (12, 1, 1, 1)
    assert row["market"] == "binance BTCUSDT"
    assert row["peaks"] == {"second": 12, "100_ms": 11, "10_ms": 10, "1_ms": 10}
    assert row["silence_ns"] == row["streams"]["depthUpdate"]["silence_ns"] == 500 * MS
    assert row["lag_ns"]["count"] == 12
    assert (row["runs"], row["connections"], row["lost_records"], row["torn"]) == (1, 0, 0, [])


def test_pause_between_two_runs_is_no_silence(tmp_path):
    """Nothing was listening."""
    begun(tmp_path).end()
    begun(tmp_path).end()
    row = row_of(tmp_path)
    assert row["runs"] == 2
    assert row["silence_ns"] < MS


def test_report_for_a_person_names_everything(tmp_path):
    """The same figures in words, with both histograms."""
    begun(tmp_path).end()
    code, out, err = report(tmp_path)
    assert (code, err) == (0, "")
    for words in (
        "Frames    10, ",
        "in 100 ms",
        "depthUpdate: 10 frames",
        "0 gaps",
        "Time between two frames",
        "Lag   ",
    ):
        assert words in out, words


def test_recorded_venue_traffic_has_the_figures_that_its_description_gives(recordings: Recordings, tmp_path):
    """Streams and bursts of real frames; the recorder's clock was behind the venue's, and the report shows it."""
    frames, times = tmp_path / "frames", tmp_path / "times"
    frames.write_bytes(recordings.read(f"{FIRST}.frames.jsonl"))
    times.write_bytes(recordings.read(f"{FIRST}.recv_ns.txt"))
    snapshot = recordings.folder / f"{FIRST}.rest_depth.json"
    row = row_of(frames, "--recv-ns", times, "--snapshot", snapshot)
    assert row["frames"] == 41_248
    assert {name: stream["frames"] for name, stream in row["streams"].items()} == {
        "btcusdt@bookTicker": 28_040,
        "btcusdt@depth@100ms": 3_451,
        "btcusdt@trade": 9_757,
    }
    assert (row["gaps"], row["crossed"]) == (0, 0)
    assert row["lag_ns"]["count"] == 3_451 + 9_757
    assert row["lag_ns"]["min"] < 0


def test_frames_without_times_have_no_rates_and_the_report_says_so(tmp_path):
    """Nothing is invented."""
    frames = tmp_path / "frames"
    frames.write_bytes(depth(1, 1) + b"\n" + depth(2, 2) + b"\n")
    row = row_of(frames)
    assert (row["frames"], row["peaks"], row["lag_ns"], row["silence_ns"]) == (2, None, None, None)
    assert "Lag       unknown" in report(frames)[1]


def test_picture_without_matplotlib_is_answered_by_how_to_install_it(tmp_path, monkeypatch):
    """One sentence."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(feed_report.ReplayError, match=r"pip install 'pytrader\[report\]'"):
        feed_report.draw([({}, Seen())], tmp_path / "x.png")


def test_picture_has_three_charts_a_market(tmp_path, monkeypatch):
    """Drawn by whatever stands in matplotlib's place."""
    drawn = []

    class Axis:
        def hist(self, values, **_):
            drawn.append(len(list(values)))

        def set(self, **_):
            pass

    class Figure:
        def __init__(self, **_):
            pass

        def subplots(self, rows, columns, squeeze):
            assert not squeeze
            return [[Axis() for _ in range(columns)] for _ in range(rows)]

        def savefig(self, path, **_):
            path.write_bytes(b"png")

    monkeypatch.setitem(sys.modules, "matplotlib.figure", types.SimpleNamespace(Figure=Figure))
    seen = Seen(lambda _: 1, 0)
    for at in (5, 6, 9):
        seen.take(b"{}", at)
    feed_report.draw([({"market": "x"}, seen)], tmp_path / "x.png")
    assert drawn == [3, 2, 3]
    assert (tmp_path / "x.png").read_bytes() == b"png"


def test_folder_that_holds_nothing_is_an_error_of_one_line(tmp_path):
    """Exit code 1."""
    code, out, err = report(tmp_path)
    assert (code, out) == (1, "")
    assert err.startswith("feed-report: ")
    assert err.count("\n") == 1
