"""Answers for `nono why`, drawn from the functions that also enforce. Pure."""
