"""Decides the kernel state of a run. Pure: kernel `facts` and capabilities in, a plan or a refusal out.

`ladder` chooses the rung, with the values of `enforcement`; `plan` draws what the launcher installs.
`mask_verdict` judges masks, `namespace_advice` says why there is no private network, `scope_query` answers
`nono why`.
"""
