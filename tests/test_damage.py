"""A journal that is not what was written: every command refuses it, says which event, and what to do."""

import re
import shutil
import sqlite3
from contextlib import closing

import pytest
from sessions import PROFILE, on, rows_of, run

from pytrader.sandbox.process import OfflineMarket

PLACE = 6  # in the middle of the first order
NOW_BEHIND = f"UPDATE events SET seq = -seq WHERE seq > {PLACE}", "UPDATE events SET seq = 1 - seq WHERE seq < 0"
DAMAGES = {
    "changed": (
        [f"UPDATE events SET body = CAST(replace(body, 'order', 'Order') AS BLOB) WHERE seq = {PLACE}"],
        f"event {PLACE} carries the chain",
    ),
    "removed": ([f"DELETE FROM events WHERE seq = {PLACE}"], f"expected event {PLACE}, found event {PLACE + 1}"),
    "removed and closed up": (
        [
            f"DELETE FROM events WHERE seq = {PLACE}",
            f"UPDATE events SET seq = -seq WHERE seq > {PLACE}",
            "UPDATE events SET seq = -seq - 1 WHERE seq < 0",
        ],
        f"event {PLACE} carries the chain",
    ),
    "doubled": (
        [
            *NOW_BEHIND,
            f"INSERT INTO events SELECT seq + 1, mono_ns, utc_ns, body, chain FROM events WHERE seq = {PLACE}",
        ],
        f"event {PLACE + 1} carries the chain",
    ),
    "swapped": (
        [
            f"UPDATE events SET seq = -1 WHERE seq = {PLACE}",
            f"UPDATE events SET seq = {PLACE} WHERE seq = {PLACE + 1}",
            f"UPDATE events SET seq = {PLACE + 1} WHERE seq = -1",
        ],
        f"event {PLACE} carries the chain",
    ),
}


@pytest.fixture(scope="module")
def market():
    """Run one offline market for all engines."""
    with OfflineMarket.start(7) as offline:
        yield offline


@pytest.fixture(scope="module")
def sound(market, tmp_path_factory):
    """Trade a little and return the data folder."""
    folder = tmp_path_factory.mktemp("sound")
    assert run([*on(market, folder), "--json"], folder, "buy 0.01\nsell 0.02\n").code == 0
    assert len(rows_of(folder / PROFILE)) > PLACE + 2
    return folder


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_journal_is_refused_with_the_event_and_the_remedy(market, sound, tmp_path, damage):
    """Exit code 1 and one line from every command; the file stays as it is, and --fresh moves it aside and starts."""
    statements, finding = DAMAGES[damage]
    data = tmp_path / "data"
    shutil.copytree(sound, data)
    file = data / PROFILE / "journal.sqlite3"
    with closing(sqlite3.connect(file)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    before = dump(file)
    trade, script = on(market, data), "buy 0.01\n"
    here = ["--data-dir", data]
    for words in (trade, ["status", *here], ["export", "csv", "--what", "fills", "-o", "-", *here]):
        refused = run(words, tmp_path, script)
        assert (refused.code, refused.out) == (1, ""), refused
        said = rf"pytrader.*: journal {file} is damaged: {finding}.*; restore a copy .* start with --fresh .*\n"
        assert re.fullmatch(said, refused.err), refused.err
    assert dump(file) == before
    assert run([*trade, "--fresh", "--json"], tmp_path, script).answers[0]["state"] == "filled"
    (aside,) = (data / PROFILE).glob("before-*")
    assert dump(aside / "journal.sqlite3") == before


def dump(file):
    """Return every row of a journal as it stands."""
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT * FROM events ORDER BY seq").fetchall()
