"""What the server serves: the index, its versions and changes, and whether it is ready.

May import: serving.settings; every other room of the server.
Door: `ServedIndex`.
"""
