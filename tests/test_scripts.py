"""Scripts piped into the real program: what it answers, what it exits with, and what it leaves behind."""

import csv
import io
import json
import re
from decimal import Decimal
from pathlib import Path

import pytest
from sessions import PROFILE, TOP_LINE, events, folded, hear, log, on, rows_of, run, running, say

from pytrader.sandbox.process import OfflineMarket

LOG_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO "
SIZE = r"\d+(?:\.\d*[1-9])?"  # no trailing zeros
PRICE = r"\d+\.\d\d"
# Delays are drawn from (seed, order number): with this one the first five orders take 105 ms of their second together.
QUICK_SEED = "2266"


@pytest.fixture(scope="module")
def market():
    """Run one offline market for all scripts."""
    with OfflineMarket.start(7) as offline:
        yield offline


@pytest.fixture
def trade(market, tmp_path):
    """Give a function that runs one script, always in the same data folder."""

    def traded(script, *words):
        return run([*on(market, tmp_path), *words], tmp_path, script)

    return traded


def ask(data_dir, *words):
    """Ask the journal for its status."""
    result = run(["status", "--json", "--data-dir", data_dir, *words], data_dir)
    assert (result.code, result.err) == (0, "")
    return json.loads(result.out)


def table(text):
    """Read CSV."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


def kinds(data_dir, order):
    """Return the kinds of one order's events."""
    return [event.kind for event in events(data_dir) if event.order_id == order]


# ---- limits


def test_sixth_order_of_a_second_is_refused_with_the_time_to_wait(trade):
    """Five of six quick orders fill; the sixth names the limit, when to try again, and exit code 3."""
    result = trade("buy 0.01\n" * 6, "--seed", QUICK_SEED)
    assert result.out.count("Order filled: BUY 0.01 BTC @ ") == 5
    refused = re.search(r"Order rejected: More than 5 orders in a second, retry in (\d+) ms\.\n(.*)", result.out)
    assert refused is not None, result.out
    assert re.fullmatch(rf"  RATE_LIMIT  value 6  limit 5  retry_after_ms {refused[1]}", refused[2])
    assert 0 < int(refused[1]) <= 1_000
    assert result.code == 3


def test_buys_within_the_notional_reach_the_position_limit(trade):
    """Each is inside 50,000 USDT; the third would hold 5.4 BTC, and the answer says what would still pass."""
    result = trade("buy 1.8\nwait 1\nbuy 1.8\nwait 1\nbuy 1.8\nwait 1\nbuy 1.4\n", "--json")
    first, second, refused, rest = result.answers
    assert [answer["accepted"] for answer in (first, second, rest)] == [True] * 3
    assert refused["codes"] == ["POSITION_LIMIT_LONG"]
    assert refused["sentence"] == "Order rejected: Position would be 5.4 BTC, limit 5 BTC."
    assert refused["breaches"] == [
        {"code": "POSITION_LIMIT_LONG", "value": "5.4", "limit": "5", "headroom": "1.4"},
    ]
    assert (refused["largest"], result.code) == ("1.4", 3)


def test_loss_latch_lets_only_reducing_orders_pass_and_outlives_a_restart(trade, tmp_path):
    """A slipped fill loses the day's 5 USDT: only reduce and flatten pass; a restart changes nothing."""
    limits = ("--json", "--max-daily-loss", "5", "--slippage-bps", "50", "--taker-fee-bps", "2")
    result = trade("buy 0.25\nwait 0.3\nbuy 0.01\nsell 0.1 reduce\nflatten\nstatus\n", *limits)
    bought, refused, reduced, *slices, status = result.answers
    assert bought["state"] == reduced["state"] == "filled"
    assert "DAILY_LOSS" in refused["codes"]
    assert refused["sentence"].endswith("; use `flatten` or `reduce`.")
    assert slices[-1] == {"flatten": "Flat: the position is 0.", "flat": True}
    assert (status["position"], status["loss_latched"], result.code) == ("0", True, 3)
    assert "Daily loss limit reached: " in log(tmp_path)

    later, refused, again = trade("status\nbuy 0.01\nstatus\n", *limits).answers
    assert later["loss_latched"]
    assert "DAILY_LOSS" in refused["codes"]
    assert_same(status, later)
    assert again["counts"]["refused"] == 2


def assert_same(before, after):
    """Compare what a restart must not change."""
    for name in ("position", "entry", "cash", "cost", "realised", "fees", "loss_latched", "halted", "last_reject"):
        assert after[name] == before[name], name
    assert {**after["counts"], "open": 0} == {**before["counts"], "open": 0}
    assert (after["day"]["number"], after["day"]["start_equity"]) == (
        before["day"]["number"],
        before["day"]["start_equity"],
    )
    for stage in ("execution", "total"):
        assert after["latency"][stage] == before["latency"][stage], stage
    assert after["slippage_bps"] == before["slippage_bps"]
    assert Decimal(before["fees"]) > 0
    assert before["slippage_bps"]["count"] == before["latency"]["total"]["count"] > 0


# ---- orders and their answers


def test_order_as_json_fills(trade):
    """The same facts as the text form, as one JSON line."""
    result = trade('{"side": "buy", "quantity": 0.25}\n', "--json")
    (answer,) = result.answers
    (fill,) = answer["fills"]
    assert (answer["accepted"], answer["state"], answer["order"]) == (True, "filled", 1)
    assert (fill["side"], fill["quantity"], fill["filled"], fill["done"]) == ("buy", "0.25", "0.25", True)
    assert sum(Decimal(trade["quantity"]) for trade in fill["trades"]) == Decimal("0.25")
    assert sum(Decimal(trade["quantity"]) * Decimal(trade["price"]) for trade in fill["trades"]) == Decimal(
        fill["cost"]
    )
    assert result.code == 0


def test_answers_and_log_have_the_exact_words(trade, tmp_path):
    """Accepted, filled, partially filled, rejected, canceled: the lines that people and scripts read."""
    result = trade("buy 0.25\nsell 0.1\nbuy 9\nbuy 1.8 @ 20000 ioc\nbuy 0.5 @ 20000.10\n")
    said = result.out.splitlines()
    assert said[0] == "Order accepted: BUY 0.25 BTC @ market (order 1)"
    assert re.fullmatch(rf"Order filled: BUY 0\.25 BTC @ {PRICE} \| Execution time: \d+ms", said[1])
    assert said[2] == "Order accepted: SELL 0.1 BTC @ market (order 2)"
    assert re.fullmatch(rf"Order filled: SELL 0\.1 BTC @ {PRICE} \| Execution time: \d+ms", said[3])
    assert said[4] == ("Order rejected: Notional exceeds $50,000 limit; position would be 9.15 BTC, limit 5 BTC.")
    assert "Order accepted: BUY 1.8 BTC @ 20000.00 (order 3)" in said
    assert "Order canceled: BUY 1.8 BTC (order 3) IOC_REMAINDER" in said
    assert said[-1] == "Order resting: BUY 0.5 BTC @ 20000.10 (order 4)"
    logged = [re.sub(f"^{LOG_TIME}", "", line) for line in log(tmp_path).splitlines()]
    assert [line for line in said if line.startswith("Order ")] == [
        line for line in logged if line.startswith("Order ") and "SESSION_END" not in line
    ]
    assert "Order canceled: BUY 0.5 BTC (order 4) SESSION_END" in logged
    assert result.code == 3


def test_resting_order_is_answered_resting_and_cancelled(trade, tmp_path):
    """A GTC away from the market rests; a cancel ends it; what still rests at the end of the input is cancelled."""
    result = trade("buy 0.1 @ 20000\nbuy 0.2 @ 20000\ncancel 1\ncancel 77\nwait 0.3\norders\n", "--json")
    first, second, asked, unknown, listing = result.answers
    assert (first["state"], second["state"]) == ("resting", "resting")
    assert asked == {"cancel": 1}
    assert unknown["error"] == "Order 77 is not open."
    assert [(row["order"], row["state"], row["reason"]) for row in listing["orders"]] == [
        (1, "canceled", "USER"),
        (2, "resting", None),
    ]
    assert kinds(tmp_path, 1) == kinds(tmp_path, 2) == ["accepted", "released", "resting", "cancel_requested", "ended"]
    assert [event.facts["reason"] for event in events(tmp_path) if event.kind == "ended"] == ["USER", "SESSION_END"]
    assert result.code == 1


def test_open_orders_are_listed_however_old_they_are(trade):
    """What can still be cancelled is not out of sight behind those that ended since."""
    later = "buy 0.01\nwait 0.3\n" * 3
    result = trade(f"buy 0.01 @ 20000\nbuy 0.02 @ 20000\n{later}orders 1\norders 4\norders\n", "--json")
    shown = [[row["order"] for row in answer["orders"]] for answer in result.answers if "orders" in answer]
    assert shown == [[2], [1, 2, 4, 5], [1, 2, 3, 4, 5]]


def test_kept_order_rests_in_the_next_run_and_can_be_cancelled(trade, tmp_path):
    """`--keep-open` leaves it at rest; the next run finds it there, counted against the position limit."""
    assert trade("buy 1.8 @ 20000\n", "--keep-open").code == 0
    assert [order["state"] for order in ask(tmp_path)["open_orders"]] == ["resting"]
    result = trade("status\ncancel all\nwait 0.3\nstatus\n", "--json", "--keep-open")
    before, _, after = result.answers
    assert [(order["order"], order["state"]) for order in before["open_orders"]] == [(1, "resting")]
    assert before["room"]["buy"] == "3.2"
    assert after["open_orders"] == []
    assert kinds(tmp_path, 1)[-2:] == ["cancel_requested", "ended"]


def test_resting_order_of_an_earlier_run_fills_when_the_market_reaches_it(trade, tmp_path):
    """The next run finds the market below its limit: it fills there as a maker, at its own price."""
    trade("buy 0.02 @ 26000\n", "--keep-open")
    with OfflineMarket.start(7, options=("--start-price", "25000")) as fallen:
        script = "buy 0.01\nwait 0.2\nstatus\n"
        result = run([*on(fallen, tmp_path), "--json", "--keep-open"], tmp_path, script)
    assert (result.answers[-1]["position"], result.answers[-1]["open_orders"], result.code) == ("0.03", [], 0)
    (fill,) = [event.facts for event in events(tmp_path) if event.kind == "filled" and event.order_id == 1]
    assert (fill["maker"], fill["average"], fill["done"]) == (True, "26000", True)


def test_wait_fills_returns_once_nothing_is_in_flight(trade):
    """After it every order has its outcome, resting ones aside."""
    result = trade("buy 0.01\nbuy 0.01 @ 20000\nwait fills\nstatus\n", "--json")
    status = result.answers[-1]
    assert (status["position"], status["counts"]["filled"], status["counts"]["open"]) == ("0.01", 1, 1)
    assert result.code == 0


# ---- views


def test_csv_from_the_terminal_and_from_the_command_line_agree(trade, tmp_path):
    """Decimals are text, nothing is written over, and both ways give the same bytes."""
    target = tmp_path / "fills.csv"
    script = f'buy 0.25\nsell 0.1\nbuy 9\ncsv fills "{target}"\ncsv fills "{target}"\ncsv rejects "{tmp_path}/no.csv"\n'
    result = trade(script, "--json")
    assert result.answers[3] == {"csv": str(target), "rows": 2}
    assert "exists already" in result.answers[4]["error"]
    assert result.code == 3
    rows = table(target.read_bytes().decode())
    assert [(row["side"], row["quantity"]) for row in rows] == [("buy", "0.25"), ("sell", "0.1")]
    assert rows[0]["average"] == result.answers[0]["fills"][0]["average"]
    exported = run(["export", "csv", "--what", "fills", "-o", "-", "--data-dir", tmp_path], tmp_path)
    assert table(exported.out) == rows
    (refused,) = table((tmp_path / "no.csv").read_text())
    assert refused["codes"] == "NOTIONAL_EXCEEDS_MAX;POSITION_LIMIT_LONG"


def test_fills_listing_shows_when_and_at_what_price(trade):
    """A table for people; the time is UTC."""
    result = trade("buy 0.25\nfills\n")
    header, row = result.out.splitlines()[-2:]
    assert header.split() == ["time", "order", "side", "quantity", "average", "fee", "realised"]
    assert re.fullmatch(rf"\d\d:\d\d:\d\d\.\d{{3}} +1 +buy +0\.25 +{SIZE} +0 +0", row), row


def test_status_reads_the_journal_beside_a_running_engine_and_after_it(market, tmp_path):
    """The read-only view takes no lock, sees what is committed, and says the same when the engine has gone."""
    with running([*on(market, tmp_path), "--json"], tmp_path) as child:
        say(child, "buy 0.25", "status")
        hear(child)
        own = hear(child)
        beside = ask(tmp_path)
        assert (beside["position"], beside["entry"]) == (own["position"], own["entry"]) == ("0.25", own["entry"])
        child.stdin.close()
        assert child.wait(10) == 0
    after = ask(tmp_path)
    assert (after["position"], after["entry"], after["counts"]) == (own["position"], own["entry"], own["counts"])


def test_each_second_has_its_line_in_the_log_and_on_standard_error(trade, tmp_path):
    """`Best Bid: 26795.40 | Best Ask: 26795.80`, exactly; standard output stays the answers' own."""
    result = trade("buy 0.01\nwait 2.3\ntop off\nwait 1.2\n")
    shown = result.err.splitlines()
    assert len(shown) >= 2
    assert all(TOP_LINE.fullmatch(line) for line in shown), shown
    logged = [line for line in log(tmp_path).splitlines() if "Best Bid" in line]
    assert len(logged) > len(shown)
    assert all(re.fullmatch(LOG_TIME + TOP_LINE.pattern, line) for line in logged)
    assert "Best Bid" not in result.out


# ---- halts


def test_halt_outlives_a_restart_and_is_shown_with_the_way_out(trade, tmp_path):
    """Cause and the word `resume` stand at the start of the next run; reducing orders pass; resume opens again."""
    assert trade("buy 0.02\nhalt lunch\nbuy 0.01\n").code == 3
    assert ask(tmp_path)["halted"] == {"cause": "OPERATOR", "detail": "lunch"}
    result = trade("buy 0.01\nsell 0.01 reduce\nresume\nbuy 0.01\nresume\n", "--json")
    refused, reduced, resumed, bought, idle = result.answers
    assert "lunch" in result.err
    assert "resume" in result.err
    assert refused["codes"] == ["HALTED"]
    assert refused["sentence"] == "Order rejected: Trading is halted (OPERATOR: lunch); use `flatten` or `reduce`."
    assert reduced["state"] == bought["state"] == "filled"
    assert resumed == {"resume": "Trading goes on."}
    assert idle == {"resume": "Trading is not halted."}


def test_halt_file_stops_trading_until_it_is_removed_and_resumed(market, tmp_path):
    """The file works without the terminal's help; `resume` names it for as long as it is there."""
    halt_file = tmp_path / PROFILE / "HALT"
    with running([*on(market, tmp_path), "--json"], tmp_path) as child:
        say(child, "buy 0.01")
        assert hear(child)["state"] == "filled"
        halt_file.touch()
        say(child, "wait 0.3", "buy 0.01", "resume")
        refused, resume = hear(child), hear(child)
        assert refused["codes"] == ["HALTED"]
        assert str(halt_file) in refused["sentence"]
        assert resume == {"resume": f"Still halted: remove the file {halt_file} first."}
        halt_file.unlink()
        say(child, "resume", "buy 0.01")
        assert hear(child) == {"resume": "Trading goes on."}
        assert hear(child)["state"] == "filled"


# ---- the data folder


def test_second_engine_on_the_same_folder_is_refused_by_name(market, tmp_path):
    """It names the process that has the journal, exits 2, and disturbs nothing."""
    with running([*on(market, tmp_path), "--json"], tmp_path) as child:
        say(child, "buy 0.01")
        hear(child)
        second = run(on(market, tmp_path), tmp_path, "buy 0.01\n")
        assert second.code == 2
        assert f"process {child.pid} is using it" in second.err
        say(child, "buy 0.01")
        assert hear(child)["state"] == "filled"


def test_fresh_moves_the_journal_aside(trade, tmp_path):
    """A new journal begins at nothing; the old one can still be opened where it was moved to."""
    trade("buy 0.25\n")
    result = trade("status\n", "--fresh", "--json")
    assert result.answers[0]["position"] == "0"
    moved = re.search(r"The old journal is now in (.*)\.\n", result.err)
    assert moved is not None
    assert moved[1].startswith(str(tmp_path / PROFILE / "before-"))
    assert folded(rows_of(Path(moved[1]))).position_e8() == 25_000_000


def test_data_folder_that_cannot_be_is_named_with_exit_code_one(market, tmp_path):
    """A file in its place, or a folder that nobody may write to: one line that names the path, no traceback."""
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", "/proc/pytrader"):
        result = run(on(market, folder), tmp_path, "buy 0.01\n")
        assert (result.code, result.out) == (1, "")
        (line,) = result.err.splitlines()
        assert line.startswith("pytrader: ")
        assert str(folder) in line


def test_market_that_is_not_there_is_exit_code_five(tmp_path):
    """The first thing asked is the instrument: without it nothing starts, and the address is named."""
    nowhere = ["--rest-url", "http://127.0.0.1:9", "--stream-url", "ws://127.0.0.1:9"]
    result = run(["run", *nowhere, "--data-dir", tmp_path], tmp_path, "buy 0.01\n")
    assert (result.code, result.out) == (5, "")
    assert result.err.startswith("pytrader: 127.0.0.1:9: ")
    assert "check the network" in result.err
    later = run(["status", "--data-dir", tmp_path], tmp_path)
    assert later.code == 1
    assert later.err.startswith("pytrader: ")


# ---- bad input


def test_lines_that_are_no_commands_are_told_so_and_the_rest_goes_on(trade, tmp_path):
    """Each is answered with what to do and the column; nothing of it reaches the desk; the exit code is 2."""
    wrong = [
        "buy",
        "buy nan",
        "buy -1",
        "buy 0",
        "buy 1e3",
        "buy 0.123456789",
        "buy 9999999999999",
        "buy 0.1 @ -5",
        "but 0.1",
        "\x1b[2J",
        '{"side": "buy"',
        '{"side": "buy", "quantity": NaN}',
        '{"side": "buy", "quantity": 1, "quantity": 2}',
        '{"side": "\\ud800", "quantity": 1}',
        "buy 0.1 \udcff",  # sent as the byte 0xff, which is no UTF-8
        "x" * 5_000,
    ]
    result = trade("\n".join([*wrong, "# a comment", "", "buy 0.01", "quit", "buy 0.01", ""]), "--json")
    *errors, last = result.answers
    assert len(errors) == len(wrong)
    assert all(set(answer) == {"error", "column", "line"} for answer in errors)
    assert last["state"] == "filled"
    assert [event.kind for event in events(tmp_path)].count("accepted") == 1
    assert result.code == 2
