"""Every n-th file operation under the journal fails: nothing is promised that is not saved, and trading stops."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from failing import COMPILER, FAULTS, Disk, compiler
from faults.appending import batches
from sessions import PROFILE, environment, events, folded, hear, log, rows_of, run, running, say

from pytrader.sandbox.process import OfflineMarket

TESTS = Path(__file__).parent
LONGEST_S = 60
# What the message must say of each fault, whichever operation met it. Half a write is taken for a full disk.
CAUSES = {
    "full": r"full|No space left on device",
    "broken": r"failing|Input/output error",
    "read-only": r"[Rr]ead-only",
    "short": r"full",
}
MODES = [(fault, mode) for fault in FAULTS for mode in ("once", "on")]


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """Compile the library that fails operations."""
    if compiler() is None:
        pytest.skip(f"needs a C compiler for tests/faults/failing_io.c; there is no {COMPILER} here")
    return Disk(tmp_path_factory.mktemp("disk")).build()


@pytest.fixture
def bad_disk(disk):
    """Give the disk and leave it healthy."""
    yield disk
    disk.heal()


@pytest.fixture(scope="module")
def market():
    """Run one offline market for all engines."""
    with OfflineMarket.start(5) as offline:
        yield offline


def under(disk, script, *words):
    """Run a script of tests/faults on this disk to its end; return its JSON lines."""
    command = [sys.executable, TESTS / "faults" / script, *map(str, words)]
    env = environment(disk.environment())
    env["PYTHONPATH"] += f":{TESTS}"
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def as_killed(kept):
    """Give the files that were kept aside their names again and return the rows in them."""
    for file in list(kept.iterdir()):
        file.rename(kept / file.name.replace("kept", "journal.sqlite3"))
    return rows_of(kept)


@pytest.mark.parametrize(("fault", "mode"), MODES)
def test_journal_promises_nothing_that_is_not_saved(bad_disk, tmp_path, fault, mode):
    """Whichever operation fails: what was acknowledged is there after a kill, and a batch given again is there once."""
    wanted = [row for batch in batches() for row in batch]
    found = under(bad_disk, "appending.py", tmp_path, bad_disk.library.parent, FAULTS[fault], mode)
    assert len(found) > 60, "the run has fewer operations than the test is about"
    for at, acknowledged, faults in found:
        assert rows_of(tmp_path / str(at)) == wanted, at
        for message in faults:
            assert re.search(CAUSES[fault], message), (at, message)
        if acknowledged:
            rows = as_killed(tmp_path / f"{at}-killed")
            assert rows == wanted[: len(rows)]
            assert len(rows) >= acknowledged
    hurt = [at for at, _, faults in found if faults]
    assert len(hurt) > (40 if (fault, mode) != ("short", "once") else -1)
    assert found[-1][2] == [], "the last run goes through without any fault"


@pytest.mark.parametrize(("fault", "mode"), MODES)
def test_engine_halts_names_the_cause_and_recovers(bad_disk, market, tmp_path, fault, mode):
    """It refuses orders while it cannot write, tells nobody, writes everything once when healed, waits for `resume`."""
    folder = tmp_path / PROFILE
    words = market.ws_url, market.rest_url, folder, bad_disk.library.parent, FAULTS[fault], mode
    said = under(bad_disk, "trading.py", *words)
    trials = [line for line in said if "place" in line]
    assert len(trials) >= (0 if (fault, mode) == ("short", "once") else 9)
    for trial in trials:
        assert trial["halted"]["cause"] == "JOURNAL"
        assert re.search(CAUSES[fault], trial["halted"]["detail"]), trial
        if mode == "on":
            assert trial["codes"][:2] == ["JOURNAL_UNHEALTHY", "HALTED"]
            assert re.search(CAUSES[fault], trial["reason"]), trial
            assert len(as_killed(folder / f"kept-{trial['place']}")) >= trial["told_by_then"]
    rows, kinds = rows_of(folder), [event.kind for event in events(tmp_path)]
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    assert kinds.count("halted") == kinds.count("resumed") == len(trials)
    told = [(line["told"], line["kind"]) for line in said if "told" in line]
    assert told == list(enumerate(kinds[: len(told)], 1))
    folded(rows)
    assert len(re.findall(r"CRITICAL Journal: .*; trading is halted", log(tmp_path))) >= len(trials)


def test_program_on_a_full_disk_says_so_and_goes_on_when_there_is_room(bad_disk, tmp_path):
    """The real program with piped orders: what it answers, what another process reads, and what it has written."""
    words = ["demo", "--json", "--data-dir", tmp_path]
    with running(words, tmp_path, bad_disk.environment()) as child:
        say(child, "buy 0.01")
        assert hear(child)["state"] == "filled"
        saved = rows_of(tmp_path / "demo" / PROFILE)
        bad_disk.fail(1, FAULTS["full"], on=True)
        say(child, "buy 0.02", "buy 0.03", "resume")
        lost, refused, halted = hear(child), hear(child), hear(child)
        assert (lost["accepted"], lost["state"], "order" in lost) == (None, "unsaved", False)
        assert refused["codes"] == ["JOURNAL_UNHEALTHY", "HALTED"]
        assert re.search(CAUSES["full"], refused["sentence"])
        assert halted["resume"].startswith("Still halted, not resumed: JOURNAL_UNHEALTHY; JOURNAL: journal ")
        assert halted["resume"].endswith("the disk is full (database or disk is full)")
        assert rows_of(tmp_path / "demo" / PROFILE) == saved
        bad_disk.heal()
        say(child, "wait 1.5", "buy 0.04", "resume", "buy 0.05", "orders", "quit")
        still, resumed, again, orders = (hear(child) for _ in range(4))
        assert (still["codes"], resumed["resume"], again["state"]) == (["HALTED"], "Trading goes on.", "filled")
        assert [(row["quantity"], row["state"]) for row in orders["orders"]] == [
            ("0.01", "filled"),
            ("0.02", "canceled"),
            ("0.05", "filled"),
        ]
        assert child.wait(LONGEST_S) == 3
    assert rows_of(tmp_path / "demo" / PROFILE)[: len(saved)] == saved


def test_program_that_cannot_make_its_journal_ends_with_the_cause(bad_disk, market, tmp_path):
    """Whichever of the first operations fails: one line, exit code 1, and the next start works."""
    words = ["run", "--stream-url", market.ws_url, "--rest-url", market.rest_url, "--json"]
    for at in (1, 3, 12, 20, 30):
        bad_disk.fail(at, FAULTS["full"], on=True)
        folder = tmp_path / str(at)
        refused = run([*words, "--data-dir", folder], tmp_path, "buy 0.01\n", bad_disk.environment())
        assert (refused.code, refused.out) == (1, ""), refused.err
        assert re.fullmatch(rf"pytrader: journal {folder}/.*({CAUSES['full']}).*\n", refused.err)
        bad_disk.heal()
        done = run([*words, "--data-dir", folder], tmp_path, "buy 0.01\n", bad_disk.environment())
        assert (done.code, done.answers[0]["state"]) == (0, "filled"), done.err
