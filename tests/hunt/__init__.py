"""Look for what nobody thought of: run programs in real sandboxes and watch the outside.

`programs` says what is tried, `inside` runs it, `outside` sees what came of it. `ways` are the kinds of run
and what each does not promise, `running` starts one, `campaign` compares before and after, `options` does the
same to nono's own command line, `control` shows that no watcher is blind. `hunting` goes on until the time is
over, `corpus` keeps what was found; `__main__` is `make hunt`.
"""
