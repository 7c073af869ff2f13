"""Hold a person's settings for every run: config.toml and the variables that override it."""
