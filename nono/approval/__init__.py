"""Asking somebody outside the sandbox whether something may happen."""
