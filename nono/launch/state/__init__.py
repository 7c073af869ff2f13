"""Tell the command about its sandbox, so that `nono why --self` can answer inside.

`state` defines what it is told, `strict_json` converts that to JSON and back, `file` writes and reads it.
"""
