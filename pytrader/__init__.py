"""A trading terminal and engine for BTC/USDT: Python with a Rust core."""

__version__ = "0.1.0"
