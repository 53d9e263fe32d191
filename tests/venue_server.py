"""A venue on loopback for the tests: WebSocket upgrades and REST on one port, driven frame by frame from the test."""

import base64
import contextlib
import hashlib
import json
import queue
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA


def frame(opcode, payload, *, fin=True):
    """Return one unmasked frame."""
    head = bytes([(0x80 if fin else 0) | opcode])
    size = len(payload)
    if size < 126:
        return head + bytes([size]) + payload
    if size < 1 << 16:
        return head + b"\x7e" + struct.pack(">H", size) + payload
    return head + b"\x7f" + struct.pack(">Q", size) + payload


def ticker(update_id, bid, ask):
    """Return a bookTicker message of the combined stream."""
    data = {"u": update_id, "s": "BTCUSDT", "b": bid, "B": "1.00000000", "a": ask, "A": "1.00000000"}
    return json.dumps({"stream": "btcusdt@bookTicker", "data": data}, separators=(",", ":")).encode()


def depth(first_id, last_id, bid, ask):
    """Return a depth message of the combined stream with one level a side."""
    data = {
        "e": "depthUpdate",
        "E": 1,
        "s": "BTCUSDT",
        "U": first_id,
        "u": last_id,
        "b": [[bid, "1"]],
        "a": [[ask, "1"]],
    }
    return json.dumps({"stream": "btcusdt@depth@100ms", "data": data}, separators=(",", ":")).encode()


def snapshot(update_id, bid="100.00", ask="101.00"):
    """Return a REST depth body."""
    return json.dumps({"lastUpdateId": update_id, "bids": [[bid, "1"]], "asks": [[ask, "1"]]}).encode()


def until(condition, what, timeout_s=5.0):
    """Wait until `condition()` holds."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"waited {timeout_s} s in vain for: {what}"
        time.sleep(0.002)


class Stream:
    """One upgraded connection, the server's side."""

    def __init__(self, connection):
        """Take over a connection whose upgrade was answered."""
        self._connection = connection
        self.at_s = time.monotonic()

    def send(self, *payloads):
        """Send text messages in one write."""
        self.raw(b"".join(frame(TEXT, payload) for payload in payloads))

    def raw(self, data):
        """Send bytes as they are."""
        self._connection.sendall(data)

    def read_frame(self, timeout_s=5.0):
        """Return opcode and payload of the client's next frame; None at the end."""
        self._connection.settimeout(timeout_s)
        try:
            first, second = self._exactly(2)
            assert second & 0x80, "a client masks"
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack(">H", self._exactly(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", self._exactly(8))
            mask = int.from_bytes((self._exactly(4) * (size // 4 + 1))[:size])
            return first & 0x0F, (int.from_bytes(self._exactly(size)) ^ mask).to_bytes(size)
        except (EOFError, ConnectionError):
            return None

    def cut(self):
        """End the connection without a close frame."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _exactly(self, count):
        data = bytearray()
        while len(data) < count:
            part = self._connection.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return bytes(data)


@dataclass
class Request:
    """A REST request or an upgrade that the server saw."""

    target: str
    at_s: float


@dataclass
class VenueServer:
    """Accepts until closed.

    `rest` answers a target by (status, headers, body); `upgrade` may refuse with a whole response.
    """

    rest: object = None
    upgrade: object = None
    tls: object = None  # an ssl.SSLContext
    behind_head: bytes = b""  # frames sent in the same write as the response head
    streams: queue.Queue = field(default_factory=queue.Queue)
    requests: list = field(default_factory=list)
    upgrades: list = field(default_factory=list)
    heads: list = field(default_factory=list)  # of the upgrades, whole

    def __enter__(self):
        """Listen on a free port."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open = []
        self._threads = [threading.Thread(target=self._accept, name="venue-accept")]
        self._threads[0].start()
        return self

    def __exit__(self, *_):
        """End every connection and thread."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(5)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()
        for connection in self._open:
            connection.close()

    @property
    def stream_base(self):
        """Where streams are."""
        return f"{'wss' if self.tls else 'ws'}://127.0.0.1:{self.port}"

    @property
    def rest_base(self):
        """Where REST is."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def stream(self, timeout_s=5.0):
        """Return the next upgraded connection."""
        return self.streams.get(timeout=timeout_s)

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), name="venue-connection")
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection):
        with contextlib.suppress(OSError):
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                byte = connection.recv(1)
                if not byte:
                    return
                head += byte
            lines = head.decode().split("\r\n")
            target = lines[0].split(" ")[1]
            fields = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
            if "upgrade" in fields:
                key = next(line for line in lines if line.lower().startswith("sec-websocket-key")).split(": ", 1)[1]
                self.heads.append(head.decode())
                self._upgrade(connection, target, key)
            else:
                self._rest(connection, target)

    def _upgrade(self, connection, target, key):
        self.upgrades.append(Request(target, time.monotonic()))
        refusal = self.upgrade(target) if self.upgrade else None
        if refusal:
            connection.sendall(refusal)
            connection.close()
            return
        digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
        accept = base64.b64encode(digest).decode()
        head = (
            f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
        )
        connection.sendall(head.encode() + self.behind_head)
        self.streams.put(Stream(connection))

    def _rest(self, connection, target):
        self.requests.append(Request(target, time.monotonic()))
        status, headers, body = self.rest(target)
        fields = "".join(f"{name}: {value}\r\n" for name, value in {"Content-Length": len(body), **headers}.items())
        connection.sendall(f"HTTP/1.1 {status} Status\r\n{fields}\r\n".encode() + body)
        connection.close()
