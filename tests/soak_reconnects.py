"""A thousand connections that end: `python tests/soak_reconnects.py [N]`; appends a row to docs/proof.md."""

import sys
import tempfile
import time
from pathlib import Path

import proof
import reconnects


def main(count):
    """Reconnect, append the row; an assertion ends the run where something stayed."""
    at, began = proof.commit(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        held = reconnects.reconnect(Path(folder), count)
    held.assert_flat()
    proof.append("reconnects", None, f"{held.text()}; {time.monotonic() - began:.0f} s", at)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000)
