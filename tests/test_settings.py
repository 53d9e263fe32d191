"""Settings: where values come from, what is refused and how it is said, and that keys stay secret."""

import copy
import dataclasses
import os
import pickle
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytrader import format_e8, parse_e8
from pytrader import settings as module
from pytrader.setting_kinds import Secret
from pytrader.settings import Settings, SettingsError, load, rows
from pytrader.venues import VENUES

HOME = {"HOME": "/home/someone"}
NAMES = [row.name for row in rows()]


@pytest.fixture
def env_file(tmp_path):
    """Write a `.env` of the given text and mode and return its path."""

    def write(text, mode=0o600):
        path = tmp_path / ".env"
        path.write_text(text)
        path.chmod(mode)
        return path

    return write


def refusal(cli=None, environ=None, env_file=None):
    """Return the message of the SettingsError that loading raises."""
    with pytest.raises(SettingsError) as caught:
        load(cli or {}, {**HOME, **(environ or {})}, env_file)
    return str(caught.value)


def test_defaults_are_the_limits_of_the_brief():
    """With nothing set: 50,000 USDT, 5 BTC, 5 orders a second, 10,000 USDT a day, 10 to 100 ms, no slippage, no fee.

    The controls around them: prices within 5 % of the book, 50 attempts a second, 200 refusals in 10 s, repeats pass.
    """
    it = load({}, HOME, None)
    assert (it.venue, it.symbol, it.execution) == ("binance", "BTC/USDT", "simulated")
    assert (it.max_order_notional_e8, it.max_position_e8) == (50_000 * 10**8, 5 * 10**8)
    assert (it.max_orders_per_second, it.max_daily_loss_e8) == (5, 10_000 * 10**8)
    assert (it.delay_min_ms, it.delay_max_ms, it.slippage_bps_e8, it.taker_fee_bps_e8) == (10, 100, 0, 0)
    assert (it.max_price_band_bps, it.max_attempts_per_second) == (500, 50)
    assert (it.runaway_refusals, it.repeat_window_ms) == (200, 0)
    assert (it.seed, it.stale_after_ms, it.ca_file, it.stream_url) == (None, 2000, None, None)
    assert set(it.sources.values()) == {"default"}


def test_command_line_beats_environment_beats_file_beats_default(env_file):
    """Each layer covers the one below, and every value knows its source."""
    path = env_file("PYTRADER_MAX_POSITION=1\nPYTRADER_SYMBOL=ethusdt\nPYTRADER_SEED=7\n")
    it = load({"max_position": "3"}, {**HOME, "PYTRADER_MAX_POSITION": "2", "PYTRADER_SYMBOL": "SOLUSDT"}, path)
    assert (it.max_position_e8, it.source("max_position")) == (3 * 10**8, "command line")
    assert (it.symbol, it.source("symbol")) == ("SOLUSDT", "environment")
    assert (it.seed, it.source("seed")) == (7, str(path))
    assert (it.venue, it.source("venue")) == ("binance", "default")


@pytest.mark.parametrize("key", ["PYTRADER_MAX_POSITON", "pytrader_max_position"])
def test_unknown_environment_key_names_the_nearest(key):
    """A misspelt key is an error, not a limit that silently does not apply."""
    message = refusal(environ={key: "1"})
    assert message == f"{key}: no such setting (environment); did you mean PYTRADER_MAX_POSITION?"


def test_unknown_key_in_the_file_names_file_and_nearest(env_file):
    """The same in `.env`, and other programs' keys there are left alone."""
    path = env_file("OTHER_PROGRAM=1\nPYTRADER_SLIPAGE_BPS=1\n")
    message = refusal(env_file=path)
    assert message == f"PYTRADER_SLIPAGE_BPS: no such setting ({path}); did you mean PYTRADER_SLIPPAGE_BPS?"


def test_unknown_command_line_name_is_refused():
    """Settings given from Python under a wrong name are named too."""
    assert refusal({"max_positon": "1"}).startswith("max_positon: no such setting (command line); did you mean max_")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("max_position", "five"),
        ("max_position", "0"),
        ("max_position", "-1"),
        ("max_position", "1e1"),
        ("max_position", "NaN"),
        ("max_position", "٣"),
        ("max_position", "1.123456789"),
        ("max_position", "50.00000001"),
        ("max_order_notional", "500000.01"),
        ("max_order_notional", ""),
        ("max_daily_loss", "100001"),
        ("max_orders_per_second", "51"),
        ("max_orders_per_second", "0"),
        ("max_orders_per_second", "5.0"),
        ("max_price_band_bps", "5001"),
        ("max_price_band_bps", "0"),
        ("max_price_band_bps", "0.5"),
        ("max_attempts_per_second", "501"),
        ("max_attempts_per_second", "0"),
        ("runaway_refusals", "2001"),
        ("runaway_refusals", "0"),
        ("repeat_window_ms", "10001"),
        ("repeat_window_ms", "-1"),
        ("slippage_bps", "1001"),
        ("delay_max_ms", "60001"),
        ("seed", "9223372036854775808"),
        ("stale_after_ms", "99"),
        ("venue", "bin/ance"),
        ("symbol", "BTC/USDT/X"),
        ("watch", "okx,okx"),
        ("watch", "okx;bybit"),
        ("watch", "okx,"),
        ("symbol", "../../etc"),
        ("log_level", "loud"),
        ("scenario", "stormy"),
        ("color", "always"),
        ("ca_file", "/nowhere/root.pem"),
        ("stream_url", "ws://example.com/ws"),
        ("stream_url", "wss://user:word@example.com/ws"),
        ("stream_url", "http://127.0.0.1/"),
        ("rest_url", "http://10.0.0.1/"),
        ("rest_url", "https:///path"),
        ("rest_url", "https://exa mple.com"),
        ("stream_url", "wss://localhost:99999"),
        ("stream_url", "wss://localhost:https"),
        ("stream_url", "wss://localhost:0"),
        ("rest_url", "https://localhost/?symbol=BTCUSDT"),
    ],
)
def test_malformed_value_names_setting_source_value_and_what_is_allowed(name, text):
    """The message is enough to mend the value without opening a document."""
    row = next(row for row in rows() if row.name == name)
    message = refusal(environ={row.env: text})
    assert message == f"{name}: {text!r} from environment ({row.env}) is not allowed: must be {row.kind.allowed}"
    assert f"from the command line ({row.option})" in refusal({name: text})


def test_all_faults_are_reported_at_once():
    """Two wrong values give two lines."""
    assert len(refusal({"max_position": "x", "seed": "y"}).splitlines()) == 2


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("max_position", "0.00000001", 1),
        ("max_position", "50", 50 * 10**8),
        ("max_price_band_bps", "5000", 5_000),
        ("max_attempts_per_second", "500", 500),
        ("runaway_refusals", "2000", 2_000),
        ("repeat_window_ms", "10000", 10_000),
        ("slippage_bps", "0.5", 5 * 10**7),
        ("stream_url", "ws://127.0.0.1:9000/", "ws://127.0.0.1:9000"),
        ("stream_url", "ws://localhost:9000", "ws://localhost:9000"),
        ("stream_url", "wss://data-stream.binance.vision", "wss://data-stream.binance.vision"),
        ("rest_url", "http://[::1]:80", "http://[::1]:80"),
        ("seed", "", None),
        ("log_level", "DEBUG", "debug"),
    ],
)
def test_values_at_the_edges_are_taken(name, text, value):
    """The tightest and the loosest limits, and plain addresses on loopback only."""
    it = load({name: text}, HOME, None)
    assert getattr(it, f"{name}_e8", None) == value or getattr(it, name, None) == value


def test_least_delay_above_the_greatest_is_refused_with_both_sources():
    """One value alone is fine; together they are not, and both places are named."""
    message = refusal({"delay_min_ms": "200"})
    assert message == "delay_min_ms: 200 (command line) is not allowed: must be at most delay_max_ms, 100 (default)"


def test_symbol_is_put_in_the_venues_words_and_its_own_spelling_is_kept():
    """BASE/QUOTE fits every venue; the folder keeps the venue's spelling, so that older journals are found."""
    spelled = {venue: load({"venue": venue}, HOME, None).venue_symbol for venue in VENUES}
    assert spelled == {
        **dict.fromkeys(["binance", "binance-sbe", "binance-usdm", "bybit"], "BTCUSDT"),
        **dict.fromkeys(["okx", "coinbase"], "BTC-USDT"),
    }
    assert load({"venue": "coinbase", "symbol": "eth-usd"}, HOME, None).venue_symbol == "ETH-USD"
    assert load({"symbol": "BTCUSDT"}, HOME, None).folder() == load({}, HOME, None).folder()
    assert load({"symbol": "btc/u", "watch": "okx:btc/u"}, HOME, None).venue_symbol == "BTCU"
    with pytest.raises(SettingsError, match=r"venue: 'binanse' from command line is not known.*did you mean binance"):
        load({"venue": "binanse"}, HOME, None).folder()


def test_watched_venues_are_a_comma_list_and_not_the_traded_one():
    """Each once, with a symbol of its own if need be."""
    assert load({"watch": "OKX, coinbase:btc-usd"}, HOME, None).watch == ("okx", "coinbase:BTC-USD")
    assert load({"watch": "coinbase:btc/usd"}, HOME, None).watch == ("coinbase:BTC/USD",)
    assert load({}, HOME, None).watch == ()
    for word in ("okx:a/b/c", "okx:/usdt", "okx:btc/", "okx:////"):
        assert f"watch: '{word}' from the command line" in refusal({"watch": word})
    message = refusal({"watch": "okx,binance"})
    assert message == "watch: binance (command line) is not allowed: it is the traded venue, whose book is kept anyway"
    message = refusal({"watch": "coinbase:BTC-USD", "venue": "coinbase"})
    assert message.startswith("watch: coinbase:BTC-USD (command line) is not allowed")
    assert message.endswith("it is the traded venue, of which one book is kept")
    with pytest.raises(SettingsError, match=r"watch: 'bibit' from command line is not known.*did you mean bybit"):
        load({"watch": "okx,bibit:BTCUSDT"}, HOME, None).demand("watch", VENUES)


def test_state_folder_follows_xdg_then_home():
    """The journal's folder names execution, venue and symbol; a relative XDG path is ignored, as its standard says."""
    assert load({}, HOME, None).folder() == Path("/home/someone/.local/state/pytrader/simulated-binance-BTCUSDT")
    assert load({}, {**HOME, "XDG_STATE_HOME": "/x"}, None).data_dir == Path("/x/pytrader")
    assert load({}, {**HOME, "XDG_STATE_HOME": "x"}, None).data_dir == Path("/home/someone/.local/state/pytrader")
    assert load({"data_dir": "/d"}, HOME, None).folder("demo") == Path("/d/demo/simulated-binance-BTCUSDT")


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_color_is_respected_unless_color_is_asked_for(environ):
    """NO_COLOR moves the default only: an explicit setting stands."""
    assert load({}, {**HOME, **environ}, None).color == "never"
    assert load({"color": "auto"}, {**HOME, **environ}, None).color == "auto"
    assert load({}, {**HOME, "NO_COLOR": ""}, None).color == "auto"


def test_a_word_outside_its_registry_is_refused_by_name():
    """Venues and executors are known to their registries; the fault names source and nearest word."""
    it = load({"venue": "binanse"}, HOME, None)
    with pytest.raises(SettingsError, match=r"'binanse' from command line is not known; .*did you mean binance\?"):
        it.demand("venue", {"binance", "okx"})
    it.demand("execution", {"simulated"})


def test_environment_is_the_process_own_when_none_is_given(monkeypatch):
    """The program itself passes no mapping."""
    monkeypatch.setenv("PYTRADER_SEED", "42")
    assert load({}, env_file=None).seed == 42


# The .env file


def test_missing_file_counts_as_empty(tmp_path):
    """No `.env` is the common case."""
    assert load({}, HOME, tmp_path / ".env") == load({}, HOME, None)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o644])
@pytest.mark.parametrize("key", ["BINANCE_TESTNET_API_KEY", "SOME_SECRET", "OKX_DEMO_API_PASSPHRASE"])
def test_file_that_others_can_use_is_refused_while_it_holds_keys(env_file, mode, key):
    """As ssh does, with the command that mends it; the key itself is not shown."""
    path = env_file(f"{key}=canary\n", mode)
    message = refusal(env_file=path)
    assert message.endswith(f"run chmod 600 {path}")
    assert "canary" not in message


def test_file_without_keys_may_be_read_by_others(env_file):
    """An empty key counts as none, so a fresh copy of the example loads."""
    assert load({}, HOME, env_file("PYTRADER_SEED=1\nBINANCE_TESTNET_API_KEY=\n", 0o644)).seed == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_file_of_another_user_is_refused_while_it_holds_keys(env_file):
    """Somebody who owns the file can open it up again later."""
    path = env_file("A_KEY=x\n")
    os.chown(path, 12345, 12345)
    assert "belongs to user 12345" in refusal(env_file=path)


@pytest.mark.parametrize("text", ["PYTRADER_SEED\n", "PYTRADER_SEED='1\n", "=1\n"])
def test_line_that_is_not_key_and_value_is_refused(env_file, text):
    """A line that cannot be read is not skipped."""
    assert "line 1 is not KEY=value" in refusal(env_file=env_file(text))


def test_key_given_twice_is_refused(env_file):
    """Of two limits nobody knows which one was meant."""
    assert "line 2 gives PYTRADER_SEED a second time" in refusal(
        env_file=env_file("PYTRADER_SEED=1\nPYTRADER_SEED=2\n")
    )


def test_unreadable_bytes_and_huge_files_are_refused(tmp_path):
    """Bytes that are not UTF-8, a folder in place of the file, and a file of 64 KiB and more."""
    path = tmp_path / ".env"
    path.write_bytes(b"PYTRADER_SEED=\xff\n")
    assert "cannot be read" in refusal(env_file=path)
    path.write_bytes(b"#" * 65_537)
    assert "larger than 65536 bytes" in refusal(env_file=path)
    assert "cannot be read" in refusal(env_file=tmp_path)


def test_values_are_not_interpolated(env_file, monkeypatch):
    """A dollar sign in a pass phrase stays a dollar sign."""
    monkeypatch.setenv("USER", "someone")
    it = load({}, HOME, env_file("OKX_DEMO_API_PASSPHRASE=a${USER}b\n"))
    assert it.okx_demo_api_passphrase.reveal() == "a${USER}b"


# Keys


def test_secret_shows_nothing_of_itself(env_file):
    """Not in repr, str, format, the listing, or a traceback's repr of the settings."""
    it = load({}, HOME, env_file("BINANCE_TESTNET_API_SECRET=canary\n"))
    secret = it.binance_testnet_api_secret
    shown = f"{it} {it!r} {secret} {secret!r} {secret!s} {module.listing(it)} {module.example()}"
    assert "canary" not in shown
    assert secret.reveal() == "canary"
    assert ("binance_testnet_api_secret", "(set)", "", it.source("binance_testnet_api_secret")) in module.listing(it)


def test_secret_is_not_written_out():
    """Pickling or copying a secret fails."""
    with pytest.raises(TypeError):
        pickle.dumps(Secret("x"))
    with pytest.raises(TypeError):
        copy.copy(Secret("x"))


def test_keys_are_not_taken_from_the_command_line():
    """Everybody on the machine can read a command line."""
    assert "no such setting (command line)" in refusal({"binance_testnet_api_key": "canary"})
    assert "canary" not in refusal({"binance_testnet_api_key": "canary"})


# The table and what is made from it


def test_example_file_is_made_from_the_table():
    """`.env.example` in the repository is exactly what `pytrader config --example` prints."""
    assert (Path(__file__).parents[1] / ".env.example").read_text() == module.example()


def test_example_loads_to_the_defaults_and_names_every_setting(tmp_path):
    """Copying it changes nothing; keys are commented out; every setting is there once with its unit and meaning."""
    text = module.example()
    path = tmp_path / ".env"
    path.write_text(text)
    assert load({}, HOME, path) == load({}, HOME, None)
    for row in rows():
        assert text.count(f"\n{'# ' if row.secret else ''}{row.env}=") == 1
        assert f"{row.meaning[1:]}{f' [{row.unit}]' if row.unit else ''}." in text


def test_settings_cannot_be_changed():
    """One run has one set of settings."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        load({}, HOME, None).seed = 3


def test_every_field_is_a_row_of_the_table():
    """Nothing is configurable without unit, meaning and source; names are unique."""
    assert len(NAMES) == len(set(NAMES)) == len(dataclasses.fields(Settings)) - 1
    assert list(load({}, HOME, None).sources) == NAMES


def test_listing_gives_back_what_was_set():
    """`config` prints each value as text that could be set again, with its source."""
    listed = {
        name: (text, source) for name, text, _, source in module.listing(load({"slippage_bps": "0.50"}, HOME, None))
    }
    assert listed["slippage_bps"] == ("0.5", "command line")
    assert listed["seed"] == ("", "default")
    plain = {name: text for name, (text, _) in listed.items() if not next(r for r in rows() if r.name == name).secret}
    assert load(plain, HOME, None) == load({"slippage_bps": "0.5"}, HOME, None)


# Exact decimals


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_decimal_text_comes_back_exactly(value):
    """Formatting and parsing are inverse over the whole range, and agree with `decimal`."""
    assert parse_e8(format_e8(value)) == value
    assert Decimal(format_e8(value)) == Decimal(value).scaleb(-8)
    assert format_e8(-value) == ("-" if value else "") + format_e8(value)


@pytest.mark.parametrize(
    "text", ["", ".5", "1.", "+1", "-1", " 1", "1 ", "1_0", "1e3", "0x1", "१", "1.123456789", "1" * 13, "NaN", "1\n"]
)
def test_other_number_texts_are_refused(text):
    """Digits, one point, at most 8 decimals: nothing else is a number here."""
    with pytest.raises(ValueError, match="digits"):
        parse_e8(text)


def test_number_beyond_the_integer_range_is_refused():
    """The greatest value is 92233720368.54775807."""
    assert parse_e8("92233720368.54775807") == 2**63 - 1
    with pytest.raises(ValueError, match=r"at most 92233720368\.54775807"):
        parse_e8("92233720368.54775808")
