"""The store: everything `ao` knows, in one SQLite file with one writer.

`Database` is the door; `projects`, `sessions`, `messages` and `changes` hold the statements of one table each, as
functions that take a connection, so that a caller composes several into one transaction.
"""
