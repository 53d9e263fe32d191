"""`pytrader replay`: recordings through the live decoder and book."""

from __future__ import annotations

import argparse
import csv
import gzip
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from pytrader import replay

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Recordings

FIRST = "binance/spot_btcusdt_20240808T2354_combined"
SECOND = "binance/spot_btcusdt_20240809T0000_combined"


@pytest.fixture(scope="module")
def session(recordings: Recordings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return both Binance spot recordings as one file."""
    path = tmp_path_factory.mktemp("session") / "frames.jsonl"
    path.write_bytes(recordings.read(f"{FIRST}.frames.jsonl") + recordings.read(f"{SECOND}.frames.jsonl"))
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run the command and return its exit code, output and errors."""
    parser = argparse.ArgumentParser()
    replay.add_arguments(parser)
    code = replay.run(parser.parse_args([str(argument) for argument in arguments]))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def report(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """Run the command with --json and return its report."""
    code, out, err = run(capsys, *arguments, "--json")
    assert (code, err) == (0, "")
    return dict(json.loads(out.splitlines()[-1]))


def depth(first: int, last: int, bids: list[list[str]]) -> dict[str, Any]:
    """Return one raw depth event."""
    return {"e": "depthUpdate", "E": 1, "s": "BTCUSDT", "U": first, "u": last, "b": bids, "a": []}


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, Path]:
    """Return a file of five frames and a snapshot that the third one bridges."""
    frames = tmp_path / "frames.jsonl"
    events = [depth(1, 5, []), {"e": "news"}, depth(6, 9, []), depth(10, 12, [["7", "1"]]), depth(14, 15, [])]
    frames.write_text("".join(json.dumps(event) + "\n" for event in events))
    snapshot = tmp_path / "snapshot.json"
    snapshot.write_text(json.dumps({"lastUpdateId": 7, "bids": [["6", "1"]], "asks": [["8", "2.5"]]}))
    return frames, snapshot


def test_two_recordings_replay_as_one_session(
    recordings: Recordings, session: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every depth id joins the last one, nothing is missed or crossed, and the top agrees with the tickers."""
    tops = tmp_path / "tops.csv"
    found = report(capsys, session, "--snapshot", recordings.folder / f"{FIRST}.rest_depth.json", "--tops", tops)
    assert (found["frames"], found["applied"], found["ignored"]) == (99_573, 99_571, 2)
    assert (found["gaps"], found["resyncs"], found["crossed"]) == (0, 0, 0)
    with tops.open(newline="") as file:
        rows = list(csv.reader(file))
    agreeing = compare(session, rows)
    assert len(rows) == 6_493
    assert agreeing >= 6_491


def compare(session: Path, rows: list[list[str]]) -> int:
    """Check the ids of every applied depth frame; return how many tops equal the last ticker not newer than them."""
    events = [json.loads(line)["data"] for line in session.read_bytes().splitlines()]
    tickers = [event for event in events if "B" in event]
    agreeing = at = 0
    last = None
    for row in rows:
        event = events[int(row[0])]
        assert event["u"] == int(row[1])
        assert last is None or event["U"] == last + 1, f"frame {row[0]} does not join"
        last = event["u"]
        while at + 1 < len(tickers) and tickers[at + 1]["u"] <= last:
            at += 1
        expected = [Decimal(tickers[at][key]) for key in "bBaA"]
        agreeing += [Decimal(cell) for cell in row[2:]] == expected
    return agreeing


def test_recorded_receive_times_are_taken(
    recordings: Recordings, session: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Times come one a line, one for each frame."""
    times = tmp_path / "recv_ns.txt"
    times.write_bytes(recordings.read(f"{FIRST}.recv_ns.txt") + recordings.read(f"{SECOND}.recv_ns.txt"))
    assert report(capsys, session, "--recv-ns", times)["frames"] == 99_573


def test_a_cut_in_a_recording_is_one_gap(
    recordings: Recordings, session: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing depth frame is noticed at the next one, and the book stays unsynced without a newer snapshot."""
    lines = session.read_bytes().splitlines(keepends=True)[:5_000]
    depths = [index for index, line in enumerate(lines) if b"depthUpdate" in line]
    del lines[depths[100]]
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(b"".join(lines))
    found = report(capsys, cut, "--snapshot", recordings.folder / f"{FIRST}.rest_depth.json")
    assert (found["gaps"], found["resyncs"], found["crossed"], found["bid_levels"]) == (1, 0, 0, 0)
    assert found["top"]["sync"] == "desynced"


def test_the_snapshot_meets_the_first_frame_that_it_can_bridge(
    small: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Earlier frames are in it already; a later hole is a gap; the report counts every frame once."""
    tops = tmp_path / "tops.csv"
    found = report(capsys, small[0], "--snapshot", small[1], "--tops", tops)
    assert tops.read_text() == "2,9,6,1,8,2.5\n3,12,7,1,8,2.5\n"
    assert list(found) == [
        *("frames", "applied", "ignored", "gaps", "resyncs", "crossed"),
        *("bid_levels", "ask_levels", "top", "ns_per_frame"),
    ]
    assert (found["frames"], found["applied"], found["ignored"], found["gaps"]) == (5, 2, 3, 1)
    assert {key: found["top"][key] for key in ("bid", "bid_size", "ask", "ask_size")} == {
        "bid": "7",
        "bid_size": "1",
        "ask": "8",
        "ask_size": "2.5",
    }


def test_a_malformed_line_before_the_bridge_does_not_cost_the_snapshot(
    small: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """A refused frame unsyncs a live book; it spoils nothing that the ids still prove."""
    small[0].write_text("garbage\n" + small[0].read_text())
    assert report(capsys, small[0], "--snapshot", small[1])["applied"] == 2


def test_gzip_reads_as_plain(small: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file's first bytes decide, not its name."""
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(small[0].read_bytes()))
    plain, zipped = (report(capsys, path, "--snapshot", small[1]) for path in (small[0], packed))
    assert {**plain, "ns_per_frame": 0} == {**zipped, "ns_per_frame": 0}


def test_the_report_for_a_person_names_everything(small: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Without --json the same figures stand in sentences."""
    code, out, _ = run(capsys, small[0], "--snapshot", small[1])
    assert code == 0
    assert "5: 2 applied, 3 ignored (0 of them malformed)" in out
    assert "1 gaps, 0 resyncs, 0 crossed; desynced at the end" in out
    assert "1 @ 7 | 2.5 @ 8" in out


@pytest.mark.parametrize(
    ("times", "reason"), [("1\n2\n", "fewer"), ("1\n" * 6, "more"), ("x\n" * 5, "line 1: 'x' is no receive time")]
)
def test_receive_times_must_fit_the_frames(
    small: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], times: str, reason: str
) -> None:
    """Another number of times than frames is an error."""
    path = tmp_path / "times"
    path.write_text(times)
    code, _, err = run(capsys, small[0], "--recv-ns", path)
    assert code == 1
    assert reason in err


def test_what_cannot_be_read_is_an_error(small: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """A missing file, an unknown venue and a snapshot that is none are named."""
    for arguments, reason in [
        (("/nowhere/frames",), "No such file"),
        ((small[0], "--venue", "nasdaq"), "unknown venue"),
        ((small[0], "--snapshot", small[0]), "snapshot:"),
    ]:
        code, out, err = run(capsys, *arguments)
        assert (code, out) == (1, "")
        assert reason in err
