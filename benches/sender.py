"""The sending side of the latency lines, a process of its own: a paced stream that carries its own send time.

Speaks just enough HTTP and WebSocket on loopback for a feed to connect, fetch a snapshot and stay live. In every frame
the best bid's size is the sender's `time.monotonic_ns()` right before the frame is made and sent, as 10⁻⁸ units:
whoever sees the top sees when it was sent, by the one clock that all processes share. Prints its port, ends with its
input.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import socket
import sys
import threading
import time

import frames

PERIOD_NS = 1_000_000  # 1,000 frames a second
SLACK_NS = 150_000  # how late a sleep may end and count as on time
DEPTH_EVERY = 100  # frames: ten depth frames a second, as the venue sends them
KEY_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
BID, ASK = frames.price(frames.MIDDLE - 1), frames.price(frames.MIDDLE)
FURTHER = ",".join(f'["{frames.price(frames.MIDDLE + step)}","2.50000000"]' for step in range(20))


class Sender:
    """One market whose update ids rise over all of its connections."""

    def __init__(self) -> None:
        """Begin before the first update."""
        self._ids = itertools.count(1)
        self._depth_id = 0

    def serve(self, connection: socket.socket) -> None:
        """Answer one connection: a snapshot, or the stream until the other side goes."""
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            head = _head(connection)
            key = next((line[19:].strip() for line in head if line.lower().startswith("sec-websocket-key: ")), None)
            if key is None:
                body = frames.snapshot(self._depth_id)
                connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
                return
            digest = hashlib.sha1((key + KEY_SUFFIX).encode(), usedforsecurity=False).digest()
            accept = base64.b64encode(digest).decode()
            upgrade = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            connection.sendall(f"{upgrade}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
            self._stream(connection)

    def _stream(self, connection: socket.socket) -> None:
        due_ns = time.monotonic_ns()
        try:
            while True:
                time.sleep(max(due_ns - time.monotonic_ns(), 0) / 1e9)
                now_ns = time.monotonic_ns()
                connection.sendall(self._frame(next(self._ids)))
                # Kept waiting, it goes on from there: no frame follows another sooner than a period less the slack.
                due_ns = (due_ns if now_ns - due_ns < SLACK_NS else now_ns) + PERIOD_NS
        except OSError:
            return  # the other side has gone

    def _frame(self, update_id: int) -> bytes:
        now_ns = time.monotonic_ns()
        stamp = f"{now_ns // 10**8}.{now_ns % 10**8:08d}"
        if update_id % DEPTH_EVERY:
            sides = f'"b":"{BID}","B":"{stamp}","a":"{ASK}","A":"1.50000000"'
            return _framed(frames.wrap("bookTicker", f'{{"u":{update_id},"s":"BTCUSDT",{sides}}}'))
        first, self._depth_id = self._depth_id + 1, update_id
        head = f'"e":"depthUpdate","E":1760000000000,"s":"BTCUSDT","U":{first},"u":{update_id}'
        return _framed(frames.wrap("depth@100ms", f'{{{head},"b":[["{BID}","{stamp}"]],"a":[{FURTHER}]}}'))


def _framed(payload: bytes) -> bytes:
    size = len(payload)
    head = bytes((0x81, size)) if size < 126 else bytes((0x81, 126)) + size.to_bytes(2, "big")
    return head + payload


def _head(connection: socket.socket) -> list[str]:
    received = b""
    while b"\r\n\r\n" not in received:
        more = connection.recv(4_096)
        if not more:
            break
        received += more
    return received.decode("latin-1").split("\r\n")


def _accept(listener: socket.socket, sender: Sender) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=sender.serve, args=(connection,), daemon=True).start()


def main() -> None:
    """Serve until standard input ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=_accept, args=(listener, Sender()), daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
