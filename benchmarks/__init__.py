"""Measures nono's budgets beside its peers in one run: `make bench`."""
