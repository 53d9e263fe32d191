"""Where the machine stands changes nothing: the journal's bodies, tables and lines are the same in every time zone."""

import subprocess
import sys
from pathlib import Path

import pytest
from sessions import environment

# A session on virtual time that begins 2 s before the given instant and lasts into the next second but one; then the
# journal as it is written, the lines of its events, and its tables.
SESSION = """
import sys, time
from itertools import count
from pathlib import Path

sys.path.insert(0, sys.argv[3])
from paper_market import depth, ladder, paper_on
from pytrader.export import iso, write_csv
from pytrader.journal import Journal, JournalView
from pytrader.lines import Market, line_of

instant_ns, folder = int(sys.argv[1]), Path(sys.argv[2])
print(time.strftime("%z", time.localtime(instant_ns // 10**9)), file=sys.stderr)
paper = paper_on(utc_ns=instant_ns - 2 * 10**9, seed=7)
orders = iter(["buy 0.25 id=a1", "buy 0.1 @ 20000", "sell 9", "sell 0.4", "buy 0.3 id=a2", "buy 0.01 id=a1"])
for update in range(9, 25):
    paper.frame(depth(update, [["26795.00", str(1 + update % 2)]], []))
    order = next(orders, None)
    if order is not None:
        paper.submit(order)
    paper.advance(0.25)
paper.desk.halt("OPERATOR", "noon", *paper.now)
paper.advance(1)
for seq, mono_ns, utc_ns, body in paper.journal:
    print(seq, mono_ns, utc_ns, iso(utc_ns), body.decode())
for event in paper.events:
    print(line_of(event.kind, event.facts, Market("BTC", "USDT", "0.01")))
journal = Journal.open(folder)
journal.append(paper.journal)
journal.close()
view = JournalView.open(folder)
for what in ("fills", "orders", "rejects"):
    write_csv(view, what, sys.stdout, force=False)
view.close()
"""
# The names, in the form that needs no time zone files; each changes its clock when the name does.
ZONES = {
    "UTC": "UTC0",
    "America/New_York": "EST5EDT,M3.2.0,M11.1.0",
    "Europe/London": "GMT0BST,M3.5.0/1,M10.5.0",
    "Asia/Kathmandu": "<+0545>-5:45",
    "Pacific/Apia": "<+13>-13",
}
FILES = Path("/usr/share/zoneinfo")


def session(zone, instant_s, folder):
    """Return what a session in `zone` prints, and that zone's offset then."""
    name = zone if (FILES / zone).exists() else ZONES[zone]
    command = [sys.executable, "-c", SESSION, str(instant_s * 10**9), str(folder), str(Path(__file__).parent)]
    done = subprocess.run(command, env=environment({"TZ": name}), capture_output=True, timeout=60, check=True)
    return done.stdout, done.stderr.decode().strip()


@pytest.mark.parametrize(
    ("instant_s", "offsets"),
    [
        # 2026-03-08 07:00 UTC: New York goes from -5 to -4
        (1_772_953_200, ["+0000", "-0400", "+0000", "+0545", "+1300"]),
        # 2026-10-25 01:00 UTC: London goes from +1 to 0
        (1_792_890_000, ["+0000", "-0400", "+0000", "+0545", "+1300"]),
        # 2026-07-01 00:00 UTC: a UTC day begins, which is no midnight elsewhere
        (1_782_864_000, ["+0000", "-0400", "+0100", "+0545", "+1300"]),
    ],
)
def test_journal_and_tables_are_the_same_in_five_time_zones(tmp_path, instant_s, offsets):
    """Across a change of clocks and over midnight: the same bytes, however far the local clock is from UTC."""
    sessions = [session(zone, instant_s, tmp_path / str(number)) for number, zone in enumerate(ZONES)]
    assert [offset for _, offset in sessions] == offsets
    assert len({said for said, _ in sessions}) == 1
    said = sessions[0][0].decode()
    for word in ('"accepted"', '"refused"', '"filled"', '"halted"', "DUPLICATE_ID", "Order filled: ", "schema,seq,utc"):
        assert word in said, word
    assert said.count('{"day_started"') == (2 if instant_s % 86_400 == 0 else 1)  # one begins with the journal
