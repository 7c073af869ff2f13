"""The parts of a run's proxy.

`assembly` is the top. `ca_worker` forks the maker of the CA, `trust` its files and contexts, `logins` the
store of captured logins, `flows` the recording, `upstream_proxy` the proxy behind this one, `git_ssh` how
git reaches hosts.
"""
