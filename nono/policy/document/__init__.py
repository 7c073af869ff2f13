"""Turns the text of a profile file into a valid document, or lists every mistake with its position. Pure.

In order: `jsonc` parses, `source` keeps positions, `legacy` renames, `when` and `normalise` decide
conditions, `validate` and `semantics` find mistakes, `error_messages` words them, `fold` and `merge` lay a
profile over its bases. `check` runs all of it.
"""
