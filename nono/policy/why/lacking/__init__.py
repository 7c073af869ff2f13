"""Guess what a failed command lacked where its program and the table alone do not tell. Pure.

`signing` looks whether git would have signed, `home_project` whether a tool took the home for its project.
"""
