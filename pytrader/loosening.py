"""A start whose limits allow more than those of the last one: what they are, and the word that confirms it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytrader.limits import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Looser = list[tuple[str, str, str]]
"""Limits that allow more: the name of each setting, its value before and now."""

WORD: Final = "loosen"
_REMEDY: Final = (
    "nothing was started or changed. To confirm it start with --loosen (from Python: loosen=True), or at a terminal"
    f" and type {WORD}"
)


class LooserLimits(ValueError):  # noqa: N818 - it says what is so
    """Limits would allow more than at the last start, and nobody confirmed it; the journal is as it was."""

    def __init__(self, looser: Sequence[tuple[str, str, str]]) -> None:
        """Name each limit with both values, and the ways to confirm."""
        super().__init__(f"limits would allow more than at the last start: {listed(looser)}; {_REMEDY}")


def refused(_: Looser) -> bool:
    """Confirm nothing: where nobody can be asked."""
    return False


def confirmed(_: Looser) -> bool:
    """Confirm everything: it was asked for by name."""
    return True


def typed(looser: Looser, ask: Callable[[str], str] = input) -> bool:
    """Name each limit and ask for the word; anything else, also an end of input or Ctrl-C, is a no."""
    print("These limits would allow more than at the last start:")
    width = max(len(name) for name, _, _ in looser)
    for name, old, new in looser:
        print(f"  {name:{width}}  {old} -> {new}")
    try:
        return ask(f"Type {WORD} to trade with them; anything else leaves without a change: ").strip() == WORD
    except (EOFError, KeyboardInterrupt):
        print()
        return False
