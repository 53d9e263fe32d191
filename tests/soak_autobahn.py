"""The public WebSocket suite against our own link: `python tests/soak_autobahn.py PYTHON`; a row for docs/proof.md.

PYTHON is a Python 2.7 with the package autobahntestsuite, whose fuzzing server runs on loopback; without it the run is
skipped and says so. The client is `rust_core/link/examples/echo.rs`. permessage-deflate is left out: we never offer it.
A case that neither passes nor is non-strict or informational ends the run with its name.
"""

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import proof

AGENT = "pytrader"  # as the client calls itself
GROUPS = {
    "1": "framing",
    "2": "pings and pongs",
    "3": "reserved bits",
    "4": "opcodes",
    "5": "fragmentation",
    "6": "UTF-8",
    "7": "close",
    "9": "limits and speed",
    "10": "auto-fragmentation",
}
DEFLATE = ["12.*", "13.*"]
PASSES = {"OK", "NON-STRICT", "INFORMATIONAL"}
START_S, RUN_S = 30, 900
# The suite would listen on every address of the machine, with a web server beside it (`-u`).
ON_LOOPBACK = """
from functools import partial
from autobahntestsuite import fuzzing, wstest
fuzzing.listenWS = partial(fuzzing.listenWS, interface="127.0.0.1")
wstest.run()
"""
WITH_PACKAGE = "import autobahntestsuite, zope.interface; print(autobahntestsuite.__version__)"


def version(python):
    """Return the version of the suite that this Python has, or None."""
    try:
        asked = subprocess.run(
            [python, "-c", WITH_PACKAGE], capture_output=True, text=True, check=False, timeout=START_S
        )
    except OSError:
        return None
    return None if asked.returncode else asked.stdout.strip()


def built():
    """Build the echo client and return where it stands."""
    words = ["cargo", "build", "--locked", "--quiet", "--release", "-p", "link", "--example", "echo"]
    made = subprocess.run(
        [*words, "--message-format", "json"], cwd=proof.ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    found = [json.loads(line) for line in made.stdout.splitlines()]
    return next(artifact["executable"] for artifact in found if artifact.get("target", {}).get("name") == "echo")


def free_port():
    """Return a port of loopback that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@contextmanager
def serving(python, folder):
    """Run the fuzzing server and yield its port."""
    port, log = free_port(), folder / "server.log"
    spec = {"url": f"ws://127.0.0.1:{port}", "outdir": str(folder)}
    spec |= {"cases": ["*"], "exclude-cases": DEFLATE, "exclude-agent-cases": {}}
    (folder / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    command = [python, "-c", ON_LOOPBACK, "-m", "fuzzingserver", "-u", "0", "-s", str(folder / "spec.json")]
    with log.open("wb") as out, subprocess.Popen(command, cwd=folder, stdout=out, stderr=out) as server:
        try:
            until = time.monotonic() + START_S
            while not listens(port):
                if server.poll() is not None or time.monotonic() > until:
                    sys.exit(f"{log.read_text(errors='replace')}\nthe fuzzing server does not listen")
                time.sleep(0.1)
            yield port
        finally:
            server.terminate()


def listens(port):
    """Say whether somebody takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def table(cases):
    """Return the lines of how many cases of each group behaved how."""
    lines = [f"{'group':<24}{'cases':>6}{'ok':>6}{'non-strict':>12}{'informational':>15}{'failed':>8}"]
    for group, name in GROUPS.items():
        seen = Counter(worst(case) for number, case in cases.items() if number.split(".")[0] == group)
        counts = [seen[word] for word in ("OK", "NON-STRICT", "INFORMATIONAL")]
        row = [seen.total(), *counts, seen.total() - sum(counts)]
        cells = zip(row, (6, 6, 12, 15, 8), strict=True)
        lines.append(f"{group + ' ' + name:<24}" + "".join(f"{count:>{width}}" for count, width in cells))
    return "\n".join(lines)


def worst(case):
    """Return how a case went: what failed first, of its messages and of its close."""
    words = [case["behavior"], case["behaviorClose"]]
    return next((word for word in words if word not in PASSES), words[0])


def main(python):
    """Run all cases, print the table, append a row, and fail where a case does."""
    suite = version(python)
    if suite is None:
        print(f"skipped: {python} is no Python with autobahntestsuite; docs/conformance.md says how to have one")
        return
    at, began, client = proof.commit(), time.monotonic(), built()
    with tempfile.TemporaryDirectory() as temporary:
        with serving(python, Path(temporary)) as port:
            subprocess.run([client, str(port)], check=True, timeout=RUN_S)
        cases = json.loads((Path(temporary) / "index.json").read_text(encoding="utf-8"))[AGENT]
    print(table(cases))
    assert {number.split(".")[0] for number in cases} == set(GROUPS), "a group is missing, or new"
    seen = Counter(map(worst, cases.values()))
    parts = ", ".join(f"{count} {word.lower()}" for word, count in seen.most_common())
    figure = f"suite {suite}: {len(cases)} cases: {parts}; {time.monotonic() - began:.0f} s"
    proof.append("WebSocket conformance", None, figure, at)
    failed = {number: worst(case) for number, case in cases.items() if worst(case) not in PASSES}
    if failed:
        sys.exit("\n".join(f"case {number}: {word}" for number, word in failed.items()))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "python2.7")
