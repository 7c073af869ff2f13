"""Represent signed and approved instruction files as values.

Read `dsse` first: it says what a signature covers. `statement` lists the files that a signature is about,
`bundle` stores both in one file that other tools read. `policy` is what a person writes, `authority` decides
whose policy counts, `verdict` judges one file. `memory` is what earlier runs recorded. `disk` reads and
writes all of this.
"""
