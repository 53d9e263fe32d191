"""The SQL views of a journal: `fills`, `orders` and `rejects`, computed from its events and from nothing else.

They are stored in the journal for other programs that read SQLite, and rebuilt there when a definition below changes.
Decimals stay the exact text of the event; docs/csv.md describes every column.
"""

from typing import Final


def _read(source: str, **fields: str) -> str:
    """Return SQL that shows fields of the JSON `source`, each under the name given for it."""
    return ", ".join(f"json_extract({source}, '$.{path}') AS \"{name}\"" for name, path in fields.items())


def _both(*names: str) -> str:
    """Return SQL that shows fields which a fill of an order and a stray fill have alike."""
    paths = ((f"json_extract(body, '$.filled.{name}'), json_extract(body, '$.stray.{name}')", name) for name in names)
    return ", ".join(f'coalesce({path}) AS "{name}"' for path, name in paths)


def _flag(source: str, name: str) -> str:
    """Return SQL that shows a JSON boolean as the text true or false, named by its last part."""
    return f"iif(json_extract({source}, '$.{name}'), 'true', 'false') AS {name.rpartition('.')[2]}"


# Reading paths of the whole body is three times as fast as json_each, whose values SQLite parses again for each field.
_BODIES: Final = "(SELECT seq, utc_ns, CAST(body AS TEXT) AS body FROM events)"
_KINDS: Final = "events, json_each(CAST(events.body AS TEXT)) AS event"  # key = the kind, value = its object
_MARKET: Final = ", ".join(
    f"(SELECT json_extract(CAST(body AS TEXT), '$.opened.{name}') FROM events WHERE seq = 1) AS {name}"  # noqa: S608
    for name in ("execution", "venue", "symbol")
)
_HEAD: Final = f"seq, utc_ns, {_MARKET}"

# One row for each report of a fill; an order may have several. `levels` lists what was taken as quantity@price. A stray
# fill has no order to be measured by: what is about one is NULL.
_TRADES: Final = "json_each(body, iif(json_type(body, '$.stray') IS NULL, '$.filled.trades', '$.stray.trades')) trade"
_FILLS: Final = f"""SELECT {_HEAD},
  {_both("order", "side")},
  coalesce(json_extract(body, '$.filled.filled'), json_extract(body, '$.stray.quantity')) AS quantity,
  {_read("body", order_quantity="filled.quantity")},
  {_flag("body", "filled.done")}, {_both("average", "cost", "fee")},
  (SELECT group_concat(json_extract(trade.value, '$.quantity') || '@' || json_extract(trade.value, '$.price'), ' ')
    FROM {_TRADES}) AS levels,
  {_flag("body", "filled.maker")},
  {_read("body", decision_mid="filled.decision_mid", arrival_mid="filled.arrival_mid")},
  {_read("body", delay_ns="filled.delay_ns", elapsed_ns="filled.elapsed_ns")},
  {_read("body", slippage_total="filled.slippage.total")},
  {_read("body", slippage_spread="filled.slippage.spread", slippage_depth="filled.slippage.depth")},
  {_read("body", slippage_delay="filled.slippage.delay", slippage_model="filled.slippage.model")},
  {_both("realised")}, {_read("body", drift="filled.drift", stray="stray.cause")},
  (SELECT group_concat(json_extract(trade.value, '$.id'), ' ') FROM {_TRADES}) AS trade_ids
FROM {_BODIES} WHERE json_type(body, '$.filled') IS NOT NULL OR json_type(body, '$.stray') IS NOT NULL
ORDER BY seq"""  # noqa: S608  (only names from this file)

# One row for each accepted order, in the state its last event left it: beside a single max() SQLite takes bare columns
# from the row that has the maximum. Quantities are added as integers of 10^-8: SQLite would add decimal text as floats.
_ORDERS: Final = f"""WITH life AS (
  SELECT events.seq, events.utc_ns, event.key AS kind, event.value AS body,
    json_extract(event.value, '$.order') AS id, json_extract(event.value, '$.filled') AS filled,
    coalesce(json_extract(event.value, '$.done'), event.key = 'ended') AS ends
  FROM {_KINDS} WHERE event.key IN ('accepted', 'released', 'resting', 'unknown', 'filled', 'ended')
), orders AS (
  SELECT id, max(seq) AS last_seq, utc_ns AS last_utc_ns, kind, ends, body,
    sum(seq) FILTER (WHERE kind = 'accepted') AS seq, sum(utc_ns) FILTER (WHERE kind = 'accepted') AS utc_ns,
    group_concat(body) FILTER (WHERE kind = 'accepted') AS accepted, count(*) FILTER (WHERE kind = 'filled') AS fills,
    coalesce(sum(CAST(filled AS INTEGER) * 100000000 + CAST(substr(
      iif(instr(filled, '.'), substr(filled, instr(filled, '.') + 1), '') || '00000000', 1, 8) AS INTEGER)
    ) FILTER (WHERE kind = 'filled'), 0) AS filled_e8
  FROM life GROUP BY id HAVING accepted IS NOT NULL
)
SELECT seq, utc_ns, {_MARKET}, id AS "order",
  {_read("accepted", side="side", quantity="quantity", limit="limit", tif="tif")}, {_flag("accepted", "reduce")},
  {_read("accepted", notional="notional", bid="bid", ask="ask")},
  CASE WHEN kind = 'ended' THEN json_extract(body, '$.state')
    WHEN kind = 'filled' AND NOT ends THEN 'partially_filled' ELSE kind END AS state,
  iif(kind = 'ended', json_extract(body, '$.reason'), NULL) AS reason,
  rtrim(rtrim(printf('%d.%08d', filled_e8 / 100000000, filled_e8 % 100000000), '0'), '.') AS filled,
  fills, iif(ends, last_seq, NULL) AS ended_seq, iif(ends, last_utc_ns, NULL) AS ended_utc_ns,
  {_read("accepted", client_id="client_id")}
FROM orders ORDER BY seq"""  # noqa: S608  (only names from this file)

# One row for each order that the risk check refused; `codes` and `breaches` list everything that stood against it.
_REJECTS: Final = f"""SELECT {_HEAD},
  {_read("body", side="refused.request.side", quantity="refused.request.quantity")},
  {_read("body", limit="refused.request.limit", tif="refused.request.tif")},
  {_flag("body", "refused.request.reduce")},
  (SELECT group_concat(json_extract(breach.value, '$.code'), ';')
    FROM json_each(body, '$.refused.breaches') AS breach) AS codes,
  (SELECT group_concat(json_extract(breach.value, '$.code')
      || coalesce(' value=' || json_extract(breach.value, '$.value'), '')
      || coalesce(' limit=' || json_extract(breach.value, '$.limit'), '')
      || coalesce(' headroom=' || json_extract(breach.value, '$.headroom'), '')
      || coalesce(' retry_after_ms=' || json_extract(breach.value, '$.retry_after_ms'), ''), '; ')
    FROM json_each(body, '$.refused.breaches') AS breach) AS breaches,
  {_read("body", largest="refused.largest", sentence="refused.sentence", client_id="refused.request.client_id")}
FROM {_BODIES} WHERE json_type(body, '$.refused') IS NOT NULL ORDER BY seq"""  # noqa: S608  (only names from this file)

VIEWS: Final = {"fills": _FILLS, "orders": _ORDERS, "rejects": _REJECTS}  # name -> its SELECT
