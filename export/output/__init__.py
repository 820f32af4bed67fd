"""The output of a command: a folder that it locks, and text files that appear in one step.

May import: the server's errors.
Door: `output_folder`, `lock_folder`, `write_text_file`.
"""
