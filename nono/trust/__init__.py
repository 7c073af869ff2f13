"""Signed files, as values.

Read `dsse` first: what a signature covers. `statement` says which files it is about, `bundle` how both are
kept in one file that other tools read.
"""
