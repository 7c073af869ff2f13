"""Enforce memory and process limits: place a cgroup, run it, and report which limit ended a run."""
