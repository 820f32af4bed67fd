"""The index bundle: manifest, descriptors, reference image, and how a version becomes current.

May import: exact_search, models, storage, text, command_line, errors.
Door: `open_index`, `publish`, `fetch`, `IndexBundle`, `check_reference`.
"""
