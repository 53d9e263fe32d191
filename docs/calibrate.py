# ruff: noqa: INP001 - a script, not part of a package
"""Compare the offline market with recordings of the real one, by the same statistics.

    python docs/calibrate.py RECORDING ... [--scenario calm] [--seeds 7 8] [--seconds 320]

prints a Markdown table: one column a recording, then one a seed. A recording is named without its endings; it is a pair
`<name>.frames.jsonl[.zst|.gz]` and `<name>.recv_ns.txt[.zst|.gz]`, and `.zst` needs `zstd`. Distances are in
basis points (bp) of the price, because the two markets stand at different prices.
"""

import argparse
import gzip
import json
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, TypeAlias

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pytrader.sandbox.market import Market
from pytrader.sandbox.scenario import SCENARIOS

Stamped: TypeAlias = tuple[int, str, dict[str, Any]]  # receive or virtual time in ns, stream, data
Rows: TypeAlias = dict[str, str]
TRADE, TICKER, DEPTH = "btcusdt@trade", "btcusdt@bookTicker", "btcusdt@depth@100ms"


def read_text(stem: str, suffix: str) -> str:
    """Return the text of `stem + suffix`, packed or plain."""
    for ending in ("", ".zst", ".gz"):
        path = Path(f"{stem}{suffix}{ending}")
        if path.exists() and ending == ".zst":
            return subprocess.run(["zstd", "-dc", path], check=True, capture_output=True).stdout.decode()  # noqa: S603, S607
        if path.exists():
            return gzip.decompress(path.read_bytes()).decode() if ending else path.read_text()
    raise FileNotFoundError(f"{stem}{suffix}[.zst|.gz]")


def recorded(stem: str) -> list[Stamped]:
    """Return a recording's frames with their receive times."""
    times = [int(line) for line in read_text(stem, ".recv_ns.txt").split()]
    frames = [json.loads(line) for line in read_text(stem, ".frames.jsonl").splitlines()]
    return [(at, frame["stream"], frame["data"]) for at, frame in zip(times, frames, strict=True)]


def synthetic(seed: int, scenario: str, rate: float, seconds: float) -> list[Stamped]:
    """Return the frames of the offline market with their virtual times; the 1,000 ms depth stream is left out."""
    market = Market(seed, SCENARIOS[scenario], rate=rate)
    frames = market.advance(int(seconds * 1e9))
    return [(at, stream, json.loads(data)) for at, stream, data in frames if stream != "btcusdt@depth"]


def at(values: Iterable[float], *shares: float, digits: int = 0) -> str:
    """Return the quantiles of `values` at `shares`, as text."""
    ordered = sorted(values)
    return " / ".join(f"{ordered[min(len(ordered) - 1, int(share * len(ordered)))]:.{digits}f}" for share in shares)


def gaps_ms(frames: Sequence[Stamped]) -> list[float]:
    """Return the times between neighbours, in ms."""
    return [(later[0] - earlier[0]) / 1e6 for earlier, later in pairwise(frames)]


def counts(frames: Sequence[Stamped], start: int, end: int, window_ms: int) -> list[int]:
    """Return how many frames fall into each whole window."""
    width = window_ms * 1_000_000
    seen = Counter((frame[0] - start) // width for frame in frames)
    return [seen.get(index, 0) for index in range((end - start) // width)]


def rates(frames: Sequence[Stamped], trades: Sequence[Stamped], tickers: Sequence[Stamped]) -> Rows:
    """Describe how many and how bursty."""
    start, end = frames[0][0], frames[-1][0]
    seconds = (end - start) / 1e9
    rows = {
        "frames a second": f"{len(frames) / seconds:.0f}",
        "bookTicker a second": f"{len(tickers) / seconds:.0f}",
        "trades a second": f"{len(trades) / seconds:.1f}",
    }
    for name, part in (("all", frames), ("bookTicker", tickers), ("trade", trades)):
        for window_ms in (100, 1000):
            seen = counts(part, start, end, window_ms)
            fano = statistics.pvariance(seen) / statistics.mean(seen)
            rows[f"{name} in {window_ms} ms: p50 / p90 / p99 / max"] = at(seen, 0.5, 0.9, 0.99, 1)
            rows[f"{name} in {window_ms} ms: variance / mean"] = f"{fano:.0f}"
    rows["time between frames, ms: p50 / p90 / p99 / max"] = at(gaps_ms(frames), 0.5, 0.9, 0.99, 1, digits=2)
    rows["time between bookTickers, ms: p50 / p90 / p99 / max"] = at(gaps_ms(tickers), 0.5, 0.9, 0.99, 1, digits=2)
    rows["time between trades, ms: p50 / p90 / p99 / max"] = at(gaps_ms(trades), 0.5, 0.9, 0.99, 1, digits=2)
    return rows


def top_rows(tickers: Sequence[Stamped]) -> Rows:
    """Describe the best prices: spread, sizes, moves."""
    spreads = [round((float(data["a"]) - float(data["b"])) * 100) for _, _, data in tickers]
    held = sum(later[0] - earlier[0] for (earlier, later), s in zip(pairwise(tickers), spreads, strict=False) if s == 1)
    sizes = [float(data[key]) for _, _, data in tickers for key in "BA"]
    moves = [abs(float(later[2]["b"]) / float(earlier[2]["b"]) - 1) * 1e4 for earlier, later in pairwise(tickers)]
    moved = [move for move in moves if move]
    per_second = list({(stamp - tickers[0][0]) // 10**9: float(data["b"]) for stamp, _, data in tickers}.values())
    second_moves = [abs(later / earlier - 1) * 1e4 for earlier, later in pairwise(per_second)]
    return {
        "spread of 1 tick, share of bookTickers": f"{spreads.count(1) / len(spreads):.3f}",
        "spread of 1 tick, share of time": f"{held / (tickers[-1][0] - tickers[0][0]):.3f}",
        "size at the touch, BTC: p10 / p25 / p50 / p75 / p90 / p99": at(
            sizes, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, digits=2
        ),
        "bookTickers that move the bid, share": f"{len(moved) / len(moves):.3f}",
        "such a move, bp: p50 / p90 / p99": at(moved, 0.5, 0.9, 0.99, digits=3),
        "move of the bid in 1 s, bp: p50 / p90 / p99": at(second_moves, 0.5, 0.9, 0.99, digits=2),
        "move of the bid in 1 s, bp: root mean square": f"{statistics.mean(m * m for m in second_moves) ** 0.5:.2f}",
    }


def trade_rows(trades: Sequence[Stamped], seconds: float) -> Rows:
    """Describe sizes and how trades cluster: neighbours of the same millisecond and side are one market order."""
    sizes = [float(data["q"]) for _, _, data in trades]
    clusters = [len(list(group)) for _, group in groupby(trades, key=lambda trade: (trade[2]["T"], trade[2]["m"]))]
    return {
        "trade size, BTC: p25 / p50 / p75 / p90 / p99": at(sizes, 0.25, 0.5, 0.75, 0.9, 0.99, digits=4),
        "BTC traded a second": f"{sum(sizes) / seconds:.2f}",
        "market orders a second": f"{len(clusters) / seconds:.1f}",
        "trades of one market order: mean": f"{statistics.mean(clusters):.2f}",
        "trades of one market order: p50 / p75 / p90 / p99 / max": at(clusters, 0.5, 0.75, 0.9, 0.99, 1),
    }


def depth_rows(depths: Sequence[Stamped], tickers: Sequence[Stamped], seconds: float) -> Rows:
    """Describe the diff depth frames."""
    levels = [len(data["b"]) + len(data["a"]) for _, _, data in depths]
    ids = [data["u"] - data["U"] + 1 for _, _, data in depths]
    gone = sum(not float(size) for _, _, data in depths for _, size in data["b"] + data["a"])
    lengths = [len(json.dumps(data, separators=(",", ":"))) for _, _, data in depths]
    return {
        "depth frames a second": f"{len(depths) / seconds:.2f}",
        "book changes (ids) a second": f"{sum(ids) / seconds:.0f}",
        "ids in a depth frame: p10 / p50 / p90 / p99 / max": at(ids, 0.1, 0.5, 0.9, 0.99, 1),
        "levels in a depth frame: p10 / p50 / p90 / p99 / max": at(levels, 0.1, 0.5, 0.9, 0.99, 1),
        "levels in a depth frame: mean": f"{statistics.mean(levels):.0f}",
        "levels / ids": f"{sum(levels) / sum(ids):.2f}",
        "levels removed, share": f"{gone / sum(levels):.2f}",
        "depth frame, bytes: p50 / max": at(lengths, 0.5, 1),
        "changed level's distance from the touch, bp: p10 / p25 / p50 / p75 / p90": at(
            distances(depths, tickers), 0.1, 0.25, 0.5, 0.75, 0.9, digits=2
        ),
    }


def distances(depths: Sequence[Stamped], tickers: Sequence[Stamped]) -> list[float]:
    """Return how far behind its own side's best price each changed level lies, in bp."""
    found, index = [], 0
    for _, _, data in depths:
        while index + 1 < len(tickers) and tickers[index + 1][2]["u"] <= data["u"]:
            index += 1
        bid, ask = float(tickers[index][2]["b"]), float(tickers[index][2]["a"])
        found += [(bid - float(price)) / bid * 1e4 for price, _ in data["b"]]
        found += [(float(price) - ask) / ask * 1e4 for price, _ in data["a"]]
    return found


def describe(frames: Sequence[Stamped]) -> Rows:
    """Return every statistic of one session."""
    seconds = (frames[-1][0] - frames[0][0]) / 1e9
    trades = [frame for frame in frames if frame[1] == TRADE]
    tickers = [frame for frame in frames if frame[1] == TICKER]
    depths = [frame for frame in frames if frame[1] == DEPTH]
    return {
        **rates(frames, trades, tickers),
        **top_rows(tickers),
        **trade_rows(trades, seconds),
        **depth_rows(depths, tickers, seconds),
    }


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", nargs="*", help="path of a recording without its endings")
    parser.add_argument("--scenario", choices=SCENARIOS, default="calm")
    parser.add_argument("--rate", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8])
    parser.add_argument("--seconds", type=float, default=320.0)
    given = parser.parse_args()
    columns = {Path(stem).name.split("_")[2]: describe(recorded(stem)) for stem in given.recordings}
    for seed in given.seeds:
        frames = synthetic(seed, given.scenario, given.rate, given.seconds)
        columns[f"{given.scenario}, seed {seed}"] = describe(frames)
    print("| | " + " | ".join(columns) + " |")
    print("| --- " * (len(columns) + 1) + "|")
    for row in next(iter(columns.values())):
        print(f"| {row} | " + " | ".join(column[row] for column in columns.values()) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
