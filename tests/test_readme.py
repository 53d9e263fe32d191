"""The README is true: its Python runs, its commands and settings exist."""

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

from pytrader.settings import rows

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs_and_prints_what_it_says():
    """The block is executed as it stands."""
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(code, "README.md", "exec"), {})
    assert said.getvalue() == "0.25 26795.86\n['accepted', 'released', 'filled']\n"


def test_every_command_of_the_table_exists():
    """Each command that the README names answers --help."""
    named = set(re.findall(r"^\| `pytrader ([\w-]+)", README, re.MULTILINE))
    assert named == {"demo", "run", "status", "export", "halt", "replay", "feed-report", "sandbox", "config"}
    for command in named:
        words = [sys.executable, "-m", "pytrader", command, "--help"]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, command


def test_every_option_of_the_limits_is_a_setting():
    """The limits table names real options."""
    options = {row.option for row in rows()}
    named = set(re.findall(r"\| `(--max-[\w-]+)` \|", README))
    assert len(named) == 6
    assert named <= options


def codes_of(file, enum):
    """Return the variants of an enum of the engine as they are written in events."""
    source = (ROOT / "rust_core/engine/src" / file).read_text(encoding="utf-8")
    body = re.search(rf"pub enum {enum} \{{(.*?)\}}", source, re.DOTALL)
    assert body is not None
    names = re.findall(r"^\s+(\w+),$", body[1], re.MULTILINE)
    return {re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper() for name in names}


def test_every_reason_code_is_explained():
    """docs/codes.md has a row for each code that the engine can give."""
    codes = codes_of("breach.rs", "Reason")
    explained = set(re.findall(r"`([A-Z_]{4,})`", (ROOT / "docs/codes.md").read_text(encoding="utf-8")))
    assert len(codes) > 20
    assert codes == explained


def test_every_cause_of_a_stray_fill_is_explained():
    """docs/codes.md has a row for each, among the causes of a halt."""
    causes = codes_of("desk/event.rs", "StrayCause")
    rows = set(re.findall(r"^\| ([A-Z_]{4,}) \|", (ROOT / "docs/codes.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert len(causes) == 5
    assert causes | {"EXECUTOR"} == rows
