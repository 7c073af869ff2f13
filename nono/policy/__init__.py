"""The policy model: what was granted and refused, as values.

Start with `request` (what a command line asks for) and `capability` (what a run may do); `resolve` leads
from the one to the other, with the rules in `files`, `hosts`, `endpoints` and `services`. `schema` is the
shape of a profile and the one home of every default, `document` turns text into a valid one, `export`
writes one out again, `profile` finds and loads files. `learning` serves `nono learn`, `why` serves `nono
why`. Pure except `host_filesystem`, `profile` and `builtin`, which read the disk.
"""
