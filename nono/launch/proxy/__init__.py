"""Assemble and open the proxy of a run.

`assembly` reads the credentials, `front` opens what clients see, `engine` serves them. `ca_worker` forks the
process that makes the CA, `trust` has its files and contexts, `logins` the store of captured logins
(`shown_logins`, `own_logins`, `left_logins` handle agents' files), `flows` the recording, `upstream_proxy`
the upstream proxy, `git_ssh` git's way to hosts, `exposed` finds loaded keys in the command's environment,
`same_user` identifies clients.
"""
