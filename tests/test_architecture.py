"""The style, and the absences that ARCHITECTURE.md promises, as tests."""

import ast
import re
import tomllib
from itertools import chain

from source_tree import (
    FILES,
    NAMES,
    PYTHON,
    RUST,
    TREE,
    blanked,
    block_end,
    functions,
    imports,
    is_test,
    last_word,
    matches,
    package,
    package_nodes,
    rust_functions,
    text,
    without_tests,
)

FUNCTION_LINES, FILE_LINES, TEST_FILE_LINES, FILE_KIB = 60, 400, 600, 400

BANNED_WORDS = {"manager", "handler", "helper", "processor", "util", "common", "misc"}
DEFAULT_PYTHON = {"websocket-client", "orjson", "prompt-toolkit", "python-dotenv"}
# Who is invited to each crate, and ("+") to its tests. A further guest needs a reason beside its name in Cargo.toml.
CRATES = {
    "rust_core/engine": {
        "crc32fast",
        "foldhash",
        "serde",
        "serde_json",
        "loom",
        "+allocation-counter",
        "+criterion",
        "+proptest",
    },
    "rust_core/link": {"rustix", "rustls", "rustls-native-certs", "+criterion", "+proptest", "+tungstenite"},
    "rust_core": {"engine", "link", "pyo3", "rustix", "serde_json"},
}
UNSAFE_ALLOWED: set[str] = set()
ENGINE_MUST_NOT_KNOW = re.compile(
    r"\bpyo3\b|\bstd::(?:thread|net|fs|env|process)\b|\bstd::time\b(?!::Duration\b)|\b(?:Instant|SystemTime)\b"
    r"|\bstd::\{[^}]*\b(?:thread|net|fs|env|process|time)\b|\bf(?:32|64)\b"
)
STARTS_THREAD = re.compile(
    r"Thread|Timer|ThreadPool(Executor)?|ThreadingMixIn|start_new_thread|to_thread|run_in_executor"
)
REACHES_NETWORK = re.compile(r"(socket|ssl|http|urllib(?!\.parse)|websocket|asyncio|socketserver|wsproto)(\..*)?")
READS_ENVIRONMENT = re.compile(r"os\.(environb?|getenvb?)|dotenv\.(load_dotenv|dotenv_values)")

# Hosts of Binance that serve public market data next to what is not: allowed with such a path, and not without.
BINANCE_PUBLIC = (
    r"stream-sbe\.binance\.com(?::\d+)?/(?:stream|ws)(?![\w./-])|fstream\.binance\.com/public/stream(?![\w./-])"
    r"|fapi\.binance\.com/fapi/v1/(?:depth|exchangeInfo)(?![\w./-])"
)
TRADING_HOST = re.compile(
    rf"(?<![\w.-])(?!{BINANCE_PUBLIC})(?!(?:developers|www|demo[a-z-]*)\.)(?:[a-z0-9-]+\.)+binance\.(?:com|us)\b"
    r"|(?<![\w.-])(?:api\.(?!bybit\.com/v5/market/)|stream\.(?!bybit\.com/v5/public/spot\b))(?:bybit|bytick)\.com"
    r"|(?<![\w.-])(?:ws(?!\.okx\.com/ws/v5/public\b)|ws(?:aws|us|eea))\.okx\.com"
    r"|(?<![\w.-])(?:openapi(?!\.okx\.com/api/v5/(?:market|public)/)|aws|eea|us|my)\.okx\.com"
    r"|\bwww\.okx\.com(?=/api)"
    # What knows an account, whatever the host: an address is put together from base and path only when it is used.
    r"|(?<!/api)/v5/(?:private|trade|order|position|account|asset|user)\b|/ws/v5/(?:private|business)\b"
    r"|/api/v5/(?:trade|account|asset|users)\b"
    r"|(?<![\w.-])(?:api\.exchange|ws-direct\.exchange|advanced-trade-ws-user)\.coinbase\.com"
    r"|(?<![\w.-])api\.coinbase\.com(?!/api/v3/brokerage/market/)"
    r"|(?<![\w.-])advanced-trade-ws\.coinbase\.com(?!/?(?![\w.:/@-]))"
)
# What knows an account, whatever the host: an address is put together from base and path only when it is used.
PRIVATE_PATH = re.compile(
    r"/api/v3/(?:order|openOrders|allOrders|account|myTrades|userDataStream)\b|/api/v3/brokerage/(?!market/)\w"
    r"|/fapi/v[0-9]/(?!(?:depth|exchangeInfo)\b)\w|/ws-f?api/v[0-9]\b|\blistenKey\b"
)
UNCHECKED_TLS = re.compile(
    r"\bCERT_(?:NONE|OPTIONAL)\b|check_hostname\W{1,4}False|_create_unverifie[d]|\bverify ?= ?False|\.dangerous\(\)"
)
REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|(?:index|static)\.crates\.io|\bdeb\.debian\.org|registry\.npmjs\.org"
)
MACHINE_PATH = re.compile(r"(?:^|[^A-Za-z0-9._-])/(?:work|root)/", re.MULTILINE)


# ---- size and names


def test_no_function_is_longer_than_sixty_lines() -> None:
    """A function that does not fit one screen is two functions."""
    sizes = [
        (f"{NAMES[path]}:{node.lineno}", node.name, node.end_lineno - node.lineno + 1) for path, node in functions()
    ]
    assert not [row for row in chain(sizes, rust_functions()) if row[2] > FUNCTION_LINES]


def test_no_file_is_longer_than_its_subject() -> None:
    """A source file ends at 400 lines; tests, and tests inside a source file, may bring it to 600."""
    whole = {NAMES[path]: text(path).count("\n") for path in [*PYTHON, *RUST]}
    own = {NAMES[path]: whole[NAMES[path]] for path in PYTHON if not is_test(path)}
    own |= {NAMES[path]: without_tests(source).count("\n") for path, source in RUST.items() if not is_test(path)}
    assert not {name: lines for name, lines in own.items() if lines > FILE_LINES}
    assert not {name: lines for name, lines in whole.items() if lines > TEST_FILE_LINES}


def test_no_file_or_type_is_named_after_nothing() -> None:
    """A manager, helper or utility says nothing of what it does; such a name hides two subjects."""
    names = [(name, part) for name in NAMES.values() for part in name.split("/")]
    for path, tree in PYTHON.items():
        names += [(NAMES[path], node.name) for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    for path, source in RUST.items():
        names += [(NAMES[path], name) for name in re.findall(r"\b(?:struct|enum|trait|mod)\s+(\w+)", source)]
    assert not [(where, name) for where, name in names if words(name) & BANNED_WORDS]


def words(name: str) -> set[str]:
    """Return the words of a snake-case or camel-case name, in lower case and without a plural's s."""
    return {word.lower().removesuffix("s") for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def test_every_public_python_name_is_documented() -> None:
    """Every module, and every public class and function in it, says what it is."""
    bare = []
    for name, tree in package():
        classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
        members = chain.from_iterable(scope.body for scope in [tree, *classes])
        defined = [node for node in members if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        public = [tree, *classes, *(node for node in defined if not node.name.startswith("_"))]
        bare += [f"{name} {getattr(node, 'name', '')}" for node in public if not ast.get_docstring(node)]
    assert not bare


def test_every_test_says_what_must_happen() -> None:
    """A test has a docstring, or a name that is a sentence of three words or more."""
    tests = [(path, node) for path, node in functions() if is_test(path) and node.name.startswith("test_")]
    dumb = [
        f"{NAMES[path]} {node.name}"
        for path, node in tests
        if not ast.get_docstring(node) and len(node.name.split("_")) <= 3
    ]
    for path, source in RUST.items():
        named = re.findall(r"#\[test\]\s*(?:#\[[^\]]*\]\s*)*fn\s+(\w+)", source)
        dumb += [f"{NAMES[path]} {name}" for name in named if len(name.split("_")) < 3]
    assert not dumb


# ---- what is not there


def test_only_settings_reads_the_environment() -> None:
    """Every value that changes what the program does is in one table, with its source."""
    nodes = list(package_nodes(but_for={"settings.py"}))
    seen = [
        where
        for where, node in nodes
        if READS_ENVIRONMENT.fullmatch(ast.unparse(node) if isinstance(node, ast.Attribute) else "")
    ]
    for name, tree in package():
        seen += [
            f"{name} {full}" for full in imports(tree) if name != "settings.py" and READS_ENVIRONMENT.fullmatch(full)
        ]
    assert not seen


def test_only_app_starts_threads() -> None:
    """One module owns every thread, so that one module can stop them all."""
    nodes = list(package_nodes(but_for={"app.py"}))
    used = [(where, last_word(node.func)) for where, node in nodes if isinstance(node, ast.Call)]
    used += [(where, last_word(base)) for where, node in nodes if isinstance(node, ast.ClassDef) for base in node.bases]
    assert not [(where, name) for where, name in used if STARTS_THREAD.fullmatch(name)]


def test_only_the_way_in_knows_who_put_the_parts_together() -> None:
    """The composition root is imported by the ways in alone: a terminal session and the background."""
    parts = [(name, tree) for name, tree in package() if name not in {"terminal.py", "background.py"}]
    known = re.compile(r"(pytrader|\.+)\.?app(\..*)?")
    assert not [(name, full) for name, tree in parts for full in imports(tree) if known.fullmatch(full)]


def test_words_of_a_venue_and_the_simulation_reach_no_network() -> None:
    """A venue's module only words its messages, and simulated execution could not send an order anywhere."""
    quiet = [(name, tree) for name, tree in package() if name.startswith("venues/") or name == "execution/simulated.py"]
    assert not [(name, full) for name, tree in quiet for full in imports(tree) if REACHES_NETWORK.fullmatch(full)]


def test_engine_knows_no_python_no_clock_no_thread_no_file_no_float() -> None:
    """The engine is a function of its input: what it says can be replayed."""
    seen = []
    for path, source in RUST.items():
        if NAMES[path].startswith("rust_core/engine/src/") and not is_test(path):
            seen += [(NAMES[path], match[0]) for match in ENGINE_MUST_NOT_KNOW.finditer(without_tests(source))]
    assert not seen


def test_no_unsafe_rust_outside_the_list() -> None:
    """Where memory safety is promised by hand is written down here first."""
    assert {NAMES[path] for path, source in RUST.items() if re.search(r"\bunsafe\b", source)} <= UNSAFE_ALLOWED


def test_each_crate_has_only_the_guests_that_were_invited() -> None:
    """A dependency is code that we answer for; the PyO3 feature that breaks linking of tests is named nowhere."""
    for folder, invited in CRATES.items():
        manifest = tomllib.loads(text(TREE / folder / "Cargo.toml"))
        tables = [manifest, *manifest.get("target", {}).values()]
        named = {name for table in tables for name in table.get("dependencies", {})}
        named |= {f"+{name}" for table in tables for name in table.get("dev-dependencies", {})}
        assert named <= invited, folder
        assert "extension-module" not in str(manifest)


def test_the_default_install_brings_four_python_packages() -> None:
    """Everything else is an extra."""
    project = tomllib.loads(text(TREE / "pyproject.toml"))["project"]
    assert {re.split(r"[^\w-]", line)[0] for line in project["dependencies"]} == DEFAULT_PYTHON


def test_no_address_that_could_trade_real_money() -> None:
    """Live market data comes from data-only hosts; orders go to testnets at most."""
    assert not matches(TRADING_HOST)
    assert not [where for where in matches(PRIVATE_PATH) if where.startswith("pytrader/")]


def test_no_way_to_switch_certificate_checks_off() -> None:
    """A market-data socket that believes anybody is worse than none."""
    assert not matches(UNCHECKED_TLS)


def test_nothing_names_a_registry_or_a_path_of_one_machine() -> None:
    """Where packages come from is set up on the machine; the tree works wherever it is cloned."""
    assert not matches(REGISTRY)
    assert not matches(MACHINE_PATH)


def test_no_committed_file_is_large() -> None:
    """Recordings and build results stay out of the history."""
    assert not [NAMES[path] for path in FILES if path.stat().st_size > FILE_KIB * 1024]


def test_every_setting_is_in_the_example_file() -> None:
    """`.env.example` shows each setting, and nothing else, under the name that the environment uses (keys bare)."""
    bodies = [
        node.body for name, tree in package() if name == "settings.py" for node in ast.walk(tree) if is_settings(node)
    ]
    rows = [row.target for row in chain.from_iterable(bodies) if isinstance(row, ast.AnnAssign)]
    fields = {row.id for row in rows if isinstance(row, ast.Name)} - {"sources"}
    named = {field.removesuffix("_e8").upper() for field in fields}
    example = text(TREE / ".env.example") if named else ""
    assert named == set(re.findall(r"^#? ?(?:PYTRADER_)?(\w+)=", example, re.MULTILINE))


def is_settings(node: ast.AST) -> bool:
    """Say whether this is the class whose fields are the settings."""
    return isinstance(node, ast.ClassDef) and node.name == "Settings"


# ---- the checks themselves


def test_addresses_and_paths_are_told_from_their_allowed_neighbours() -> None:
    """Each pattern finds a fault that is planted here in two pieces, and lets the allowed pass."""
    for host in ("api.", "api3.", "ws-api.", "stream."):
        assert TRADING_HOST.search(f"wss://{host}" + "binance.com:9443/ws")
    assert not TRADING_HOST.search("data-stream.binance.vision data-api.binance.vision stream.testnet.binance.vision")
    assert not TRADING_HOST.search("ws-feed.exchange.coinbase.com developers.binance.com")
    assert MACHINE_PATH.search("see /" + "root/x")
    assert not MACHINE_PATH.search("$folder/" + "root/x")
    assert UNCHECKED_TLS.search("context.check_hostname =" + " False")


def test_only_the_public_market_data_of_bybit_and_okx_may_be_named() -> None:
    """A host that also trades is allowed together with a public path alone; a private path is allowed nowhere."""
    for allowed in (
        "wss://stream.bybit.com/v5/public/spot",
        "https://api.bybit.com/v5/market/orderbook?category=spot",
        "wss://ws.okx.com/ws/v5/public",
        "https://openapi.okx.com/api/v5/market/books https://openapi.okx.com/api/v5/public/instruments",
        "https://www.okx.com/docs-v5/en/",
        "https://bybit-exchange.github.io/docs/v5/websocket/public/orderbook",
    ):
        assert not TRADING_HOST.search(allowed), allowed
    bybit, okx, v5 = "bybit" + ".com", "okx" + ".com", "/v5"
    for forbidden in (
        f"wss://stream.{bybit}",
        f"wss://stream.{bybit}{v5}/private",
        f"wss://stream.{bybit}{v5}/public/linear",
        f"https://api.{bybit}",
        f"https://api.{bybit}{v5}/order/create",
        f"https://api.{'bytick' + '.com'}{v5}/market/time",
        f"wss://ws.{okx}",
        f"wss://ws.{okx}:8443/ws{v5}/public",
        f"wss://wsaws.{okx}/ws{v5}/public",
        f"https://openapi.{okx}",
        f"https://openapi.{okx}/api{v5}/trade/order",
        f"https://www.{okx}/api{v5}/market/books",
        *(f'base + "{v5}/{word}"' for word in ("private", "trade", "order/create", "account/info")),
        *(f'base + "{path}"' for path in (f"/ws{v5}/private", f"/api{v5}/trade/order", f"/api{v5}/account/balance")),
    ):
        assert TRADING_HOST.search(forbidden), forbidden


def test_public_market_data_is_allowed_by_host_and_path_together() -> None:
    """A host that also takes orders may be named for what is public there, and for nothing else."""
    for public in (
        "wss://stream-sbe.binance.com/stream?streams=x",
        '"wss://stream-sbe.binance.com:9443/ws"',
        '"wss://fstream.binance.com/public/stream"',
        "https://fapi.binance.com/fapi/v1/depth?symbol=BTCUSDT",
        '"https://fapi.binance.com/fapi/v1/exchangeInfo"',
        '"wss://advanced-trade-ws.coinbase.com"',
        '"wss://advanced-trade-ws.coinbase.com/"',
        "https://api.coinbase.com/api/v3/brokerage/market/products/BTC-USDT",
    ):
        assert not TRADING_HOST.search(public), public
    for host, path in (
        ("stream-sbe.", "binance.com"),
        ("stream-sbe.", "binance.com/stream/../x"),
        ("x.stream-sbe.", "binance.com/stream"),
        ("fstream.", "binance.com"),
        ("fstream.", "binance.com/private/stream"),
        ("fstream.", "binance.com/ws/listenKey"),
        ("fapi.", "binance.com"),
        ("fapi.", "binance.com/fapi/" + "v1/order"),
        ("fapi.", "binance.com/fapi/v1/depth/../order"),
        ("fapi.", "binance.com/fapi/" + "v1/listenKey"),
        ("api.", "binance.com/api/" + "v3/order"),
        ("ws-fapi.", "binance.com/ws-" + "fapi/v1"),
        ("advanced-trade-ws-user.", "coinbase.com"),
        ("advanced-trade-ws.", "coinbase.com/user"),
        ("api.", "coinbase.com"),
        ("api.", "coinbase.com/api/v3/" + "brokerage/orders"),
        ("api.", "coinbase.com/api/v3/" + "brokerage/accounts"),
        ("api.exchange.", "coinbase.com/products"),
        ("ws-direct.exchange.", "coinbase.com"),
    ):
        assert TRADING_HOST.search(f"//{host}" + path), host + path
    for path in ("/api/v3/order", "/api/v3/brokerage/orders", "/fapi/v2/account", "/fapi/v1/order", "/ws-api/v3"):
        assert PRIVATE_PATH.search(f'f"{{self.rest_base}}{path}"'), path
    for path in ("/api/v3/depth", "/api/v3/exchangeInfo", "/api/v3/brokerage/market/products/", "/fapi/v1/depth"):
        assert not PRIVATE_PATH.search(f'f"{{self.rest_base}}{path}?symbol=BTCUSDT"'), path


def test_rust_is_read_without_its_comments_texts_and_tests() -> None:
    """Braces in a text or a comment end no function, and what only tests build is not held against the engine."""
    rust = blanked(
        'fn a<\'x>() { let c = \'{\'; "}"; r#"{"#; } // {\n#[cfg(test)]\nmod tests { fn b(x: f64) {} }\nfn c() {}'
    )
    assert block_end(rust, 0) == rust.index("}")
    assert ENGINE_MUST_NOT_KNOW.search(rust)
    assert not ENGINE_MUST_NOT_KNOW.search(without_tests(rust))
    assert "fn c()" in without_tests(rust)
    assert ENGINE_MUST_NOT_KNOW.search("use std::{sync::Arc, thread};")
    assert not ENGINE_MUST_NOT_KNOW.search("use std::time::Duration;")
