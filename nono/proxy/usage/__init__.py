"""Count the token usage of language models. Pure.

`shape` decides which requests use tokens, `meter` reads the counts from a response (with `json_picker` and,
of streams, `event_data` and `aws_event_stream`), `ledger` adds them up and checks limits, `prices` has the
list prices.
"""
