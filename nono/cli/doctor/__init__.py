"""What `nono doctor` checks: the machine, the clients on it, and the project in the working directory.

Start with `finding`, what each check results in. `look` probes the machine and `machine` words it.
"""
