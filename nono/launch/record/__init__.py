"""Handle the audit log of a run.

`outward` sends it to others meanwhile, `proof` sums it up at the end, and `hashed` compares the directories
that the run could write.
"""
