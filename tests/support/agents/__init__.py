"""Real coding agents, got from their registry, at work under the profile that is shipped for each."""
