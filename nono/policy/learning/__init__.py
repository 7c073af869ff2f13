"""Decides what `nono learn` may observe, and turns the observations into a profile. Pure."""
