"""`python -m pytrader`."""

import sys

from pytrader.cli import main

if __name__ == "__main__":
    sys.exit(main())
