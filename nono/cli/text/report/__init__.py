"""Words the reports: `page` about one session, `totals` about many, `replay` by another profile.

`layout` makes plain text of their tables, `amounts` words numbers and times.
"""
