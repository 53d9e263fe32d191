"""The control matrix is true: each row of docs/controls.md against the settings, the core, the codes and the tests."""

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from pytrader import cli
from pytrader.settings import rows

ROOT = Path(__file__).parents[1]
ENGINE = ROOT / "rust_core/engine/src"
WANTED = [
    *("order notional", "position long", "position short", "order rate", "daily loss (latched)", "book unsynced"),
    *("book stale", "book crossed", "price band", "quantity bounds", "lot step", "price tick", "minimum notional"),
    *("duplicate client id", "repeated identical order", "runaway", "attempts cap", "self-match", "queue full"),
    *("journal not healthy", "executor not ready", "kill switch", "limits changed", "own thread dead", "clock jumped"),
]
WITHOUT_SETTING = ("compiled in", "the venue")


def text(path):
    """Return a file of the repository."""
    return (ROOT / path).read_text(encoding="utf-8")


class Row(NamedTuple):
    """One control as the matrix has it."""

    control: str
    setting: str
    default: str
    code: str
    blocks: str
    noticed: str

    @property
    def tests(self):
        """The tests that block."""
        return re.findall(r"`(test_\w+)`", self.blocks)

    @property
    def switches(self):
        """The variants of `Control` that a Rust test turns off."""
        return re.findall(r"`Control::(\w+)`", self.noticed)

    @property
    def removals(self):
        """The Python tests that take the control out."""
        return re.findall(r"`(test_\w+)`", self.noticed)


def matrix():
    """Return the rows of the table."""
    lines = [line for line in text("docs/controls.md").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [Row(*row) for row in cells[1:]]


def python_tests():
    """Return the names of all Python tests."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "tests").glob("test_*.py")]
    return {node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}


MATRIX = matrix()
CONTROLS_RS = text("rust_core/engine/src/desk/tests/controls.rs")
RUST_TESTS = set(re.findall(r"#\[test\]\n(?:#\[[^\]]*\]\n)*fn (\w+)\(", CONTROLS_RS))
SWITCHED = dict(re.findall(r"\(Control::(\w+), (\w+)\)", CONTROLS_RS))
BY_CONTROL = pytest.mark.parametrize("row", MATRIX, ids=[row.control for row in MATRIX])


def test_every_control_that_a_trader_counts_on_has_one_row():
    names = [row.control for row in MATRIX]
    assert set(WANTED) <= set(names)
    assert len(names) == len(set(names))


@BY_CONTROL
def test_setting_exists_with_this_default(row):
    """The table of settings has the name, and the default with its unit; a control without one says why."""
    if row.setting in WITHOUT_SETTING:
        assert row.default == "\N{EN DASH}"
        return
    (setting,) = [each for each in rows() if f"`{each.name}`" == row.setting]
    assert f"{setting.default} {setting.unit}" == row.default


def test_every_limit_of_the_settings_has_a_row():
    """What limits orders is a control."""
    limits = {row.name for row in rows() if row.name.startswith(("max_", "runaway", "repeat", "stale"))}
    assert {row.setting.strip("`") for row in MATRIX} - set(WITHOUT_SETTING) == limits


@BY_CONTROL
def test_code_is_explained_and_given_by_the_core(row):
    """A reason is used where the engine judges, a cause is halted with; both are explained, as is an exit code."""
    pages = text("docs/codes.md")
    if row.code == f"exit code {cli.LOOSER}":
        assert f"{cli.LOOSER} looser limits were not" in " ".join(cli.EXAMPLES.split())
        return
    judged = [*ENGINE.glob("*.rs"), *(ENGINE / "desk").glob("*.rs")]
    core = "\n".join(path.read_text(encoding="utf-8") for path in judged if path.name != "breach.rs")
    package = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "pytrader").glob("*.py"))
    for code in row.code.split(", "):
        if code.startswith("`"):
            variant = code.strip("`").title().replace("_", "")
            assert f"| {code}" in pages or f", {code} |" in pages
            assert re.search(rf"Reason::{variant}\b", core), variant
        else:
            assert re.search(rf"\b{code}\b", pages), f"docs/codes.md does not explain the cause {code}"
            assert re.search(rf'(?:Halt::new|halt)\("{code}"', core + package), code


@BY_CONTROL
def test_tests_exist_and_their_removal_is_noticed(row):
    """Rust tests are those of controls.rs, each paired there with the switch of its row; Python tests exist."""
    known = python_tests()
    assert row.tests
    assert set(row.tests) <= RUST_TESTS | known
    assert set(row.removals) <= known
    assert len(row.switches) <= 1
    assert [SWITCHED[switch] for switch in row.switches] == [name for name in row.tests if name in RUST_TESTS]
    own = row.switches or row.removals
    assert own, "nothing shows that its absence is noticed"


def test_every_switch_of_the_core_is_in_exactly_one_row():
    """A control that is added to the core is added here, and the other way round."""
    body = re.search(r"pub enum Control \{(.*?)\}", text("rust_core/engine/src/control.rs"), re.DOTALL)
    assert body is not None
    variants = re.findall(r"^\s+(\w+),$", body[1], re.MULTILINE)
    used = [switch for row in MATRIX for switch in row.switches]
    assert sorted(used) == sorted(variants) == sorted(SWITCHED)
    assert "each_control_test_fails_when_its_control_is_off" in RUST_TESTS


def test_every_control_test_of_python_is_named_in_a_row():
    """A test of an outer control that no row names would be missed by whoever reads the matrix."""
    tree = ast.parse(text("tests/test_outer_controls.py"))
    removals = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and "_missed_when_" in node.name}
    assert removals == {name for row in MATRIX for name in row.removals}


def test_ways_out_are_written_down():
    """Each halt cause and the latch has its paragraph with the word that ends it."""
    page = text("docs/controls.md")
    for words in ("`resume`", "`flatten`", "next UTC day", "`--loosen`", "RUNAWAY", "CLOCK", "THREAD", "HALT"):
        assert words in page.partition("## The switch")[2], words
