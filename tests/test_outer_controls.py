"""The controls that stand around the core: each blocks, and its test fails when it is taken out.

docs/controls.md names these tests. What blocks is a function of its own, which the removal tests run again.
"""

import json
from contextlib import suppress
from types import SimpleNamespace

import pytest
from paper_market import desk_on, live_book
from sessions import PROFILE, events, folded, hear, on, rows_of, run, running, say
from test_cli import Terminal

import pytrader
from pytrader import app as composition
from pytrader import halting, loosening, terminal
from pytrader.answers import Answers
from pytrader.app import App, Worker
from pytrader.clock import Clock
from pytrader.events import read
from pytrader.journal import Journal
from pytrader.lines import Market, line_of
from pytrader.loosening import LooserLimits, typed
from pytrader.outcomes import Outcomes
from pytrader.sandbox.process import OfflineMarket
from pytrader.settings import load
from pytrader.status import stops
from pytrader.trader import Trader

FAILS = (AssertionError, pytest.fail.Exception)
LOOSER = "max_position 2 -> 5"
REMEDY = (
    "nothing was started or changed. To confirm it start with --loosen (from Python: loosen=True), or at a terminal"
    " and type loosen"
)


@pytest.fixture(scope="module")
def market():
    """Run one offline market."""
    with OfflineMarket.start(5) as offline:
        yield offline


def halt_of(desk):
    """Return why a desk is halted, None if it is not."""
    return json.loads(desk.status())["halted"]


class Log:
    """Takes what is logged and keeps nothing."""

    def info(self, *_):
        """Say nothing."""

    exception = critical = info


# ---- own thread dead


def a_dead_thread_blocks():
    """Check that a thread whose body has failed halts the desk by its name: no order passes."""
    desk = desk_on(live_book())
    assert desk.submit("buy", 10**6).accepted

    def body():
        raise RuntimeError("as planned")

    worker = Worker("feed-x", SimpleNamespace(run=body, stop=lambda: None), desk, Log())
    worker.start()
    worker.join(10)
    assert halt_of(desk) == {"cause": "THREAD", "detail": "the thread feed-x has died"}
    assert "HALTED" in desk.submit("buy", 10**6).codes


def test_own_thread_dead_halts_by_its_name():
    """test_app.py kills each thread of a running engine."""
    a_dead_thread_blocks()


def test_own_thread_dead_is_missed_when_nobody_halts(monkeypatch):
    """A thread that may die without a word leaves a desk that takes orders."""

    def run(worker):
        with suppress(RuntimeError):
            worker._part.run()

    monkeypatch.setattr(Worker, "run", run)
    with pytest.raises(FAILS):
        a_dead_thread_blocks()


# ---- the kill switch from outside


def the_file_blocks(folder):
    """Check that the clock's next look at a HALT file halts the desk, with the reason that stands in it."""
    desk = desk_on(live_book())
    clock = Clock(desk, live_book(), decimals=2, halt_file=folder / "HALT", show=lambda _: None, log=Log())
    clock.obey_halt_file()
    assert desk.submit("buy", 10**6).accepted
    halting.put(folder, "news")
    clock.obey_halt_file()
    assert halt_of(desk) == {"cause": "OPERATOR", "detail": f"the file {folder / 'HALT'} exists: news"}
    assert desk.submit("buy", 10**6).codes == ["HALTED"]


def test_kill_switch_file_halts_at_the_next_look(tmp_path):
    """The clock looks every 50 ms; test_halt.py has what the file may hold and how the command uses it."""
    the_file_blocks(tmp_path)


def test_kill_switch_file_is_missed_when_nobody_looks(tmp_path, monkeypatch):
    """A clock that does not look leaves a desk that takes orders."""
    monkeypatch.setattr(Clock, "obey_halt_file", lambda _: None)
    with pytest.raises(FAILS):
        the_file_blocks(tmp_path)


def test_kill_switch_acts_from_outside_a_hung_terminal(market, tmp_path):
    """Nobody reads the answers, the session hangs in its write: the halt is journaled within a second all the same."""
    with running([*on(market, tmp_path), "--json"], tmp_path) as child:
        say(child, "buy 0.01 @ 20000")
        assert hear(child)["state"] == "resting"
        say(child, *["help"] * 100)  # more than a pipe holds
        result = run(["halt", "hangs", "--data-dir", tmp_path], tmp_path)
        assert (result.code, result.err) == (0, "")
        assert "The running engine is halted: its journal has it" in result.out
        made_ns = (tmp_path / PROFILE / "HALT").stat().st_mtime_ns
    (halted,) = [event for event in events(tmp_path) if event.kind == "halted"]
    assert halted.utc_ns - made_ns < 10**9
    asked = [event.facts for event in events(tmp_path) if event.kind == "cancel_requested"]
    assert asked == [{"order": 1, "reason": "HALTED"}]


# ---- looser limits


def started(market, folder, **more):
    """Build an engine and stop it again before anything runs; return its journal's rows."""
    texts = {"stream_url": market.ws_url, "rest_url": market.rest_url, "seed": "1"}
    limits = {name: more.pop(name) for name in list(more) if name.startswith("max_")}
    app = App(load({**texts, **limits}, {}, None), folder, **more)
    app.start()
    app.stop()
    return rows_of(folder)


def an_answer_blocks(market, folder, answer):
    """Check that what is typed ends the start before anything runs, with the journal as it was."""
    before = started(market, folder, max_position="2")

    def ask(_):
        if isinstance(answer, BaseException):
            raise answer
        return answer

    with pytest.raises(LooserLimits, match=f": {LOOSER}; {REMEDY[:20]}"):
        started(market, folder, confirm=lambda looser: typed(looser, ask))
    assert rows_of(folder) == before
    Journal.open(folder).close()


@pytest.mark.parametrize("answer", ["", "y", "yes", "LOOSEN", "loosen it", EOFError(), KeyboardInterrupt()])
def test_limits_changed_block_whatever_is_typed_but_the_word(market, tmp_path, capsys, answer):
    """Each limit is named with both values; the lock is given back, and the next start is asked again."""
    an_answer_blocks(market, tmp_path, answer)
    shown = capsys.readouterr().out
    assert shown.startswith("These limits would allow more than at the last start:\n  max_position  2 -> 5\n")


def test_limits_changed_are_missed_when_nobody_asks(market, tmp_path, monkeypatch):
    """A start that confirms by itself changes the limits, and the journal says so."""
    monkeypatch.setattr(loosening, "WORD", "")
    with pytest.raises(FAILS):
        an_answer_blocks(market, tmp_path / "word", "")
    taken_up = App._take_up
    monkeypatch.setattr(App, "_take_up", lambda app, seed, _: taken_up(app, seed, loosening.confirmed))
    with pytest.raises(FAILS):
        an_answer_blocks(market, tmp_path / "asked", "no")


def test_limits_changed_by_the_word_are_journaled_and_logged(market, tmp_path):
    """Old and new stand in the journal, the line in the log; asking comes before any thread."""
    folder = tmp_path / PROFILE
    started(market, folder, max_position="2")
    asked = []

    def confirm(looser):
        asked.append((looser, composition.threading.active_count()))
        return typed(looser, lambda _: " loosen\n")

    before = composition.threading.active_count()
    started(market, folder, confirm=confirm)
    assert asked == [([("max_position", "2", "5")], before)]
    (changed,) = [event.facts for event in events(tmp_path) if event.kind == "limits_changed"]
    assert (changed["old"]["position"], changed["new"]["position"]) == ("2", "5")
    assert f"Limits changed since the last start: {LOOSER}" in (folder / "pytrader.log").read_text()


def test_limits_changed_to_tighter_ones_need_nothing(market, tmp_path):
    """They are journaled all the same; a start with the same limits is not."""
    folder = tmp_path / PROFILE
    for position in ("5", "2", "2"):
        started(market, folder, max_position=position)
    kinds = [event.kind for event in events(tmp_path)]
    assert (kinds.count("started"), kinds.count("limits_changed")) == (3, 1)
    assert json.loads(folded(rows_of(folder)).status())["limits"]["position"] == "2"


def test_limits_changed_by_a_script_need_the_option(market, tmp_path):
    """Text or JSON alike: exit code 4, one sentence with what is looser and what to do, and an untouched journal."""
    tight = run([*on(market, tmp_path), "--max-position", "2"], tmp_path, "status\n")
    assert (tight.code, tight.err) == (0, "")
    before = rows_of(tmp_path / PROFILE)
    for form in ([], ["--json"]):
        result = run([*on(market, tmp_path), *form], tmp_path, "buy 0.01\n")
        assert (result.code, result.out) == (4, "")
        assert result.err == (f"pytrader: limits would allow more than at the last start: {LOOSER}; {REMEDY}\n")
    assert rows_of(tmp_path / PROFILE) == before
    result = run([*on(market, tmp_path), "--json", "--loosen"], tmp_path, "limits\n")
    assert (result.code, result.answers[0]["limits"]["position"]) == (0, "5")
    assert result.err == f"Limits changed since the last start: {LOOSER}\n"
    assert run(on(market, tmp_path), tmp_path, "status\n").code == 0


def test_limits_changed_by_a_scripted_session_are_shown(market, tmp_path, monkeypatch, capfd):
    """The option confirms them there too, and whoever started it sees what it changed."""
    folder = tmp_path / PROFILE
    started(market, folder, max_position="2")
    monkeypatch.setattr(
        terminal.Script, "run", lambda script, _: script._trader.is_durable(script._trader.status()["seq"])
    )
    settings = load({"stream_url": market.ws_url, "rest_url": market.rest_url}, {}, None)
    with pytest.raises(LooserLimits):
        terminal.run_session(settings, folder, terminal.Options(auto=True))
    assert terminal.run_session(settings, folder, terminal.Options(auto=True, loosen=True)) == 0
    assert capfd.readouterr().err == f"Limits changed since the last start: {LOOSER}\n"


@pytest.mark.parametrize(("word", "code"), [("no", 4), ("loosen", 0)])
def test_limits_changed_at_a_terminal_are_asked_about(market, tmp_path, word, code):
    """The question stands before the prompt; the word opens it, anything else ends the program."""
    run([*on(market, tmp_path), "--max-position", "2"], tmp_path, "status\n")
    one = Terminal(on(market, tmp_path), tmp_path)
    try:
        one.wait_for(r"max_position  2 -> 5")
        one.wait_for("Type loosen to trade with them; anything else leaves without a change:")
        one.type(word)
        if code == 0:
            one.wait_for("Limits changed since the last start: max_position 2 -> 5")
            one.type("quit")
        assert one.end()[0] == code, one.said
    finally:
        one.close()


def test_limits_changed_by_a_program_need_its_word(market, tmp_path):
    """`pytrader.start` raises the sentence; with `loosen=True` it trades."""
    where = {"stream_url": market.ws_url, "rest_url": market.rest_url, "data_dir": str(tmp_path)}
    with pytrader.start(**where, max_position="2"):
        pass
    with pytest.raises(ValueError, match=LOOSER), pytrader.start(**where):
        pytest.fail("it has started")
    with pytrader.start(**where, loosen=True) as trader:
        assert trader.status()["limits"]["position"] == "5"


# ---- what the core says of itself


def test_clock_jumped_is_shown_until_a_person_resumes(tmp_path):
    """More than two seconds apart: a line of its own, a halt by name, and a suspect clock on every page."""
    mono_ns, utc_ns = 10**12, 1_795_000_000 * 10**9
    book = live_book(recv_ns=mono_ns)
    desk = desk_on(book, (mono_ns, utc_ns))
    trader = Trader(desk, book, Outcomes(), tmp_path, Market("BTC", "USDT", "0.01"))
    desk.mark(mono_ns, utc_ns + 2 * 10**9)
    assert not trader.snapshot().clock_suspect
    desk.mark(mono_ns, utc_ns + 4 * 10**9 + 1)
    it = trader.snapshot()
    assert it.clock_suspect
    assert stops(it)[0].startswith("HALTED CLOCK: ")
    told = [line_of(event.kind, event.facts, trader.market) for event in map(read, desk.next_events(100, 0))]
    jumped, halted = told[-2:]
    assert str(jumped).startswith("Clock jumped: UTC went 2.000 s ahead against the monotonic clock")
    assert str(halted).startswith("Trading halted: CLOCK: ")
    desk.resume(mono_ns, utc_ns + 4 * 10**9 + 1)
    assert (trader.snapshot().clock_suspect, halt_of(desk)) == (False, None)


# ---- what the core answers without an event


def test_attempts_cap_is_answered_at_once_in_every_form(market, tmp_path):
    """A script of too many orders hears ATTEMPTS with the wait, as text and JSON; nothing is journaled of those."""
    words = [*on(market, tmp_path), "--max-attempts-per-second", "1", "--json"]
    result = run(words, tmp_path, "buy 9 id=a1\nbuy 9 id=a2\nlimits\n")
    first, second, limits = result.answers
    assert result.code == 3
    assert (first["client_id"], second["client_id"], second["accepted"]) == ("a1", "a2", False)
    assert first["codes"][0] == "NOTIONAL_EXCEEDS_MAX"
    assert (second["codes"], second["largest"]) == (["ATTEMPTS"], None)
    assert second["breaches"][0]["retry_after_ms"] > 0
    assert second["sentence"].startswith("Order rejected: More than 1 attempts in a second")
    assert (limits["attempts_capped"], limits["counts"]["refused"]) == (1, 1)
    assert [event.kind for event in events(tmp_path)].count("refused") == 1


def test_attempts_cap_is_answered_at_the_prompt_and_to_programs(market, tmp_path):
    """No event will tell of it, so the command itself does; a ticket has the verdict and waits for nothing."""
    where = {"stream_url": market.ws_url, "rest_url": market.rest_url, "data_dir": str(tmp_path)}
    with pytrader.start(**where, max_attempts_per_second="1") as trader:
        assert trader.wait_synced()
        said = answered(trader, "buy 9", "buy 9")
        assert said == ["", said[1]]
        assert said[1].startswith("Order rejected: More than 1 attempts in a second, only counted, retry in ")
        assert "\n  ATTEMPTS  value 2  limit 1  retry_after_ms " in said[1]
        ticket = trader.buy("9")
        assert (ticket.untold, ticket.verdict.codes, ticket.wait(60)) == (True, ["ATTEMPTS"], [])


def answered(trader, *lines):
    """Return what the prompt answers by itself to each line; what events tell is not among it."""
    answers = Answers(trader, lambda _: None, await_orders=False)
    return ["\n".join(answer.text for answer in answers.to(pytrader.parse(line))) for line in lines]


def test_runaway_is_answered_with_the_refusal_and_halts_until_a_person_resumes(market, tmp_path):
    """The refusal that was one too many is answered like any other; the next order finds the halt."""
    words = [*on(market, tmp_path), "--runaway-refusals", "3", "--json"]
    result = run(words, tmp_path, "buy 9\n" * 4 + "resume\nbuy 0.01\n")
    codes = [answer.get("codes") for answer in result.answers]
    assert codes[:3] == [["NOTIONAL_EXCEEDS_MAX", "POSITION_LIMIT_LONG"]] * 3
    assert codes[3][0] == "HALTED"
    assert all(answer["request"]["quantity"] == "9" for answer in result.answers[:4])
    assert "(RUNAWAY: 3 refusals in 10 s)" in result.answers[3]["sentence"]
    assert result.answers[4] == {"resume": "Trading goes on."}
    assert result.answers[5]["accepted"]


def test_duplicate_client_id_blocks_across_runs_and_is_shown(market, tmp_path):
    """An id is used up by an accepted order of any run, and by none that was refused."""
    script = "buy 9 id=a1\nbuy 0.01 id=a1\nbuy 0.01 id=a1\norders\n"
    result = run([*on(market, tmp_path), "--json"], tmp_path, script)
    big, first, second, orders = result.answers
    assert "DUPLICATE_ID" not in big["codes"]
    assert (first["accepted"], first["client_id"], first["order"]) == (True, "a1", 1)
    assert second["codes"] == ["DUPLICATE_ID"]
    assert [row["client_id"] for row in orders["orders"]] == ["a1"]
    again = run(on(market, tmp_path), tmp_path, "buy 0.01 id=a1\nbuy 0.01 id=a2\norders\nrejects\n")
    assert again.out.startswith("Order rejected: The client id was used before.\n")
    assert "(order 2, id a2)" in again.out
    assert [line.split()[-1] for line in again.out.splitlines() if " buy " in line][:2] == ["a1", "a2"]
