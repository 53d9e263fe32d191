"""`python -m pytrader.sandbox`: the offline market as a process of its own."""

import argparse
import sys

from pytrader.sandbox import command


def main() -> int:
    """Parse the options and serve."""
    parser = argparse.ArgumentParser(prog="pytrader sandbox", description="A synthetic BTC/USDT exchange on loopback.")
    command.add_arguments(parser)
    return command.run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
