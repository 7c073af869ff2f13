"""What surrounds a command: terminals, caches, temporary files, its git repository.

`surroundings` has the grants and the view that a run gets beside its policy, nono's own programs
(`own_environment`) among them; `temporary_directory` makes what stands in for a /tmp of its own, and
`repository_watch` tells what became of the repository. `undo` keeps what a run may change, and `turn_marks`
takes a mark of it before each turn of an agent.
"""
