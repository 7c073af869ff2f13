"""Turn the text of a profile file into a valid document, or list every mistake with its position. Pure.

In order: `jsonc` parses, `source` keeps positions, `legacy` renames, `when` and `normalise` evaluate
conditions, `validate` and `semantics` find mistakes, `error_messages` words them, `fold` and `merge` merge a
profile over its bases, whose files `found` holds. `check` runs all of these.
"""
