"""What every test stands on: a state folder of its own, no settings from outside, recordings where they exist."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

REPO = Path(__file__).parents[1]

# A busy machine breaks any deadline. In CI the examples are the same each time, so that a failure is the change's own.
hypothesis.settings.register_profile("here", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("here")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run demand that nothing is missing."""
    parser.addoption("--no-skips", action="store_true", help="end with an error if a test was skipped")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail for what was skipped, if that was asked for."""
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--no-skips") and terminal is not None and terminal.stats.get("skipped"):
        terminal.write_line("A test was skipped, and --no-skips was asked for.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session", autouse=True)
def _state_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads the user's settings or touches the user's journals; programs that tests start inherit this."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PYTRADER_")]:
            patch.delenv(name)
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


class Recordings:
    """Recorded exchange traffic; files are named from its folder, such as `binance/…_combined.frames.jsonl`."""

    def __init__(self, folder: Path) -> None:
        """Read from `folder`."""
        self.folder = folder

    def read(self, name: str) -> bytes:
        """Return one file, unpacked with the zstd program if it is packed."""
        plain = self.folder / name
        if plain.exists():
            return plain.read_bytes()
        return subprocess.run(["zstd", "-dcq", f"{plain}.zst"], check=True, capture_output=True).stdout


@pytest.fixture(scope="session")
def recordings() -> Recordings:
    """Return the recordings beside the repository; without them, or a way to unpack them, the test is skipped."""
    folder = REPO.parent / "shared" / "recordings"
    if not folder.is_dir():
        pytest.skip("needs the recordings in ../shared/recordings, which are not part of the repository")
    if shutil.which("zstd") is None:
        pytest.skip("needs the zstd program to unpack the recordings")
    return Recordings(folder)
