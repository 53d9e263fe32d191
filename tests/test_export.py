"""Exports show the journal exactly, appear whole or not at all, and start no formula in anybody's spreadsheet."""

import csv
import io
import json
import os
import re
import stat
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_journal import OPENED, edit
from test_journal_files import file_limit, open_folder, ordinary_user  # noqa: F401  (open_folder is a fixture)

from pytrader.export import NUMBERS, WHAT, ExportError, add_arguments, default_name, iso, run, write_csv, write_jsonl
from pytrader.journal import Journal, JournalError, JournalView
from pytrader.journal_views import VIEWS

REPO = Path(__file__).parents[1]
BASE_NS = 1_795_342_530_123_456_789  # 2026-11-22T10:15:30.123456789Z


def accepted(order: int, side: str, quantity: str, **changes: object) -> dict[str, object]:
    facts = {"order": order, "side": side, "quantity": quantity, "limit": None, "tif": "ioc", "reduce": False}
    return {"accepted": facts | {"notional": "6699.025", "bid": "26795.4", "ask": "26795.8"} | changes}


def filled(
    order: int, side: str, quantity: str, part: str, *levels: tuple[str, str], done: bool = False
) -> dict[str, object]:
    trades = [{"price": price, "quantity": taken, "fee": "0"} for taken, price in levels]
    facts = {"order": order, "side": side, "quantity": quantity, "filled": part, "done": done, "trades": trades}
    times = {"delay_ns": 42_000_000, "elapsed_ns": 42_100_000, "drift": None, "realised": "-1.5", "fee": "0"}
    slippage = {"total": "-0.125", "spread": "0.05", "depth": "0.075", "delay": "-0.25", "model": "0"}
    mids = {"maker": False, "decision_mid": "26795.6", "arrival_mid": "26795.6", "slippage": slippage}
    return {"filled": facts | {"cost": "6699.025", "average": "26796.1"} | mids | times}


def ended(order: int, side: str, quantity: str, filled: str, **why: str) -> dict[str, object]:
    return {"ended": {"order": order, "side": side, "quantity": quantity, "filled": filled} | why}


def refused(sentence: str, *breaches: dict[str, object], **request: object) -> dict[str, object]:
    asked = {"side": "buy", "quantity": "9", "limit": None, "tif": "ioc", "reduce": False} | request
    return {"refused": {"request": asked, "breaches": breaches, "largest": "1.86", "sentence": sentence}}


SESSION: list[dict[str, object]] = [
    accepted(1, "buy", "0.25", client_id="abc123"),
    {"released": {"order": 1}},
    filled(1, "buy", "0.25", "0.25", ("0.1", "26796"), ("0.15", "26796.2"), done=True),
    accepted(2, "sell", "0.3", limit="68000", tif="gtc", reduce=True),
    {"released": {"order": 2}},
    {"resting": {"order": 2}},
    filled(2, "sell", "0.3", "0.1", ("0.1", "68000")),
    refused(
        "Order rejected: Notional exceeds $50,000 limit; position would be 10 BTC, limit 5 BTC.",
        {"code": "NOTIONAL_EXCEEDS_MAX", "value": "241164.9", "limit": "50000", "headroom": "50000"},
        {"code": "POSITION_EXCEEDS_MAX", "value": "10", "limit": "5", "headroom": "4"},
    ),
    filled(2, "sell", "0.3", "0.19999999", ("0.19999999", "68000")),
    {"cancel_requested": {"order": 2, "reason": "USER"}},
    accepted(3, "buy", "12"),
    {"released": {"order": 3}},
    filled(3, "buy", "12", "11.9", ("11.9", "26796.1")),
    ended(3, "buy", "12", "11.9", state="canceled", reason="IOC_REMAINDER"),
    accepted(4, "buy", "0.00001"),
    refused(
        '=HYPERLINK("evil")',
        {"code": "RATE_LIMIT", "value": "6", "limit": "5", "retry_after_ms": 812},
        limit="-1",
        client_id="Z9",
    ),
]


GOLDEN = {
    "fills": """\
schema,seq,utc,utc_ns,execution,venue,symbol,order,side,quantity,order_quantity,done,average,cost,fee,levels,maker,decision_mid,arrival_mid,delay_ns,elapsed_ns,slippage_total,slippage_spread,slippage_depth,slippage_delay,slippage_model,realised,drift,stray,trade_ids
1,4,2026-11-22T10:15:30.123456793Z,1795342530123456793,simulated,binance,BTCUSDT,1,buy,0.25,0.25,true,26796.1,6699.025,0,0.1@26796 0.15@26796.2,false,26795.6,26795.6,42000000,42100000,-0.125,0.05,0.075,-0.25,0,-1.5,,,
1,8,2026-11-22T10:15:30.123456797Z,1795342530123456797,simulated,binance,BTCUSDT,2,sell,0.1,0.3,false,26796.1,6699.025,0,0.1@68000,false,26795.6,26795.6,42000000,42100000,-0.125,0.05,0.075,-0.25,0,-1.5,,,
1,10,2026-11-22T10:15:30.123456799Z,1795342530123456799,simulated,binance,BTCUSDT,2,sell,0.19999999,0.3,false,26796.1,6699.025,0,0.19999999@68000,false,26795.6,26795.6,42000000,42100000,-0.125,0.05,0.075,-0.25,0,-1.5,,,
1,14,2026-11-22T10:15:30.123456803Z,1795342530123456803,simulated,binance,BTCUSDT,3,buy,11.9,12,false,26796.1,6699.025,0,11.9@26796.1,false,26795.6,26795.6,42000000,42100000,-0.125,0.05,0.075,-0.25,0,-1.5,,,
""",  # noqa: E501  (a table has long rows)
    "orders": """\
schema,seq,utc,utc_ns,execution,venue,symbol,order,side,quantity,limit,tif,reduce,notional,bid,ask,state,reason,filled,fills,ended_seq,ended_utc,ended_utc_ns,client_id
1,2,2026-11-22T10:15:30.123456791Z,1795342530123456791,simulated,binance,BTCUSDT,1,buy,0.25,,ioc,false,6699.025,26795.4,26795.8,filled,,0.25,1,4,2026-11-22T10:15:30.123456793Z,1795342530123456793,abc123
1,5,2026-11-22T10:15:30.123456794Z,1795342530123456794,simulated,binance,BTCUSDT,2,sell,0.3,68000,gtc,true,6699.025,26795.4,26795.8,partially_filled,,0.29999999,2,,,,
1,12,2026-11-22T10:15:30.123456801Z,1795342530123456801,simulated,binance,BTCUSDT,3,buy,12,,ioc,false,6699.025,26795.4,26795.8,canceled,IOC_REMAINDER,11.9,1,15,2026-11-22T10:15:30.123456804Z,1795342530123456804,
1,16,2026-11-22T10:15:30.123456805Z,1795342530123456805,simulated,binance,BTCUSDT,4,buy,0.00001,,ioc,false,6699.025,26795.4,26795.8,accepted,,0,0,,,,
""",
    "rejects": """\
schema,seq,utc,utc_ns,execution,venue,symbol,side,quantity,limit,tif,reduce,codes,breaches,largest,sentence,client_id
1,9,2026-11-22T10:15:30.123456798Z,1795342530123456798,simulated,binance,BTCUSDT,buy,9,,ioc,false,NOTIONAL_EXCEEDS_MAX;POSITION_EXCEEDS_MAX,NOTIONAL_EXCEEDS_MAX value=241164.9 limit=50000 headroom=50000; POSITION_EXCEEDS_MAX value=10 limit=5 headroom=4,1.86,"Order rejected: Notional exceeds $50,000 limit; position would be 10 BTC, limit 5 BTC.",
1,17,2026-11-22T10:15:30.123456806Z,1795342530123456806,simulated,binance,BTCUSDT,buy,9,-1,ioc,false,RATE_LIMIT,RATE_LIMIT value=6 limit=5 retry_after_ms=812,1.86,"'=HYPERLINK(""evil"")",Z9
""",  # noqa: E501
}


def journal_of(folder: Path, bodies: list[dict[str, object]]) -> Path:
    journal = Journal.open(folder)
    rows = [OPENED, *(json.dumps(body).encode() for body in bodies)]
    journal.append([(seq, seq, BASE_NS + seq, body) for seq, body in enumerate(rows, 1)])
    journal.close()
    return folder


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a journal with whole and partial fills, a resting order, a cancel and two refusals."""
    return journal_of(tmp_path_factory.mktemp("session"), SESSION)


@pytest.fixture
def view(session: Path) -> Iterator[JournalView]:
    """Open that journal for reading."""
    view = JournalView.open(session)
    yield view
    view.close()


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def exported(view: JournalView, what: str) -> str:
    out = io.StringIO()
    write_csv(view, what, out, force=False)
    return out.getvalue()


# ---- contents


@pytest.mark.parametrize("what", WHAT)
def test_the_tables_of_a_session_are_exactly_these(view: JournalView, tmp_path: Path, what: str) -> None:
    """Ten rows over the three tables; a change here is a change for everybody who reads the files."""
    golden = GOLDEN[what].replace("\n", "\r\n")
    assert exported(view, what) == golden
    rows = write_csv(view, what, tmp_path / "table.csv", force=False)
    assert (tmp_path / "table.csv").read_bytes() == golden.encode()
    assert rows == golden.count("\r\n") - 1


@pytest.mark.parametrize("what", WHAT)
def test_every_column_is_documented_in_its_order_and_kind(view: JournalView, what: str) -> None:
    page = (REPO / "docs" / "csv.md").read_text()
    tables = re.split(r"^#+ ", page, flags=re.MULTILINE)
    chosen = [part for part in tables if part.startswith(("Schema version 1", what))]
    documented = re.findall(r"^\| `(\w+)` \| (\w+) \|", "".join(chosen), flags=re.MULTILINE)
    assert [name for name, _ in documented] == exported(view, what).partition("\r\n")[0].split(",")
    kinds = {name: kind for name, kind in documented if kind != "time" and name != "schema"}
    assert {name for name, kind in kinds.items() if kind == "number"} == NUMBERS & kinds.keys()


@pytest.mark.parametrize("what", WHAT)
def test_json_lines_hold_the_same_fields_with_decimals_as_text(view: JournalView, what: str) -> None:
    out = io.StringIO()
    assert write_jsonl(view, what, out, force=False) == len(table(exported(view, what)))
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    for row, cells in zip(rows, table(exported(view, what)), strict=True):
        unguarded = {name: cell.removeprefix("'") for name, cell in cells.items()}
        assert {name: "" if value is None else str(value) for name, value in row.items()} == unguarded
        assert not any(isinstance(value, float) for value in row.values())


def test_an_empty_journal_gives_the_header_alone(tmp_path: Path) -> None:
    view = JournalView.open(journal_of(tmp_path, []))
    for what in WHAT:
        assert table(exported(view, what)) == []
        assert exported(view, what).startswith("schema,seq,utc,utc_ns,execution,venue,symbol,")
    view.close()


def test_filled_quantities_are_added_without_rounding(tmp_path: Path) -> None:
    """Floats would make 0.30000000000000004 of these; what is added here has eighteen digits."""
    parts = ["0.1", "0.2", "9999999999.00000001", "0.00000009"]
    bodies = [accepted(1, "buy", "10000000000"), *(filled(1, "buy", "1", part) for part in parts)]
    view = JournalView.open(journal_of(tmp_path, bodies))
    (row,) = view.rows("orders")
    assert (row["filled"], row["fills"], row["state"]) == ("9999999999.3000001", 4, "partially_filled")
    view.close()


def test_a_stray_fill_is_exported_with_its_cause_and_leaves_its_order_as_it_was(tmp_path: Path) -> None:
    """Position and money moved by it, so a table of fills without it would not add up."""
    trades = [{"price": "10", "quantity": "0.1", "fee": "0", "id": name} for name in ("t1", "t2")]
    facts = {"side": "sell", "quantity": "0.2", "trades": trades, "cost": "2", "average": "10", "realised": "1"}
    strays = [{"order": 1, "cause": "FILL_AFTER_END"}, {"order": None, "cause": "FOREIGN_FILL"}]
    bodies = [accepted(1, "buy", "1"), ended(1, "buy", "1", "0", state="canceled", reason="USER")]
    journal = journal_of(tmp_path, [*bodies, *({"stray": facts | {"fee": "0.5"} | stray} for stray in strays)])
    view = JournalView.open(journal)
    first, second = view.rows("fills")
    own = {"order": 1, "side": "sell", "quantity": "0.2", "average": "10", "cost": "2", "fee": "0.5", "realised": "1"}
    own |= {"levels": "0.1@10 0.1@10", "done": "false", "trade_ids": "t1 t2", "stray": "FILL_AFTER_END"}
    assert own.items() <= first.items()
    assert (first["order_quantity"], first["slippage_total"], first["elapsed_ns"]) == (None, None, None)
    assert (second["order"], second["stray"]) == (None, "FOREIGN_FILL")
    (order,) = view.rows("orders")
    assert (order["state"], order["filled"], order["fills"], order["ended_seq"]) == ("canceled", "0", 0, 3)
    view.close()


def test_an_order_without_an_answer_is_shown_unknown_until_the_venue_says_more(tmp_path: Path) -> None:
    unknown = {"unknown": {"order": 1, "side": "buy", "quantity": "1"}}
    for number, later in enumerate(([], [{"resting": {"order": 1}}])):
        view = JournalView.open(journal_of(tmp_path / str(number), [accepted(1, "buy", "1"), unknown, *later]))
        (row,) = view.rows("orders")
        assert (row["state"], row["ended_seq"]) == ("resting" if later else "unknown", None)
        view.close()


def test_separators_quotes_and_line_ends_survive_the_way_through_a_table(tmp_path: Path) -> None:
    sentence = 'a, "b"\r\nc\n;é\u2028\x00 end'
    view = JournalView.open(journal_of(tmp_path, [refused(sentence.replace("\x00", ""))]))
    (row,) = table(exported(view, "rejects"))
    assert row["sentence"] == sentence.replace("\x00", "")
    view.close()


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_text_that_a_spreadsheet_would_compute_is_guarded(tmp_path: Path, start: str) -> None:
    text = f"{start}cmd|' /C calc'!A0"
    bodies = [
        refused(text, side=text, tif=text),
        accepted(1, text, "1"),
        ended(1, text, "1", "0", state=text, reason=text),
    ]
    view = JournalView.open(journal_of(tmp_path, bodies))
    for what in ("rejects", "orders"):
        (row,) = table(exported(view, what))
        guarded = [value for value in row.values() if "calc" in value]
        assert len(guarded) == 3
        assert set(guarded) == {f"'{text}"}
    view.close()


def test_negative_numbers_are_numbers_and_not_formulas(view: JournalView) -> None:
    fills = table(exported(view, "fills"))
    assert {row["slippage_total"] for row in fills} == {"-0.125"}
    assert {row["realised"] for row in fills} == {"-1.5"}


def test_what_is_no_number_in_a_number_column_is_guarded_too(tmp_path: Path) -> None:
    view = JournalView.open(journal_of(tmp_path, [refused("no", quantity="-1+cmd", limit="-1")]))
    (row,) = table(exported(view, "rejects"))
    assert (row["quantity"], row["limit"]) == ("'-1+cmd", "-1")
    view.close()


@pytest.mark.parametrize(
    ("ns", "shown"),
    [
        (0, "1970-01-01T00:00:00.000000000Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (BASE_NS, "2026-11-22T10:15:30.123456789Z"),
        (2**63 - 1, "2262-04-11T23:47:16.854775807Z"),
        (-(2**63), "1677-09-21T00:12:43.145224192Z"),
    ],
)
def test_times_keep_every_nanosecond(ns: int, shown: str) -> None:
    assert iso(ns) == shown


def test_from_a_damaged_journal_nothing_is_exported(tmp_path: Path) -> None:
    folder = journal_of(tmp_path / "journal", SESSION)
    edit(folder, "UPDATE events SET body = CAST(replace(body, '6699.025', '6699.026') AS BLOB) WHERE seq = 4")
    view = JournalView.open(folder)
    with pytest.raises(JournalError, match="event 4 carries the chain"):
        write_csv(view, "fills", tmp_path / "fills.csv", force=False)
    assert not (tmp_path / "fills.csv").exists()
    view.close()


# ---- files


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_existing_file_is_kept_unless_forced(view: JournalView, tmp_path: Path) -> None:
    target = tmp_path / "fills.csv"
    target.write_text("precious")
    with pytest.raises(ExportError, match=f"{target}: this file exists already; choose another with -o, .*--force"):
        write_csv(view, "fills", target, force=False)
    assert target.read_text() == "precious"
    write_csv(view, "fills", target, force=True)
    assert len(table(target.read_text())) == 4
    assert names(tmp_path) == ["fills.csv"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_file_that_appears_while_the_export_is_written_is_kept(
    view: JournalView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "fills.csv"
    monkeypatch.setattr("pytrader.export._refuse", lambda *_: target.write_text("precious"))
    with pytest.raises(ExportError, match="this file exists already"):
        write_csv(view, "fills", target, force=False)
    assert (target.read_text(), names(tmp_path)) == ("precious", ["fills.csv"])


@pytest.mark.parametrize("force", [False, True])
def test_a_file_is_on_the_disk_before_it_has_its_name(
    view: JournalView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: bool
) -> None:
    target = tmp_path / "fills.csv"
    synced: list[tuple[bool, bool]] = []

    def fsync(handle: int) -> None:
        synced.append((stat.S_ISREG(os.fstat(handle).st_mode), target.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    write_csv(view, "fills", target, force)
    assert synced == [(True, False), (False, True)]  # the file without its name, then the folder with it


@pytest.mark.parametrize("taken", [False, True])
def test_where_no_hard_links_exist_the_file_is_renamed_and_still_replaces_nothing(
    view: JournalView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
    target = tmp_path / "fills.csv"

    def no_links(*_: object) -> None:
        if taken:
            target.write_text("precious")
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    if taken:
        with pytest.raises(ExportError, match="this file exists already"):
            write_csv(view, "fills", target, force=False)
        assert target.read_text() == "precious"
    else:
        assert write_csv(view, "fills", target, force=False) == 4
    assert names(tmp_path) == ["fills.csv"]


@pytest.mark.parametrize("force", [False, True])
def test_links_folders_and_devices_are_never_replaced(view: JournalView, tmp_path: Path, force: bool) -> None:
    (tmp_path / "real").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for target in [*(tmp_path / name for name in ("link", "nowhere", "folder", "pipe")), Path("/dev/null")]:
        with pytest.raises(ExportError, match=f"{target}: this is not a plain file"):
            write_csv(view, "fills", target, force)
    assert names(tmp_path) == ["folder", "link", "nowhere", "pipe", "real"]
    assert (tmp_path / "real").read_text() == "precious"


def test_a_folder_that_is_missing_is_named(view: JournalView, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=f"there is no folder {tmp_path}/none"):
        write_csv(view, "fills", tmp_path / "none" / "fills.csv", force=True)


def test_a_folder_without_permission_is_named(view: JournalView, open_folder: Path) -> None:  # noqa: F811
    open_folder.chmod(0o500)
    with ordinary_user(open_folder), pytest.raises(ExportError, match=r"fills\.csv: Permission denied"):
        write_csv(view, "fills", open_folder / "fills.csv", force=False)


def test_a_name_that_is_too_long_is_refused(view: JournalView, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="File name too long"):
        write_csv(view, "fills", tmp_path / ("é" * 200), force=False)


@pytest.mark.parametrize("force", [False, True])
def test_a_full_disk_leaves_no_half_file_and_the_old_one_as_it_was(
    view: JournalView, tmp_path: Path, force: bool
) -> None:
    target = tmp_path / "fills.csv"
    if force:
        target.write_text("precious")
    with file_limit(100), pytest.raises(ExportError, match=rf"{target}: File too large"):
        write_csv(view, "fills", target, force)
    assert names(tmp_path) == (["fills.csv"] if force else [])
    if force:
        assert target.read_text() == "precious"


def test_a_full_device_behind_a_stream_is_reported(view: JournalView) -> None:
    out = Path("/dev/full").open("w")  # noqa: SIM115  (closed below, once it can be)
    with pytest.raises(ExportError, match="/dev/full: No space left on device"):
        write_csv(view, "fills", out, force=False)
    os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
    out.close()


# ---- the command


def command(folder: Path, *words: str, utc_ns: int = BASE_NS) -> int:
    parser = ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args(words), folder, utc_ns)


def test_the_command_names_the_file_after_what_and_when(
    session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(session, "csv", "--what", "fills") == 0
    assert capsys.readouterr().out == "4 fills written to fills-20261122T101530Z.csv\n"
    assert command(session, "jsonl", "--what", "orders") == 0
    assert names(tmp_path) == ["fills-20261122T101530Z.csv", "orders-20261122T101530Z.jsonl"]
    assert default_name("rejects", "csv", 0) == "rejects-19700101T000000Z.csv"


def test_the_command_says_why_it_failed_and_answers_one(
    session: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = str(tmp_path / "fills.csv")
    assert command(session, "csv", "--what", "fills", "-o", target) == 0
    assert command(session, "csv", "--what", "fills", "-o", target) == 1
    assert command(session, "csv", "--what", "fills", "-o", target, "--force") == 0
    assert command(tmp_path / "none", "csv", "--what", "fills", "-o", "-") == 1
    errors = capsys.readouterr().err.splitlines()
    assert errors[0].startswith(f"pytrader export: {target}: this file exists already")
    assert errors[1] == f"pytrader export: journal {tmp_path}/none/journal.sqlite3: there is none yet"


@pytest.mark.parametrize("words", [("csv",), ("xml", "--what", "fills"), ("csv", "--what", "secrets")])
def test_a_command_that_makes_no_sense_is_a_usage_error(tmp_path: Path, words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as refused:
        command(tmp_path, *words)
    assert refused.value.code == 2


TO_STDOUT = """
import sys
from argparse import ArgumentParser
from pathlib import Path
from pytrader.export import add_arguments, run
parser = ArgumentParser()
add_arguments(parser)
sys.exit(run(parser.parse_args(["csv", "--what", "fills", "-o", "-"]), Path(sys.argv[1]), 0))
"""


def test_standard_output_gets_the_same_bytes_in_any_locale(session: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPO), "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run([sys.executable, "-c", TO_STDOUT, session], capture_output=True, env=environment, check=True)
    assert done.stdout == GOLDEN["fills"].replace("\n", "\r\n").encode()
    assert done.stderr == b""


def test_a_reader_that_closes_the_pipe_is_one_error_line(tmp_path: Path) -> None:
    folder = journal_of(tmp_path, SESSION * 300)
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    child = subprocess.Popen(
        [sys.executable, "-c", TO_STDOUT, folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    errors = child.stderr.read()
    child.stderr.close()
    assert (child.wait(), errors) == (1, b"pytrader export: <stdout>: Broken pipe\n")


def test_the_views_in_the_file_show_the_same_rows_as_the_export(view: JournalView) -> None:
    for what in VIEWS:
        stored = [tuple(row) for row in view._connection.execute(f"SELECT * FROM {what}")]
        assert stored == [tuple(row.values()) for row in view.rows(what)]
