"""The policy data nono ships, read from nono/policy/data and the profiles folder."""
