"""Every setting of the program: its name, unit, range, default and meaning, and where its value came from.

The fields of `Settings` are the one table; the loader, `.env.example` and `pytrader config` are made from it. A value
is taken from the command line, else the environment, else `.env`, else the default. Nothing else reads the environment.
"""
# ruff: noqa: RUF009 - the calls in the class body are the table's rows, made once

from __future__ import annotations

import difflib
import io
import os
import re
import stat
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dotenv.parser import parse_stream

from pytrader import setting_kinds as kinds
from pytrader.setting_kinds import Secret
from pytrader.venues import VENUES, spelled

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

PREFIX = "PYTRADER_"
COMMAND_LINE, ENVIRONMENT, DEFAULT = "command line", "environment", "default"
ENV_FILE_MAX_BYTES = 65_536
_KEY_NAME = re.compile(r".*_(KEY|SECRET|PASSPHRASE)")


class SettingsError(ValueError):
    """A setting that cannot be used; the message has one line per fault: setting, source, value, what is allowed."""


_WORD = kinds.pattern("[a-z]{2,20}", "a word of 2 to 20 letters", str.lower)
_VENUE = kinds.pattern("[a-z-]{2,20}", "a word of 2 to 20 letters or -", str.lower)
_SYMBOL = kinds.pattern(
    "[A-Z0-9]{1,15}/[A-Z0-9]{1,10}|[A-Z0-9-]{4,26}",
    "BASE/QUOTE, such as BTC/USDT, or 4 to 26 letters, digits or - as the venue writes it",
    str.upper,
)
_WATCH = kinds.Kind(
    kinds.watched,
    "names of venues with a comma between them, each with its own :SYMBOL if need be, or nothing",
    ",".join,
)
_FILE = kinds.Kind(kinds.existing_file, "a file that exists")
_FOLDER = kinds.optional(kinds.Kind(kinds.path, "a folder"))
_BPS = kinds.decimal("0", "1000")
_DELAY = kinds.whole(0, 60_000)
_SEED = kinds.whole(0, 2**63 - 1)
_RATE = kinds.whole(1, 50, kinds.CAP)
_BAND = kinds.whole(1, 5_000, kinds.CAP)
_ATTEMPTS = kinds.whole(1, 500, kinds.CAP)
_RUNAWAY = kinds.whole(1, 2_000, kinds.CAP)
_WINDOW = kinds.whole(0, 10_000, kinds.COMPILED)
_STALE = kinds.whole(100, 10_000, kinds.COMPILED)
_LEVEL = kinds.choice("debug", "info", "warning", "error")
_MOOD = kinds.choice("calm", "busy", "crash", "quiet", "thin")
_SECRET = kinds.optional(kinds.Kind(Secret, "printable text", lambda _: "(set)"))


class Row(NamedTuple):
    """One row of the table. `unit` is empty for words; a secret has no command-line option."""

    kind: kinds.Kind
    default: str
    unit: str
    meaning: str
    secret: bool = False
    name: str = ""

    @property
    def env(self) -> str:
        """Return the key in the environment and in `.env`."""
        return self.name.upper() if self.secret else PREFIX + self.name.upper()

    @property
    def option(self) -> str:
        """Return the command-line option."""
        return "--" + self.name.replace("_", "-")


def _row(kind: kinds.Kind, default: str, unit: str, meaning: str) -> Any:  # noqa: ANN401 - stands for each field's own type
    return field(metadata={"row": Row(kind, default, unit, meaning)})


def _secret(meaning: str) -> Any:  # noqa: ANN401 - same
    return field(metadata={"row": Row(_SECRET, "", "", meaning, secret=True)})


def _reserved(meaning: str) -> Any:  # noqa: ANN401 - same
    return _secret(f"{meaning} (reserved: accepted, not used yet)")


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one run. A name that ends in `_e8` holds an exact decimal as an integer of 10⁻⁸."""

    venue: str = _row(_VENUE, "binance", "", "exchange whose market data is used")
    symbol: str = _row(_SYMBOL, "BTC/USDT", "", "instrument, as BASE/QUOTE or as the venue writes it")
    watch: tuple[str, ...] = _row(
        _WATCH, "", "", "venues whose books of the same pair are kept too, such as bybit,okx,coinbase:BTC-USD"
    )
    execution: str = _row(_WORD, "simulated", "", "where orders go: simulated fills them here and reaches no network")
    data_dir: Path = _row(
        _FOLDER, "", "", "folder of journal, log and history; nothing = pytrader in the XDG state home"
    )
    log_level: str = _row(_LEVEL, "info", "", "least level written to the log file")
    max_order_notional_e8: int = _row(kinds.limit("50000"), "50000", "quote", "largest notional of one order")
    max_position_e8: int = _row(kinds.limit("5"), "5", "base", "largest position, long or short, open orders counted")
    max_orders_per_second: int = _row(_RATE, "5", "orders", "most accepted orders in any one second")
    max_daily_loss_e8: int = _row(kinds.limit("10000"), "10000", "quote", "loss of one UTC day that stops trading")
    max_price_band_bps: int = _row(_BAND, "500", "basis points", "how far beyond the best price an order may reach")
    max_attempts_per_second: int = _row(_ATTEMPTS, "50", "orders", "most orders judged in any one second")
    runaway_refusals: int = _row(_RUNAWAY, "200", "refusals", "refusals within 10 s that halt trading")
    repeat_window_ms: int = _row(_WINDOW, "0", "ms", "time in which an identical order is refused; 0 = off")
    slippage_bps_e8: int = _row(_BPS, "0", "basis points", "added to simulated fills, apart from depth")
    taker_fee_bps_e8: int = _row(_BPS, "0", "basis points", "fee of a simulated fill that takes liquidity")
    maker_fee_bps_e8: int = _row(_BPS, "0", "basis points", "fee of a simulated fill that rested")
    delay_min_ms: int = _row(_DELAY, "10", "ms", "least delay of a simulated order")
    delay_max_ms: int = _row(_DELAY, "100", "ms", "greatest delay of a simulated order")
    seed: int | None = _row(
        kinds.optional(_SEED), "", "", "seed of the simulated delays; nothing = drawn and journaled at start"
    )
    stale_after_ms: int = _row(_STALE, "2000", "ms", "age at which a book is stale and orders are refused")
    stream_url: str | None = _row(
        kinds.optional(kinds.url("ws")), "", "URL", "market stream instead of the venues' own"
    )
    rest_url: str | None = _row(
        kinds.optional(kinds.url("http")), "", "URL", "snapshot address instead of the venues' own"
    )
    ca_file: Path | None = _row(kinds.optional(_FILE), "", "PEM file", "one more root certificate to trust")
    scenario: str = _row(_MOOD, "calm", "", "mood of the offline market (demo)")
    market_seed: int = _row(_SEED, "1", "", "seed of the offline market (demo)")
    record: Path | None = _row(
        kinds.optional(kinds.Kind(kinds.path, "a folder")),
        "",
        "",
        "folder for a recording of every frame (docs/recording.md); nothing = none is made",
    )
    record_max_mb: int = _row(
        kinds.whole(8, 1_000_000), "1024", "MB", "size of one market's recording; at it the oldest segments go first"
    )
    color: str = _row(kinds.choice("auto", "never"), "auto", "", "colours; NO_COLOR and TERM=dumb also turn them off")
    binance_sbe_api_key: Secret | None = _secret(
        "Binance Ed25519 API key, sent by venue binance-sbe; needs no permission"
    )
    binance_testnet_api_key: Secret | None = _reserved("Binance spot testnet key")
    binance_testnet_api_secret: Secret | None = _reserved("Binance spot testnet secret")
    bybit_testnet_api_key: Secret | None = _reserved("Bybit testnet key")
    bybit_testnet_api_secret: Secret | None = _reserved("Bybit testnet secret")
    okx_demo_api_key: Secret | None = _reserved("OKX demo trading key")
    okx_demo_api_secret: Secret | None = _reserved("OKX demo trading secret")
    okx_demo_api_passphrase: Secret | None = _reserved("OKX demo trading pass phrase")
    sources: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def source(self, name: str) -> str:
        """Return where the value of `name` came from: command line, environment, the `.env` file's path or default."""
        return self.sources[name]

    def folder(self, *under: str) -> Path:
        """Return the folder of this execution, venue and symbol; `folder("demo")` is the offline market's."""
        return self.data_dir.joinpath(*under, f"{self.execution}-{self.venue}-{self.venue_symbol}")

    @property
    def venue_symbol(self) -> str:
        """The instrument as the traded venue writes it. Raises SettingsError for a venue that is not known."""
        self.demand("venue", VENUES)
        return spelled(self.venue, self.symbol)

    def demand(self, name: str, known: Collection[str]) -> None:
        """Raise SettingsError unless each word of setting `name` is in `known`, the registry that owns the words."""
        value = getattr(self, name)
        for word in value if isinstance(value, tuple) else (value,):
            if (said := word.partition(":")[0]) not in known:
                fault = f"{name}: {said!r} from {self.source(name)} is not known; allowed: {', '.join(sorted(known))}"
                raise SettingsError(fault + _nearest(said, known))


def rows() -> Iterator[Row]:
    """Yield the table, each row under its setting's name."""
    for each in fields(Settings):
        if "row" in each.metadata:
            yield each.metadata["row"]._replace(name=each.name.removesuffix("_e8"))


def load(
    cli: Mapping[str, str], environ: Mapping[str, str] | None = None, env_file: Path | None = Path(".env")
) -> Settings:
    """Return the settings of this run.

    `cli` maps setting names to texts; `environ` None means this process's own; a missing `env_file` counts as empty.
    Raises SettingsError with one line for each fault.
    """
    environ = os.environ if environ is None else environ
    file = {} if env_file is None else _read_env_file(env_file)
    faults = _unknown_cli(cli) + _unknown_env(environ, ENVIRONMENT) + _unknown_env(file, str(env_file))
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for row, each in zip(rows(), fields(Settings), strict=False):
        text, sources[row.name] = _choose(row, cli, environ, file, str(env_file))
        try:
            values[each.name] = row.kind.read(text)
        except ValueError:
            shown = "the value" if row.secret else repr(text)
            faults.append(f"{row.name}: {shown} from {_place(row, sources)} is not allowed: must be {row.kind.allowed}")
    if not faults:
        faults = _across(values, sources)
    if faults:
        raise SettingsError("\n".join(faults))
    values["data_dir"] = values["data_dir"] or _state_home(environ)
    return Settings(**values, sources=sources)


def _choose(
    row: Row, cli: Mapping[str, str], environ: Mapping[str, str], file: Mapping[str, str], path: str
) -> tuple[str, str]:
    if row.name in cli and not row.secret:
        return cli[row.name], COMMAND_LINE
    if row.env in environ:
        return environ[row.env], ENVIRONMENT
    if row.env in file:
        return file[row.env], path
    if row.name == "color" and (environ.get("NO_COLOR") or environ.get("TERM") == "dumb"):
        return "never", ENVIRONMENT
    return row.default, DEFAULT


def _place(row: Row, sources: Mapping[str, str]) -> str:
    source = sources[row.name]
    return f"the {source} ({row.option})" if source == COMMAND_LINE else f"{source} ({row.env})"


def _across(values: Mapping[str, Any], sources: Mapping[str, str]) -> list[str]:
    faults = []
    low, high = values["delay_min_ms"], values["delay_max_ms"]
    if low > high:
        first, second = sources["delay_min_ms"], sources["delay_max_ms"]
        faults += [f"delay_min_ms: {low} ({first}) is not allowed: must be at most delay_max_ms, {high} ({second})"]
    for word in values["watch"]:
        name, own, _ = word.partition(":")
        if name == values["venue"]:
            kept = "of which one book is kept" if own else "whose book is kept anyway"
            faults += [f"watch: {word} ({sources['watch']}) is not allowed: it is the traded venue, {kept}"]
    return faults


def _nearest(word: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""


def _unknown_cli(cli: Mapping[str, str]) -> list[str]:
    known = [row.name for row in rows() if not row.secret]
    return [f"{name}: no such setting ({COMMAND_LINE}){_nearest(name, known)}" for name in cli if name not in known]


def _unknown_env(keys: Mapping[str, str], source: str) -> list[str]:
    known = [row.env for row in rows()]
    return [
        f"{key}: no such setting ({source}){_nearest(key.upper(), [name for name in known if name.startswith(PREFIX)])}"
        for key in keys
        if key.upper().startswith(PREFIX) and key not in known
    ]


def _state_home(environ: Mapping[str, str]) -> Path:
    base = environ.get("XDG_STATE_HOME", "")
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    return (Path(base) if Path(base).is_absolute() else home / ".local" / "state") / "pytrader"


def _read_env_file(path: Path) -> dict[str, str]:
    """Read `path` once, by one descriptor, so that the file whose mode was checked is the file that was read."""
    try:
        with path.open("rb") as file:
            status, raw = os.fstat(file.fileno()), file.read(ENV_FILE_MAX_BYTES + 1)
        values = _bindings(path, raw.decode())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from None
    if len(raw) > ENV_FILE_MAX_BYTES:
        raise SettingsError(f"{path}: larger than {ENV_FILE_MAX_BYTES} bytes")
    if any(value and _KEY_NAME.fullmatch(key) for key, value in values.items()):
        _demand_private(path, status)
    return values


def _bindings(path: Path, text: str) -> dict[str, str]:
    """Return the keys of dotenv text, values as written: no variable is put in. A bad or doubled line is refused."""
    values: dict[str, str] = {}
    for line in parse_stream(io.StringIO(text)):
        if line.error or (line.key is not None and line.value is None):
            raise SettingsError(f"{path}: line {line.original.line} is not KEY=value")
        if line.key in values:
            raise SettingsError(f"{path}: line {line.original.line} gives {line.key} a second time")
        if line.key is not None and line.value is not None:
            values[line.key] = line.value
    return values


def _demand_private(path: Path, status: os.stat_result) -> None:
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(status.st_mode)
        raise SettingsError(f"{path}: holds keys, but others can use it (mode {mode:04o}): run chmod 600 {path}")
    if status.st_uid not in (0, os.geteuid()):
        raise SettingsError(f"{path}: holds keys, but belongs to user {status.st_uid}: make a copy of your own")


def example() -> str:
    """Return the text of `.env.example`: each setting with its unit, range, default and meaning, keys commented out."""
    lines = [
        "# Settings of pytrader. Copy to .env and change what you need; every line shows the default.",
        "# The command line goes before the environment, the environment before .env, .env before the default.",
        "# With a key in it, .env must be yours alone: chmod 600 .env",
    ]
    for row in rows():
        unit = f" [{row.unit}]" if row.unit else ""
        lines += ["", f"# {row.meaning[0].upper()}{row.meaning[1:]}{unit}."]
        lines += [f"# Allowed: {row.kind.allowed}. Default: {row.default or 'nothing'}."]
        lines += [f"{'# ' if row.secret else ''}{row.env}={row.default}"]
    return "\n".join(lines) + "\n"


def listing(settings: Settings) -> list[tuple[str, str, str, str]]:
    """Return (name, value as text, unit, source) of each setting; a secret shows only whether it is set."""
    values = {each.name.removesuffix("_e8"): getattr(settings, each.name) for each in fields(settings)}
    return [(row.name, row.kind.write(values[row.name]), row.unit, settings.source(row.name)) for row in rows()]
