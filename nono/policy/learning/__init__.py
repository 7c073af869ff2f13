"""Decide what `nono learn` may observe, and turn the observations into a profile. Pure.

`scope`, `hosts`, `ports` and `keys` bound the run; `observation` collects; `generalise` and
`endpoint_template` reduce many paths and requests to few rules; `steering` names paths that are never
granted; `learned_profile` adds the rules to the profile the run began with. `agent_programs` lists where
agents keep what they run outside too, and `agent_settings` tells what a file of settings makes them run.
"""
