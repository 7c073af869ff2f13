"""`nono rollback`, and undo around a run.

`of_run` reads the options of a run; `progress` and `review` print while and after it is kept. `command` is
the parser. `look` lists and shows, `restore` restores, and `upkeep` verifies and cleans up.
"""
