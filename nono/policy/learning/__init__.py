"""Decides what `nono learn` may observe, and turns the observations into a profile. Pure.

`scope`, `hosts`, `ports` and `keys` bound the run; `observation` collects; `generalise` and
`endpoint_template` make few rules of many paths and requests; `learned_profile` lays them over the profile
the run began with.
"""
