"""A disk that fails on demand: builds tests/faults/failing_io.c and writes its plans. Needs a C compiler, no rights."""

import ctypes
import errno
import os
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).parent / "faults" / "failing_io.c"
COMPILER = os.environ.get("CC") or "cc"
SHORT = 0  # in the place of an errno: writes that end half way
FAULTS = {"full": errno.ENOSPC, "broken": errno.EIO, "read-only": errno.EROFS, "short": SHORT}


def compiler() -> str | None:
    """Return where the C compiler is; None without one."""
    return shutil.which(COMPILER)


class Disk:
    """What a process under the library is told of its disk. The plan is a file, so any process may write it."""

    def __init__(self, folder: Path) -> None:
        """Keep the library and the plan in `folder`."""
        self.library, self._plan = folder / "failing_io.so", folder / "plan"
        self._serial = 0

    def build(self) -> "Disk":
        """Compile the library."""
        options = ["-shared", "-fPIC", "-O1", "-U_FORTIFY_SOURCE", "-Wall", "-Wextra", "-Werror", "-ldl"]
        subprocess.run([COMPILER, SOURCE, *options, "-o", self.library], check=True)
        return self

    def environment(self) -> dict[str, str]:
        """Return what a process must be started with."""
        return {"LD_PRELOAD": str(self.library), "FAILING_IO": str(self._plan)}

    def fail(self, at: int, code: int, on: bool) -> None:
        """From now on, fail operation `at`, counted from 1; with `on` every later one too, until `heal`."""
        self._serial += 1
        new = self._plan.with_name("plan.new")
        new.write_text(f"{os.getpid()}{self._serial:04} {at} {code} {on:d}")
        new.rename(self._plan)

    def heal(self) -> None:
        """Let everything succeed again."""
        self._plan.unlink(missing_ok=True)

    def counted(self) -> int:
        """Return how many operations of this process the last plan has seen."""
        return int(ctypes.CDLL(str(self.library)).failing_io_count())
