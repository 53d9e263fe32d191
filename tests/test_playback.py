"""What replay makes of a recording that is not as it was written: damage, other names, what is not there."""

import gzip
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import pytest
from sessions import environment
from test_recorder import LOG, SNAPSHOT, begun, shown, ticks

from pytrader import recorder
from pytrader import segments as module
from pytrader._core import Replay, Tape
from pytrader.playback import play, whole_records
from pytrader.recorder import Recorder
from pytrader.recording import ReplayError
from pytrader.replay import describe, describe_recording, report
from pytrader.segments import Writer, segments


@pytest.fixture
def rotated(tmp_path):
    """Return a whole recording of several segments."""
    recording = begun(tmp_path, max_mb=8)
    recording.feed(ticks(11, 9_000), every=500)
    recording.end()
    assert len(segments(recording.folder)) > 3
    return recording


def snapshot(update_id):
    """Return a book with that id."""
    return SNAPSHOT.replace(b'"lastUpdateId": 0', b'"lastUpdateId": %d' % update_id)


def test_newest_segment_that_is_not_there_is_missed_by_its_sum(rotated):
    """A copy that ended too soon does not pass for the whole: the book at its end is not known."""
    newest = segments(rotated.folder)[-1]
    newest.path.unlink()
    played = play(rotated.folder)
    assert played.missing == [newest.number]
    assert f"Missing   segment {newest.number}: the book is unsynced from there" in played.notes()
    assert played.replay.top().sync == "desynced"


def test_next_run_leaves_the_number_of_a_lost_segment_alone(rotated):
    """Its sum would be held against a file that it was not made of."""
    newest = segments(rotated.folder)[-1]
    newest.path.unlink()
    recording = begun(rotated.folder.parent)
    recording.write()
    assert [file.number for file in segments(recording.folder)][-1] == newest.number + 1
    assert shown(play(recording.folder).replay) == shown(recording.book)
    recording.end()


def test_torn_segment_in_another_ones_place_is_refused(tmp_path):
    """No sum guards it, so its own first record does."""
    for _ in range(2):
        recording = begun(tmp_path)
        recording.write()
        recording.recorder._unlock()
    names = [f"00000{number}.rec.gz.part" for number in (1, 2, 3)]
    assert [file.path.name for file in segments(recording.folder)] == names[:2]
    (recording.folder / names[1]).rename(recording.folder / names[2])
    with pytest.raises(ReplayError, match=f"{names[2]} is damaged: it was segment 2, and has another name now"):
        play(recording.folder)


def test_later_segment_of_another_market_is_refused(rotated, tmp_path):
    """Its book would become this market's."""
    other = Recorder(Tape(), tmp_path / "o", venue="binance", symbol="ETHUSDT", max_bytes=10**8, log=LOG)
    other._begun, other._next = True, 9
    other._take(b"frame 1 0 2 {}\n", 1)
    other._flush()
    (other.folder / "000009.rec.gz.part").rename(rotated.folder / "000009.rec.gz.part")
    other._unlock()
    with pytest.raises(ReplayError, match="holds more markets than binance BTCUSDT"):
        play(rotated.folder)


def told(kind, connection, payload=b""):
    """Return one record as text."""
    return b"%s 1 %d %d %s\n" % (kind.encode(), connection, len(payload), payload)


def test_connection_that_changed_while_the_disk_refused_does_not_haunt_the_replay(tmp_path, monkeypatch):
    """The book is not live when the disk is well again: the replay must not wait for an end that it was not told of."""
    monkeypatch.setattr(recorder, "RETRY_S", 0.0)
    recording = begun(tmp_path).recorder
    first, second, third = (list(ticks(at, 3)) for at in (101, 201, 301))
    healthy, well = Writer._put, [True]
    monkeypatch.setattr(
        Writer, "_put", lambda *_: healthy(*_) if well[0] else (_ for _ in ()).throw(OSError(28, "full"))
    )

    def feed(*rows):
        recording._take(b"".join(told(*row) for row in rows), len(rows))
        recording._attempt(recording._flush) if recording._writer else None

    feed(("begin", 1), ("frame", 1, first[0]), ("snapshot", 1, snapshot(100)), ("frame", 1, first[1]))
    well[0] = False
    feed(("end", 1), ("begin", 2), ("frame", 2, second[0]))
    well[0] = True
    feed(("frame", 2, second[1]), ("snapshot", 2, snapshot(201)))
    feed(("frame", 2, second[2]))
    assert recording._book.top().sync == "live"
    assert play(recording.folder).replay.top().sync == "live"
    feed(("end", 2), ("begin", 3))
    assert play(recording.folder).replay.top().sync == recording._book.top().sync == "desynced"
    feed(("frame", 3, third[0]), ("snapshot", 3, snapshot(300)), ("frame", 3, third[1]))
    played = play(recording.folder)
    assert played.lost == 3
    assert shown(played.replay) == shown(recording._book)
    assert played.replay.top().update_id == 302
    recording._unlock()


@pytest.mark.parametrize("tail", [b"\0" * 4_096, b"\xff" * 700, bytes(range(256)) * 9])
def test_what_a_power_cut_left_behind_the_last_flush_costs_nothing_before_it(tmp_path, tail):
    """A file may be longer than what reached the disk: every record before that place is read."""
    recording = begun(tmp_path)
    recording.write()
    (torn,) = segments(recording.folder)
    torn.path.write_bytes(torn.path.read_bytes() + tail)
    played = play(recording.folder)
    assert (played.torn, played.frames) == ([torn.path.name], 10)
    assert shown(played.replay) == shown(recording.book)
    recording.end()


def test_speed_is_that_of_the_frames_that_were_read(rotated):
    """Where older segments are gone, the book's own count goes back to before them."""
    for file in segments(rotated.folder)[:2]:
        file.path.unlink()
    played = play(rotated.folder)
    counters = {**played.replay.counters(), "spent_ns": 10**9}
    assert (counters["frames"], played.frames < 7_000) == (9_010, True)
    stand_in = SimpleNamespace(counters=lambda: counters, top=Replay().top)
    assert report(stand_in, played.frames)["ns_per_frame"] == 10**9 // played.frames
    assert f"{10**9 // played.frames} ns a frame" in describe(stand_in, played.frames)
    played.replay = stand_in
    assert f"{10**9 // played.frames} ns a frame" in describe_recording(played)


@pytest.mark.parametrize("cannot", ["write the sums", "take it away"])
def test_segment_that_the_bound_could_not_take_away_is_no_damage(tmp_path, monkeypatch, cannot):
    """The disk refuses while the only whole segment goes; or a kill comes then."""
    recording = begun(tmp_path, max_mb=8)
    recording.feed(ticks(11, 3_000), every=500)
    recording.recorder._max_bytes = 1
    step = (Path, "unlink") if cannot == "take it away" else (recorder, "write_sums")
    with monkeypatch.context() as bad:
        bad.setattr(*step, lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        recording.recorder._attempt(recording.recorder._keep_to_the_bound)
    assert play(recording.folder).frames > 1_000
    recording.end()


@pytest.mark.parametrize("which", ["frames", "snapshot", "times"])
def test_file_of_frames_whose_gzip_is_damaged_is_named(tmp_path, which):
    """One sentence, whatever the damage; no traceback."""
    times = b"".join(b"%d\n" % number for number in range(400))
    plain = {"frames": b"\n".join(ticks(1, 400)), "snapshot": SNAPSHOT, "times": times}
    for name, raw in plain.items():
        (tmp_path / name).write_bytes(gzip.compress(raw))
    raw = bytearray((tmp_path / which).read_bytes())
    raw[10:14] = b"\xff" * 4  # where the packed data begins
    (tmp_path / which).write_bytes(bytes(raw))
    words = [sys.executable, "-m", "pytrader", "replay", tmp_path / "frames", "--snapshot", tmp_path / "snapshot"]
    words += ["--recv-ns", tmp_path / "times"]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"/{which} is damaged: " in done.stderr
    assert done.stderr.count("\n") == 1


def test_oldest_segment_that_was_moved_away_is_not_taken_for_one_that_the_bound_took(rotated):
    """Its sum is left; the bound takes that away first."""
    segments(rotated.folder)[0].path.unlink()
    notes = play(rotated.folder).notes()
    assert "Missing   segment 1: the book is unsynced from there" in notes
    assert not any("record_max_mb" in line for line in notes)


@pytest.mark.parametrize("between", ["numbered", "read_sums"])
def test_segment_that_becomes_whole_while_the_folder_is_looked_at_is_no_damage(tmp_path, monkeypatch, between):
    """A replay beside a program that records: between the list of the files and that of the sums, or the other way."""
    recording = begun(tmp_path)
    recording.write()
    look = getattr(module, between)

    def overtaken(folder):
        found = look(folder)
        monkeypatch.setattr(module, between, look)
        recording.end()
        return found

    monkeypatch.setattr(module, between, overtaken)
    assert shown(play(recording.folder).replay) == shown(recording.book)


def test_segment_that_becomes_whole_before_it_is_read_is_read(tmp_path):
    """A long report comes to the newest segment minutes after it was listed."""
    recording = begun(tmp_path)
    recording.write()
    (listed,) = segments(recording.folder)
    recording.end()
    assert b"".join(text for text, _ in whole_records(listed)).count(b"\nframe ") == 10


def test_tail_of_a_torn_segment_that_unpacks_to_nonsense_costs_no_record_before_it(tmp_path):
    """What lay on the disk there before may happen to be packed data."""
    recording = begun(tmp_path)
    recording.write()
    (torn,) = segments(recording.folder)
    pack = zlib.compressobj(3, zlib.DEFLATED, -15)
    nonsense = pack.compress(b"nonsense " * 200) + pack.flush(zlib.Z_SYNC_FLUSH)
    torn.path.write_bytes(torn.path.read_bytes() + nonsense)
    played = play(recording.folder)
    assert (played.torn, played.frames) == ([torn.path.name], 10)
    assert shown(played.replay) == shown(recording.book)
    recording.end()


def test_torn_segment_that_the_bound_takes_away_leaves_no_sum(tmp_path):
    """A kill between the sum and the new name left both; the sum alone would look like a loss for ever."""
    recording = begun(tmp_path)
    recording.end()
    whole = recording.folder / "000001.rec.gz"
    whole.rename(recording.folder / "000001.rec.gz.part")
    recording = begun(tmp_path, max_mb=8)
    recording.feed(ticks(11, 20_000), every=500)
    recording.end()
    played = play(recording.folder)
    assert played.files[0].number > 1
    assert played.missing == []
    named = (recording.folder / "SHA256SUMS").read_text().split()[1::2]
    assert named == [file.path.name for file in played.files]


@pytest.mark.parametrize("line", [b"soon", b"", b"1.5", b"9223372036854775808", b"-9223372036854775809", b"\xff"])
@pytest.mark.parametrize("command", ["replay", "feed-report"])
def test_receive_time_that_is_none_is_named_by_its_line(tmp_path, line, command):
    """Exit code 1, no traceback."""
    frames, times = tmp_path / "frames", tmp_path / "times"
    frames.write_bytes(b"\n".join(ticks(1, 3)))
    times.write_bytes(b"1\n%s\n3\n" % line)
    words = [sys.executable, "-m", "pytrader", command, frames, "--recv-ns", times]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{times}, line 2: " in done.stderr
    assert done.stderr.endswith("is no receive time; give ns, one a line\n")
