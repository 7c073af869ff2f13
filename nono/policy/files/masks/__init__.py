"""Decide which denied paths a mask hides. Pure.

`masking` finds the denied paths below granted directories, and the mounts that hide them; `spellings` finds
those that another spelling of their names leads to, past such a mount; `served` tells file systems on which
names change without this kernel.
"""
