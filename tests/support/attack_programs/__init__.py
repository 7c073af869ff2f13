"""Programs that attack the sandbox from inside: each prints its outcomes as one JSON value."""
