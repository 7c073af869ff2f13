"""The environment of the command: decides for each inherited variable whether it is passed on. Pure.

Start with `inheritance`, which answers both enforcement and `nono why`. `secret_names` and `secret_values`
recognise secrets, `authority` the variables that point to one.
"""
