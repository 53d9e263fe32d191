"""`--record`: what a book was fed can be replayed to the same book, whatever happens to the program or its disk."""

import gzip
import hashlib
import json
import logging
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path
from time import sleep

import pytest
from failing import COMPILER, Disk, compiler
from sessions import PROFILE, environment, eventually, on, running

from pytrader import recorder as module
from pytrader import segments as segment_files
from pytrader._core import Book, Replay, Tape
from pytrader.app import App
from pytrader.playback import play, whole_records
from pytrader.recorder import Recorder, RecorderError
from pytrader.recording import ReplayError
from pytrader.replay import replay_files
from pytrader.sandbox.process import OfflineMarket
from pytrader.segments import Writer, recordings_in, segments
from pytrader.settings import load

MARKET = "binance-BTCUSDT"
LOG = logging.getLogger("test.recorder")


@pytest.fixture(scope="module")
def market():
    """Run one offline market for all engines."""
    with OfflineMarket.start(11, "busy") as offline:
        yield offline


def level(price, size):
    return [f"{price / 100:.2f}", f"{size}"]


def depth(first, last, bids=(), asks=()):
    event = {"e": "depthUpdate", "E": 1, "s": "BTCUSDT", "U": first, "u": last, "b": list(bids), "a": list(asks)}
    return json.dumps(event).encode()


def ticks(begin, count):
    """Return depth frames that follow each other, each changing one level and padded to about 1 kB that gzip keeps."""
    for index in range(begin, begin + count):
        pad = hashlib.shake_256(b"%d" % index).hexdigest(450)
        yield depth(index, index, [level(10_000 - index % 50, 1 + index % 9)])[:-1] + f',"x":"{pad}"}}'.encode()


SNAPSHOT = json.dumps({"lastUpdateId": 0, "bids": [level(9_900, 1)], "asks": [level(10_100, 2)]}).encode()


def state(book):
    """Return everything that can be read of a book; times apart."""
    top = book.top(0) if isinstance(book, Book) else book.top()
    counters = {name: count for name, count in book.counters().items() if name != "spent_ns"}
    return (
        repr(top),
        top.bid_size_e8,
        top.ask_size_e8,
        top.doubt,
        book.levels("bid", 100),
        book.levels("ask", 100),
        counters,
    )


def shown(book):
    """Return the market alone: neither counts nor what was wrong before."""
    top, size, other, _doubt, *levels, _counters = state(book)
    return top, size, other, levels


class Recording:
    """A book with a recorder that the test drives."""

    def __init__(self, folder, max_mb=100, tape_mb=16):
        self.tape, self.book = Tape(tape_mb), Book()
        self.book.set_tape(self.tape)
        self.recorder = Recorder(
            self.tape, folder, venue="binance", symbol="BTCUSDT", max_bytes=max_mb * 1_000_000, log=LOG
        )
        self.folder = self.recorder.folder

    def feed(self, frames, every=0):
        """Feed frames; with `every`, let the recorder write after so many."""
        for count, frame in enumerate(frames, 1):
            self.book.apply(frame, count)
            if every and count % every == 0:
                self.write()

    def write(self):
        """Let the recorder do what its thread would."""
        records, count = self.tape.take(0)
        while records:
            self.recorder._take(records, count)
            records, count = self.tape.take(0)
        self.recorder._flushed_s = float("-inf")
        self.recorder._every_second()

    def end(self):
        self.recorder.stop()
        self.recorder.run()


def begun(folder, **options):
    """Return a recording of a live book."""
    recording = Recording(folder, **options)
    recording.book.offer_snapshot(SNAPSHOT)
    recording.feed(ticks(1, 10))
    return recording


# ---- the same book


def test_recorded_session_of_the_real_engine_replays_to_the_same_book_at_every_moment_that_was_seen(market, tmp_path):
    """Tops, a hundred levels a side and the counters, at moments of the live feed and at its end; files are private."""
    words = {"stream_url": market.ws_url, "rest_url": market.rest_url, "record": str(tmp_path / "r")}
    seen = {}
    with App(load(words, {}, None), tmp_path / PROFILE) as app:
        assert app.trader.wait_synced()
        names = [worker.name for worker in app._workers]
        assert names.index("recorder") < names.index("snapshot-binance"), "what is stopped last hears all"
        while len(seen) < 40:
            before = app.book.counters()["frames"]
            moment = state(app.book)[:-1]
            if app.book.counters()["frames"] == before:
                seen[before] = moment
            sleep(0.03)
    replay, frames, compared = Replay(), 0, 0
    (folder,) = recordings_in(tmp_path / "r")
    for file in segments(folder):
        for _, found in whole_records(file):
            for record in found:
                text = f"{record.kind} {record.recv_ns} {record.connection} {len(record.payload)} ".encode()
                replay.play(text + record.payload + b"\n")
                frames += record.kind == "frame"
                if record.kind == "frame" and frames in seen:
                    assert state(replay)[:-1] == seen[frames], frames
                    compared += 1
    assert compared == len(seen)
    assert state(play(folder).replay) == state(app.book) == state(replay)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    subprocess.run(["sha256sum", "--status", "-c", "SHA256SUMS"], cwd=folder, check=True)


def test_binary_frames_and_frames_with_line_feeds_survive(tmp_path):
    """The length counts, not the line."""
    recording = Recording(tmp_path)
    frames = [bytes(range(256)), b"\n\n frame 1 1 1 x\n", b"", b"{}"]
    recording.feed(frames)
    recording.end()
    (file,) = segments(recording.folder)
    found = [record for _, block in whole_records(file) for record in block]
    assert [record.payload for record in found if record.kind == "frame"] == frames
    assert gzip.decompress(file.path.read_bytes()).startswith(b"run ")


def test_snapshots_stand_where_they_were_offered(tmp_path):
    """Also one that the book did not want."""
    recording = begun(tmp_path)
    recording.book.offer_snapshot(SNAPSHOT)
    recording.end()
    kinds = [record.kind for file in segments(recording.folder) for _, block in whole_records(file) for record in block]
    assert kinds == ["run", "snapshot", *["frame"] * 10, "snapshot"]
    assert state(play(recording.folder).replay) == state(recording.book)


def test_book_has_one_tape(tmp_path):
    """A second one would take half of the frames."""
    recording = Recording(tmp_path)
    with pytest.raises(ValueError, match="tape already"):
        recording.book.set_tape(Tape(1))
    with pytest.raises(ValueError, match="1 to 1024"):
        Tape(0)
    recording.end()


# ---- rotation and the bound


def test_segments_rotate_and_the_oldest_go_first_and_the_rest_replays_to_the_same_book(tmp_path):
    """The folder keeps to its size; a later segment begins with the book, so nothing is lost but history."""
    recording = begun(tmp_path, max_mb=8)
    recording.feed(ticks(11, 30_000), every=500)
    recording.end()
    files = segments(recording.folder)
    assert sum(file.path.stat().st_size for file in files) <= 8_000_000
    assert files[0].number > 2
    assert len(files) > 4
    played = play(recording.folder)
    assert state(played.replay) == state(recording.book)
    assert played.facts()["oldest_gone"] == files[0].number - 1
    assert any("1 to" in line and "record_max_mb" in line for line in played.notes())
    assert set((recording.folder / "SHA256SUMS").read_text().split()[1::2]) == {file.path.name for file in files}


def test_second_run_goes_on_in_the_same_folder_and_two_at_once_are_refused(tmp_path):
    """Numbers go on; a run begins with an unsynced book."""
    first = begun(tmp_path)
    with pytest.raises(RecorderError, match="another program records there"):
        Recording(tmp_path)
    first.end()
    second = begun(tmp_path)
    second.end()
    played = play(second.folder)
    assert (played.runs, [file.number for file in played.files]) == (2, [1, 2])
    assert shown(played.replay) == shown(second.book)
    assert played.replay.counters()["resyncs"] == 1


# ---- damage


def test_flipped_byte_is_refused_by_name_with_what_to_do(tmp_path):
    """Wherever it lies; without the segment the others replay, unsynced until the next one's book."""
    recording = begun(tmp_path, max_mb=8)
    recording.feed(ticks(11, 9_000), every=500)
    recording.end()
    files = segments(recording.folder)
    assert len(files) > 3
    hurt = files[1].path
    raw = bytearray(hurt.read_bytes())
    for at in (0, 11, len(raw) // 2, len(raw) - 1):
        raw[at] ^= 0x10
        hurt.write_bytes(bytes(raw))
        with pytest.raises(ReplayError, match=rf"{hurt.name} is damaged: .* Put back a copy of it; or move it"):
            play(recording.folder)
        raw[at] ^= 0x10
    hurt.unlink()
    played = play(recording.folder)
    assert played.missing == [2]
    assert shown(played.replay) == shown(recording.book)
    assert played.replay.counters()["resyncs"] == 1


def test_damage_reaches_the_person_as_one_sentence(tmp_path):
    """Exit code 1, no traceback."""
    recording = begun(tmp_path)
    recording.end()
    (file,) = segments(recording.folder)
    file.path.write_bytes(file.path.read_bytes()[:-1])
    words = [sys.executable, "-m", "pytrader", "replay", tmp_path]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"replay: .*000001\.rec\.gz is damaged: its checksum is not.*\n", done.stderr)


def test_kill_leaves_whole_segments_and_one_readable_torn_one(market, tmp_path):
    """`kill -9` of the real program: what was flushed a second before is there and replays to a synced book."""
    folder = tmp_path / "r" / MARKET
    with running([*on(market, tmp_path), "--record", tmp_path / "r"], tmp_path) as child:
        part = folder / "000001.rec.gz.part"
        eventually(lambda: part.exists() and part.stat().st_size > 60_000, "nothing is recorded")
        child.send_signal(signal.SIGKILL)
        child.wait()
    played = play(folder)
    assert played.torn == ["000001.rec.gz.part"]
    counters = played.replay.counters()
    assert counters["frames"] > 100
    assert (counters["gaps"], counters["crossed"], counters["refused"]) == (0, 0, 0)
    assert played.replay.top().sync == "live"


RECORD_FOR_EVER = """
import sys; from pathlib import Path; from test_recorder import begun, ticks
recording = begun(Path(sys.argv[1]), max_mb=8)
recording.write()
print(flush=True)
recording.feed(ticks(11, 10**9), every=200)
"""


def test_kills_at_any_moment_of_rotation_leave_a_folder_that_replays(tmp_path):
    """Ten programs, one after the other in one folder at its bound: no segment is damaged, none is missing."""
    env = environment()
    env["PYTHONPATH"] += f":{Path(__file__).parent}"
    for trial in range(10):
        command = [sys.executable, "-c", RECORD_FOR_EVER, tmp_path]
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE) as child:
            child.stdout.readline()
            sleep(0.2 + 0.13 * trial)
            child.kill()
        played = play(tmp_path / MARKET)
        counters = played.replay.counters()
        assert played.missing == []
        assert (counters["gaps"], counters["crossed"], counters["refused"], played.lost) == (0, 0, 0, 0)
        assert played.replay.top().sync == "live"
    files = segments(tmp_path / MARKET)
    assert sum(file.path.stat().st_size for file in files) <= 9_000_000
    assert files[0].number > 1
    assert len(files) > 5


def test_engine_that_records_and_was_never_started_leaves_the_folder_free(market, tmp_path):
    """The next one can record there."""
    words = {"stream_url": market.ws_url, "rest_url": market.rest_url, "record": str(tmp_path / "r")}
    for _ in range(2):
        assert App(load(words, {}, None), tmp_path / PROFILE).stop() == []


def test_torn_segment_reads_as_far_as_it_goes_wherever_it_was_torn(tmp_path):
    """No cut makes an error, a half record or a frame that was none."""
    recording = begun(tmp_path)
    recording.write()
    raw = next(recording.folder.glob("*.part")).read_bytes()
    recording.end()
    whole = gzip.decompress((recording.folder / "000001.rec.gz").read_bytes())
    torn = tmp_path / "torn"
    torn.mkdir()
    for end in range(400, len(raw), 997):
        (torn / "000001.rec.gz.part").write_bytes(raw[:end])
        try:
            replay = play(torn).replay
        except ReplayError as error:
            assert "nothing was recorded" in str(error)  # noqa: PT017 - the cut decides which
            continue
        assert replay.counters()["frames"] <= 10
        assert replay.counters()["refused"] == 0
    assert whole.endswith(b"\n")


# ---- disks


def test_slow_disk_loses_records_by_count_and_the_replay_is_unsynced_there(tmp_path):
    """The tape overflows: the mark stands where they are missing, and the book comes back only by a snapshot."""
    recording = begun(tmp_path, tape_mb=1)
    recording.write()
    recording.feed(ticks(11, 3_000))
    lost, size = recording.tape.lost()
    assert lost > 1_000
    assert size > 500_000
    recording.feed([depth(5_000, 5_000)])
    recording.write()
    recording.feed(ticks(5_001, 10))
    recording.end()
    played = play(recording.folder)
    assert (played.lost, played.lost_places) == (recording.tape.lost()[0], 1)
    assert played.replay.top().sync == "desynced"
    assert played.replay.levels("bid") == []
    assert any(f"{played.lost} records in 1 places" in line for line in played.notes())


def test_disk_that_refuses_costs_counted_records_and_never_the_recorder(tmp_path, monkeypatch, caplog):
    """When it heals, the recording goes on with a mark and the book, so that it is synced again at once."""
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    recording = begun(tmp_path)
    recording.write()
    put, broken = Writer._put, [True]

    def refusing(self, data):
        if broken[0]:
            raise OSError(28, "No space left on device")
        put(self, data)

    monkeypatch.setattr(Writer, "_put", refusing)
    recording.feed(ticks(11, 5))
    recording.write()
    recording.feed(ticks(16, 5))
    recording.write()
    broken[0] = False
    recording.feed(ticks(21, 5))
    recording.end()
    assert "No space left on device" in caplog.text
    played = play(recording.folder)
    assert played.torn == ["000001.rec.gz.part"]
    assert (played.lost, played.lost_places) == (10, 1)
    assert shown(played.replay) == shown(recording.book)
    assert played.replay.counters()["resyncs"] == 1


@pytest.mark.parametrize("cannot", ["sync", "take away"])
def test_disk_that_refuses_only_around_the_beginning_of_a_segment_ends_no_recording(tmp_path, monkeypatch, cannot):
    """The file that was begun may be left there: the next one has a number of its own."""
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    recording = begun(tmp_path)
    sync, broken = module.sync_folder, [True]

    def refusing(folder):
        if broken[0]:
            raise OSError(5, "Input/output error")
        sync(folder)

    monkeypatch.setattr(module, "sync_folder", refusing)
    if cannot == "take away":
        monkeypatch.setattr(Path, "unlink", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    held = len(list(Path("/proc/self/fd").iterdir()))
    recording.write()
    assert len(list(Path("/proc/self/fd").iterdir())) == held
    monkeypatch.setattr(module, "sync_folder", sync)
    broken[0] = False
    recording.feed(ticks(11, 5))
    recording.end()
    played = play(recording.folder)
    assert played.lost > 0
    assert shown(played.replay) == shown(recording.book)


def test_disk_that_refuses_behind_the_renaming_of_a_segment_damages_none(tmp_path, monkeypatch):
    """The sum stays with the segment that has its name already."""
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    recording = begun(tmp_path)
    recording.write()
    sync = segment_files.sync_folder

    def refusing(_):
        monkeypatch.setattr(segment_files, "sync_folder", sync)
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(segment_files, "sync_folder", refusing)
    recording.recorder._attempt(recording.recorder._seal)
    recording.feed(ticks(11, 5))
    recording.end()
    played = play(recording.folder)
    assert [file.path.name for file in played.files] == ["000001.rec.gz", "000002.rec.gz"]
    assert shown(played.replay) == shown(recording.book)


def test_damaged_sums_are_named_before_anything_runs(tmp_path):
    """One sentence; the folder is left free."""
    recording = begun(tmp_path)
    recording.end()
    sums = recording.folder / "SHA256SUMS"
    whole = sums.read_text()
    sums.write_text("nonsense\n")
    with pytest.raises(RecorderError, match=r"SHA256SUMS is damaged: 'nonsense' .* put back a copy; or give another"):
        Recording(tmp_path)
    sums.write_text(whole)
    begun(tmp_path).end()


def test_full_disk_stops_neither_trading_nor_the_recording_that_follows(market, tmp_path):
    """The real engine on a disk that fails under the recording alone."""
    if compiler() is None:
        pytest.skip(f"needs a C compiler for tests/faults/failing_io.c; there is no {COMPILER} here")
    disk = Disk(tmp_path).build()
    words = [market.ws_url, market.rest_url, tmp_path / PROFILE, tmp_path / "r", disk.library.parent]
    env = environment({**disk.environment(), "FAILING_MARK": ".rec.gz"})
    env["PYTHONPATH"] += f":{Path(__file__).parent}"
    script = Path(__file__).parent / "faults" / "recording.py"
    done = subprocess.run(
        [sys.executable, script, *map(str, words)], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["halted"] is None
    assert said["fills"] == 3
    assert re.search("No space left on device", (tmp_path / PROFILE / "pytrader.log").read_text())
    played = play(tmp_path / "r" / MARKET)
    assert played.lost > 0
    assert played.replay.counters()["resyncs"] >= 1
    assert said["levels"] == played.replay.levels("bid", 100)[: len(said["levels"])] or not played.replay.levels("bid")


def test_folder_that_cannot_be_made_is_named_with_what_to_do(tmp_path):
    """Before anything runs."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RecorderError, match=r"recording .*file/binance-BTCUSDT: .*; give another --record"):
        Recording(tmp_path / "file")


# ---- what else replay reads


def test_folder_without_a_recording_is_named(tmp_path):
    """With the command that makes one."""
    with pytest.raises(ReplayError, match=r"no recording in this folder; `pytrader run --record"):
        recordings_in(tmp_path)


def test_several_markets_of_one_folder_are_replayed_each(tmp_path):
    """One JSON line a market."""
    begun(tmp_path).end()
    other = tmp_path / "binance-ETHUSDT"
    (tmp_path / MARKET).rename(other)
    begun(tmp_path).end()
    words = [sys.executable, "-m", "pytrader", "replay", tmp_path, "--json"]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["market"], row["frames"], row["top"]["sync"]) for row in rows] == [("binance BTCUSDT", 10, "live")] * 2


def test_files_of_frames_are_read_as_before(tmp_path):
    """One frame a line and a snapshot of its own."""
    frames, snapshot = tmp_path / "frames", tmp_path / "snapshot"
    frames.write_bytes(b"\n".join(ticks(1, 5)))
    snapshot.write_bytes(SNAPSHOT)
    assert replay_files(frames, snapshot=snapshot).top().sync == "live"
