"""The composition root of a run, from the fork of the launcher to the exit code.

`run` goes through the steps: `prepare` finds the program and how it will be held, `session` and `start`
make the records that every later step takes (Session, RunContext). `run_proxy` opens the proxy, `outset`
starts the command and imports `supervised`, which runs notify loop and proxy on one loop with what is in
`serving`; `approvals` reaches who is asked.
`wrap` becomes the command instead, `standalone_proxy` serves without one. `proxy` puts a proxy together,
`learn` plans a `nono learn` run and makes its profile. `surroundings` finds the caller's terminals and draws
the command's view; `temporary_directory` is for runs without one. `state` and `state_file` tell the command
about its sandbox, `denials` collects what it was refused, `trusted` keeps what nono itself trusts out of its
reach.
"""
