"""Handle what surrounds a command: terminals, caches, temporary files, its git repository.

`surroundings` adds the grants and the view that a run gets beside its policy, including nono's own programs
(`own_environment`), and keeps it from others' (`outside_services`); `temporary_directory` replaces a private
/tmp. `repository_state` reads the repository (by `repository_files`), `repository_watch` reports what has
changed there; `left/` tells of agents' settings and a token of gh. `session_hooks` runs hooks in a
`hook_process`. `undo` keeps what a run may change, and `turn_marks` takes a mark of it before each turn of an
agent. `packages_run` records packages of npx and uvx. `editor/` stands between an agent, or a language
server, and the editor that has started it. `slow_lookups` says what a start or an end waits for.
"""
