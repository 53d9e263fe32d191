"""The link as Python sees it: a socket's methods, TLS that cannot be loosened, and a run that ends by name."""

import contextlib
import threading
import time

import pytest
import websocket
from certificates import certificate, expired, server_context
from venue_server import CLOSE, PING, PONG, TEXT, VenueServer, depth, frame, snapshot, ticker, until

from pytrader._core import Book, Link, Waker


@pytest.fixture
def server():
    """Run a venue without TLS."""
    with VenueServer() as running:
        yield running


def opened(server, **more):
    """Return an upgraded link and the server's side of it."""
    link = Link.connect("127.0.0.1", server.port, tls=bool(server.tls), **more)
    websocket.create_connection(f"{server.stream_base}/stream", socket=link, redirect_limit=0)
    return link, server.stream()


class Run:
    """`link.run` on a thread of its own."""

    def __init__(self, link, book, **more):
        """Start the run."""
        self._thread = threading.Thread(target=self._body, args=(link, book), kwargs=more)
        self._thread.start()

    def _body(self, link, book, **more):
        self.ended_value = link.run(book, resubscribe=["again"], **more)

    def ended(self, timeout_s=2.0):
        """Return how the run ended, soon."""
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), "the run goes on"
        return self.ended_value


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Make a root of our own, a leaf for localhost and one for another host."""
    folder = tmp_path_factory.mktemp("certificates")
    certificate(folder, "root", subject_alt=None)
    certificate(folder, "right", subject_alt="DNS:localhost", issuer="root")
    certificate(folder, "wrong", subject_alt="DNS:elsewhere.example", issuer="root")
    expired(folder, "old", subject_alt="DNS:localhost", issuer="root")
    return folder


def tls_server(folder, name):
    """Return a venue that shows the certificate `name`."""
    return VenueServer(tls=server_context(folder, name))


def test_a_certificate_of_an_unknown_root_is_refused(certificates):
    """Without `ca_file` our own root is a stranger; the error says what is wrong."""
    with tls_server(certificates, "right") as server, pytest.raises(OSError, match=r"(?i)unknown ?issuer"):
        Link.connect("localhost", server.port, tls=True)


def test_a_self_signed_certificate_is_refused(certificates):
    """A server that vouches for itself is not believed."""
    with tls_server(certificates, "root") as server, pytest.raises(OSError, match="TLS"):
        Link.connect("localhost", server.port, tls=True)


def test_a_certificate_for_another_host_is_refused_though_its_root_is_trusted(certificates):
    """Trusting a root does not switch the host name check off."""
    ca_file = str(certificates / "root.pem")
    with tls_server(certificates, "wrong") as server, pytest.raises(OSError, match=r"(?i)not ?valid ?for ?name"):
        Link.connect("localhost", server.port, tls=True, ca_file=ca_file)


def test_an_expired_certificate_is_refused_though_its_root_is_trusted(certificates):
    """For the right host, too; the error says what is wrong."""
    ca_file = str(certificates / "root.pem")
    with tls_server(certificates, "old") as server, pytest.raises(OSError, match=r"(?i)expired"):
        Link.connect("localhost", server.port, tls=True, ca_file=ca_file)


def test_an_extra_root_is_accepted_and_the_run_works_over_tls(certificates):
    """`ca_file` adds a root; then the upgrade, many frames in one write, and the stop work as without TLS."""
    ca_file, book, waker = str(certificates / "root.pem"), Book(), Waker()
    with tls_server(certificates, "right") as server:
        link = Link.connect("localhost", server.port, tls=True, ca_file=ca_file, waker=waker)
        websocket.create_connection(f"wss://localhost:{server.port}/stream", socket=link)
        run, stream = Run(link, book), server.stream()
        stream.send(*(ticker(number, "100.00", "101.00") for number in range(1, 2_001)))
        until(lambda: book.counters()["frames"] == 2_000, "all frames")
        waker.stop()
        assert run.ended().reason == "stopped"
        assert stream.read_frame() == (CLOSE, b"\x03\xe8")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "ca_file"),
        ("", "holds no certificate"),
        ("-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n", "ca.pem"),
    ],
)
def test_a_ca_file_that_is_none_is_an_error(tmp_path, server, content, words):
    """A path that cannot be read, or holds no certificate, is never passed over."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(OSError, match=words):
        Link.connect("127.0.0.1", server.port, tls=True, ca_file=str(path))


def test_without_tls_only_loopback_is_reached():
    """`ws://` to any other address is refused before a packet leaves."""
    with pytest.raises(PermissionError, match="loopback"):
        Link.connect("192.0.2.1", 80, tls=False)


def test_frames_behind_the_response_head_are_not_lost(server):
    """What came in the same packet as the upgrade's answer is the run's first message."""
    server.behind_head = frame(TEXT, ticker(7, "100.00", "101.00"))
    link, _ = opened(server)
    book = Book()
    run = Run(link, book)
    until(lambda: book.top().update_id == 7, "the first frame")
    link.stop()
    assert run.ended().reason == "stopped"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x81\x7f" + (1 << 40).to_bytes(8, "big"), "too_large"),
        (b"\x81\x81abcdx", "protocol"),
        (b"\xc1\x01x", "protocol"),
        (frame(CLOSE, b"\x03\xe9going"), "closed"),
    ],
)
def test_a_run_ends_by_name(server, data, reason):
    """Each kind of end has its word, and the book is unsynced after it."""
    link, stream = opened(server)
    book = Book()
    run = Run(link, book)
    stream.raw(data)
    ended = run.ended()
    assert (ended.reason, ended.planned, book.top().synced) == (reason, False, False)


def test_a_cut_ends_the_run(server):
    """A connection that ends without a close frame is closed too."""
    link, stream = opened(server)
    run = Run(link, Book())
    stream.cut()
    assert run.ended().reason in ("closed", "io")


def test_a_link_runs_once(server):
    """After its run a link is closed; so is every socket method."""
    link, stream = opened(server)
    stream.cut()
    link.run(Book())
    for call in (lambda: link.run(Book()), lambda: link.recv(1), lambda: link.send(b"x"), link.fileno):
        with pytest.raises(OSError, match="closed"):
            call()
    link.close()


def test_waiting_gives_up_the_gil_and_ends_at_the_deadline(server):
    """While one thread waits in recv another one runs; the opening's one deadline ends it."""
    link = Link.connect("127.0.0.1", server.port, tls=False, timeout_s=0.4)
    seen = []

    def wait():
        with pytest.raises(TimeoutError):
            link.recv(1)
        seen.append("timed out")

    waiting = threading.Thread(target=wait)
    waiting.start()
    began_s, turns = time.monotonic(), 0
    while waiting.is_alive() and time.monotonic() - began_s < 3:
        turns += 1
    waiting.join()
    link.close()
    assert seen
    assert turns > 1_000
    assert 0.2 < time.monotonic() - began_s < 1.5


def test_tops_alone_keep_no_connection_whose_depth_never_comes(server):
    """The book cannot become live by them: it is subscribed to again after 3 s, and then left as quiet."""
    link, stream = opened(server)
    run, began_s = Run(link, Book(), quiet_reconnect_ms=3_600), time.monotonic()
    seen, done = [], threading.Event()

    def tick():
        with contextlib.suppress(OSError):
            for number in range(1, 200):
                if done.wait(0.05):
                    break
                stream.send(ticker(number, "100.00", "101.00"))

    ticking = threading.Thread(target=tick)
    ticking.start()
    while time.monotonic() - began_s < 6 and CLOSE not in seen:
        opcode, payload = stream.read_frame()
        seen.append(payload if opcode == TEXT else opcode)
        if opcode == PING:
            stream.raw(frame(PONG, payload))
    done.set()
    ticking.join(5)
    link.stop()
    assert run.ended().reason == "quiet"
    assert b"again" in seen


def test_a_snapshot_that_comes_between_two_connections_is_nobody_s(server):
    """Were it kept, a venue that counts anew would find its every frame older than that, and the book never live."""
    book, waker = Book(), Waker()
    link, stream = opened(server, waker=waker)
    run = Run(link, book)
    stream.send(depth(899, 901, "100.00", "101.00"))
    assert book.wait_snapshot_wanted(5_000)
    stream.cut()
    run.ended()
    assert book.offer_snapshot(snapshot(900)) == "unwanted"
    link, stream = opened(server, waker=waker)
    run = Run(link, book)
    stream.send(depth(9, 11, "100.00", "101.00"))
    assert book.wait_snapshot_wanted(5_000)
    assert book.offer_snapshot(snapshot(10)) == "posted"
    until(lambda: book.top().synced, "a synced book")
    assert not book.wait_snapshot_wanted(0)
    waker.stop()
    run.ended()


def test_what_a_server_says_in_its_close_stays_on_one_line(server):
    """A log line is one line, whatever a venue writes."""
    link, stream = opened(server)
    run = Run(link, Book())
    stream.raw(frame(CLOSE, b"\x03\xe9so\n2026 ERROR \x1b[2Jlong"))
    assert run.ended().detail == "1001 so\ufffd2026 ERROR \ufffd[2Jlong"


def test_what_looks_like_a_key_in_a_server_s_close_is_left_out(server):
    """A venue may say back the key that it was sent; the end of a connection stands in the log and on the screen."""
    link, stream = opened(server)
    run = Run(link, Book())
    stream.raw(frame(CLOSE, b"\x03\xf0key " + b"vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0M" + b" is unknown"))
    assert run.ended().detail == "1008 key \u2026 is unknown"


@pytest.mark.parametrize("tls", [False, True])
def test_a_server_that_reads_nothing_is_heard_and_gets_every_byte_once_it_reads(certificates, tls):
    """What the socket does not take is kept, in order, and the run goes on meanwhile."""
    book, waker, text = Book(), Waker(), "0123456789" * 800_000
    with tls_server(certificates, "right") if tls else VenueServer() as server:
        ca_file = str(certificates / "root.pem") if tls else None
        link = Link.connect("localhost", server.port, tls=tls, ca_file=ca_file, waker=waker)
        websocket.create_connection(f"{server.stream_base}/stream", socket=link)
        run, stream = Run(link, book, opening=[text, "after"]), server.stream()
        for number in range(1, 11):
            stream.send(ticker(number, "100.00", "101.00"))
            time.sleep(0.02)
        until(lambda: book.counters()["frames"] == 10, "all frames")
        opcode, payload = stream.read_frame()
        assert (opcode, payload == text.encode()) == (TEXT, True)
        assert stream.read_frame() == (TEXT, b"after")
        waker.stop()
        assert run.ended().reason == "stopped"


def test_a_stop_ends_a_run_whose_server_reads_nothing(server):
    """The close frame is best effort: nobody waits for the room that it would need."""
    waker = Waker()
    link, _ = opened(server, waker=waker)
    run = Run(link, Book(), opening=["x" * 30_000_000])
    time.sleep(0.2)
    waker.stop()
    assert run.ended(1.0).reason == "stopped"
