"""Count the token usage of language models. Pure.

`shape` decides which requests use tokens, `meter` reads the counts from a response (with `json_picker` and,
of server-sent events, `event_data`), `ledger` adds them up and checks limits, `prices` has the list prices.
"""
