"""Turn capabilities into kernel state.

`probe` tests what this kernel can do; `plan` chooses the enforcement and draws the plan; `launcher`, forked
early, receives it and becomes the command: `enter` takes the steps, `apply` installs Landlock and the static
filter. `init` is process 1 of the command's namespaces, `private_mounts` mounts the command's view there.
`mask_mounts` and `mask_keeper` hide denied paths; `private_network` and `socket_maker` serve the rung
`netns`.
"""
