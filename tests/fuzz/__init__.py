"""Fuzzing: bytes that nobody wrote, for every reader of what a stranger sends or a disk returns.

`make fuzz` runs it, guided by coverage (atheris, which is libFuzzer); `test_fuzz.py` runs its short
form. A module has a target for each reader of one kind; `targets.py` is the table of all.
"""
