"""From capabilities to kernel state.

`probe` tries what this kernel can do; `plan` chooses what enforces and draws the plan; `launcher`, forked
early, receives it and becomes the command: `enter` takes the steps, `apply` installs Landlock and the
static filter. `init` is process 1 of the command's namespaces, `private_mounts` mounts what is seen there.
`mask_mounts` and `mask_keeper` hide denied paths; `private_network` and `socket_maker` serve the rung
`netns`.
"""
