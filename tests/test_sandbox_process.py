"""The offline market as a process: its ready line, its end, its failures."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import websocket
from sandbox_clients import ALL, ROOT, raw_client, running, split_frames

from pytrader.sandbox.process import OfflineMarket, OfflineMarketError

pytest_plugins = ("sandbox_fixtures",)


def _wait_until_gone(pid):
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline, "the market outlived its parent"
        time.sleep(0.01)


def test_the_market_ends_when_its_parent_is_killed():
    """No goodbye is needed: the closed pipe is enough."""
    script = (
        "import sys; from pytrader.sandbox import process as p; m = p.OfflineMarket.start(); print(m.pid, flush=True)"
    )
    script += "; sys.stdin.read()"
    with running([sys.executable, "-c", script], stdin=subprocess.PIPE) as parent:
        market = int(parent.stdout.readline())
        parent.kill()
    _wait_until_gone(market)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_market_cleanly(number):
    """Exit code 0, and nothing on standard error."""
    words = [sys.executable, "-m", "pytrader.sandbox"]
    with running(words, stderr=subprocess.PIPE) as market:
        line = market.stdout.readline()
        assert line.startswith("Offline market on http://127.0.0.1:")
        assert line.endswith(" (scenario calm, seed 7)\n")
        market.send_signal(number)
        _, errors = market.communicate(timeout=10)
    assert (market.returncode, errors) == (0, "")


def test_stop_ends_the_market_with_clients_connected(offline, connect):
    """And may be called twice."""
    connect(f"/stream?streams={ALL}").recv()
    offline.stop()
    assert not offline.is_running()
    offline.stop()


def test_a_port_in_use_is_said_at_once(offline):
    """Instead of waiting for a ready line that never comes."""
    with pytest.raises(OfflineMarketError, match="cannot start"):
        OfflineMarket.start(port=offline.port)


def test_a_mistake_inside_the_market_ends_the_process_with_an_error():
    """Instead of leaving an exchange that answers but stands still."""
    script = "from pytrader.sandbox import __main__, flow; flow.Flow.deep = None; raise SystemExit(__main__.main())"
    words = [sys.executable, "-c", script]
    ended = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=20, check=False)
    assert ended.returncode == 1
    assert "TypeError" in ended.stderr


def test_a_subscription_in_two_fragments_sent_before_the_upgrade_was_answered_counts(offline):
    """A hasty client is understood."""
    text = b'{"method":"LIST_SUBSCRIPTIONS","id":4}'
    halves = ((0x01, text[:10]), (0x80, text[10:]))
    hasty = b"".join(bytes((opcode, 0x80 | len(half), 0, 0, 0, 0)) + half for opcode, half in halves)
    client, data = raw_client(offline, "/ws", early=hasty)
    with client:
        while not (found := split_frames(data)[0]):
            data += client.recv(65_536)
    assert json.loads(found[0][1]) == {"result": [], "id": 4}


def test_a_missing_extra_is_named_with_what_to_install(tmp_path, monkeypatch):
    """Without wsproto the error says which extra brings it."""
    (tmp_path / "wsproto.py").write_text("raise ModuleNotFoundError('no wsproto', name='wsproto')\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    with pytest.raises(OfflineMarketError, match=r"pip install 'pytrader\[sandbox\]'"):
        OfflineMarket.start()


def test_a_bad_option_is_an_error_with_its_text():
    """The child's own words reach the parent."""
    with pytest.raises(OfflineMarketError, match="start-price"):
        OfflineMarket.start(options=("--start-price", "cheap"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--port", "70000"), "not a port from 0 to 65535"),
        (("--port", "-1"), "port"),
        (("--port", "x"), "not a port"),
        (("--keyfile", "key.pem"), "--keyfile needs --certfile"),
    ],
)
def test_a_market_that_cannot_be_as_asked_says_so_in_a_line(words, told):
    """Not with the stack of our own calls, and never in plain text where TLS was meant."""
    with pytest.raises(OfflineMarketError, match=told) as refused:
        OfflineMarket.start(options=words)
    assert "Traceback" not in str(refused.value)


def test_the_least_rate_that_there_is_makes_a_market_in_which_nothing_happens():
    """It is above 0."""
    with OfflineMarket.start(options=("--rate", "1e-320")) as market:
        with urllib.request.urlopen(market.rest_url + "/api/v3/ping", timeout=10) as reply:
            assert reply.read() == b"{}"
        assert market.said() == []


def test_it_serves_tls_when_given_a_certificate(tmp_path):
    """A client that trusts the certificate speaks wss and https to it."""
    certificate, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    try:
        names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate]
        subprocess.run([*words, *names], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl program to make a certificate with")
    with OfflineMarket.start(options=("--certfile", certificate, "--keyfile", key)) as market:
        assert market.ws_url.startswith("wss://127.0.0.1:")
        context = ssl.create_default_context(cafile=certificate)
        with urllib.request.urlopen(market.rest_url + "/api/v3/ping", context=context, timeout=10) as reply:
            assert reply.read() == b"{}"
        client = websocket.create_connection(
            market.ws_url + "/ws/btcusdt@trade", timeout=10, sslopt={"context": context}
        )
        assert json.loads(client.recv())["e"] == "trade"
        client.shutdown()
