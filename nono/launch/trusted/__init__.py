"""Keep what nono trusts out of its command's reach.

`module_path` protects the code that nono loads, `trust_roots` its certificates; `search_path` removes from
PATH what the command may write.
"""
