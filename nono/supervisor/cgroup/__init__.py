"""Enforces memory and process limits: places a cgroup, runs it, and reports which limit ended a run."""
