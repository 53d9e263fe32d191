"""What clients write: JSON, and numbers in queries."""

import json
from typing import Any


def read_json(text: str | bytes) -> Any:  # noqa: ANN401 - anything can stand in JSON
    """Return what a client's text says. Raises ValueError for one that is no JSON, or too deeply nested to be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_count(text: str, most: int) -> int | None:
    """Return the whole number from 1 to `most` (at most 6 digits) that a query's text is, or None."""
    count = int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else 0
    return count if 1 <= count <= most else None
