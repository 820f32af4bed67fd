"""Arrays, strings and records on disk: maps arrays without parsing, refuses damaged files.

May import: compilation, errors.
Door: `open_array`, `create_array`, `StringTable`, `file_digest`, `read_json`, `check_types`,
`Files`.
"""
