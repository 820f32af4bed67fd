"""The commands of `beauty-export`: options and messages, and nothing that computes.

May import: every other room of export. Door: the functions that `export.cli` registers.
"""
