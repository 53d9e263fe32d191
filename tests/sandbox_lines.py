"""Clients of the offline exchange's dialects without a socket, in the market's own time, and their dull books."""

import json
import struct
import zlib
from itertools import chain

from pytrader.sandbox.dialects import listing
from pytrader.sandbox.dialects.dialect import Asked, Close, Message
from pytrader.sandbox.market import BEAT_NS, Market
from pytrader.sandbox.scenario import SCENARIOS

SCENES = ("calm", "busy", "crash")


class Line:
    """One market and one client of it."""

    def __init__(self, target, *, scenario="calm", seed=5, headers=None, options=None):
        """Connect."""
        self.market = Market(seed, SCENARIOS[scenario], epoch_ms=1_790_000_000_000)
        self.dialects = listing.every(self.market, options)
        self.talk = self.connect(target, headers)

    def connect(self, target, headers=None):
        """Return a further client's conversation."""
        asked = Asked.of("GET", target, headers or {})
        return listing.of_stream(self.dialects, asked).talk(asked, 0.0)

    def say(self, asked, talk=None):
        """Send one text or object; return the payloads that answer it."""
        text = asked if isinstance(asked, str) else json.dumps(asked)
        return [word.payload for word in (talk or self.talk).answer(text) if isinstance(word, Message)]

    def beat(self):
        """Let one beat of 10 ms pass; return what this client hears."""
        return [message.payload for message in self.beat_messages()]

    def beat_messages(self, *talks):
        """Let one beat pass; return the messages of this client, or a list for each of `talks`."""
        happened = self.market.happen(self.market.now_ns + BEAT_NS)
        made = {dialect: dialect.make(happened) for dialect in self.dialects}
        heard = [list(talk.heard(made[talk.dialect])) for talk in talks or (self.talk,)]
        return heard if talks else heard[0]

    def rest(self, target):
        """Return (status, parsed body) of one REST call."""
        asked = Asked.of("GET", target)
        reply = listing.of_rest(self.dialects, asked.path).rest(asked, None)
        return reply.status, json.loads(reply.body)

    def truth(self, count=1 << 20):
        """Return the market's own best levels as two dictionaries of ticks and lots."""
        return dict(self.market.book.bids.top(count)), dict(self.market.book.asks.top(count))


def number(text, scale):
    """Return decimal text in units of 10^-scale, without a float on the way."""
    whole, _, part = text.partition(".")
    assert whole.isdigit()
    assert not part or part.isdigit()
    part = part.rstrip("0")
    assert len(part) <= scale, text
    return int(whole + part.ljust(scale, "0"))


class Books:
    """Two dictionaries, filled only from an exchange's own words."""

    def __init__(self):
        """Start empty."""
        self.sides = {}, {}

    def replace(self, bids, asks):
        """Take a snapshot."""
        self.sides = {}, {}
        self.apply(bids, asks)

    def apply(self, bids, asks):
        """Set rows that begin with a price and a size as texts; a size of zero removes."""
        for side, rows in zip(self.sides, (bids, asks), strict=True):
            for row in rows:
                self.set(side, number(row[0], 2), number(row[1], 5))

    @staticmethod
    def set(side, tick, lots):
        """Set one level."""
        side.pop(tick, None)
        if lots:
            side[tick] = lots


def okx_checksum(bids, asks):
    """Return OKX's old checksum of rows that begin with price and size as texts, best first."""
    rows = chain.from_iterable(zip(bids[:25], asks[:25], strict=True))
    unsigned = zlib.crc32(":".join(f"{row[0]}:{row[1]}" for row in rows).encode())
    return unsigned - ((unsigned >> 31) << 32)


def closes(words):
    """Return the close codes among a dialect's words."""
    return [word.code for word in words if isinstance(word, Close)]


class Sbe:
    """One binary frame of schema 1, taken apart by the published layout."""

    def __init__(self, frame):
        """Read the header and remember where the block ends."""
        self.block, self.template, schema, version = struct.unpack_from("<HHHH", frame)
        assert (schema, version) == (1, 0)
        self.frame, self.at = frame, 8 + self.block

    def field(self, code, offset):
        """Return one field of the root block."""
        return struct.unpack_from("<" + code, self.frame, 8 + offset)[0]

    def group(self, entry, wide=False):
        """Return the rows of the next group; `wide` is a count of 32 bits."""
        size, rows = struct.unpack_from("<HI" if wide else "<HH", self.frame, self.at)
        self.at += 6 if wide else 4
        assert size == struct.calcsize("<" + entry)
        found = [struct.unpack_from("<" + entry, self.frame, self.at + size * row) for row in range(rows)]
        self.at += size * rows
        return found

    def symbol(self):
        """Return the symbol, which must end the frame."""
        size = self.frame[self.at]
        assert self.at + 1 + size == len(self.frame)
        return self.frame[self.at + 1 :].decode()
