"""A machine that looks for what nobody thought of: runs programs in real sandboxes and watches the outside.

`programs` says what is tried, `inside` runs it, `outside` sees what came of it. `ways` are the kinds of run
and what each does not promise, `running` starts one, `campaign` compares before and after, `options` does the
same to nono's own command line, `control` shows that no watcher is blind. `hunting` goes on until the time is
over, `corpus` keeps what was found; `__main__` is `make hunt`.
"""
