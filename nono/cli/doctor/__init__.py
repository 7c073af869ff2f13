"""Check the machine, the clients on it, and the project in the working directory, for `nono doctor`.

Start with `finding`, the result of each check. `look` probes the machine and `machine` words the result.
`client_table` lists the clients. `try_clients` runs each against the `server`, which answers with `pages` and
`grpc`, and `clients` judges what it did. `project_files` reads a project and `project` judges it;
`hosts_named` finds the hosts in its files.
"""
