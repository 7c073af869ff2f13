"""Attack the sandbox from inside. Each program prints its outcomes as one JSON value."""
