"""Keep the state of the directories granted for writing before a run, and restore it.

Read `model` first, which is pure: an `entry` is one file, a `snapshot` all files of a moment, `left_out` what
is never walked, `changes` what differs, `restore_plan` what a restore would do, `session` the record of one
run. Then `contents` (of files, by digest), `taking` (by `walking` directories `beneath` a granted
one, and `looking` at each file; `opening` what was closed), `kept` (all sessions: find, weigh, sweep),
`baseline` and `recording` (of one run), and `restoring`, by `acting`, which makes files by `making`.

A run holds a `recording.Recording`. Its `mark(label, changed)` takes a numbered snapshot between the baseline
and the end, of the absolute paths that may have changed since the last one (None: of every path whose times
differ); `written` collects these paths with inotify. A mark may be taken from a worker thread, and raises
OSError if the snapshot cannot be kept. `finish()` takes the last snapshot. `restoring.prepare(kept, number)`
and `restore` go back to any of them.
"""
