"""`pytrader feed-report`: the figures of a recording, counted here a second time by hand."""

import json
import os
import subprocess
import sys
import types

import pytest
from conftest import Recordings
from sessions import environment
from test_recorder import begun, depth, ticks

from pytrader import feed_report, tally
from pytrader.feed_report import Seen, bars, histogram, stream_of
from pytrader.segments import records, segments
from pytrader.tally import Peak, Tally

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
    peaks = [Peak(width) for width in (1, 2, 3, 4, 10, 100)]
    for peak in peaks:
        for at in times:
            peak.add(at)
    assert [peak.most for peak in peaks] == [1, 2, 3, 4, 5, 7]
    assert Peak(5).most == 0


def test_histogram_counts_every_value_once():
    """Below its upper edge; what is early counts in the first, what is late in the last."""
    rows = histogram((value, 1) for value in (-5, 0, 9_999, 10_000, 29_999, 10**12))
    assert (rows[0], rows[1], rows[-1]) == ((10_000, 3), (30_000, 2), (None, 1))
    assert sum(count for _, count in rows) == 6
    assert bars(rows)[0] == "    < 10 us         3 " + "#" * 40
    assert bars(rows)[-1].strip().startswith(">= 30 s")


def test_tally_is_exact_while_it_has_room_and_says_how_coarse_it_is_behind_that(monkeypatch):
    """Held against sorting, values of both signs; the ends are exact in any case."""
    values = [(number * 7_919) % 601 - 200 for number in range(601)] + [5] * 399
    for most, step in ((601, 1), (100, 8), (3, 256)):
        monkeypatch.setattr(tally, "VALUES_MAX", most)
        counted = Tally()
        for value in values:
            counted.add(value)
        row = sorted(values)
        assert (counted.count, counted.least, counted.most, counted.step) == (1_000, row[0], row[-1], step)
        assert sum(count for _, count in counted.rows()) == 1_000
        found = counted.quantiles([1, 500, 990, 1_000])
        for value, exact in zip(found, (row[0], row[499], row[989], row[999]), strict=True):
            assert 0 <= exact - value < step


def test_event_time_that_no_clock_shows_has_no_lag():
    """A binary frame's empty time, the year one."""
    times = iter([2**64 * 1_000, -(10**19), 5 * MS])
    seen = Seen(lambda _: next(times), 0)
    for _ in range(3):
        seen.take(b"{}", 7 * MS)
    lag = feed_report.report(seen, COUNTERS)["lag_ns"]
    assert (lag["count"], lag["min"], lag["max"], lag["step_ns"]) == (1, 2 * MS, 2 * MS, 1)


def test_one_frame_has_no_mean_rate(tmp_path):
    """No time passed; the report says so in words."""
    frames, times = tmp_path / "frames", tmp_path / "times"
    frames.write_bytes(depth(1, 1))
    times.write_bytes(b"5")
    assert row_of(frames, "--recv-ns", times)["mean_per_second"] is None
    assert "Rate      unknown over 0 ns; peaks: 1 in second" in report(frames, "--recv-ns", times)[1]


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


def record(kind, recv_ns, payload):
    """Return one record as text."""
    return b"%s %d 1 %d %s\n" % (kind.encode(), recv_ns, len(payload), payload)


def seen_of(*rows):
    """Return what is seen of records, each (kind, receive time, payload or the facts of a segment)."""
    seen = Seen()
    for kind, recv_ns, *more in rows:
        payload = b"{}"
        if kind in ("run", "segment"):
            number, offset_ns = more
            payload = json.dumps({"venue": "binance", "segment": number, "utc_offset_ns": offset_ns}).encode()
        seen.note(records(record(kind, recv_ns, payload))[0][0])
    return seen


COUNTERS = dict.fromkeys(feed_report.COUNTS, 0)
S = 1_000 * MS


@pytest.mark.parametrize(
    "between",
    [
        [("lost", 1 * S)],
        [("segment", 60 * S, 3, 0)],
        [("segment", 60 * S, 2, 3_600 * S)],
        [("segment", 60 * S, 2, -3_600 * S)],
        [("run", 60 * S, 2, -3_600 * S)],
    ],
)
def test_time_that_was_not_recorded_is_no_silence_and_joins_no_two_frames(between):
    """Lost records, a segment that is not there, a clock that was set by an hour: rates are those of what is there."""
    first = [("frame", at * 100 * MS) for at in range(10)]
    then = [("frame", 60 * S + at * 100 * MS) for at in range(10)]
    row = feed_report.report(seen_of(("run", 0, 1, 0), *first, *between, *then), COUNTERS)
    assert (row["silence_ns"], row["streams"]["other"]["silence_ns"]) == (100 * MS, 100 * MS)
    assert row["peaks"] == {"second": 10, "100_ms": 1, "10_ms": 1, "1_ms": 1}
    assert (row["lasted_ns"], row["mean_per_second"]) == (1_800 * MS, 11.1)
    assert sum(count for _, count in row["inter_arrival_ns"]) == 18


def test_segment_that_follows_joins_the_frames_before_it():
    """An adjusted clock moves nothing: the silence is what the receive times say."""
    rows = [("run", 0, 1, 0), ("frame", 0), ("segment", 1, 2, 40 * MS), ("frame", 700 * MS)]
    assert feed_report.report(seen_of(*rows), COUNTERS)["silence_ns"] == 700 * MS


def test_counts_are_those_of_the_frames_that_are_left(tmp_path):
    """A bounded recording begins with the counts of what went before: gaps of frames that are gone are not its own."""
    recording = begun(tmp_path, max_mb=8)
    recording.book.apply(depth(12, 12), 5)  # one is missing
    recording.book.apply(depth(13, 13), 6)
    recording.book.offer_snapshot(
        json.dumps({"lastUpdateId": 11, "bids": [["99", "1"]], "asks": [["101", "1"]]}).encode()
    )
    recording.feed(ticks(14, 4_000), every=500)
    recording.end()
    whole = row_of(tmp_path)
    assert (whole["gaps"], whole["resyncs"], whole["snapshots"]) == (1, 1, 2)
    segments(recording.folder)[0].path.unlink()
    rest = row_of(tmp_path)
    assert (rest["gaps"], rest["resyncs"], rest["snapshots"], rest["oldest_gone"]) == (0, 0, 0, 1)
    assert rest["frames"] < whole["frames"]


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


@pytest.mark.parametrize("command", ["feed-report", "replay"])
def test_reader_that_leaves_early_is_no_error_of_the_recording(tmp_path, command):
    """As `| head` does: nothing is said about a pipe."""
    begun(tmp_path).end()
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, "-m", "pytrader", command, str(tmp_path)]
    done = subprocess.run(words, env=environment(), stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert done.stderr == b""


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
        def hist(self, values, weights, **_):
            assert len(values) == len(weights)
            drawn.append(sum(weights))

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
