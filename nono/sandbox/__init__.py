"""Turn capabilities into kernel state.

`host` reads what this kernel says of itself, `probe` tests what it can do; `plan` chooses the enforcement and
draws the plan; `launcher` forks a process early and talks to it over a `channel`. That process lives in
`become_command`: it receives plan and `command`, `enter` takes the steps, `apply` installs Landlock and the
static filter. `init` is process 1 of the command's namespaces, `private_mounts` mounts the command's view
there. `mask_mounts` and `mask_keeper` hide denied paths; `private_network` serves the rung `netns`, and
`socket_maker` makes sockets in networks that the supervisor is not in.
"""
