# ruff: noqa: INP001 - a script, not part of a package
"""Count the frames a second that the offline market can send: a raw socket reads and counts, nothing is parsed.

    python docs/count_frames.py [--scenario busy] [--rate 25] [--seconds 8]

Prints one line: frames and bytes a second received, the slowest and the fastest second, the market's share of a core.
"""

import argparse
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pytrader.sandbox.process import OfflineMarket
from pytrader.sandbox.scenario import SCENARIOS

STREAMS = "btcusdt@bookTicker/btcusdt@depth@100ms/btcusdt@trade"
UPGRADE = (
    f"GET /stream?streams={STREAMS} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def whole_frames(data: bytes) -> tuple[int, bytes]:
    """Return how many whole WebSocket frames `data` starts with, and the bytes after them."""
    count, start, end = 0, 0, len(data)
    while end - start >= 2:
        size, header = data[start + 1], 2
        if size >= 126:
            header = 4 if size == 126 else 10
            size = int.from_bytes(data[start + 2 : start + header], "big")
        if end - start < header + size:
            break
        count, start = count + 1, start + header + size
    return count, data[start:]


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used, from /proc (clock ticks of 10 ms)."""
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().split()[13:15])) / 100


def count(market: OfflineMarket, seconds: int) -> tuple[list[int], int]:
    """Return the frames of each second, and all bytes."""
    seen, received = [0] * seconds, 0
    with socket.create_connection((market.host, market.port)) as client:
        client.sendall(UPGRADE.encode())
        _, _, data = client.recv(65_536).partition(b"\r\n\r\n")
        started = time.monotonic()
        while (second := int(time.monotonic() - started)) < seconds:
            chunk = client.recv(1 << 20)
            received += len(chunk)
            frames, data = whole_frames(data + chunk)
            seen[second] += frames
    return seen, received


def main() -> int:
    """Start a market, count, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", choices=SCENARIOS, default="busy")
    parser.add_argument("--rate", type=float, default=25.0)
    parser.add_argument("--seconds", type=int, default=8)
    given = parser.parse_args()
    with OfflineMarket.start(7, given.scenario, rate=given.rate) as market:
        seen, received = count(market, given.seconds)
        share = cpu_seconds(market.pid) / given.seconds
    print(
        f"{sum(seen) / given.seconds:,.0f} frames/s, {received / given.seconds / 1e6:.1f} MB/s, seconds from "
        f"{min(seen):,} to {max(seen):,} frames, the market's share of a core {share:.0%}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
