"""The policy data that nono ships, read from nono/policy/data and the profiles folder."""
