"""From the text of a profile file to a valid document, or every mistake in it with its place. Pure.

In order: `jsonc` reads, `source` keeps places, `legacy` renames, `when` and `normalise` decide
conditions, `validate` and `semantics` find mistakes, `error_messages` words them, `fold` and `merge` lay
a profile over its bases. `check` does all of it.
"""
