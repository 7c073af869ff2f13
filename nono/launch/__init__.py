"""Compose a run, from the fork of the launcher to the exit code.

`run` goes through the steps: `prepare` finds the program and the enforcement, `session` and `start` define
what every later step takes (Session, RunOptions, RunContext), `lifecycle` records its start and its end,
`optional` enters what not every run has. `run_proxy` opens the proxy, `outset` starts the command and imports
`supervised`, which runs notify loop and proxy on one event loop with the parts in `serving`; `approvals`
connects the approval backends. `wrap` becomes the command instead, `standalone_proxy` serves without one.
`proxy` assembles a proxy, `learn` plans a `nono learn` run and makes its profile. `around` has what surrounds
the command, `beside` what a person asked for beside it, `terminal` its own terminal, `control` the control
interface. `state` tells the command about its sandbox, `denials` collects what it was refused, `record`
proves the log, `trusted` keeps what nono itself trusts out of its reach.
"""
