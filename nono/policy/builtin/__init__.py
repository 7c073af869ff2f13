"""Provide the policy data that nono ships, from nono/policy/data and the profiles folder."""
