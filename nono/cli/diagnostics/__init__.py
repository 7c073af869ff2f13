"""Prints what a run was denied, and offers to save grants for it.

`report` is the top; `explained` adds what a watched run was refused. `save_prompt` asks, `saved_profile` is
the profile that is written, `next_command` what runs the same again.
"""
