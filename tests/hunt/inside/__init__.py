"""Run within the sandbox, by the standard library alone: `runner`, and `values` for the words of a step."""
