"""What a command writes: a folder that one command holds at a time, files that appear whole.

May import: the server's errors. Door: `hold_folder`, `write_text`.
"""
