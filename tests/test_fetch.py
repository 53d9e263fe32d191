"""One GET over a link: one deadline, one cap, and nothing but a whole 200."""

import contextlib
import socket
import threading
import time

import pytest
import websocket

from pytrader._core import Waker
from pytrader.fetch import FetchError, Upgrading, fetch, retry_after_s


def test_an_answer_that_drips_is_given_up_at_one_deadline():
    """The time limit is for the whole answer, not for each read."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/"
        dripping = threading.Thread(target=drip, args=(mute,))
        dripping.start()
        began_s = time.monotonic()
        with pytest.raises(FetchError, match="deadline"):
            fetch(url, waker=Waker(), timeout_s=0.5)
        assert time.monotonic() - began_s < 1.0
        dripping.join(5)


def drip(listener):
    """Answer one byte at a time without end."""
    connection, _ = listener.accept()
    with connection, contextlib.suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            connection.sendall(b"x")
            time.sleep(0.02)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "closed|Remote"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "IncompleteRead|early"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 17000000\r\n\r\n" + b"x" * 17_000_000, "over"),
        (b"garbage\r\n\r\n", "garbage"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "302"),
        (b"HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n", "503"),
    ],
)
def test_a_broken_answer_is_an_error_that_says_how(answer, words):
    """Nothing but a whole 200 is taken."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        answering = threading.Thread(target=answer_once, args=(listener, answer))
        answering.start()
        with pytest.raises(FetchError, match=words):
            fetch(url, waker=Waker())
        answering.join(5)


def answer_once(listener, answer):
    """Take one request, answer and close."""
    connection, _ = listener.accept()
    with connection, contextlib.suppress(OSError):
        connection.recv(4096)
        connection.sendall(answer)


def test_retry_after_is_read_with_sense():
    """Seconds are obeyed, a ban lasts at least two minutes, and nonsense means the usual time."""
    assert retry_after_s(429, {"retry-after": "7"}) == 7
    assert retry_after_s(429, {}) == 60
    assert retry_after_s(429, {"retry-after": "Wed, 21 Oct"}) == 60
    assert retry_after_s(418, {"retry-after": "7"}) == 120
    assert retry_after_s(503, {"retry-after": "9"}) == 9
    assert retry_after_s(503, {"retry-after": "-9"}) == 0
    assert retry_after_s(429, {"retry-after": "9" * 400}) == 3 * 86_400


@pytest.mark.parametrize(
    ("after", "now", "expected"),
    [
        ("Wed, 21 Oct 2026 07:38:00 GMT", "Wed, 21 Oct 2026 07:28:00 GMT", 600),
        ("Wed, 21 Oct 2026 07:27:00 GMT", "Wed, 21 Oct 2026 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2036 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:00 GMT", 3 * 86_400),
        ("Wed, 21 Oct 2026 07:38:00 GMT", None, 60),
        ("Wed, 21 Oct 2026 07:38:00 GMT", "soon", 60),
        ("Wed, 99 Oct 2026 07:38:00 GMT", "Wed, 21 Oct 2026 07:28:00 GMT", 60),
        (f"Wed, 21 Oct {'9' * 30} 07:38:00 GMT", "Wed, 21 Oct 2026 07:28:00 GMT", 60),
        ("Wed, 21 Oct 2026 07:38:00 GMT", f"Wed, 21 Oct 2026 07:28:00 +{'9' * 20}", 60),
    ],
)
def test_a_date_to_wait_for_is_read_by_the_server_s_own_clock(after, now, expected):
    """HTTP allows a date in place of seconds; a clock here that is wrong changes nothing."""
    fields = {"retry-after": after} | ({} if now is None else {"date": now})
    assert retry_after_s(429, fields) == expected


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 503 \x1b[2Jgone" + b"x" * 9_000 + b"\r\n\r\n", b"\x1b]0;owned\x07\r" + b"x" * 9_000 + b"\r\n\r\n"],
)
def test_what_a_server_says_is_shown_as_one_short_line_that_moves_no_cursor(answer):
    """Neither the words behind a status nor a line that is no HTTP may fill a log or steer a screen."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answering = threading.Thread(target=answer_once, args=(listener, answer))
        answering.start()
        with pytest.raises(FetchError) as failed:
            fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/", waker=Waker())
        answering.join(5)
    assert str(failed.value).isprintable()
    assert "x1b" in str(failed.value)
    assert len(str(failed.value)) < 500


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 418 Teapot\r\nRetry-Aft", 418),
        (b"HTTP/1.1 418 Teapot\r\n" + b"X: y\r\n" * 200 + b"\r\n", 418),
        (b"HTTP/1.1 418", None),
        (b"HTTP/1.1 200 OK\r\nContent-", None),
    ],
)
def test_a_ban_whose_head_is_cut_or_endless_is_a_ban(answer, status):
    """What came of the head is enough to leave the server alone for as long as its shortest ban."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        over = threading.Event()
        answering = threading.Thread(target=answer_and_stall, args=(listener, answer, over))
        answering.start()
        with pytest.raises(FetchError) as failed:
            fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/", waker=Waker(), timeout_s=0.3)
        over.set()
        answering.join(5)
    assert (failed.value.status, failed.value.retry_after_s) == (status, 120 if status else 0)


def answer_and_stall(listener, answer, over):
    """Take one request, answer, and say nothing more until it is over."""
    connection, _ = listener.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(answer)
        over.wait(5)


class Scripted:
    """A link that gives some bytes and then nothing until the time is over."""

    def __init__(self, data):
        """Keep what is to be given."""
        self._data, self.sent = data, b""

    def recv(self, bufsize):
        """Give the next bytes."""
        if not self._data:
            raise TimeoutError("not done before the deadline")
        given, self._data = self._data[:bufsize], self._data[bufsize:]
        return given

    def send(self, data):
        """Take what is asked for."""
        self.sent += data
        return len(data)

    def gettimeout(self):
        """Say how long the upgrade may take."""
        return 5.0

    def close(self):
        """Do nothing."""


def upgrade(data):
    """Upgrade over a link that answers with `data`, as the feed does."""
    scripted = Scripted(data)
    link = Upgrading(scripted)
    try:
        websocket.create_connection(
            "ws://127.0.0.1/", socket=link, redirect_limit=0, header={KEY: "dGhlIHNhbXBsZSBub25jZQ=="}
        )
    finally:
        link.demand()
    return scripted.sent


KEY = "Sec-WebSocket-Key"
REFUSED = b"HTTP/1.1 429 Too Many Requests"
WAIT = b"Retry-After: 300"


@pytest.mark.parametrize(
    ("data", "wait_s"),
    [
        (b"\r\n".join([REFUSED, b"Server: caf\xe9", WAIT, b"", b""]), 300),
        (b"\r\n".join([REFUSED + b" \xff", WAIT, b"", b""]), 300),
        (b"\r\n".join([REFUSED, b"Via: a,", b" b", WAIT, b"", b""]), 300),
        (b"\r\n".join([REFUSED, b"\t", WAIT, b"", b""]), 300),
        (b"\n".join([REFUSED, WAIT, b"\r\n"]), 300),
        (b"\r\n".join([REFUSED, WAIT, b"Server: x"]), 300),
        (b"\r\n".join([REFUSED, WAIT[:-1]]), 60),
        (b"\r\n".join([REFUSED, b""]), 60),
        (b"\r\n".join([b"HTTP/1.1 100 Continue", b"", REFUSED, WAIT, b"", b""]), 300),
    ],
)
def test_a_refused_upgrade_tells_its_wait_however_odd_its_head_is(data, wait_s):
    """A field that is not UTF-8 or goes on in the next line, other line ends, a head that is cut: a ban stays a ban."""
    with pytest.raises(FetchError) as failed:
        upgrade(data)
    assert (failed.value.status, failed.value.retry_after_s) == (429, wait_s)


def test_an_upgrade_is_taken_behind_interim_answers_and_with_a_field_that_is_not_utf_8():
    """RFC 9110 section 15.2 wants every client to read past an answer that is not the final one."""
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    upgrade(early + early + SWITCHES + b"Server: caf\xe9\r\n\r\n")


SWITCHES = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
)


@pytest.mark.parametrize("field", [b"Set-Cookie: node=7; Domain=127.0.0.1", b"set-cookie: {a}=b;\r\n Domain=127.0.0.1"])
def test_no_connection_sends_what_an_earlier_one_was_given_to_keep(field):
    """A cookie that named a server which is gone would lead each later connection there; a wrong one ends none."""
    upgrade(SWITCHES + field + b"\r\n\r\n")
    assert b"node" not in upgrade(SWITCHES + b"\r\n")


def test_an_answer_that_is_no_http_is_told_in_one_short_line():
    """Of a server that speaks something else only the beginning is shown."""
    with pytest.raises(FetchError, match="no HTTP: SSH-2") as failed:
        upgrade(b"SSH-2.0-\x1b[2J" + b"x" * 9_000 + b"\r\n")
    assert str(failed.value).isprintable()
    assert len(str(failed.value)) < 500
