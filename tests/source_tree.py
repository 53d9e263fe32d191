"""The repository's files as the architecture tests read them. PYTRADER_TREE names another tree than this one."""

import ast
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

TREE = Path(os.environ.get("PYTRADER_TREE", Path(__file__).parents[1])).resolve()
BUILT = {".git", ".venv", "target", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis"}

RUST_TEXT = re.compile(
    r"""//[^\n]*|/\*.*?\*/|\bb?r(?P<hash>\#*)".*?"(?P=hash)|b?"(?:\\.|[^"\\])*"|b?'(?:\\'|\\[^'\n]+|[^'\\\n])'""",
    re.DOTALL,
)
RUST_TEST_ONLY = re.compile(r"\#\[cfg\((?:all\(|any\()?[^\]]*(?<!not\()\b(?:test|loom)\b[^\]]*\)\]")


def committed() -> list[Path]:
    """Return every file that is, or would be, committed; where git does not answer, every file that is not built."""
    command = ["git", "ls-files", "-zco", "--exclude-standard"]
    listed = subprocess.run(command, cwd=TREE, capture_output=True, check=False) if shutil.which("git") else None
    if listed is None or listed.returncode:
        found = (path for path in TREE.rglob("*") if path.suffix not in {".so", ".sqlite3"} and path.name != ".env")
        return sorted(path for path in found if path.is_file() and not BUILT & set(path.relative_to(TREE).parts))
    return sorted(path for name in listed.stdout.decode().split("\0") if name and (path := TREE / name).is_file())


FILES = committed()
NAMES = {path: path.relative_to(TREE).as_posix() for path in FILES}
PYTHON = {path: ast.parse(path.read_text()) for path in FILES if path.suffix == ".py"}


def text(path: Path) -> str:
    """Return a file's text; nothing for a file that is not text."""
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


def blanked(source: str) -> str:
    """Return Rust source with comments, strings and characters blanked, lines kept."""
    return RUST_TEXT.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), source)


def block_end(source: str, start: int) -> int:
    """Return where the item at `start` of blanked Rust ends: its closing brace, or its semicolon if it has no body."""
    depth = 0
    for match in re.compile(r"[{}();\[\]]").finditer(source, start):
        depth += (match[0] in "{([") - (match[0] in "})]")
        if depth <= 0 and match[0] in "};":
            return match.start()
    return len(source)


def without_tests(source: str) -> str:
    """Return blanked Rust without the items that only tests build."""
    while match := RUST_TEST_ONLY.search(source):
        source = source[: match.start()] + source[block_end(source, match.end()) + 1 :]
    return source


RUST = {path: blanked(path.read_text()) for path in FILES if path.suffix == ".rs"}


def is_test(path: Path) -> bool:
    """Say whether a file is test or benchmark, which may be longer and may do what the program must not."""
    return bool({"tests", "benches", "tests.rs"} & set(path.relative_to(TREE).parts))


def package() -> Iterator[tuple[str, ast.Module]]:
    """Yield the name below `pytrader/`, and the syntax, of every module of the program."""
    for path, tree in PYTHON.items():
        if NAMES[path].startswith("pytrader/"):
            yield NAMES[path].removeprefix("pytrader/"), tree


def package_nodes(*, but_for: set[str]) -> Iterator[tuple[str, ast.AST]]:
    """Yield the place and the node of everything in the program, but for the modules named."""
    for name, tree in package():
        for node in ast.walk(tree) if name not in but_for else ():
            yield f"{name}:{getattr(node, 'lineno', 0)}", node


def matches(pattern: re.Pattern[str]) -> list[str]:
    """Return every place in the committed text where `pattern` is found; Cargo's lock file is not ours."""
    return [
        f"{NAMES[path]}:{source.count(chr(10), 0, match.start()) + 1} {match[0].strip()}"
        for path in FILES
        if (source := text(path)) and path.name != "Cargo.lock"
        for match in pattern.finditer(source)
    ]


def imports(tree: ast.Module) -> set[str]:
    """Return the full names of all modules, and of all names from modules, that a module imports."""
    nodes = list(ast.walk(tree))
    found = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    return found | {f"{'.' * node.level}{node.module or ''}.{alias.name}" for node in froms for alias in node.names}


def functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield every Python function, nested ones and methods included."""
    for path, tree in PYTHON.items():
        yield from ((path, node) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def rust_functions() -> Iterator[tuple[str, str, int]]:
    """Yield place, name and lines of every Rust function."""
    for path, source in RUST.items():
        for match in re.finditer(r"\bfn\s+(\w+)", source):
            place = f"{NAMES[path]}:{source.count(chr(10), 0, match.start()) + 1}"
            yield place, match[1], source.count("\n", match.start(), block_end(source, match.end())) + 1


def last_word(node: ast.AST) -> str:
    """Return `c` of the expression `a.b.c`, or nothing for what is no name."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
