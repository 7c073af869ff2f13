"""Guess what a command lacks where its program and the table alone do not tell. Pure.

`signing` looks whether git would have signed, `home_project` whether a tool took the home for its project,
`certificates` which files of certificates the environment names, `looked_up` which interpreter env(1) finds
in place of the first on PATH, `model_clouds` whether an agent was to use a cloud whose login is outside,
`networks` whether a program asks a network, in a run without one, `namespaces` whether one makes namespaces
and mounts of its own, `other_users` whether one takes another user's rights or gives its own, `hooks` whether
one installs hooks of git, `services` which one outside it asks.
"""
