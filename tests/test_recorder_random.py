"""A disk that refuses any step at any time, rotation at the bound, gaps, kills, further runs: the recording replays."""

import json
import os
import random
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_recorder import Recording, begun, depth, shown, ticks

from pytrader import recorder, segments
from pytrader.playback import play
from pytrader.recording import ReplayError

SEEDS = range(24)
STEPS = 30


class Disk:
    """Refuses each step, before or after it is done, with a probability that the test sets."""

    def __init__(self, dice, patch):
        self.dice, self.bad = dice, 0.0
        calls = {name: getattr(os, name) for name in dir(os) if not name.startswith("__")}
        calls |= {"write": self._write, "fsync": lambda _: self._refuse(), "open": self._around(os.open)}
        patch.setattr(segments, "os", SimpleNamespace(**calls))
        for module in (segments, recorder):
            patch.setattr(module, "sync_folder", lambda _: self._refuse())
        for name in ("rename", "unlink", "iterdir"):
            patch.setattr(Path, name, self._around(getattr(Path, name)))

    def _refuse(self):
        if self.dice.random() < self.bad:
            raise OSError(28, "No space left on device")

    def _around(self, step):
        def refused(*words):
            self._refuse()
            done = step(*words)
            if step is not os.open:  # what was opened would stay open
                self._refuse()
            return done

        return refused

    def _write(self, handle, data):
        if len(data) > 1 and self.dice.random() < self.bad / 2:
            return os.write(handle, data[: self.dice.randrange(1, len(data))])
        self._refuse()
        return os.write(handle, data)


class Session:
    """One run of a program that records, on that disk."""

    def __init__(self, folder, disk):
        self.disk, self.dice = disk, disk.dice
        disk.bad = 0.0
        self.recording = begun(folder, max_mb=8)
        self.at = 11
        self.recording.recorder._segment_bytes = size = self.dice.choice([5_000, 20_000, 100_000])
        self.recording.recorder._max_bytes = size * self.dice.choice([8, 30, 100])

    def feed(self, count):
        self.recording.feed(ticks(self.at, count))
        self.at += count

    def lose_and_bridge(self):
        """Lose the book by a gap, and offer a snapshot behind it."""
        self.recording.book.apply(depth(self.at + 5, self.at + 5), self.at)
        self.at += 6
        self.feed(2)
        body = {"lastUpdateId": self.at - 1, "bids": [["99", "1"]], "asks": [["101", "1"]]}
        self.recording.book.offer_snapshot(json.dumps(body).encode())
        self.feed(1)

    def step(self):
        self.disk.bad = self.dice.choice([0, 0, 0, 0.02, 0.1, 0.5])
        if self.dice.random() < 0.05:
            self.lose_and_bridge()
        self.feed(self.dice.randrange(60))
        self.recording.write()
        self.disk.bad = 0.0


def played(recording: Recording):
    """Return the replay, None while nothing is there yet."""
    try:
        made = play(recording.folder)
    except ReplayError as error:
        assert "no segment that can be read" in str(error) or "nothing was recorded" in str(error)  # noqa: PT017
        return None
    assert made.missing == []
    return made


@pytest.mark.parametrize("seed", SEEDS)
def test_recording_on_a_disk_that_refuses_at_random_is_never_damaged_and_gets_well(tmp_path, monkeypatch, seed):
    """No error at any moment; as soon as the disk is well, the replay is the book."""
    monkeypatch.setattr(recorder, "RETRY_S", 0.0)
    dice = random.Random(seed)
    disk = Disk(dice, monkeypatch)
    for _ in range(dice.randrange(1, 4)):
        session = Session(tmp_path, disk)
        for _ in range(STEPS):
            session.step()
            if dice.random() < 0.2:
                played(session.recording)
                session.feed(1)
                session.recording.write()
                replayed, book = played(session.recording).replay, session.recording.book
                assert replayed.top().synced == book.top().synced
                assert not book.top().synced or shown(replayed) == shown(book)
        session.lose_and_bridge()
        session.recording.write()
        assert session.recording.book.top().synced
        assert shown(played(session.recording).replay) == shown(session.recording.book)
        if dice.random() < 0.5:
            session.recording.recorder._unlock()  # as a kill would
        else:
            session.recording.end()
        assert shown(played(session.recording).replay) == shown(session.recording.book)
