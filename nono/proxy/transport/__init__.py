"""Provide the building blocks of every connection: sets, deadlines, turns, protocol handover, splicing."""
