"""The offline market as a child process, for whoever needs one: the demo and the tests."""

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Final, Self

READY: Final = "Offline market on "


class OfflineMarketError(RuntimeError):
    """The child did not become ready; the message says why."""


class OfflineMarket:
    """One running offline market. Ends with `stop()`, at the end of a `with` block, or when this process dies."""

    def __init__(self, child: subprocess.Popen[bytes], errors: IO[bytes], rest_url: str) -> None:
        """Use `OfflineMarket.start`."""
        self._child = child
        self._errors = errors
        self.rest_url = rest_url  # for example http://127.0.0.1:40123
        self.ws_url = "ws" + rest_url.removeprefix("http")
        self.host, port = rest_url.rpartition("/")[2].split(":")
        self.port = int(port)

    @classmethod
    def start(
        cls,
        seed: int = 7,
        scenario: str = "calm",
        *,
        rate: float = 1.0,
        port: int = 0,
        options: Sequence[str] = (),
        deadline_s: float = 10.0,
    ) -> Self:
        """Start a child and wait until it serves. Raises `OfflineMarketError` within `deadline_s`.

        `options` are further words of the command line, for example `("--start-price", "30000")`.
        """
        words = ["--seed", str(seed), "--scenario", scenario, "--rate", str(rate), "--port", str(port)]
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "pytrader.sandbox", "--parent-pipe", *words, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # Ctrl-C at the terminal is for the terminal
        )
        line = _first_line(child, time.monotonic() + deadline_s)
        if not line.startswith(READY):
            _end(child)
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip() or line or f"no ready line within {deadline_s:g} s"
            errors.close()
            raise OfflineMarketError(said)
        return cls(child, errors, line.removeprefix(READY).split()[0])

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    def is_running(self) -> bool:
        """Say whether the child still lives."""
        return self._child.poll() is None

    def said(self) -> list[str]:
        """Return what the child has written to its standard error: its mistakes, and each fault of `--chaos`."""
        return os.pread(self._errors.fileno(), 1 << 24, 0).decode(errors="replace").splitlines()

    def stop(self) -> None:
        """End the child by closing its pipe; after 3 s by force. Harmless when it has ended already."""
        _end(self._child)
        self._errors.close()

    def __enter__(self) -> Self:
        """Return this market."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()


def _first_line(child: subprocess.Popen[bytes], deadline: float) -> str:
    assert child.stdout is not None
    said = b""
    while b"\n" not in said:
        readable, _, _ = select.select([child.stdout], [], [], max(0.0, deadline - time.monotonic()))
        data = os.read(child.stdout.fileno(), 4096) if readable else b""
        if not data:
            break
        said += data
    return said.partition(b"\n")[0].decode(errors="replace")


def _end(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.close()
    child.stdout.close()
    try:
        child.wait(3)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
