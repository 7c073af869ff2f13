"""Answers `nono why` with the functions that also enforce the policy. Pure."""
