"""Appends to one journal after the other while the n-th file operation fails; says as JSON lines what was promised."""

import json
import shutil
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from failing import Disk

from pytrader.journal import Event, Journal, JournalError

SIZES = (1, 2, 60, 1)  # events a batch; the third fills several pages
CHECKPOINT_PAGES = 6  # so few that the short run carries the -wal into the database too
PATIENCE = 2  # tries on a disk that goes on failing before it is healed


def batches() -> list[list[Event]]:
    """Return the batches that every run appends."""
    made, seq = [], 0
    for size in SIZES:
        made.append([(number, number, number, b"%d" % number * 40) for number in range(seq + 1, seq + size + 1)])
        seq += size
    return made


class Session:
    """One run on one folder."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        """Nothing has been promised yet."""
        self.folder, self.disk = folder, disk
        self.acknowledged, self.faults = 0, []
        self.acknowledged_at_fault = None

    def run(self) -> None:
        """Open, append every batch, close; each again until it works."""
        journal = self.insist(lambda: Journal.open(self.folder))
        journal._connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        for batch in batches():
            self.insist(lambda batch=batch: journal.append(batch))
            self.acknowledged = batch[-1][0]
        journal.close()

    def insist(self, action: Callable[[], Any]) -> Any:
        """Try until it works, healing the disk when it goes on failing."""
        for tries in range(PATIENCE + 1):
            if tries == PATIENCE:
                self.disk.heal()
            try:
                return action()
            except JournalError as error:
                self.faults.append(str(error))
                if self.acknowledged_at_fault is None:
                    self.keep()
        raise AssertionError(self.faults)

    def keep(self) -> None:
        """Keep the files as a process killed now would leave them, under names that the disk lets be written."""
        self.acknowledged_at_fault = self.acknowledged
        aside = self.folder.with_name(f"{self.folder.name}-killed")
        aside.mkdir()
        for suffix in ("", "-wal", "-journal"):
            if (file := self.folder / f"journal.sqlite3{suffix}").exists():
                shutil.copyfile(file, aside / f"kept{suffix}")


def main(folder: Path, disk: Disk, code: int, on: bool) -> None:
    """Run once for every operation that a run has."""
    for at in count(1):
        disk.fail(at, code, on)
        session = Session(folder / str(at), disk)
        session.run()
        counted = disk.counted()
        disk.heal()
        print(json.dumps([at, session.acknowledged_at_fault, session.faults]), flush=True)
        if counted < at:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), Disk(Path(sys.argv[2])), int(sys.argv[3]), sys.argv[4] == "on")
