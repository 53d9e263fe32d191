"""One GET over a link: one deadline, one cap, and nothing but a whole 200."""

import contextlib
import socket
import threading
import time

import pytest

from pytrader._core import Waker
from pytrader.fetch import FetchError, fetch, retry_after_s


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
