"""Many connections over TLS that each become live and are ended, for a feed in a process of its own."""

import os
import select
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import load
from certificates import loopback, server_context
from venue_server import CLOSE, TEXT, VenueServer, depth, frame, snapshot, ticker

HERE = Path(__file__).parent
EARLY = 0.2  # of the connections: what is allocated once is there by then
PATIENCE_S = 30.0
FIRST_TOP = 12
ENDS = (
    lambda stream: stream.cut(),
    lambda stream: (stream.raw(frame(CLOSE, b"\x03\xe8")), stream.cut()),
    lambda stream: (stream.raw(frame(TEXT, b"x" * 100)[:50]), stream.cut()),
    lambda stream: stream.raw(b"\xff\xff" + b"x" * 100),  # no opcode: the client ends it
)


@dataclass
class Held:
    """What the client held after each connection."""

    threads: list = field(default_factory=list)
    descriptors: list = field(default_factory=list)
    resident: list = field(default_factory=list)

    def take(self, pid):
        """Look at the process."""
        folder = Path(f"/proc/{pid}")
        self.threads.append(len(list((folder / "task").iterdir())))
        self.descriptors.append(len(list((folder / "fd").iterdir())))
        self.resident.append(load.resident(pid))

    def text(self):
        """Return one line for a person."""
        return (
            f"{len(self.threads):,} connections over TLS: {_range(self.threads)} threads, {_range(self.descriptors)}"
            f" descriptors, {self.resident[-1] / 1e6:.1f} MB, grown {load.grown(self.resident) / 1e6:+.1f} MB"
        )

    def assert_flat(self):
        """Assert that the last connections held no more than the early ones. A leak stays; a fetch does not."""
        early = max(int(len(self.threads) * EARLY), 5)
        for counts in (self.threads, self.descriptors):
            assert min(counts[-early:]) <= max(counts[:early]), counts
        assert load.grown(self.resident) <= load.FLAT_BYTES, self.resident


def _range(counts):
    return f"{min(counts)} to {max(counts)}"


def reconnect(folder, count):
    """Let a client connect `count` times, end each connection once its book is live, and return what it held."""
    loopback(folder)
    held = Held()
    with VenueServer(rest=lambda _: (200, {}, snapshot(10)), tls=server_context(folder)) as server:
        command = [sys.executable, str(HERE / "reconnect_client.py"), str(server.port), str(folder / "root.pem")]
        environ = os.environ | {"PYTHONPATH": str(HERE.parent), "MALLOC_MMAP_THRESHOLD_": "131072"}
        pipe = subprocess.PIPE
        with subprocess.Popen(command, bufsize=0, stdin=pipe, stdout=pipe, env=environ) as client:
            try:
                for number in range(count):
                    _one(server, client, number)
                    held.take(client.pid)
                client.stdin.close()
                assert client.wait(PATIENCE_S) == 0
            finally:
                client.kill()
    assert len(server.upgrades) >= count
    return held


def _one(server, client, number):
    stream, top = server.stream(PATIENCE_S), FIRST_TOP + number
    stream.send(depth(9, 11, "100.00", "101.00"), ticker(top, "100.50", "101.00"))
    while select.select([client.stdout], [], [], PATIENCE_S)[0]:
        # The top of the bridging frame may be seen before the ticker's.
        if int(client.stdout.readline()) == top:
            return ENDS[number % len(ENDS)](stream)
    raise AssertionError(f"connection {number} never became live")
