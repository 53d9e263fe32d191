"""Reads and writes commands by the table of `grammar.py`.

A line is text such as `buy 0.25 @ 68000 ioc` or one JSON object such as `{"side": "buy", "quantity": 0.25}`; both read
the same parts of the same row. `parse` raises CommandError for whatever is no command, and nothing else.
"""

from __future__ import annotations

import json
import re
from reprlib import repr as short
from typing import TYPE_CHECKING, Any, NamedTuple

from pytrader.grammar import (
    ROWS,
    SIDE_KEY,
    Cancel,
    Command,
    Csv,
    Flatten,
    Halt,
    Help,
    Listing,
    Order,
    Part,
    Quit,
    Resume,
    Row,
    Show,
    Top,
    Wait,
    Whatif,
    nearest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "Cancel",
    "Command",
    "CommandError",
    "Csv",
    "Flatten",
    "Halt",
    "Help",
    "Hint",
    "Listing",
    "Order",
    "Quit",
    "Resume",
    "Show",
    "Top",
    "Wait",
    "Whatif",
    "help_text",
    "hints",
    "is_blank",
    "json_of",
    "parse",
    "text_of",
]

LINE_MAX_BYTES = 4096


class CommandError(ValueError):
    """A line that is no command: `message` says what to do, `column` (from 1) where it went wrong."""

    def __init__(self, message: str, column: int = 1) -> None:
        """Keep both apart; `str()` gives the message alone."""
        super().__init__(message)
        self.message, self.column = message, column


class Token(NamedTuple):
    """A word of the line and the column (from 1) of its first character."""

    text: str
    column: int


def is_blank(line: str) -> bool:
    """Tell whether a line holds nothing to do: white space, or a comment that begins with #."""
    return not line.strip() or line.lstrip().startswith("#")


def parse(line: str) -> Command:
    """Return the command of one line, as text or as a JSON object. Raises CommandError, and nothing else."""
    line = line.rstrip("\r\n")
    _demand_plain(line)
    if line.lstrip().startswith("{"):
        return _from_json(line)
    first = next(_tokens(line, r"\S+"), None)
    if first is None:
        raise CommandError("nothing to do: type a command, such as buy 0.25, or help")
    row = _row(first)
    values, columns, left = _read(row, line, list(_arguments(row, line)))
    return _build(row, values, left, lambda key: columns.get(key, len(line) + 1))


def _demand_plain(line: str) -> None:
    if len(line) > LINE_MAX_BYTES or len(line.encode(errors="replace")) > LINE_MAX_BYTES:
        raise CommandError(f"the line is longer than {LINE_MAX_BYTES} bytes", LINE_MAX_BYTES + 1)
    for column, char in enumerate(line, 1):
        if not char.isprintable() and char != "\t":
            raise CommandError(f"unprintable character U+{ord(char):04X}: one command a line, in plain text", column)


def _tokens(line: str, pattern: str) -> Iterator[Token]:
    return (Token(match[0], match.start() + 1) for match in re.finditer(pattern, line))


def _arguments(row: Row, line: str) -> Iterator[Token]:
    """Yield the words after the command: in an order @ and id= stand alone, elsewhere quotation marks join."""
    words = _tokens(line, r"@|(?i:id=)|[^\s@]+" if any(part.lead for part in row.parts) else r'"[^"]*"|\S+')
    next(words)
    return words


def _row(word: Token) -> Row:
    row = ROWS.get(word.text.lower())
    if row is None or not word.text.isascii():
        near = nearest(word.text, ROWS) or "; type help for the list"
        raise CommandError(f"unknown command {short(word.text)}{near}", word.column)
    return row


def _read(row: Row, line: str, words: list[Token]) -> tuple[dict[str, Any], dict[str, int], list[Part]]:
    """Return values and columns by JSON key, and the parts that are still to come."""
    values: dict[str, Any] = {}
    columns: dict[str, int] = {}
    left = list(row.parts)
    while words:
        word = words.pop(0)
        part = next((part for part in left if part.takes(word.text)), None)
        if part is None:
            raise CommandError(_unexpected(row, word, left), word.column)
        if part.lead:
            if not words:
                raise CommandError(
                    f"{part.lead} needs a {part.key}, such as {part.sample}", word.column + len(part.lead)
                )
            word = words.pop(0)
        text = word.text
        if part.rest:
            text, words = line[word.column - 1 :], []
        elif len(text) > 1 and text[0] == text[-1] == '"':
            text = text[1:-1]
        values[part.key], columns[part.key] = _value(part, text, word.column), word.column
        left.remove(part)
    return values, columns, left


def _value(part: Part, text: str, column: int) -> object:
    try:
        return part.read(text)
    except ValueError as error:
        raise CommandError(str(error), column) from None


def _unexpected(row: Row, word: Token, left: list[Part]) -> str:
    if not left:
        return f"{short(word.text)} is too much: usage is {row.usage}"
    words = [each for part in left for each in part.words]
    return f"{short(word.text)} is not expected here{nearest(word.text, words)}; usage: {row.usage}"


def _build(row: Row, values: dict[str, Any], left: list[Part], column_of: Callable[[str], int]) -> Command:
    for part in left:
        if not part.optional:
            raise CommandError(f"{row.name} needs {part.usage}, such as: {row.example}", column_of(part.key))
    fields = {part.attribute: values.get(part.key, part.absent) for part in row.parts}
    try:
        return (row.make or row.kind)(**row.fixed, **fields)
    except ValueError as error:
        raise CommandError(str(error), column_of("tif")) from None


def _from_json(line: str) -> Command:
    data = _object(line)
    row = _row_of(data, line)
    values: dict[str, Any] = {}
    left = list(row.parts)
    for key, value in data.items():
        part = next((part for part in row.parts if part.key == key), None)
        if part is None:
            known = [part.key for part in row.parts]
            hint = nearest(key, known) or f"; known: {', '.join(known) or 'nothing more'}"
            raise CommandError(f"unknown key {short(key)} for {row.name}{hint}", _column_of(key, line))
        if _is_given(part, value, _column_of(key, line)):
            values[key] = True if part.flag else _value(part, value, _column_of(key, line))
            left.remove(part)
    return _build(row, values, left, lambda key: _column_of(key, line))


def _object(line: str) -> dict[str, Any]:
    """Read one JSON object with every number kept as its text. Doubled keys, NaN and Infinity are refused."""
    try:
        data = json.loads(
            line, parse_float=str, parse_int=str, parse_constant=_refuse_constant, object_pairs_hook=_without_doubles
        )
    except json.JSONDecodeError as error:
        raise CommandError(f"not JSON: {error.msg}", error.colno) from None
    except RecursionError:
        raise CommandError("not an order: JSON nested too deeply") from None
    assert isinstance(data, dict), "a text that begins with { is an object or an error"
    return data


def _refuse_constant(text: str) -> None:
    raise CommandError(f"{text} is not a number here: digits with up to 8 decimals, such as 0.25")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise CommandError(f"the key {short(key)} is given twice")
    return dict(pairs)


def _column_of(key: str, line: str) -> int:
    return max(line.find(json.dumps(key, ensure_ascii=False)), 0) + 1


def _row_of(data: dict[str, Any], line: str) -> Row:
    """Take from `data` the one key that names the command; `{"cancel": 3}` gives its first part too."""
    naming = [key for key in data if key in ("side", "command") or key in ROWS]
    if len(naming) != 1:
        raise CommandError(
            'give one of "side", "command" or a command\'s name, such as {"side": "buy", "quantity": 0.25}'
        )
    key, value = naming[0], data.pop(naming[0])
    if key in ("side", "command"):
        known = ("buy", "sell") if key == "side" else tuple(ROWS)
        word = value.lower() if isinstance(value, str) and value.isascii() else ""
        if word not in known:
            hint = nearest(word, known) or f": known are {', '.join(known)}"
            raise CommandError(f"unknown {key} {short(value)}{hint}", _column_of(key, line))
        return ROWS[word]
    row = ROWS[key]
    if value is not None and value is not True:
        first = row.parts[0].key if row.parts else ""
        if not first or first in data:
            raise CommandError(f"{key} takes no value here: write true", _column_of(key, line))
        data[first] = value
    return row


def _is_given(part: Part, value: object, column: int) -> bool:
    """Tell whether a JSON value sets its part: null leaves an optional part out, and so does false for a flag."""
    if value is None and part.optional:
        return False
    if part.flag and isinstance(value, bool):
        return value
    if part.flag or not isinstance(value, str):
        raise CommandError(f"{part.key} must be {'true or false' if part.flag else 'a number or a text'}", column)
    return True


def _taken_apart(command: Command) -> tuple[Row, list[tuple[Part, Any]]]:
    """Return the row that makes `command`, and the parts that are set in it."""
    for row in ROWS.values():
        same_class = isinstance(command, row.kind)
        if same_class and all(getattr(command, name) == value for name, value in row.fixed.items()):
            pairs = [(part, getattr(command, part.attribute)) for part in row.parts]
            return row, [(part, value) for part, value in pairs if not part.optional or value != part.absent]
    raise AssertionError(f"no row makes {command!r}")


def text_of(command: Command) -> str:
    """Return the line that parses to `command`."""
    row, pairs = _taken_apart(command)
    return " ".join([row.name, *(part.led(part.write(value)) for part, value in pairs)])


def json_of(command: Command) -> str:
    """Return the JSON object that parses to `command`; amounts are text."""
    row, pairs = _taken_apart(command)
    values = {
        part.key: True if part.flag else value if isinstance(value, str) else part.write(value) for part, value in pairs
    }
    return json.dumps({"side": row.name, **values} if isinstance(command, Order) else {"command": row.name, **values})


class Hint(NamedTuple):
    """What can stand at the cursor: a fixed word, or (word empty) a value of `key`; `row` is its command, if known."""

    word: str
    meaning: str
    key: str
    row: str


def hints(before: str) -> tuple[str, list[Hint]]:
    """Return the unfinished word before the cursor, and what can stand there. Never raises; JSON has no hints."""
    if not before.isprintable() or before.lstrip().startswith("{"):
        return "", []
    words = list(_tokens(before, r"\S+"))
    if not words or (len(words) == 1 and not before.endswith(" ")):
        return (words[0].text if words else ""), [Hint(row.name, row.meaning, "", "") for row in ROWS.values()]
    row = ROWS.get(words[0].text.lower())
    return _hints_of(row, before) if row else ("", [])


def _hints_of(row: Row, before: str) -> tuple[str, list[Hint]]:
    words = list(_arguments(row, before))
    leads = {part.lead for part in row.parts if part.lead}
    current = words.pop().text if words and not before.endswith(" ") and words[-1].text.lower() not in leads else ""
    lead = words.pop().text.lower() if words and words[-1].text.lower() in leads else ""
    try:
        values, _, left = _read(row, before, words)
    except CommandError:
        return current, []
    required = [part for part in left if not part.optional][:1]
    possible = [part for part in left if part.needs not in [other.key for other in left]]
    next_parts = [part for part in left if part.lead == lead] if lead else required or possible
    name = values.get(SIDE_KEY, row.name)  # what an order takes next depends on its side
    return current, [hint for part in next_parts for hint in _words_of(name, part, after_lead=bool(lead))]


def _words_of(name: str, part: Part, *, after_lead: bool) -> Iterator[Hint]:
    if part.lead and not after_lead:
        yield Hint(part.lead, part.usage, "", name)
        return
    for word in part.words:
        yield Hint(word, part.usage, "", name)
    if "<" in part.show:
        yield Hint("", part.usage, part.key, name)


def help_text(topic: str | None = None) -> str:
    """Return the list of commands, or usage, meaning, example and JSON form of one."""
    if topic is None:
        width = max(len(row.listed) for row in ROWS.values())
        return "\n".join(f"{row.listed:{width}}  {row.meaning}" for row in ROWS.values())
    row = ROWS[topic]
    example = parse(row.example)
    return f"{row.usage}\n  {row.meaning}\n  for example: {row.example}\n  as JSON:     {json_of(example)}"
