"""Read what a person types: whether one can answer, a line without echo, and waiting for it."""
