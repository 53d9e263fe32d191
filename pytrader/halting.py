"""`pytrader halt`: stop an engine from outside, also one whose terminal hangs, by the file HALT in its folder."""

from __future__ import annotations

import os
from contextlib import closing, suppress
from time import monotonic, sleep
from typing import TYPE_CHECKING

from pytrader import halt_file
from pytrader.events import read
from pytrader.journal import FILE_NAME, JournalError, JournalView
from pytrader.journal_files import is_locked, make_folder, sync_folder
from pytrader.lines import escaped

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from pytrader.events import Event

OK, ERROR = 0, 1
CONFIRM_S = 2.0
_LOOK_S = 0.02
_NO_REASON = "asked for by `pytrader halt`"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes beside the settings."""
    parser.add_argument("reason", nargs="*", help="why; it is shown wherever the halt is")
    parser.add_argument("--demo", action="store_true", help="the offline market's engine")
    parser.add_argument("--off", action="store_true", help="remove the file; `resume` then lets trading go on")


def run(given: argparse.Namespace, folder: Path) -> int:
    """Carry out the command on the engine of `folder`; return its exit code."""
    return _lift(folder) if given.off else _halt(folder, " ".join(given.reason))


def put(folder: Path, reason: str) -> bool:
    """Make the file, mode 0600, with `reason` in it; false if there is one, which stays as it is.

    On a disk that has no room for the reason the file alone is made: it is what halts. Raises OSError or JournalError
    if there can be no file.
    """
    make_folder(folder)
    path, draft = folder / halt_file.NAME, folder / f".{halt_file.NAME}.{os.getpid()}"
    try:
        _write(draft, f"{halt_file.printable(reason)}\n".encode())
        os.link(draft, path)  # whole at once: nobody reads it before its reason stands in it
    except OSError:
        try:
            path.touch(0o600, exist_ok=False)
        except FileExistsError:
            return False
    finally:
        with suppress(OSError):
            draft.unlink()
    with suppress(OSError):  # it halts already; only a power cut could still undo it
        sync_folder(folder)
    return True


def _write(path: Path, text: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        os.fchmod(handle, 0o600)
        os.write(handle, text)
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(folder: Path) -> bool:
    """Remove the file; false if there is none. Raises OSError if it cannot be removed."""
    try:
        (folder / halt_file.NAME).unlink()
    except FileNotFoundError:
        return False
    with suppress(OSError):
        sync_folder(folder)
    return True


def _halt(folder: Path, reason: str) -> int:
    made = put(folder, reason or _NO_REASON)
    path = folder / halt_file.NAME
    print(f"Made the file {path}." if made else f"The file {path} is there already; it stays as it is.", flush=True)
    if not is_locked(folder):
        print("No engine is running on this folder: the next start will be halted.")
        return OK
    try:
        found = _halt_in(folder, CONFIRM_S)
    except JournalError as error:
        print(f"NOT CONFIRMED: an engine is running, but its journal does not say whether it has halted: {error}")
        return ERROR
    if found is None:
        print(
            f"NOT CONFIRMED: an engine is running and has not recorded a halt within {CONFIRM_S:.0f} s."
            " It halts when it sees the file; if it hangs, stop its process."
        )
        return ERROR
    print(f"The running engine is halted: its journal has it ({_cause(found)}).")
    return OK


def _lift(folder: Path) -> int:
    path = folder / halt_file.NAME
    print(f"Removed the file {path}." if remove(folder) else f"There is no file {path}.")
    if (folder / FILE_NAME).exists() and (found := _halt_in(folder, 0)) is not None:
        print(f"Trading stays halted ({_cause(found)}) until `resume` at the terminal.")
    return OK


def _halt_in(folder: Path, timeout_s: float) -> Event | None:
    """Return the halt that holds by what the journal says; wait for one up to `timeout_s`, None without one."""
    deadline = monotonic() + timeout_s
    with closing(JournalView.open(folder)) as view:
        looked, newest = 0, None
        while True:
            last = view.last_seq
            newest = view.newest("halted", "resumed", after=looked) or newest
            looked = last
            if newest is not None and (event := read(newest)).kind == "halted":
                return event
            if monotonic() >= deadline:
                return None
            sleep(_LOOK_S)


def _cause(event: Event) -> str:
    """Return the cause of a halt as its journal has it, fit for a screen."""
    return escaped(f"{event.facts['cause']}: {event.facts['detail']}")
