"""Arrays and texts by memory map: opened without parsing, refused if damaged.

May import: errors. Door: `open_array`, `StringTable`.
"""
