"""The index bundle: manifest, descriptors, reference image, and how a version becomes current.

May import: exact_search, models, storage, text, errors.
Door: `open_index`, `publish`, `IndexBundle`, `check_reference`.
"""
