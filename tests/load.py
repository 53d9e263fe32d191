"""Ten times the busiest second, from a server process to a client process with the real feed, watched from here."""

import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from certificates import loopback

HERE = Path(__file__).parent
PAGE = os.sysconf("SC_PAGE_SIZE")
WARM = 0.2  # of the samples: what is allocated once is there by then
FLAT_BYTES = 2 << 20


def grown(samples):
    """Return how much the largest of the last third exceeds the largest of the first, once warm; three at least."""
    warm = samples[int(len(samples) * WARM) :]
    third = len(warm) // 3
    return max(warm[-third:]) - max(warm[:third])


def resident(pid):
    """Return the memory that a process holds, bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


@dataclass
class Load:
    """What one run showed. `resident` holds the client's memory each half second, bytes."""

    server: dict = field(default_factory=dict)
    client: dict = field(default_factory=dict)
    resident: list = field(default_factory=list)
    seconds: float = 0.0

    def whole(self):
        """Assert that every frame came, in order, on one connection, and that the book stands."""
        counters = self.client["counters"]
        assert counters["frames"] == self.server["sent"], counters
        wrong = ("gaps", "refused", "duplicates", "crossed", "resyncs", "divergences")
        assert not any(counters[name] for name in wrong), counters
        assert (counters["snapshots"], self.client["connected"], self.server["upgrades"]) == (1, 1, 1), self.server
        assert self.client["synced"]
        assert self.client["frames"] + self.client["lost"] == self.server["sent"], self.client
        assert self.client["missed"] == self.client["lost"], self.client

    def grown(self):
        """Return how much more memory the last third of the samples held at most than the first, bytes."""
        return grown(self.resident)

    def is_flat(self):
        """Say whether memory stays: growth of at most 2 MiB from the first to the last third."""
        return self.grown() <= FLAT_BYTES

    def text(self):
        """Return one line for a person."""
        lag, burst, late = self.client["lag_ms"], self.client["burst_ms"], self.server
        tail = f"p99.9 {lag['p999']:.2f}, max {lag['max']:.1f} ms"
        worst = f", burst max {burst['max']:.1f} ms (sent in {late['burst_ms']} ms)" if burst["count"] else ""
        return (
            f"{late['sent']:,} frames in {self.seconds:.0f} s, {self.client['missed']} missed; lag p50"
            f" {lag['p50']:.2f}, p99 {lag['p99']:.2f}, {tail}{worst}; sender late p99"
            f" {late['late_p99_us'] / 1e3:.1f} ms; resident {statistics.median(self.resident) / 1e6:.1f} MB, grown"
            f" {self.grown() / 1e6:+.1f} MB; machine's load {os.getloadavg()[0]:.1f}"
        )


class Running:
    """The two processes of a run. Leaving ends them."""

    def __init__(self, folder, seconds, *, bursts=0, stall_s=0.0, tape_mb=16, reader_pause_s=0.0):
        """Start the server, then the client."""
        loopback(folder)
        self.load, self._said, self._began_s = Load(), [], time.monotonic()
        self._server = self._start("load_server", folder, seconds, bursts, stall_s)
        port = int(self._server.stdout.readline())
        self.client = self._start("load_client", port, folder, tape_mb, reader_pause_s)
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    @staticmethod
    def _start(name, *arguments):
        command = [sys.executable, str(HERE / f"{name}.py"), *map(str, arguments)]
        # A fixed threshold gives large blocks back at once: what is resident is what is held.
        environ = {"PYTHONPATH": os.pathsep.join((str(HERE.parent), str(HERE))), "MALLOC_MMAP_THRESHOLD_": "131072"}
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=os.environ | environ)

    def _listen(self):
        self._said.append({})
        for line in self.client.stdout:
            self._said[-1] = json.loads(line)

    def __enter__(self):
        """Return the run."""
        return self

    def __exit__(self, *_):
        """End both processes."""
        for process in (self.client, self._server):
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
        self._listener.join(10)
        for process in (self.client, self._server):
            process.stdin.close()
            process.stdout.close()

    def said(self):
        """Return what the client said last."""
        return self._said[-1] if self._said else {}

    def received(self):
        """Return how many frames the client has seen."""
        return self.said().get("frames", 0)

    def finish(self, within_s):
        """Watch until every frame that was sent is received, and return what was seen."""
        end_s, done = time.monotonic() + within_s, threading.Event()
        threading.Thread(target=self._hear, args=(done,), daemon=True).start()
        while not done.wait(0.5):
            assert time.monotonic() < end_s, f"not all was sent in {within_s} s: {self.said()}"
            assert self.client.poll() is None, "the client has ended"
            self._sample()
        self.load.seconds = time.monotonic() - self._began_s
        self._settle(end_s)
        self.client.stdin.close()
        self.client.wait(30)
        self._listener.join(5)
        self.load.client = self.said()
        return self.load

    def _hear(self, done):
        line = self._server.stdout.readline()
        if line:
            self.load.server = json.loads(line)
        done.set()

    def _settle(self, end_s):
        """Wait until nothing more comes: what was dropped is never seen."""
        before = -1
        while time.monotonic() < end_s and before != self.received():
            before = self.received()
            time.sleep(1.5)

    def _sample(self):
        if self.received():
            self.load.resident.append(resident(self.client.pid))


def run(folder, seconds, **more):
    """Run the load for `seconds` of its own time and return what was seen."""
    with Running(folder, seconds, **more) as running:
        return running.finish(seconds * 6 + 60)
