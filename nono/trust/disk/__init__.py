"""Read and write what `nono.trust` judges.

`concern` finds out whether a run is concerned at all. `policy_files` reads the policies of a project, `scan`
finds its instruction files, `evidence` reads one of them, `keyless` verifies certificates, `package_tree`
reads packages that npx and uvx fetched, `check` judges everything, `memory_file` keeps approvals.
"""
