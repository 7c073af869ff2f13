"""Show `make demo`: the stage, the agent inside the sandbox, and the report of the claims that held."""
