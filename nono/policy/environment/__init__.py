"""Decide for each inherited variable whether the command gets it. Pure.

Start with `inheritance`, which serves both enforcement and `nono why`. `secret_names` and `secret_values`
recognise secrets, `authority` recognises variables that point to one.
"""
