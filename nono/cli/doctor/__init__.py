"""What `nono doctor` checks: the machine, the clients on it, and the project in the working directory.

Start with `finding`, what each check results in. `look` probes the machine and `machine` words it.
`client_table` lists the clients; `try_clients` runs each against the `server`, which answers with `pages` and
`grpc`, and `clients` judges it. `project_files` reads a project, and `project` judges it, its hosts by
`hosts_named`.
"""
