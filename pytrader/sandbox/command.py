"""`pytrader sandbox`: run the offline market alone, or for a parent that ends it by closing its pipe."""

import argparse
import asyncio
import os
import signal
import ssl
import sys
from typing import Any

from pytrader.sandbox.chaos import KINDS, kinds_of, schedule
from pytrader.sandbox.dialects.listing import CHECKSUMS, Options
from pytrader.sandbox.market import START_TICKS, Market
from pytrader.sandbox.scenario import SCENARIOS

MISSING_EXTRA = "The offline market needs wsproto: pip install 'pytrader[sandbox]'"

EXAMPLES = """examples (one market, one port, six exchanges' protocols):
  pytrader sandbox --port 8090 --scenario busy --seed 11
    Binance spot    ws://127.0.0.1:8090/stream?streams=btcusdt@bookTicker/btcusdt@depth@100ms   /api/v3/depth
    Binance SBE     ws://127.0.0.1:8090/sbe/stream?streams=btcusdt@depth  with any X-MBX-APIKEY header
    Binance USD-M   ws://127.0.0.1:8090/public/stream?streams=btcusdt@depth@100ms                 /fapi/v1/depth
    Bybit v5 spot   ws://127.0.0.1:8090/v5/public/spot                                          /v5/market/orderbook
    OKX v5          ws://127.0.0.1:8090/ws/v5/public                                            /api/v5/market/books
    Coinbase        ws://127.0.0.1:8090/                         /api/v3/brokerage/market/products/BTC-USDT
  pytrader sandbox --okx-checksum crc32 --okx-no-snapshot
  curl -d '{"drop_depth": 1}' http://127.0.0.1:8090/control
  pytrader sandbox --port 8090 --chaos drop,cut,silent --chaos-every 10 --seed 3
  pytrader sandbox --port 8090 --chaos all"""


def _price_ticks(text: str) -> int:
    whole, _, cents = text.partition(".")
    digits = whole + cents
    if not (digits.isascii() and digits.isdigit() and whole and len(whole) <= 7 and len(cents) <= 2):
        raise argparse.ArgumentTypeError(f"{text!r} is not a price with at most 2 decimals")
    ticks = int(whole) * 100 + int(cents.ljust(2, "0"))
    if not 100_000 <= ticks <= 90_000_000:
        raise argparse.ArgumentTypeError("the price must lie between 1000 and 900000 USDT")
    return ticks


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and up to 1000")
    return value


def _kinds(text: str) -> tuple[str, ...]:
    try:
        return kinds_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `pytrader sandbox`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    parser.add_argument("--port", type=_port, default=0, help="port on 127.0.0.1; 0 = any free one (default 0)")
    parser.add_argument("--seed", type=int, default=7, help="equal seeds make equal markets (default 7)")
    parser.add_argument("--scenario", choices=SCENARIOS, default="calm", help="what kind of market (default calm)")
    parser.add_argument("--rate", type=_positive, default=1.0, help="factor on every rate (default 1)")
    parser.add_argument(
        "--start-price",
        type=_price_ticks,
        default=START_TICKS,
        metavar="USDT",
        help="first best bid (default 26795.40)",
    )
    parser.add_argument("--ping-seconds", type=_positive, default=20.0, help="between the server's pings (default 20)")
    parser.add_argument(
        "--okx-checksum",
        choices=CHECKSUMS,
        default="zero",
        help="of OKX books frames: 0 as today, no such field, or the CRC32 of old (default zero)",
    )
    parser.add_argument("--okx-no-snapshot", action="store_true", help="OKX books begin without a snapshot")
    parser.add_argument(
        "--chaos",
        type=_kinds,
        metavar="KIND,...",
        help=f"faults without end, in an order that --seed fixes: {', '.join(KINDS)}, or all",
    )
    parser.add_argument(
        "--chaos-every", type=_positive, default=5.0, metavar="SECONDS", help="between two such faults (default 5)"
    )
    parser.add_argument("--certfile", help="serve TLS with this certificate (PEM)")
    parser.add_argument("--keyfile", help="key of --certfile (PEM)")
    parser.add_argument("--parent-pipe", action="store_true", help="end when standard input is closed")


def run(given: argparse.Namespace) -> int:
    """Serve until SIGINT, SIGTERM or the end of the parent's pipe; return 0, or 1 if it could not start."""
    if given.keyfile and not given.certfile:
        print("The offline market cannot start: --keyfile needs --certfile", file=sys.stderr)
        return 1
    try:
        return asyncio.run(_serve(given))
    except ModuleNotFoundError as missing:
        if missing.name not in ("wsproto", "h11"):
            raise
        print(MISSING_EXTRA, file=sys.stderr)
    except OSError as refused:
        print(f"The offline market cannot start: {refused}", file=sys.stderr)
    return 1


async def _serve(given: argparse.Namespace) -> int:
    from pytrader.sandbox.server import HOST, Server  # noqa: PLC0415 - needs the extra; its absence gets a clear error

    tls = None
    if given.certfile:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(given.certfile, given.keyfile)
    market = Market(given.seed, SCENARIOS[given.scenario], rate=given.rate, start_ticks=given.start_price)
    options = Options(okx_checksum=given.okx_checksum, okx_snapshot=not given.okx_no_snapshot)
    server = Server(market, ping_s=given.ping_seconds, options=options)
    ended = _end_signals(given.parent_pipe)
    faulted = _end_on_fault(ended)
    port = await server.start(given.port, tls)
    scheme = "https" if tls else "http"
    print(f"Offline market on {scheme}://{HOST}:{port} (scenario {given.scenario}, seed {given.seed})", flush=True)
    if given.chaos:
        server.chaos.start(schedule(given.chaos, given.seed), given.chaos_every)
    await ended.wait()
    await server.stop()
    return 1 if faulted else 0


def _end_signals(parent_pipe: bool) -> asyncio.Event:
    """Return an event that is set by SIGINT, SIGTERM or, if asked, the end of standard input."""
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)

    def read_parent() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            ended.set()

    if parent_pipe:
        loop.add_reader(0, read_parent)
    return ended


def _end_on_fault(ended: asyncio.Event) -> list[BaseException]:
    """Let a mistake of our own end the process instead of leaving a market that stands still; return them."""
    faults: list[BaseException] = []

    def note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        loop.default_exception_handler(context)
        error = context.get("exception")
        if error is not None and not isinstance(error, OSError):  # a client's broken connection is no mistake of ours
            faults.append(error)
            ended.set()

    asyncio.get_running_loop().set_exception_handler(note)
    return faults
