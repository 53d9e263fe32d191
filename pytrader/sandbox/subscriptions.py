"""The JSON control messages of a stream connection, and Binance's replies to them."""

import json
from typing import Any, Final

from pytrader.sandbox.dialects.reading import read_json

METHODS: Final = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
MOST_STREAMS: Final = 1024


class Subscriptions:
    """The streams one connection hears, and whether they come wrapped with their name."""

    def __init__(self, streams: list[str], *, wrapped: bool) -> None:
        """Start with the streams of the URL."""
        self.streams = dict.fromkeys(streams)
        self.wrapped = wrapped
        self._rekey()

    def _rekey(self) -> None:
        self.key = (frozenset(self.streams), self.wrapped)  # equal keys hear the same bytes

    def reply(self, text: str) -> str:
        """Carry out one control message and return the reply's text."""
        try:
            asked = read_json(text)
        except ValueError:
            return _refusal(3, "Invalid JSON: expected value at line 1 column 1", None)
        if not isinstance(asked, dict):
            return _refusal(2, "Invalid request: expected an object", None)
        request_id = asked.get("id")
        if not _is_request_id(request_id):
            return _refusal(2, "Invalid request: request ID must be an unsigned integer", None)
        method, params = asked.get("method"), asked.get("params", [])
        if method not in METHODS:
            expected = ", ".join(f"`{known}`" for known in METHODS)
            return _refusal(2, f"Invalid request: unknown variant `{method}`, expected one of {expected}", request_id)
        if not isinstance(params, list):
            return _refusal(2, "Invalid request: params must be an array", request_id)
        return self._done(method, params, request_id)

    def _done(self, method: str, params: list[Any], request_id: int | str | None) -> str:
        result: Any = None
        match method, params:
            case "LIST_SUBSCRIPTIONS", _:
                result = list(self.streams)
            case "GET_PROPERTY", ["combined"]:
                result = self.wrapped
            case "SET_PROPERTY", ["combined", bool(wrapped)]:
                self.wrapped = wrapped
            case "SET_PROPERTY", ["combined", _]:
                return _refusal(1, "Invalid value type: expected Boolean", request_id)
            case (("SET_PROPERTY" | "GET_PROPERTY"), _):
                return _refusal(0, "Unknown property", request_id)
            case _ if not all(isinstance(name, str) for name in params):
                return _refusal(2, "Invalid request: stream name must be a string", request_id)
            case "SUBSCRIBE", _ if len(self.streams) + len(params) > MOST_STREAMS:
                return _refusal(2, "Invalid request: too many parameters", request_id)
            case "SUBSCRIBE", _:
                self.streams.update(dict.fromkeys(params))
            case _:
                for name in params:
                    self.streams.pop(name, None)
        self._rekey()
        return json.dumps({"result": result, "id": request_id}, separators=(",", ":"))


def _is_request_id(value: Any) -> bool:  # noqa: ANN401 - anything can stand in JSON
    if isinstance(value, str):
        return len(value) <= 36 and value.isascii() and value.isalnum()
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


def _refusal(code: int, message: str, request_id: int | str | None) -> str:
    body = {"code": code, "msg": message} | ({} if request_id is None else {"id": request_id})
    return json.dumps(body, separators=(",", ":"))
