"""What a person has set for every run: config.toml and the variables beside it."""
