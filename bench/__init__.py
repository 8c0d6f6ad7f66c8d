"""Speed, as ratios to floors measured in the same run. Run by `make bench`; each `gNN_*.py` measures one goal.

A goal's module has a `main(place)` that returns rows. Everything runs from a wheel in a clean environment, in a scratch
home with a daemon of its own. Standard library only, so that the harness weighs nothing.
"""
