"""Run `nono learn`: `plan` draws up the policy of a watched run, `result` makes a profile from it."""
