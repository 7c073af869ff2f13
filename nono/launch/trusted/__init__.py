"""Keep what nono trusts out of its command's reach.

`module_path` protects the code that nono loads, `trust_roots` its certificates, `key_helpers` what prints
keys; `session_bus` notices who could listen in its place; `search_path` removes from PATH what the command
may write.
"""
