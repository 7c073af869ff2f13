"""Run real coding agents, fetched from their registries, under the profile that is shipped for each."""
