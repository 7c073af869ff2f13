"""Signed and approved instruction files, as values.

Read `dsse` first: what a signature covers. `statement` says which files it is about, `bundle` how both are
kept in one file that other tools read. `policy` is what a person writes down, `authority` whose word that is,
`verdict` what becomes of one file. `memory` is what earlier runs have left. `disk` reads and writes all this.
"""
