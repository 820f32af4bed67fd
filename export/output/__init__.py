"""The output folder of a command, which it locks.

May import: the server's errors.
Door: `output_folder`, `lock_folder`.
"""
