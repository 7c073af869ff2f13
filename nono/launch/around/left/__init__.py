"""Say at the end of a run what its command has left for programs outside, what git runs apart.

`agent_settings` looks at settings by which coding agents run something, `agent_installs` at programs that
they keep beside these, `agent_snapshots` at repositories of their own, `gh_logins` at a token that gh has
kept, `emptied_files` at files that git would keep empty.
"""
