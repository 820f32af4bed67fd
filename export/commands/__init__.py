"""The commands of `beauty-export`: options and messages, and nothing that computes.

The docstring of a command is its help; the last paragraph is an example, which the help shows below
the options.

May import: every other room of export, and of the server.
Door: the functions that `export.cli` registers.
"""
