"""Reads and writes what `nono.trust` judges.

`concern` finds out whether there is anything to do. `policy_files` reads the policies of a project, `scan`
finds its instruction files, `evidence` reads one of them, `keyless` verifies certificates, `package_tree`
reads what npx and uvx fetched, `check` judges all, `memory_file` keeps what was approved.
"""
