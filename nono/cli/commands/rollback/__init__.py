"""`nono rollback`, and undo around a run: `of_run` reads its options, `progress` and `review` speak.

`command` is the parser; `look` lists and shows, `restore` goes back, `upkeep` verifies and cleans up.
"""
