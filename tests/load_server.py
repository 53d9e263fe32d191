"""Binance's streams under load, a process of its own: `load_server.py FOLDER SECONDS [BURSTS] [STALL_S]`.

Speaks `wss` and REST on loopback with the certificate in FOLDER, and streams 25,000 frames a second to whoever upgrades
first: 25 each millisecond, those that are overdue at once. Right before a write it notes in FOLDER/sent the number of
its first frame, the monotonic time and whether it belongs to a burst. Halfway it sends BURSTS bursts of 6,500 frames,
or nothing for STALL_S. Prints its port, then one line of JSON when all is sent; ends with its input.
"""

import base64
import contextlib
import hashlib
import json
import select
import socket
import struct
import sys
import threading
import time
from array import array
from pathlib import Path

from certificates import server_context
from load_frames import A_TICK, FIRST_ID, TICKS, Market

ENTRY = struct.Struct("<qqq")  # of FOLDER/sent: the first frame's number, when, 1 for a burst
TICK_NS = 10**9 // TICKS
BURST_FRAMES, BURST_PARTS, BURST_NS = 6_500, 10, 10_000_000
SETTLE_S = 0.2  # before and after a burst
LISTEN_EVERY = 128  # ticks


class Server:
    """One market, one stream at a time."""

    def __init__(self, folder, seconds, bursts, stall_s):
        """Make the frames."""
        self._seconds, self._bursts, self._stall_s = seconds, bursts, stall_s
        self._market, self._lock = Market(), threading.Lock()
        self._log = (folder / "sent").open("wb", buffering=0)
        self._context = server_context(folder)
        self._late_us, self._burst_ms = array("I"), []
        self._upgrades = self._requests = 0

    def serve(self, connection):
        """Answer one connection: a snapshot, or the stream until the other side goes."""
        with contextlib.suppress(OSError), self._context.wrap_socket(connection, server_side=True) as secure:
            head = b""
            while b"\r\n\r\n" not in head:
                more = secure.recv(4_096)
                if not more:
                    return
                head += more
            lines = head.decode().split("\r\n")
            key = next((line[19:].strip() for line in lines if line.lower().startswith("sec-websocket-key: ")), None)
            if key is None:
                self._answer(secure, lines[0])
            else:
                self._upgrade(secure, key)

    def _answer(self, connection, line):
        self._requests += 1
        with self._lock:
            body = self._market.snapshot(int(line.split("limit=")[1].split(" ")[0]))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def _upgrade(self, connection, key):
        self._upgrades += 1
        digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
        head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        connection.sendall(f"{head}Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n\r\n".encode())
        if self._upgrades > 1:
            return  # one stream is all there is: a second one is a failure that the figures show
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ticks = int(self._seconds * TICKS)
        self._stream(connection, ticks // 2)
        self._disturb(connection)
        self._stream(connection, ticks - ticks // 2)
        print(json.dumps(self._figures()), flush=True)
        while self._listen(connection, 60):
            pass

    def _stream(self, connection, ticks):
        due_ns = time.monotonic_ns()
        for tick in range(ticks):
            due_ns += TICK_NS
            wait_ns = due_ns - time.monotonic_ns()
            if wait_ns > 0:
                time.sleep(wait_ns / 1e9)
            self._send(connection, 1, 0)
            self._late_us.append(max(time.monotonic_ns() - due_ns, 0) // 1_000)
            if tick % LISTEN_EVERY == 0:
                self._listen(connection, 0)

    def _send(self, connection, ticks, burst):
        with self._lock:
            first, data = self._market.next_id, b"".join(self._market.tick() for _ in range(ticks))
        self._write(connection, first, data, burst)

    def _write(self, connection, first, data, burst):
        self._log.write(ENTRY.pack(first, time.monotonic_ns(), burst))
        connection.sendall(data)

    def _disturb(self, connection):
        for _ in range(self._bursts):
            time.sleep(SETTLE_S)
            self._burst(connection)
            time.sleep(SETTLE_S)
        if self._stall_s:
            ticks = int(self._stall_s * TICKS)
            time.sleep(self._stall_s)
            for _ in range(ticks):
                self._send(connection, 1, 1)

    def _burst(self, connection):
        """Send 6,500 frames, made before, within 10 ms: a tenth of them each millisecond."""
        with self._lock:
            parts = []
            for _ in range(BURST_PARTS):
                ticks = range(BURST_FRAMES // BURST_PARTS // A_TICK)
                parts.append((self._market.next_id, b"".join(self._market.tick() for _ in ticks)))
        began_ns = time.monotonic_ns()
        for index, (first, data) in enumerate(parts):
            wait_ns = began_ns + index * BURST_NS // BURST_PARTS - time.monotonic_ns()
            if wait_ns > 0:
                time.sleep(wait_ns / 1e9)
            self._write(connection, first, data, 1)
        self._burst_ms.append((time.monotonic_ns() - began_ns) / 1e6)

    def _listen(self, connection, timeout_s):
        """Answer a ping; False when the other side has gone."""
        if not connection.pending() and not select.select([connection], [], [], timeout_s)[0]:
            return True
        received = connection.recv(4_096)
        if received[:1] == b"\x89":
            connection.sendall(b"\x8a\x00")
        return bool(received) and received[:1] != b"\x88"

    def _figures(self):
        late = sorted(self._late_us)
        return {
            "sent": self._market.next_id - FIRST_ID,
            "late_p99_us": late[len(late) * 99 // 100],
            "late_max_us": late[-1],
            "burst_ms": [round(each, 1) for each in self._burst_ms],
            "upgrades": self._upgrades,
            "requests": self._requests,
        }


def _accept(listener, server):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=server.serve, args=(connection,), daemon=True).start()


def main(folder, seconds, bursts=0, stall_s=0.0):
    """Serve until standard input ends."""
    sys.setswitchinterval(0.0005)
    server, listener = Server(Path(folder), seconds, bursts, stall_s), socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=_accept, args=(listener, server), daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), *(int(word) for word in sys.argv[3:4]), *map(float, sys.argv[4:5]))
