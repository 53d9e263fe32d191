"""The offline exchange: a seeded synthetic BTC/USDT market in six exchanges' protocols, in a process of its own.

Data flow: `scenario` (what kind of market) → `flow` (orders acting on a `book`) → `market` (virtual time, `happenings`)
→ `dialects` (each exchange's messages and answers) → `server` (loopback port: `session` for clients, `faults` on
request, `outgoing` the one way out). Nothing here knows the terminal; it starts this process through
`process.OfflineMarket`.
"""
