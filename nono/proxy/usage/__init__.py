"""Token usage of language models. Pure.

`meter` reads the counts from a response (with `json_picker`), `ledger` adds them up and checks limits,
`prices` has the list prices.
"""
