"""One client's connection: HTTP first, a WebSocket after the upgrade. Bytes in, bytes out; the server decides."""

import asyncio
import contextlib
import socket
import struct
import time
from collections import deque
from typing import Final, Protocol

import h11
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    Message,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from pytrader.sandbox import rest
from pytrader.sandbox.dialects.dialect import Asked, Talk
from pytrader.sandbox.spoiling import IN_BETWEEN

MOST_BODY_BYTES: Final = 1 << 20
MOST_TEXT_CHARACTERS: Final = 1 << 20  # of a client's message, in however many fragments it comes
MOST_UNSENT_BYTES: Final = 32 << 20  # a client that reads slower than this much behind is dropped
MOST_PINGS: Final = 4  # whose echo counts: a slow client may answer one after the next was sent
MOST_CLOSE_REASON: Final = 123  # bytes, of RFC 6455
ABNORMAL: Final = 1006  # the code of a connection that ends without a close frame
LINGER_S: Final = 5.0  # in which an ended connection may still take what was sent before


class Exchange(Protocol):
    """What a session needs of the server."""

    sessions: set["Session"]

    def may_connect(self) -> bool:
        """Say whether new connections are welcome."""

    def answers_pings(self) -> bool:
        """Say whether a client's ping is to be answered."""

    def rest_reply(self, method: str, target: str, body: bytes) -> rest.Reply:
        """Answer one HTTP request."""

    def converse(self, asked: Asked) -> Talk | rest.Reply:
        """Begin a WebSocket client's conversation, or return the answer that refuses it."""

    def heard(self, session: "Session", text: str) -> None:
        """Answer a client's text."""


class Session(asyncio.Protocol):
    """One connection. `talk` is None until it is a WebSocket; `sent_s`, `heard_s`: when a message last went, came."""

    def __init__(self, exchange: Exchange) -> None:
        """Wait for the first bytes."""
        self._exchange = exchange
        self._http = h11.Connection(h11.SERVER)
        self._websocket: WSConnection | None = None
        self._request: h11.Request | None = None
        self._body = b""
        self._text = ""  # of a message that is still coming
        self._messages: deque[float] = deque()
        self._unanswered_since: float | None = None
        self._pinged: deque[bytes] = deque(maxlen=MOST_PINGS)  # payloads of our last pings
        self._deaf = False
        self._slow: bytearray | None = None  # what is sent a byte at a time
        self.talk: Talk | None = None
        self.sent_s = self.heard_s = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, unless new ones are being refused."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._exchange.may_connect():
            transport.abort()

    def connection_lost(self, _: Exception | None) -> None:
        """Hear nothing any more."""
        self._exchange.sessions.discard(self)
        if self.talk is not None:
            self.talk.end()

    def data_received(self, data: bytes) -> None:
        """Feed bytes to the protocol that the connection speaks now."""
        try:
            if self._websocket is None:
                self._http.receive_data(data)
                self._http_events()
            else:
                self._websocket.receive_data(data)
                self._websocket_events()
        except (h11.ProtocolError, RemoteProtocolError, LocalProtocolError):
            self._finish()

    def send(self, data: bytes) -> None:
        """Write bytes, whatever they are; a client that lags too far behind is dropped instead."""
        if self._deaf or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() + len(self._slow or b"") > MOST_UNSENT_BYTES:
            self._transport.abort()
        elif self._slow is not None:
            self._slow += data
        else:
            self._transport.write(data)

    def _finish(self) -> None:
        """End the connection when what was sent has left, which a client that does not read cannot put off for long."""
        self._transport.close()
        asyncio.get_running_loop().call_later(LINGER_S, self._transport.abort)

    def say(self, data: bytes) -> None:
        """Write frames that the client takes for messages."""
        self.sent_s = time.monotonic()
        self.send(data)

    def ping(self, now: float, deadline_s: float) -> None:
        """Send the server's ping, or drop a client that has answered none for `deadline_s`."""
        if self._deaf or self._slow is not None:  # it could not answer in time, and such a fault is not ended by pings
            return
        if self._unanswered_since is None:
            self._unanswered_since = now
        elif now - self._unanswered_since >= deadline_s:
            self._transport.abort()
            return
        assert self._websocket is not None
        self._pinged.append(str(time.time_ns() // 1_000_000).encode())
        self.send(self._websocket.send(Ping(payload=self._pinged[-1])))

    def cut(self) -> None:
        """Drop the connection without a word."""
        self._transport.abort()

    def cut_in(self, way: str) -> None:
        """End the connection by a reset (`rst`), a plain end of the stream (`fin`), or a close frame with a code."""
        if way.isdigit():
            self.close(int(way), "chaos")
        elif way == "rst":
            with contextlib.suppress(OSError, AttributeError):  # under TLS it may be gone before we are told so
                plug = self._transport.get_extra_info("socket")
                plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.cut()
        else:
            self._finish()

    def go_deaf(self) -> None:
        """Read and write nothing more, and keep the connection: half-open, until it is cut."""
        self._deaf = True
        self._transport.pause_reading()

    def slow_down(self) -> None:
        """Hold back from now on all that is sent, pongs too: whatever came in between would be part of a slow frame."""
        self._slow = bytearray()

    def drip(self) -> None:
        """Send the next byte of what is held back."""
        if self._slow and not self._transport.is_closing():
            self._transport.write(bytes(self._slow[:1]))
            del self._slow[:1]

    def speed_up(self) -> None:
        """Send all that is held back, and hold back nothing more."""
        held, self._slow = self._slow, None
        if held:
            self.send(bytes(held))

    def close(self, code: int, reason: str) -> None:
        """End the connection with a close frame, or without one if the code is 1006."""
        if code == ABNORMAL:
            self.cut()
        else:
            self._write(CloseConnection(code=code, reason=reason[:MOST_CLOSE_REASON]))
            self._finish()
        self._exchange.sessions.discard(self)

    def _http_events(self) -> None:
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                self._request, self._body = event, b""
                if any(name == b"upgrade" and value.lower() == b"websocket" for name, value in event.headers):
                    self._upgrade(event)
                    return
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > MOST_BODY_BYTES:
                    self._transport.abort()
                    return
            elif isinstance(event, h11.EndOfMessage):
                self._reply()
                if self._transport.is_closing():
                    return
            else:  # needs more data, or the peer is done
                if isinstance(event, h11.ConnectionClosed):
                    self._finish()
                return

    def _reply(self) -> None:
        assert self._request is not None
        method, target = self._request.method.decode(), self._request.target.decode()
        reply = self._exchange.rest_reply(method, target, self._body)
        body = reply.body.encode()
        headers = {"Content-Type": rest.JSON, "Content-Length": str(len(body)), **reply.headers}
        parts = [h11.Response(status_code=reply.status, headers=list(headers.items())), h11.Data(data=body)]
        told = parts[:1] if method == "HEAD" else parts
        self.send(b"".join([self._http.send(part) or b"" for part in (*told, h11.EndOfMessage())]))
        if self._http.our_state is h11.MUST_CLOSE or self._http.their_state is h11.MUST_CLOSE:
            self._finish()
        else:
            self._http.start_next_cycle()

    def _upgrade(self, request: h11.Request) -> None:
        websocket = WSConnection(ConnectionType.SERVER)
        self._websocket = websocket
        try:
            websocket.initiate_upgrade_connection(list(request.headers), request.target.decode())
        except RemoteProtocolError as broken:  # asks for a WebSocket, but not as RFC 6455 says
            self._write(broken.event_hint or RejectConnection())
            self._finish()
            return
        self._websocket_events()
        early, _ = self._http.trailing_data  # sent by a client that did not wait for our answer
        if early and self.talk is not None:
            websocket.receive_data(early)
            self._websocket_events()

    def _websocket_events(self) -> None:
        assert self._websocket is not None
        for event in self._websocket.events():
            if isinstance(event, Request):
                self._accept(event)
            elif _counts(event) and self._exceeds_rate():
                self.close(1008, "Too many requests")
                return
            else:
                self._websocket_event(event)
            if self._transport.is_closing():
                return

    def _websocket_event(self, event: Event) -> None:
        if isinstance(event, TextMessage):
            self._text += event.data
            if len(self._text) > MOST_TEXT_CHARACTERS:
                self.close(1009, "Message too big")
            elif event.message_finished:
                text, self._text, self.heard_s = self._text, "", time.monotonic()
                self._exchange.heard(self, text)
        elif isinstance(event, Ping) and self._exchange.answers_pings():
            self._write(event.response())
        elif isinstance(event, Pong) and bytes(event.payload) in self._pinged:  # others answer nothing
            self._unanswered_since = None
        elif isinstance(event, CloseConnection):
            self._write(event.response())
            self._exchange.sessions.discard(self)  # nothing may be sent behind it
            self._finish()

    def _accept(self, request: Request) -> None:
        assert self._request is not None
        headers = {name.decode(): value.decode("latin-1") for name, value in self._request.headers}
        talk = self._exchange.converse(Asked.of("GET", request.target, headers))
        if isinstance(talk, rest.Reply):
            body = talk.body.encode()
            headers = {"content-length": str(len(body)), **talk.headers}
            fields = [(name.encode(), value.encode()) for name, value in headers.items()]
            self._write(RejectConnection(status_code=talk.status, headers=fields, has_body=True))
            self._write(RejectData(data=body))
            self._finish()
            return
        self.talk = talk
        self.sent_s = self.heard_s = time.monotonic()
        self._write(AcceptConnection())
        self._exchange.sessions.add(self)

    def _exceeds_rate(self) -> bool:
        """Count one message of the client: text, ping and pong alike."""
        most = self.talk.dialect.most_messages_a_second if self.talk is not None else None
        if most is None:
            return False
        now = time.monotonic()
        self._messages.append(now)
        while now - self._messages[0] >= 1.0:
            self._messages.popleft()
        return len(self._messages) > most

    def _write(self, event: Event) -> None:
        assert self._websocket is not None
        self.send(self._websocket.send(event))


def _counts(event: Event) -> bool:
    """Say whether this is a message of the client: no part of one, no pong to a ping that no exchange would send."""
    if isinstance(event, Pong):
        return bytes(event.payload) != IN_BETWEEN
    return not isinstance(event, Message) or event.message_finished
