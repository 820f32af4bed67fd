"""The words of many texts at once: split by compiled code, numbered, and their languages.

May import: the server's text, compilation; never torch.
Door: `count_words`, `languages`.
"""
