"""Tell the command about its sandbox, so that `nono why --self` can answer inside.

`capability_state` defines what it is told, `strict_json` converts that to JSON and back, `file` writes it for
the command, and reads it there. NONO_CAP_FILE names the file.
"""
