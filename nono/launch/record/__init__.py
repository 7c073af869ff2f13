"""What becomes of the audit log of a run.

`outward` has it carried to others meanwhile, `proof` sums it up at the end; `hashed` are the directories that
the run could write.
"""
