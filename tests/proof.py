"""The table of docs/proof.md: one row for each run of a long proof."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "docs" / "proof.md"
HEAD = """# Long proofs

What `make soak` proves beyond `make test`. Each run appends a row: when, at which commit (`+` where files differed from
it), from which seed.

| UTC | commit | proof | seed | figure |
|---|---|---|---|---|
"""


def commit() -> str:
    """Return the commit that is proved, with a + where files differ from it; this table may."""
    short = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/proof.md")
    return f"{short}{'+' if changed else ''}"


def append(proof: str, seed: int | None, figure: str, at: str) -> None:
    """Print a row and append it to the table; `at` is the commit when the run began."""
    cells = [f"{datetime.now(UTC):%Y-%m-%d %H:%M}", at, proof, "-" if seed is None else str(seed), figure]
    row = f"| {' | '.join(cells)} |"
    print(row)
    with TABLE.open("a", encoding="utf-8") as table:
        table.write(f"{row}\n" if table.tell() else f"{HEAD}{row}\n")


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
