"""One HTTP GET over a Link: a deadline for all of it, a size cap, no redirects, no proxy, and a stop from outside.

Also the face that a link shows during a WebSocket upgrade. Of a refusal only the head is read, here and there: a body
that is cut, endless or too large must not hide how long the server wants to be left alone.

`urllib` limits each read and not the whole answer, and a thread inside it cannot be stopped; a Link does both, with the
same certificate checks as the market-data socket.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPMessage, HTTPResponse, parse_headers
from typing import TYPE_CHECKING, cast
from urllib.parse import SplitResult, urlsplit

from pytrader._core import Link, Waker
from pytrader.figures import printable

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping
    from pathlib import Path

BODY_MAX = 16 << 20  # bytes; a snapshot of 5,000 levels a side has about 0.4 MB
HEAD_MAX = 256 << 10  # bytes of response head and chunk marks, beside the body
_SCHEMES = {"wss": (True, 443), "https": (True, 443), "ws": (False, 80), "http": (False, 80)}
_BAN_S = 120.0  # Binance's shortest ban, when a 418 does not say how long
_THROTTLE_S = 60.0  # its limits count by the minute
_RETRY_AFTER_MAX_S = 3 * 86_400.0  # its longest ban
_SWITCHES, _INTERIM = 101, {100, *range(102, 200)}  # HTTP statuses: behind an interim answer comes another one
_COOKIES = re.compile(rb"^set-cookie:.*\n(?:[ \t].*\n)*", re.IGNORECASE | re.MULTILINE)
_SAID_MAX = 300  # characters of a server's own words that are shown


class FetchError(OSError):
    """A request that gave no usable answer: `status` is the HTTP status, or None when none came."""

    def __init__(self, text: str, status: int | None = None, retry_after_s: float = 0.0) -> None:
        """Keep what a caller decides by: the status, and how long the server wants to be left alone, seconds."""
        super().__init__(text)
        self.status = status
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Address:
    """Where a URL leads."""

    host: str
    port: int
    tls: bool
    target: str  # path and query
    authority: str  # for the Host header


def address_of(url: str) -> Address:
    """Split `url`. Raise ValueError for a scheme other than wss, https, ws and http, or without a host."""
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ValueError(f"{url!r}: an address starts with wss:// or https:// (ws:// and http:// on loopback only)")
    tls, usual_port = _SCHEMES[parts.scheme]
    return Address(parts.hostname, parts.port or usual_port, tls, _target(parts), parts.netloc.rpartition("@")[2])


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def retry_after_s(status: int | None, headers: Mapping[str, str] | HTTPMessage) -> float:
    """Return how long a server wants to be left alone after `status`, seconds; 0 when it does not say."""
    usual_s = {418: _BAN_S, 429: _THROTTLE_S}.get(status or 0, 0.0)
    text = (headers.get("retry-after") or "").strip()
    asked_s = float(text) if text.isascii() and text.isdigit() else _until_s(text, headers)
    if asked_s is None:
        return usual_s
    return min(max(asked_s, usual_s if status == 418 else 0.0), _RETRY_AFTER_MAX_S)


def _until_s(text: str, headers: Mapping[str, str] | HTTPMessage) -> float | None:
    """Return the time to an HTTP date by the server's own clock, its Date; None where either is none."""
    try:
        at, now = (parsedate_to_datetime(date) for date in (text, headers.get("date") or ""))
        return (at - now).total_seconds()
    except (TypeError, ValueError, OverflowError):  # the last for a year of twenty digits
        return None


def fetch(url: str, *, waker: Waker, ca_file: Path | None = None, timeout_s: float = 5.0) -> bytes:
    """Return the body of `url`, whole within `timeout_s` seconds; name resolution keeps the system's own limit.

    Raises FetchError for any status but 200, for more than 16 MiB, for broken HTTP and for the network's own errors;
    InterruptedError once `waker` was stopped; ValueError for a URL that is none.
    """
    address = address_of(url)
    try:
        return _exchange(address, waker, ca_file, timeout_s)
    except (FetchError, InterruptedError):
        raise
    except (HTTPException, OSError, ValueError) as error:
        raise FetchError(f"{address.authority}: {_said(str(error)) or type(error).__name__}") from error


def _exchange(address: Address, waker: Waker, ca_file: Path | None, timeout_s: float) -> bytes:
    link = Link.connect(
        address.host,
        address.port,
        tls=address.tls,
        ca_file=None if ca_file is None else str(ca_file),
        timeout_s=timeout_s,
        waker=waker,
        receive_max=BODY_MAX + HEAD_MAX,
    )
    try:
        link.send(_request(address))
        response = HTTPResponse(cast("socket.socket", _Face(link)), method="GET")
        _begin(address, response)
        if response.status != 200:
            text = f"{address.authority}: HTTP {response.status} {_said(response.reason)}".rstrip()
            raise FetchError(text, response.status, retry_after_s(response.status, response.headers))
        body = response.read(BODY_MAX + 1)
        _check(address, response, body)
        return body
    finally:
        link.close()


def _begin(address: Address, response: HTTPResponse) -> None:
    """Read the head. A ban whose fields are cut, or too many, is a ban for the usual time."""
    try:
        response.begin()
    except (HTTPException, TimeoutError, ConnectionError) as error:
        if response.status not in (418, 429):  # no number before the first line has come
            raise
        wait_s = retry_after_s(response.status, {})
        raise FetchError(f"{address.authority}: HTTP {response.status}", response.status, wait_s) from error


def _request(address: Address) -> bytes:
    lines = [
        f"GET {address.target} HTTP/1.1",
        f"Host: {address.authority}",
        "User-Agent: pytrader",
        "Accept: application/json",
        "Connection: close",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _check(address: Address, response: HTTPResponse, body: bytes) -> None:
    if len(body) > BODY_MAX:
        raise FetchError(f"{address.authority}: an answer of over {BODY_MAX} bytes")
    if response.length:
        raise FetchError(f"{address.authority}: the answer stopped {response.length} bytes early")


def _status(head: bytes) -> int | None:
    match = re.match(rb"HTTP/1\.[01] ([0-9]{3})\b", head)
    return None if match is None else int(match[1])


def _said(words: str) -> str:
    """Return words of a server as a short line that moves no cursor."""
    return printable(words[:_SAID_MAX])


class Upgrading:
    """A link as the WebSocket client sees it while it upgrades: a socket that ends with the head of a refusal.

    The head is read whole and judged before the client sees a byte of it: what the client cannot read, a field that is
    not UTF-8 or goes on in a second line, must not hide a refusal and its wait. Nor does it see cookies: it would keep
    them for the life of the process and send them with every later connection.
    """

    def __init__(self, link: Link) -> None:
        """Show `link`, which nobody else reads meanwhile."""
        self._link = link
        self._head = bytearray()  # as far as it has come
        self._unread: io.BytesIO | None = None  # of the head, by the client

    def recv(self, bufsize: int) -> bytes:
        """Return the next bytes of the head. Raise FetchError for one that refuses, and what the link raises."""
        if self._unread is None:
            head = _COOKIES.sub(b"", self._final_head())
            self._unread = io.BytesIO(head.decode(errors="replace").encode())
        return self._unread.read(bufsize) or self._link.recv(bufsize)

    def demand(self) -> None:
        """Raise FetchError if the head, as far as it has come, is no HTTP or refuses to switch protocols."""
        first, ended, fields = bytes(self._head).partition(b"\n")
        if not ended or (status := _status(first)) == _SWITCHES or status in _INTERIM:
            return
        if status is None:
            raise FetchError(f"an answer that is no HTTP: {_said(first.decode(errors='replace').strip())}")
        whole_lines = fields[: fields.rfind(b"\n") + 1]
        try:
            wait_s = retry_after_s(status, parse_headers(io.BytesIO(whole_lines)))
        except HTTPException:
            wait_s = retry_after_s(status, {})
        raise FetchError(f"HTTP {status}", status, wait_s)

    def _final_head(self) -> bytes:
        self._read_head()
        while _status(bytes(self._head)) in _INTERIM:
            self._read_head()
        return bytes(self._head)

    def _read_head(self) -> None:
        """Read up to the empty line, or the end of the stream, and judge what came."""
        self._head.clear()
        try:
            while not self._head.endswith((b"\n\r\n", b"\n\n")) and (byte := self._link.recv(1)):
                self._head += byte
        finally:
            self.demand()

    def send(self, data: bytes) -> int:
        """Write all of `data`."""
        return self._link.send(data)

    def gettimeout(self) -> float:
        """Return the seconds given to the upgrade."""
        return self._link.gettimeout()

    def settimeout(self, value: float | None) -> None:
        """Give the rest of the upgrade `value` seconds; None changes nothing."""
        self._link.settimeout(value)

    def shutdown(self, how: int) -> None:
        """End the connection."""
        self._link.shutdown(how)

    def close(self) -> None:
        """End the connection."""
        self._link.close()

    def fileno(self) -> int:
        """Return the socket's number."""
        return self._link.fileno()


class _Face:
    """As much of a socket as HTTPResponse wants."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def makefile(self, mode: str) -> io.BufferedReader:
        assert mode == "rb"
        return io.BufferedReader(_Received(self._link), 64 << 10)


class _Received(io.RawIOBase):
    def __init__(self, link: Link) -> None:
        self._link = link

    def readable(self) -> bool:
        return True

    def readinto(self, into: memoryview) -> int:  # type: ignore[override]
        data = self._link.recv(len(into))
        into[: len(data)] = data
        return len(data)
