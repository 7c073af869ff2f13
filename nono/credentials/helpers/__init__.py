"""Run credential helpers with limits on time and output, and report how each ended.

`program` finds the helper, `command` runs it, by way of `started`, which starts `runner` between nono and the
helper; `outcome` is how it ended.
"""
