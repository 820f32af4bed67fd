"""Arrays and strings on disk: opens them by memory map without parsing, refuses damaged files.

May import: compilation, errors.
Door: `open_array`, `create_array`, `StringTable`, `file_digest`.
"""
