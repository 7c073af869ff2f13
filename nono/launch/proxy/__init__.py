"""The parts of a run's proxy.

`assembly` reads the credentials, `front` opens what clients see, `engine` serves them. `ca_worker` forks the
maker of the CA, `trust` has its files and contexts, `logins` the store of captured logins, `flows` the
recording, `upstream_proxy` the proxy behind this one, `git_ssh` how git reaches hosts.
"""
