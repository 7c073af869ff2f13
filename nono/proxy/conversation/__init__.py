"""From the requests to language models: when a person's turn begins.

Three modules are pure: `outline` reads a request's body as it streams past, `asked` says what kind of request
it is, in the formats of providers and by what agents say, and `turns` tells which request of a run begins a
turn. `watch` reads one request while it is sent, `run_turns` follows a run and records its turns.
"""
