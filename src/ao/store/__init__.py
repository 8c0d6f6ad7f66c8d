"""The store: everything `ao` knows, in one SQLite file with one writer.

`Database` is the door. The other modules hold the statements of one table or a few, as functions that take a
connection, so that a caller composes several into one transaction; `local_pulls` alone is an object, because it stands
behind a port.
"""
