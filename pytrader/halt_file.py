"""The file HALT in a journal's folder: while it is there, trading is halted. `halting` makes it; so does `touch`."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from pytrader.lines import escaped

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "HALT"
REASON_MAX: Final = 200  # characters of a reason that are kept
_READ_MAX: Final = 4 * REASON_MAX  # bytes: a character has four at most


def reason_of(path: Path) -> str:
    """Return what the file says, as at most 200 printable characters; nothing if it says nothing or is no plain file.

    Never waits and never fails: whoever asks is about to halt, whatever the file holds.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # of a pipe without a writer too
    except OSError:
        return ""
    try:
        plain = stat.S_ISREG(os.fstat(handle).st_mode)
        return printable(os.read(handle, _READ_MAX).decode(errors="replace")) if plain else ""
    except OSError:
        return ""
    finally:
        os.close(handle)


def printable(reason: str) -> str:
    """Return a reason as one line of at most 200 printable characters."""
    text = escaped(" ".join(reason.split()))
    return text if len(text) <= REASON_MAX else f"{text[: REASON_MAX - 1]}…"
