"""Print what a run was denied, and offer to save grants for it.

`report` is the entry point; `explained` adds what a watched run was refused, and `likely_causes` what no
denial says. `save_prompt` asks, `saved_profile` is the profile that is written, and `next_command` builds the
command that runs the same again. `not_started` says why the kernel did not start the command, for which
`program_parts` inspects it.
"""
