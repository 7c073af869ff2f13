"""Find out when a person's turn begins, from the requests to language models.

Three modules are pure: `outline` reads a request's body as it streams past, `asked` classifies the request,
by the formats of providers and the marks of agents, and `turns` decides which requests of a run begin a turn.
`watch` reads one request while it is sent, `run_turns` follows a run and records its turns.
"""
