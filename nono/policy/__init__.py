"""Define the policy model: everything granted and refused, as values.

Start with `request` (the options of a command line) and `capability` (the permissions of a run); `resolve`
derives the second from the first with the rules in `files`, `hosts`, `endpoints` and `services`. `schema`
defines the fields of a profile and every default, `document` turns text into a valid profile, `export` writes
one out again, `profile` finds and loads profile files. `learning` serves `nono learn`, `why` serves `nono
why`. Pure except `host_filesystem`, `profile` and `builtin`, which read the disk.
"""
