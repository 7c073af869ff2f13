"""The composition root of a run, from the fork of the launcher to the exit code.

`run` goes through the steps: `prepare` finds the program and how it will be held, `proxy` assembles a
proxy, `supervised` runs command, adjudicator and proxy on one loop. `wrap` becomes the command instead,
`standalone_proxy` serves without one, `learn` plans a `nono learn` run and makes its profile.
"""
