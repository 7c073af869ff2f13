"""Decide the kernel state of a run. Pure: kernel `facts` and capabilities in, a plan or a refusal out.

`ladder` chooses the rung, with the values of `enforcement`, `served_opens` what a supervisor does with opens;
`plan` draws what the launcher installs. `namespaces_verdict` judges whether the command gets namespaces,
`private_view` draws what it sees there, `outside_services` what it does not. `mask_verdict` judges masks,
`namespace_advice` says why namespaces are refused, `virtual_network` names the addresses of hosts that are
looked up, `scope_query` answers `nono why`.
"""
