"""The commands about sessions: `ps`, `inspect`, `logs`, `stop`, `prune`. `chosen` finds the one meant."""
