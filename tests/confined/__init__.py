"""Run the tests of the boundary on hosts that refuse what this one has: `python -m confined`.

`hosts` says what each host is known to lack, `reading` what became of a run, `__main__` runs them one after
the other and prints the table. support.confined makes the hosts, support.running.needs asks them.
"""
