"""The offline exchange: a seeded synthetic BTC/USDT market in Binance's own protocol, in a process of its own.

Data flow: `scenario` (what kind of market) → `flow` (orders acting on a `book`) → `market` (virtual time, frames)
→ `server` (loopback port: `session` for WebSocket clients, `rest` for snapshots, `faults` on request).
Nothing here knows the terminal; it starts this process through `process.OfflineMarket`.
"""
