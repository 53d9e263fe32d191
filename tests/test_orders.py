"""The command grammar: what a line means, what is refused and where, and that text and JSON say the same."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytrader import orders as module
from pytrader.grammar import ROWS
from pytrader.orders import (
    Cancel,
    CommandError,
    Csv,
    Flatten,
    Halt,
    Help,
    Listing,
    Order,
    Quit,
    Resume,
    Show,
    Top,
    Wait,
    Whatif,
    help_text,
    hints,
    is_blank,
    json_of,
    parse,
    text_of,
)

E8 = 10**8
MEANINGS = [
    ("buy 0.25", Order("buy", 25_000_000)),
    ("  BUY\t0.25 \n", Order("buy", 25_000_000)),
    ("sell 0.1 @ 68000 ioc", Order("sell", 10_000_000, 68_000 * E8, "ioc")),
    ("buy 0.1 @68000", Order("buy", 10_000_000, 68_000 * E8, "gtc")),
    ("buy 0.1@68000.5 gtc", Order("buy", 10_000_000, 6_800_050_000_000, "gtc")),
    ("sell 0.25 reduce", Order("sell", 25_000_000, reduce_only=True)),
    ("sell 1 reduce @ 1 IOC", Order("sell", E8, E8, "ioc", reduce_only=True)),
    ("buy 92233720368.54775807", Order("buy", 2**63 - 1)),
    ("buy 0.00000001", Order("buy", 1)),
    ("buy 0.25 id=abc123", Order("buy", 25_000_000, client_id="abc123")),
    ("sell 0.25 ID= Z9 reduce @ 1", Order("sell", 25_000_000, E8, "gtc", reduce_only=True, client_id="Z9")),
    ("buy 0.25 @ 68000 ioc id=" + "a" * 32, Order("buy", 25_000_000, 68_000 * E8, "ioc", client_id="a" * 32)),
    ("buy 0.25 id=ioc", Order("buy", 25_000_000, client_id="ioc")),
    ("whatif buy 0.25", Whatif("buy", 25_000_000)),
    ("whatif buy 0.25 id=a", Whatif("buy", 25_000_000, client_id="a")),
    ("WHATIF Sell 0.1@68000 ioc reduce", Whatif("sell", 10_000_000, 68_000 * E8, "ioc", reduce_only=True)),
    ("cancel 3", Cancel(3)),
    ("cancel all", Cancel(None)),
    ("orders", Listing("orders")),
    ("fills 20", Listing("fills", 20)),
    ("rejects 1000", Listing("rejects", 1000)),
    ("book 5", Listing("book", 5)),
    ("status", Show("status")),
    ("latency", Show("latency")),
    ("limits", Show("limits")),
    ("csv fills out.csv", Csv("fills", "out.csv")),
    ('csv orders "my orders.csv" force', Csv("orders", "my orders.csv", force=True)),
    ("csv rejects force", Csv("rejects", "force")),
    ("halt", Halt()),
    ('halt news at "14:00"', Halt('news at "14:00"')),
    ("resume", Resume()),
    ("flatten", Flatten()),
    ("wait 1.5", Wait(1500)),
    ("wait 0.001", Wait(1)),
    ("wait 3600", Wait(3_600_000)),
    ("wait fills", Wait(None)),
    ("top on", Top(on=True)),
    ("top off", Top(on=False)),
    ("help", Help()),
    ("help buy", Help("buy")),
    ("quit", Quit()),
    ('{"side": "buy", "quantity": 0.25}', Order("buy", 25_000_000)),
    ('{"side": "SELL", "quantity": "0.25", "reduce_only": true}', Order("sell", 25_000_000, reduce_only=True)),
    (
        '{"side": "buy", "quantity": 0.25, "price": "68000", "tif": "ioc", "reduce_only": false}',
        Order("buy", 25_000_000, 68_000 * E8, "ioc"),
    ),
    ('{"side": "buy", "quantity": 1, "price": null, "tif": null}', Order("buy", E8)),
    ('{"quantity": 1, "side": "buy", "price": 68000.12345678}', Order("buy", E8, 6_800_012_345_678, "gtc")),
    ('{"buy": 0.25}', Order("buy", 25_000_000)),
    ('{"side": "buy", "quantity": 1, "client_id": "a1"}', Order("buy", E8, client_id="a1")),
    ('{"side": "buy", "quantity": 1, "client_id": 17}', Order("buy", E8, client_id="17")),
    ('{"side": "buy", "quantity": 1, "client_id": null}', Order("buy", E8)),
    ('{"whatif": "buy", "quantity": 0.25}', Whatif("buy", 25_000_000)),
    ('{"command": "whatif", "order_side": "sell", "quantity": 1, "price": 2}', Whatif("sell", E8, 2 * E8, "gtc")),
    ('{"cancel": 3}', Cancel(3)),
    ('{"cancel": "all"}', Cancel(None)),
    ('{"command": "cancel", "order": 3}', Cancel(3)),
    ('{"command": "status"}', Show("status")),
    ('{"status": true}', Show("status")),
    ('{"fills": 20}', Listing("fills", 20)),
    ('{"wait": 1.5}', Wait(1500)),
    ('{"csv": "fills", "path": "a b.csv", "force": true}', Csv("fills", "a b.csv", force=True)),
    ('{"halt": "  because\\nof news "}', Halt("because of news")),
]


@pytest.mark.parametrize(("line", "command"), MEANINGS)
def test_line_means_its_command(line, command):
    """Text, JSON with numbers, JSON with text, and the short JSON forms."""
    assert parse(line) == command


DIGITS = "quantity must be digits with up to 8 decimals, such as 0.25"
WRONG_ID = "client_id must be 1 to 32 letters A to Z, a to z or digits, such as id=abc123"
ABOVE = "quantity must be above zero, such as 0.25"
REFUSALS = [
    ("", 1, "nothing to do: type a command, such as buy 0.25, or help"),
    ("byu 0.25", 1, "unknown command 'byu'; did you mean buy?"),
    ("  flaten", 3, "unknown command 'flaten'; did you mean flatten?"),
    ("xyzzy", 1, "unknown command 'xyzzy'; type help for the list"),
    ("boo\N{KELVIN SIGN}", 1, "unknown command 'boo\N{KELVIN SIGN}'; did you mean book?"),
    ("buy", 4, "buy needs <size>, such as: buy 0.25 @ 68000 ioc"),
    ("buy -1", 5, DIGITS),
    ("buy +1", 5, DIGITS),
    ("buy 0", 5, ABOVE),
    ("buy 0.00000000", 5, ABOVE),
    ("buy 1e3", 5, DIGITS),
    ("buy NaN", 5, DIGITS),
    ("buy inf", 5, DIGITS),
    ("buy 1,5", 5, DIGITS),
    ("buy 1_0", 5, DIGITS),
    ("buy .5", 5, DIGITS),
    ("buy 0.123456789", 5, DIGITS),
    ("buy \N{ARABIC-INDIC DIGIT ONE}", 5, DIGITS),
    ("buy \N{FULLWIDTH DIGIT ONE}", 5, DIGITS),
    ("buy 1" + "0" * 12, 5, DIGITS),
    ("buy 92233720368.54775808", 5, "quantity must be at most 92233720368.54775807, such as 0.25"),
    ("buy 1 @ 0", 9, "price must be above zero, such as 68000"),
    ("buy 1 @", 8, "@ needs a price, such as @ 68000"),
    ("buy 1 id=", 10, "id= needs a client_id, such as id=abc123"),
    ("buy 1 id=a-b", 10, WRONG_ID),
    ("buy 1 id=id=", 10, WRONG_ID),
    ("buy 1 id=" + "a" * 33, 10, WRONG_ID),
    ("buy 1 id=\N{LATIN SMALL LETTER E WITH ACUTE}", 10, WRONG_ID),
    ("buy 1 id=\N{ARABIC-INDIC DIGIT ONE}", 10, WRONG_ID),
    ("buy 1 id=a id=b", 12, "'id=' is not expected here; usage: buy <size> [@ <price>] [ioc|gtc] [reduce] [id=<id>]"),
    ('{"side": "buy", "quantity": 1, "client_id": ""}', 32, WRONG_ID),
    ('{"side": "buy", "quantity": 1, "client_id": 1.5}', 32, WRONG_ID),
    ('{"side": "buy", "quantity": 1, "client_id": true}', 32, "client_id must be a number or a text"),
    ("buy 1 ioc", 7, "ioc needs a limit price, such as @ 68000: a market order fills at once or is canceled"),
    (
        "buy 1 @ 2 ico",
        11,
        "'ico' is not expected here; did you mean ioc?; usage: buy <size> [@ <price>] [ioc|gtc] [reduce] [id=<id>]",
    ),
    ("buy 1 2", 7, "'2' is not expected here; usage: buy <size> [@ <price>] [ioc|gtc] [reduce] [id=<id>]"),
    ("buy 1 @ 2 @ 3", 11, "'@' is not expected here; usage: buy <size> [@ <price>] [ioc|gtc] [reduce] [id=<id>]"),
    ("whatif", 7, "whatif needs buy|sell, such as: whatif buy 0.25"),
    ("whatif byu 1", 8, "whatif must be buy or sell; did you mean buy?"),
    ("whatif buy", 11, "whatif needs <size>, such as: whatif buy 0.25"),
    ("whatif buy 1 gtc", 14, "gtc needs a limit price, such as @ 68000: a market order fills at once or is canceled"),
    ('{"whatif": "buy 1"}', 1, "whatif must be buy or sell; did you mean buy?"),
    ("cancel", 7, "cancel needs <order>|all, such as: cancel 3"),
    ("cancel 0", 8, "order must be a whole number from 1 to 9223372036854775807"),
    ("fills 1001", 7, "count must be a whole number from 1 to 1000"),
    ("status now", 8, "'now' is too much: usage is status"),
    ("top maybe", 5, "top must be on or off"),
    ("wait 3600.001", 6, "wait needs seconds up to 3600 with up to 3 decimals, such as 1.5, or fills"),
    ("csv fill x", 5, "csv must be fills or orders or rejects; did you mean fills?"),
    ("buy 1\x1b[2J", 6, "unprintable character U+001B: one command a line, in plain text"),
    ("buy 1\nbuy 1", 6, "unprintable character U+000A: one command a line, in plain text"),
    ("buy\N{NO-BREAK SPACE}1", 4, "unprintable character U+00A0: one command a line, in plain text"),
    ("buy \ud800", 5, "unprintable character U+D800: one command a line, in plain text"),
    ("halt " + "x" * 4092, 4097, "the line is longer than 4096 bytes"),
    ("halt " + "\N{EURO SIGN}" * 1365, 4097, "the line is longer than 4096 bytes"),
    ("{", 2, "not JSON: Expecting property name enclosed in double quotes"),
    ('{"side": "buy"} x', 17, "not JSON: Extra data"),
    ("{}", 1, 'give one of "side", "command" or a command\'s name, such as {"side": "buy", "quantity": 0.25}'),
    ('{"side": "byu", "quantity": 1}', 2, "unknown side 'byu'; did you mean buy?"),
    ('{"side": 1, "quantity": 1}', 2, "unknown side '1': known are buy, sell"),
    ('{"side": "buy", "quantity": -0.25}', 17, DIGITS),
    ('{"side": "buy", "quantity": 1e-3}', 17, DIGITS),
    ('{"side": "buy", "quantity": 0.1000000000000000055}', 17, DIGITS),
    ('{"side": "buy", "quantity": true}', 17, "quantity must be a number or a text"),
    ('{"side": "buy", "quantity": [1]}', 17, "quantity must be a number or a text"),
    ('{"side": "buy", "quantity": null}', 17, "quantity must be a number or a text"),
    ('{"side": "buy", "quantity": NaN}', 1, "NaN is not a number here: digits with up to 8 decimals, such as 0.25"),
    (
        '{"side": "buy", "quantity": -Infinity}',
        1,
        "-Infinity is not a number here: digits with up to 8 decimals, such as 0.25",
    ),
    ('{"side": "buy", "quantity": 1, "quantity": 9}', 1, "the key 'quantity' is given twice"),
    ('{"side": "buy", "quantty": 1}', 17, "unknown key 'quantty' for buy; did you mean quantity?"),
    ('{"side": "buy", "quantity": 1, "leverage": 3}', 32, None),
    ('{"side": "buy", "quantity": 1, "reduce_only": 1}', 32, "reduce_only must be true or false"),
    ('{"side": "buy", "quantity": 1, "tif": "ioc"}', 32, None),
    ('{"status": 3}', 2, "status takes no value here: write true"),
    ('{"cancel": 3, "order": 4}', 2, "cancel takes no value here: write true"),
    ('{"x": ' + "[" * 4000, 1, "not an order: JSON nested too deeply"),
    ('{"command": "csv", "what": "fills", "path": "a\\u0000b"}', 37, None),
]


@pytest.mark.parametrize(("line", "column", "message"), REFUSALS)
def test_other_lines_are_refused_with_place_and_remedy(line, column, message):
    """Garbage, negative, zero, huge, NaN, exponents, foreign digits, control characters: one clear error each."""
    with pytest.raises(CommandError) as caught:
        parse(line)
    assert (caught.value.column, caught.value.message) == (column, message or caught.value.message)
    assert caught.value.message.isprintable()


def test_quantity_that_is_only_too_large_for_the_limits_is_an_order():
    """The risk check refuses it with its notional; the grammar does not."""
    assert parse("buy 1000000") == Order("buy", 1_000_000 * E8)


def test_blank_lines_and_comments_are_told_apart():
    """A script may hold empty lines and comments."""
    assert is_blank("  \n")
    assert is_blank(" # buy 1")
    assert not is_blank("buy 1")


AMOUNT = st.integers(min_value=1, max_value=2**63 - 1)
PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=40)
SIDE = st.sampled_from(["buy", "sell"])
ID = st.none() | st.text("abcXYZ0189", min_size=1, max_size=32)
WORDS = st.lists(PRINTABLE.filter(bool), max_size=5).map(" ".join)
COMMANDS = st.one_of(
    st.builds(Order, SIDE, AMOUNT, reduce_only=st.booleans(), client_id=ID),
    st.builds(Order, SIDE, AMOUNT, AMOUNT, st.sampled_from(["ioc", "gtc"]), st.booleans(), ID),
    st.builds(Whatif, SIDE, AMOUNT, reduce_only=st.booleans(), client_id=ID),
    st.builds(Whatif, SIDE, AMOUNT, AMOUNT, st.sampled_from(["ioc", "gtc"]), st.booleans(), ID),
    st.builds(Cancel, st.none() | AMOUNT),
    st.builds(Listing, st.sampled_from(["orders", "fills", "rejects", "book"]), st.none() | st.integers(1, 1000)),
    st.builds(Show, st.sampled_from(["status", "latency", "limits"])),
    st.builds(
        Csv,
        st.sampled_from(["fills", "orders", "rejects"]),
        WORDS.map(lambda text: text.replace('"', "")).map(str.strip).filter(bool),
        st.booleans(),
    ),
    st.builds(Halt, WORDS.map(lambda text: " ".join(text.split()))),
    st.builds(Wait, st.none() | st.integers(0, 3_600_000)),
    st.builds(Top, on=st.booleans()),
    st.builds(Help, st.none() | st.sampled_from(list(ROWS))),
    st.sampled_from([Resume(), Flatten(), Quit()]),
)


@given(COMMANDS)
@example(Csv("fills", "force", force=True))
@example(Halt('"'))
def test_text_and_json_of_a_command_parse_back_to_it(command):
    """Nothing is lost on the way out and in, by either form."""
    assert parse(text_of(command)) == command
    assert parse(json_of(command)) == command


ALPHABET = [
    *'0123456789.@{}[]":,-+eE \t\x00\x1b\n',
    "buy ",
    "sell ",
    "cancel ",
    "csv ",
    "halt ",
    "NaN",
    '"side"',
    '"quantity"',
]
VALUES = st.text() | st.none() | st.booleans() | st.integers() | st.floats() | st.lists(st.integers())
KEYS = st.sampled_from(["side", "quantity", "price", "tif", "command", "order", "wait"])


def outcome(line):
    """Return the command, or the CommandError that stands in its place."""
    try:
        return parse(line)
    except CommandError as error:
        return error


@given(st.text() | st.lists(st.sampled_from(ALPHABET)).map("".join) | st.dictionaries(KEYS, VALUES).map(json.dumps))
def test_random_text_is_a_command_or_a_command_error(line):
    """No other exception leaves the parser; what it takes can be written again, what it refuses has a place."""
    found = outcome(line)
    if isinstance(found, CommandError):
        assert 1 <= found.column <= len(line) + 1
        assert found.message.isprintable()
    else:
        assert parse(text_of(found)) == found == parse(json_of(found))


@given(
    st.text()
    | st.sampled_from([line for line, _ in MEANINGS]).flatmap(
        lambda line: st.integers(0, len(line)).map(lambda end: line[:end])
    )
)
def test_hints_never_fail(text):
    """Completion looks at every half-typed line; the unfinished word is the end of the text."""
    current, found = hints(text)
    assert text.endswith(current)
    assert all(hint.word or hint.key for hint in found)


@pytest.mark.parametrize(
    ("text", "current", "words"),
    [
        ("", "", list(ROWS)),
        ("fi", "fi", list(ROWS)),
        ("buy ", "", ["<quantity>"]),
        ("buy 0.2", "0.2", ["<quantity>"]),
        ("buy 0.25 ", "", ["@", "reduce", "id="]),
        ("buy 0.25 i", "i", ["@", "reduce", "id="]),
        ("buy 0.25 id=", "", ["<client_id>"]),
        ("buy 0.25 id=a", "a", ["<client_id>"]),
        ("buy 0.25 id=a ", "", ["@", "reduce"]),
        ("buy 0.25 @", "", ["<price>"]),
        ("buy 0.25 @6", "6", ["<price>"]),
        ("buy 0.25 @ 68000 ", "", ["ioc", "gtc", "reduce", "id="]),
        ("buy 0.25 @ 68000 ioc r", "r", ["reduce", "id="]),
        ("buy x ", "", []),
        ("whatif ", "", ["buy", "sell"]),
        ("whatif s", "s", ["buy", "sell"]),
        ("whatif sell ", "", ["<quantity>"]),
        ("whatif sell 1 @ 2 ", "", ["ioc", "gtc", "reduce", "id="]),
        ("cancel ", "", ["all", "<order>"]),
        ("csv ", "", ["fills", "orders", "rejects"]),
        ("csv fills a.csv ", "", ["force"]),
        ("top o", "o", ["on", "off"]),
        ("status ", "", []),
        ("nothing ", "", []),
        ('{"side"', "", []),
    ],
)
def test_hints_are_what_the_grammar_takes_next(text, current, words):
    """Values that are free to choose appear as the key that completion fills in."""
    found_current, found = hints(text)
    assert (found_current, [hint.word or f"<{hint.key}>" for hint in found]) == (current, words)


def test_help_shows_each_command_once_in_eighty_columns():
    """The list fits a small terminal; each command has usage, example and JSON form."""
    lines = help_text().splitlines()
    assert [line.split()[0] for line in lines] == list(ROWS)
    assert max(map(len, lines)) <= 80
    assert '{"side": "buy", "quantity": "0.25", "price": "68000", "tif": "ioc"}' in help_text("buy")
    for row in ROWS.values():
        assert parse(row.example)
        assert row.example in help_text(row.name)


def test_no_json_key_is_also_a_command_name():
    """Otherwise `{"cancel": 3}` and its like could mean two things."""
    keys = {part.key for row in ROWS.values() for part in row.parts}
    assert not keys & {*ROWS, "side", "command"}


def test_commands_named_in_all_are_there():
    """What `orders` promises to export exists, sorted."""
    assert sorted(module.__all__) == module.__all__
    assert all(hasattr(module, name) for name in module.__all__)
