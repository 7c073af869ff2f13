"""Answers `nono why` with the functions that also enforce the policy. Pure.

`paths`, `hosts` and `sockets` answer. `remedy` names the flag that would have allowed a thing, `extent` says
what that grants, `saving` writes it as an entry of a profile. `usual` guesses what a failed command lacked,
from `command_words` and `usual_table`; `refusals` collects what a watched one was refused, `given` turns the
options of a run into entries. `strict_json` keeps a run's rules for `nono why --self`. Signals and
abstract sockets are answered by `nono.sandbox.plan.scope_query`.
"""
