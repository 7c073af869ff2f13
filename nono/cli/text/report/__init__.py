"""Word the reports: `page` about one session, `totals` about many, `replay` under another profile.

`layout` turns their tables into plain text; nono.amounts words numbers and times.
"""
