"""Answer `nono why` with the functions that also enforce the policy. Pure.

`paths`, `hosts`, `sockets` and `variables` answer. `remedy` names the flag that would have allowed an
access, `extent` says what that flag grants, `saving` writes it as an entry of a profile. `usual` guesses
what a failed command lacked, from `commands/`, `usual_table` and `lacking/`; `starting` explains a
program that did not start, by what `program_file` reads in it. `refusals` collects what a watched command
was refused, `given` turns the options of a run into entries. nono.sandbox.plan.scope_query answers about
signals and abstract sockets.
"""
