"""Read what a person types: whether anybody can answer, a line without echo, and the wait for it."""
